r"""Fact 1: the gauge in which the signs of Theorem 2 hold, and counterexamples in the two others.

Softmax does not see a number that is added to a row of constants: a gauge says which number. Theorem 2.1 is a
difference within a row, and holds in every gauge. The signs of 2.2 and the zeros of 2.3 are statements in one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from theory.claim import ClaimResult
from theory.facts.identifiability import TOLERANCE
from theory.paper.closed_form import GAUGES, to_gauge
from theory.paper.counterexamples import Counterexample
from theory.paper.theorem2 import ASSUMPTIONS, CASES, Samples, labelled
from theory.paper.transitions import single_symmetric

# Part of the theorem and assumptions, their keys in theorem2, and the gauges in which the part then fails.
_SIGNS = {
    "2.2, paper": ("symmetric", "paper", {"first_zero"}),
    "2.2, weaker": ("symmetric", "weaker", {"first_zero", "mean_centered"}),
    "2.3, paper": ("single symmetric", "paper", {"first_zero", "mean_centered"}),
    "2.3, weaker": ("single symmetric", "weaker", {"first_zero", "mean_centered"}),
}


@dataclass(frozen=True)
class SignGauge(ClaimResult):
    """Theorem 2.2 and 2.3 in the three gauges; see :func:`sign_gauge`.

    Parameters
    ----------
    broken : dict of str to dict of str to float
        By part of the theorem with its assumptions, "2.2, paper" to "2.3, weaker", and by gauge: the share of cases in
        which the part fails.
    counterexamples : dict of str to dict of str to Counterexample
        Where any fails: of those with the fewest categories the one that fails by most. Printed, it gives pi, m* and
        alpha in the gauge, in quarters and logarithms of whole numbers.
    """

    broken: dict[str, dict[str, float]]
    counterexamples: dict[str, dict[str, Counterexample]]


def sign_gauge(n_draws: int = 300, random_state: int = 0) -> SignGauge:
    r"""Fact 1: the signs of Theorem 2.2 and 2.3 are statements in the partition gauge.

    A gauge adds a number :math:`s(x)` to the row of the closed form, which is in the partition gauge itself: 0 there,
    :math:`-\alpha_1` in the paper's, :math:`-\frac{1}{K} \sum_i \alpha_i` in the mean-centred. By theorem 2 in the
    partition gauge, in any other

    - 2.2 says :math:`\alpha_t \le -s(x)`. With :math:`\alpha_1 = 0` it fails on the paper's assumptions already,
      where :math:`\alpha_1 < \alpha_t`. With mean zero it holds on the paper's, since the constants of a doubly
      stochastic pi have a mean of at least zero (Jensen), and fails on the weaker ones. With two categories it holds
      in all three: then :math:`\alpha_t \le 0 \le \alpha_f`.
    - 2.3 says :math:`s(x) = 0`, since :math:`\alpha_j = 0` becomes :math:`s(x)`. With :math:`\alpha_1 = 0` it holds
      where category 1 is neither t nor f, or its constant is zero; with mean zero, where :math:`\alpha_t + \alpha_f`
      is. That sum is positive for single-symmetric pi with :math:`m_t \ne m_f` and a rate strictly between 0 and 1.

    Parameters
    ----------
    n_draws : int, default=300
        Of each part, assumptions and number of categories, 3 to 8: cases are those that meet the assumptions. All are
        of numbers that a hand can check, probabilities in quarters and exponentials of logits from 1 to 9.
    random_state : int, default=0

    Returns
    -------
    SignGauge
        Margin: the least of :math:`-\alpha_t` and :math:`-|\alpha_j|`, in the partition gauge. It holds if that is
        zero up to rounding and each part fails, in some case, exactly in the gauges named above.
    """
    rng = np.random.RandomState(random_state)
    broken: dict[str, dict[str, float]] = {}
    found: dict[str, dict[str, Counterexample]] = {}
    held = []  # margins in the partition gauge
    for part, (case, assume, _) in _SIGNS.items():
        sizes = [_small_numbers(case, assume, n_classes, n_draws, rng) for n_classes in range(3, 9)]
        broken[part], found[part] = {}, {}
        for gauge in GAUGES:
            margins = [_margins(case, gauge, samples) for samples in sizes]
            broken[part][gauge] = float((np.concatenate(margins) < -TOLERANCE).mean())
            for samples, of_size in zip(sizes, margins, strict=True):
                if gauge not in found[part] and of_size.min(initial=0.0) < -TOLERANCE:
                    found[part][gauge] = _printable(f"{part}, {gauge}", case, gauge, samples, int(of_size.argmin()))
            held += [] if gauge != "partition" else margins
    all_held = np.concatenate(held)
    worst, margin = int(all_held.argmin()), float(all_held.min())
    as_stated = all(set(found[part]) == gauges for part, (_, _, gauges) in _SIGNS.items())
    return SignGauge(
        "Fact 1: Theorem 2.2 and 2.3 hold in the partition gauge; in the two others 2.3 fails, and 2.2 but for "
        "symmetric pi with mean zero",
        ("the paper's or the weaker assumptions of each", "K >= 3"),
        len(all_held),
        margin,
        (worst,),
        TOLERANCE,
        margin >= -TOLERANCE and as_stated,
        broken,
        found,
    )


def _small_numbers(case: str, assume: str, n_classes: int, n_draws: int, rng: np.random.RandomState) -> Samples:
    """Those of ``n_draws`` samples that meet the assumptions of a part of theorem 2."""
    m = np.log(rng.randint(1, 10, size=(n_draws, n_classes)))
    t = m.argmax(axis=1)
    f = (t + rng.randint(1, n_classes, size=n_draws)) % n_classes
    pi = np.empty((n_draws, n_classes, n_classes))
    for n in range(n_draws):
        if case == "symmetric" and assume == "paper":
            pi[n] = np.mean([_involution(n_classes, rng) for _ in range(4)], axis=0)
        elif case == "symmetric":
            pi[n] = rng.multinomial(4, np.full(n_classes, 1 / n_classes), size=n_classes) / 4
        elif assume == "paper":
            pi[n] = single_symmetric(n_classes, t[n], f[n], rng.randint(1, 5) / 4)
        else:
            wrong, pair = rng.randint(5, size=2) / 4, [t[n], f[n]]
            pi[n] = np.eye(n_classes)
            pi[n, pair, pair], pi[n, pair, pair[::-1]] = 1 - wrong, wrong
    samples = labelled(pi, m, t, None if case == "symmetric" else f)  # None: the likeliest label but t
    met = (pi.max(axis=1) > 0).all(axis=1)  # a label that is never given has no constant, and its row no mean
    # Each sample is a population of its own: its pi is that of its one x.
    for name in CASES[case].paper if assume == "paper" else CASES[case].weaker:
        if name != "pi does not depend on x":
            met &= ASSUMPTIONS[name](samples) >= 0
    return labelled(pi[met], m[met], t[met], samples.f[met])


def _margins(case: str, gauge: str, samples: Samples) -> np.ndarray:
    moved = replace(samples, alpha=to_gauge(samples.alpha, gauge, samples.m))
    return np.asarray(np.nanmin(CASES[case].margins(moved).reshape(len(moved.t), -1), axis=1))


def _printable(name: str, case: str, gauge: str, s: Samples, n: int) -> Counterexample:
    exp_m = tuple(np.exp(s.m[n]).round().tolist())
    return Counterexample(name, case, tuple(map(tuple, s.pi[n].tolist())), exp_m, int(s.t[n]), int(s.f[n]), gauge)


def _involution(n_classes: int, rng: np.random.RandomState) -> np.ndarray:
    """Symmetric permutation matrix: one pair of categories or more change places."""
    partner, paired = np.arange(n_classes), rng.permutation(n_classes)[: 2 * rng.randint(1, n_classes // 2 + 1)]
    partner[paired] = paired.reshape(-1, 2)[:, ::-1].ravel()
    matrix: np.ndarray = np.eye(n_classes)[partner]
    return matrix
