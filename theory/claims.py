"""Every claim of the sandbox and the cases it is tried on: the rows of the table that ``python -m theory`` prints.

A claim that is expected to fail carries its counterexample. What is tried is drawn from fixed seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from theory.claim import ClaimResult
from theory.facts import gauges, group_recovery, identifiability, least_squares, robust_loss, table_dynamics
from theory.observed import observed_probability
from theory.paper import table1
from theory.paper.closed_form import optimal_alpha
from theory.paper.counterexamples import COUNTEREXAMPLES
from theory.paper.theorem1 import bias, theorem1
from theory.paper.theorem2 import CASES, general_case, single_symmetric_case, symmetric_case
from theory.paper.transitions import (
    instance_dependent,
    multiple_objects,
    outside,
    pair_flip,
    random_dirichlet,
    random_symmetric,
    single_symmetric,
    symmetric,
)
from theory.population import Population, small_mlp
from theory.trained import softmax_world
from theory.trained.joint import joint_learning, joint_sampling_error
from theory.trained.learned import sampling_error
from theory.trained.single_labels import single_label_error

SIZES = (2, 3, 5, 20)  # K
_N_INPUTS, _N_FEATURES = 60, 3


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Parameters
    ----------
    result : ClaimResult
    counterexample : str, default=""
        Of a claim that is expected to fail.
    """

    result: ClaimResult
    counterexample: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the claim holds, or else has the counterexample that is known of it."""
        return self.result.holds != bool(self.counterexample)


def merge(results: Sequence[ClaimResult]) -> ClaimResult:
    """One result for a claim that was tried several times: the cases of all, and the worst margin."""
    worst = min(results, key=lambda result: result.worst_margin + result.tolerance)
    return replace(worst, n_cases=sum(r.n_cases for r in results), holds=all(r.holds for r in results))


# --- Definition 1 and Theorem 1 ---

PROCESSES: dict[str, Callable[[int, np.random.RandomState], np.ndarray]] = {
    "labels are wrong inside of the set": lambda k, rng: random_dirichlet(k, k, 1.0, rng),
    "labels from outside of the set": lambda k, rng: outside(k, random_dirichlet(k, k, 1.0, rng), pair_flip(k, 0.2)),
    "several objects, one of them labelled": lambda k, rng: multiple_objects(
        k, list(itertools.islice(itertools.combinations(range(k), 2), k))
    ),
    "pi depends on x": lambda k, rng: instance_dependent(
        [symmetric(k, 0.4), random_dirichlet(k, k, 1.0, rng)],
        lambda x: np.stack([x[:, 0] > 0, x[:, 0] <= 0], axis=1).astype(float),
    )(rng.normal(size=(_N_INPUTS, 1))),
}


def definition1() -> Iterator[Entry]:
    """The closed form gives the probabilities of Definition 1: softmax(m* + alpha*) = Q."""
    results = []
    for n_classes, process in itertools.product(SIZES, PROCESSES.values()):
        rng = np.random.RandomState(n_classes)
        pi = process(n_classes, rng)
        m = rng.normal(size=(_N_INPUTS, pi.shape[-2])) * 10
        c = m[:, :n_classes] + optimal_alpha(pi, m)
        off = np.abs(softmax(c, axis=1) - observed_probability(pi, m)).max(axis=1)
        # Each logit is off by a few roundings of its size, alpha by as many of K* terms; softmax adds half of that.
        tolerance = (8 + pi.shape[-2]) * np.finfo(float).eps * float(1 + np.abs(m).max())
        worst = int(off.argmax())
        results.append(
            ClaimResult(
                "Definition 1: softmax(m* + alpha*) = Q",
                ("softmax", "any process"),
                len(off),
                -float(off[worst]),
                (worst,),
                tolerance,
                bool(off[worst] <= tolerance),
            )
        )
    yield Entry(merge(results))


def theorem_1() -> Iterator[Entry]:
    """Theorem 1 for each kind of process, linear models and networks; and what plain cross-entropy does instead."""
    biases = []
    for name, process in PROCESSES.items():
        results = []
        for n_classes in SIZES:
            rng = np.random.RandomState(n_classes)
            x, pi = rng.normal(size=(_N_INPUTS, _N_FEATURES)), process(n_classes, rng)
            theta = rng.normal(size=(_N_FEATURES, pi.shape[-2]))
            network = small_mlp(_N_FEATURES, 8, pi.shape[-2], seed=n_classes)
            with torch.no_grad():
                m = network(torch.from_numpy(x)).numpy()
            linear = Population(x, x @ theta, pi)
            results += [theorem1(linear, theta), theorem1(Population(x, m, pi), network)]
            if n_classes == 5:
                biases.append(_unbiased(name, linear, theta))
        result = merge(results)
        yield Entry(replace(result, assumptions=(*result.assumptions, name)))
    yield _unbiased("labels are right", Population(x, x @ theta, np.eye(theta.shape[1])), theta)
    yield from biases


def _unbiased(process: str, population: Population, theta: np.ndarray) -> Entry:
    """The claim that plain cross-entropy is unbiased, which is true of right labels."""
    found = bias(population, theta)
    holds = found.gradient_norm <= 1e-10
    return Entry(
        ClaimResult(
            "Without constants: dL/d theta = 0 at theta*",
            ("the model is correct", "softmax", process),
            1,
            -found.gradient_norm,
            (),
            1e-10,
            holds,
        ),
        "" if holds else f"the minimiser is off by {found.relative:.0%} of |theta*|",
    )


# --- Theorem 2 ---


def theorem_2() -> Iterator[Entry]:
    """The three cases under the paper's assumptions and under the weaker ones, and without each of these."""
    for case, assume in itertools.product(_CASES, ("paper", "weaker")):
        claim, draw = _CASES[case]
        yield Entry(
            merge([claim(*draw(k, assume), assume=assume) for k in SIZES if k > 2 or case != "single symmetric"])
        )
    for name, example in COUNTEREXAMPLES.items():
        without = (f"all that suffices, but not that {example.dropped}",)
        yield Entry(
            ClaimResult(CASES[example.case].claim, without, 1, example.margin, (), 0.0, example.margin >= 0), name
        )


def _draw_general(n_classes: int, assume: str) -> tuple[np.ndarray, ...]:
    """(pi, m, t, f): processes of any kind, inside of the set and outside, and the pairs that meet the assumptions."""
    rng = np.random.RandomState(n_classes)
    n_true = n_classes + (n_classes if assume == "weaker" else 0)
    pi = np.stack([random_dirichlet(n_true, n_classes, 0.3, rng) for _ in range(500)])
    m = rng.normal(size=(500, n_true))
    q = observed_probability(pi, m)
    t = m.argmax(axis=1) if assume == "paper" else rng.randint(n_classes, size=500)
    f = q.argmax(axis=1)  # as likely as any
    met = (t < n_classes) & (t != f)
    at = np.arange(500)
    met[met] &= m[at[met], t[met]] >= m[at[met], f[met]]
    return pi[met], m[met], t[met], f[met]


def _draw_symmetric(n_classes: int, assume: str) -> tuple[Any, ...]:
    """One symmetric pi for all samples, or any matrices whose column t sums to one at most."""
    rng = np.random.RandomState(n_classes)
    if assume == "paper":
        pi, m = random_symmetric(n_classes, 0.2, rng), rng.normal(size=(500, n_classes))
        q, t = observed_probability(pi, m), m.argmax(axis=1)
        f = q.argmax(axis=1)
        met = t != f
        return pi, m[met], t[met], f[met]
    pi = np.stack([random_dirichlet(2 * n_classes, n_classes, 0.3, rng) for _ in range(500)])
    m = rng.normal(size=(500, 2 * n_classes))
    t = m.argmax(axis=1)
    met = t < n_classes
    pi, m, t = pi[met], m[met], t[met]
    # What column t has above one goes to the column beside it, in proportion.
    at = np.arange(len(t))
    column = pi[at, :, t]
    kept = column / np.maximum(column.sum(axis=1, keepdims=True), 1.0)
    pi[at, :, t] = kept
    pi[at, :, (t + 1) % n_classes] += column - kept
    return pi, m, t


def _draw_single(n_classes: int, assume: str) -> tuple[Any, ...]:
    """Two categories taken for each other; in the weaker case at two rates, and from outside as well."""
    rng = np.random.RandomState(n_classes)
    m = rng.normal(size=(500, n_classes + (2 if assume == "weaker" else 0)))
    pi = single_symmetric(n_classes, 0, 1, 0.7)
    if assume == "weaker":
        pi[0, :2], pi[1, :2] = (0.9, 0.1), (0.4, 0.6)
        shares = np.zeros((2, n_classes))
        shares[:, :2] = random_dirichlet(2, 2, 1.0, rng)
        return outside(n_classes, shares, pi), m, 0, 1
    q, t = observed_probability(pi, m), m.argmax(axis=1)
    met = (t < 2) & (np.take_along_axis(q, np.minimum(1 - t, 1)[:, None], axis=1)[:, 0] >= q[np.arange(500), t])
    return pi, m[met], t[met], 1 - t[met]


_CASES: dict[str, tuple[Callable[..., ClaimResult], Callable[[int, str], tuple[Any, ...]]]] = {
    "general": (general_case, _draw_general),
    "symmetric": (symmetric_case, _draw_symmetric),
    "single symmetric": (single_symmetric_case, _draw_single),
}


# --- the examples of the paper, what is learned, and what lies beyond ---


def table_1() -> Iterator[Entry]:
    """Table 1: its constants computed and learned."""
    for learned in table1.learn():
        part = learned.part
        computed = table1.printed(table1.constants(part.m, part.c)) == table1.printed(part.alpha)
        yield Entry(
            ClaimResult(
                f"Table 1 ({part.name}): c - m* is what is printed, and what is learned",
                (part.title.lower(), "printed outputs are logits"),
                len(learned.alpha),
                -learned.error,
                (),
                1e-12,  # descent leaves nothing; a dozen roundings of numbers below one
                computed and learned.error <= 1e-12,
            )
        )


def learned_constants() -> Iterator[Entry]:
    """Constants that the project's own table learns: alone, with theta, and through the estimator."""
    yield Entry(sampling_error())
    yield Entry(single_label_error((100, 300, 1000)))
    yield Entry(joint_learning())
    yield Entry(joint_sampling_error())
    yield Entry(softmax_world.through_the_classifier())


def beyond() -> Iterator[Entry]:
    """The five facts that the paper does not state."""
    signs = gauges.sign_gauge()
    yield Entry(signs)
    for part, by_gauge in signs.counterexamples.items():
        for gauge, example in by_gauge.items():
            share = f"in {signs.broken[part][gauge]:.1%} of the cases, such as pi = {example.pi}, e^m = {example.exp_m}"
            yield Entry(
                ClaimResult(
                    f"Theorem {part[:3]} in the gauge {gauge}",
                    ("the paper's assumptions" if part.endswith("paper") else "the weaker assumptions",),
                    1,
                    example.margin,
                    (),
                    0.0,
                    example.margin >= 0,
                ),
                share,
            )
    yield Entry(identifiability.flat_manifold())
    yield Entry(least_squares.least_squares_limit(*identifiability.contaminated(60, 3, 4, 15, 0)))
    yield Entry(group_recovery.exact_recovery())
    broken = group_recovery.recovery(n_contaminated=45)
    yield Entry(broken, f"theta is off by {broken.error:.2g}; the slope towards it is {broken.slope:.2g}")
    yield Entry(group_recovery.phase_transition())
    yield Entry(robust_loss.profile_identities())
    yield Entry(table_dynamics.table_reaches_fixed_loss())
    yield Entry(table_dynamics.table_outlasts_fixed_loss())


SECTIONS: dict[str, Callable[[], Iterator[Entry]]] = {
    "The paper's definition and Theorem 1": lambda: itertools.chain(definition1(), theorem_1()),
    "Theorem 2": theorem_2,
    "Table 1": table_1,
    "Learned constants": learned_constants,
    "Beyond the paper": beyond,
}
