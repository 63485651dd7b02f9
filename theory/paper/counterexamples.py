r"""Counterexamples to Theorem 2: one assumption is dropped, and the claim fails.

Each is one sample. Numbers are such that a hand can check them: :math:`e^{m^*}` is given, and

.. math:: e^{\alpha_i} = \sum_k \pi_{ki} e^{m^*_k} / e^{m^*_i}

is a fraction (in the mean-centred gauge, a fraction over its row's geometric mean).

An example drops one of the assumptions that suffice, or what stands behind them: labels are as frequent as Q says (the
paper's "as N tends to infinity"), logits are those of the true parameters ("the loss function is minimized at true
parameter values"), and 2.2 and 2.3 are read in the partition gauge. All else that suffices is met. So are the paper's
assumptions, but for that which implies the dropped one; two examples, which say so, need a pi that is not symmetric.

The paper's own gauge is :math:`\alpha_1 = 0`. In the examples called "first constant zero" all that it assumes is met.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from theory.observed import observed_probability
from theory.paper.closed_form import optimal_alpha, to_gauge
from theory.paper.theorem2 import ASSUMPTIONS, CASES, Samples, labelled
from theory.paper.transitions import random_symmetric

FREQUENCIES = "labels are as frequent as Q says"
GAUGE = "alpha is in the partition gauge"
LOGITS = "the logits are those of the true parameters"
WIDTH = 100  # of the table


@dataclass(frozen=True)
class Counterexample:
    """One sample, of which a claim fails.

    Parameters
    ----------
    name : str
    case : str
        Key of `CASES`.
    pi : sequence of rows, (K*, K)
    exp_m : tuple, (K*,)
        Exponentials of the true logits.
    t, f : int
        Counted from 0, as everywhere.
    gauge : str, default="partition"
    exp_logits : tuple, (K,), optional
        Exponentials of the model's logits, where these are not the true ones.
    frequencies : tuple, (K,), optional
        Of the labels, where they are not Q.
    remark : str, default=""
    """

    name: str
    case: str
    pi: tuple[tuple[float, ...], ...]
    exp_m: tuple[float, ...]
    t: int = 0
    f: int = 1
    gauge: str = "partition"
    exp_logits: tuple[float, ...] | None = None
    frequencies: tuple[float, ...] | None = None
    remark: str = ""

    @property
    def m(self) -> np.ndarray:
        """(K*,), true logits."""
        return np.log(self.exp_m)

    @property
    def alpha(self) -> np.ndarray:
        """(K,), ln of the labels' frequencies minus the model's logits, in the gauge: the loss has gradient zero."""
        q = observed_probability(self.pi, self.m) if self.frequencies is None else np.array(self.frequencies)
        logits = self.m if self.exp_logits is None else np.log(self.exp_logits)
        with np.errstate(divide="ignore"):  # -inf: a label that was never seen
            return to_gauge(np.log(q) - logits[: len(q)], self.gauge, logits)

    @property
    def margin(self) -> float:
        """Margin of the claim: below zero, and the claim fails by as much."""
        return float(np.nanmin(CASES[self.case].margins(self._sample())))

    @property
    def met(self) -> dict[str, bool]:
        """Whether each assumption is met: those that suffice, the three of this module, and then the paper's."""
        case, sample = CASES[self.case], self._sample()
        sufficient, paper = (
            {a: bool(ASSUMPTIONS[a](sample) >= 0) for a in names} for names in (case.weaker, case.paper)
        )
        # 2.1 is about a difference inside a row: no gauge is assumed.
        gauge = {} if self.case == "general" else {GAUGE: self.gauge == "partition"}
        return sufficient | gauge | {FREQUENCIES: self.frequencies is None, LOGITS: self.exp_logits is None} | paper

    @property
    def dropped(self) -> str:
        """The one assumption that is not met, of those that suffice and those of this module."""
        return next(a for a, met in self.met.items() if not met)

    @property
    def dropped_of_paper(self) -> tuple[str, ...]:
        """Which of the paper's assumptions are not met: none where all that is dropped is of this module."""
        return tuple(a for a in CASES[self.case].paper if not self.met[a])

    def _sample(self) -> Samples:
        return labelled(self.pi, self.m, self.t, self.f, self.alpha)

    def __str__(self) -> str:
        _, claim = CASES[self.case].claim.split(": ")
        lines = [
            f"{self.name}: {claim}, fails by {-self.margin:.4f}",
            f"  without: {self.dropped}",
            *(f"  and of the paper's: {name}" for name in self.dropped_of_paper if name != self.dropped),
            f"  pi = {', '.join(_numbers(row) for row in self.pi)}; m* = ln {_numbers(self.exp_m)}; "
            f"t = {self.t}, f = {self.f}",
        ]
        if self.exp_logits is not None:
            lines.append(f"  logits of the model: ln {_numbers(self.exp_logits)}")
        if self.frequencies is not None:
            lines.append(f"  frequencies of the labels: {_numbers(self.frequencies)}")
        lines.append(f"  alpha = ln {_numbers(np.exp(self.alpha))} = {_numbers(self.alpha)}, {self.gauge} gauge")
        return "\n".join([*lines, *([f"  {self.remark}"] if self.remark else [])])


def of_case(case: str) -> list[Counterexample]:
    """The counterexamples to one part of the theorem, in the order of its assumptions.

    Parameters
    ----------
    case : str
        Key of `CASES`.

    Returns
    -------
    list of Counterexample
    """
    return [example for example in COUNTEREXAMPLES.values() if example.case == case]


def not_needed(case: str) -> list[str]:
    """What the paper assumes and no counterexample drops: the proof does not use it.

    Parameters
    ----------
    case : str
        Key of `CASES`.

    Returns
    -------
    list of str
    """
    dropped = {name for example in of_case(case) for name in example.dropped_of_paper}
    return [name for name in CASES[case].paper if name not in dropped]


def table() -> str:
    """All counterexamples as text, by the part of the theorem that they are about, at most `WIDTH` columns wide."""
    lines = []
    for key, case in CASES.items():
        lines += [
            case.claim,
            *_listed("the paper assumes", case.paper),
            *_listed("it suffices", case.weaker),
            *_listed("not needed", not_needed(key)),
            "",
        ]
        for example in of_case(key):
            lines += [textwrap.indent(str(example), "  "), ""]
    return "\n".join(lines).rstrip()


def positive_for_another_label(
    n_matrices: int = 1000, n_logits: int = 20, random_state: int | np.random.RandomState | None = 0
) -> tuple[int, int]:
    """Count how often alpha_t > 0 under symmetric pi where t is not the argmax of m*.

    Each matrix is :func:`theory.paper.transitions.random_symmetric` of 2 to 10 categories, all sizes alike, with
    concentration 1; each m* is standard normal; t is any category but the argmax, all alike.

    Parameters
    ----------
    n_matrices, n_logits : int
        Matrices, and logits drawn for each.
    random_state : int, RandomState or None

    Returns
    -------
    n_positive, n_draws : int
    """
    rng = check_random_state(random_state)
    n_positive = 0
    for _ in range(n_matrices):
        n_classes = rng.randint(2, 11)
        pi, m = random_symmetric(n_classes, 1.0, rng), rng.normal(size=(n_logits, n_classes))
        t = (m.argmax(axis=1) + rng.randint(1, n_classes, size=n_logits)) % n_classes
        n_positive += int((np.take_along_axis(optimal_alpha(pi, m), t[:, None], axis=1) > 0).sum())
    return n_positive, n_matrices * n_logits


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    """Four digits each; rounding errors are zero, and zero has no sign."""
    return f"[{', '.join(f'{value + 0.0:.4g}' for value in np.asarray(values).round(12))}]"


def _listed(title: str, names: Sequence[str]) -> list[str]:
    return textwrap.wrap(
        f"{title}: {'; '.join(names) or 'nothing'}", WIDTH, initial_indent="  ", subsequent_indent="    "
    )


_MOSTLY_WRONG = ((0.25, 0.75), (0.75, 0.25))
_MOSTLY_WRONG_OF_3 = ((0.25, 0.75, 0.0), (0.75, 0.25, 0.0), (0.0, 0.0, 1.0))

_EXAMPLES = (
    Counterexample("2.1, true label likelier", "general", ((1.0, 0.0), (0.5, 0.5)), (2, 1)),
    Counterexample("2.1, false label has the larger logit", "general", ((1.0, 0.0), (0.25, 0.75)), (1, 4)),
    Counterexample(
        "2.1, other parameters",
        "general",
        _MOSTLY_WRONG,
        (2, 1),
        exp_logits=(1, 2),
        remark="The gradient in alpha is zero here too: Theorem 1 does not identify theta.",
    ),
    Counterexample(
        "2.1, four labels",
        "general",
        _MOSTLY_WRONG,
        (2, 1),
        frequencies=(0.75, 0.25),
        remark="Three labels t and one f, though f is likelier: the claim is one of the limit.",
    ),
    Counterexample("2.2, not the argmax", "symmetric", ((0.75, 0.25), (0.25, 0.75)), (1, 3)),
    Counterexample(
        "2.2, the argmax of K but not of K*",
        "symmetric",
        ((0.5, 0.5), (0.0, 1.0), (0.5, 0.5)),
        (2, 1, 4),
        remark="The true category is outside of the set: K* is larger than K, and pi not square.",
    ),
    Counterexample(
        "2.2, a column above one", "symmetric", ((0.5, 0.5, 0.0), (0.5, 0.5, 0.0), (0.25, 0.5, 0.25)), (5, 4, 4)
    ),
    Counterexample(
        "2.2, an outside category labelled t",
        "symmetric",
        ((1.0, 0.0), (0.0, 1.0), (0.25, 0.75)),
        (5, 4, 4),
        remark="Labels inside of the set are right, as in the paper's definition of the outside case.",
    ),
    Counterexample(
        "2.2, first constant zero",
        "symmetric",
        ((0.25, 0.0, 0.75), (0.0, 0.75, 0.25), (0.75, 0.25, 0.0)),
        (4, 5, 1),
        t=1,
        f=2,
        gauge="first_zero",
        remark="All that the paper assumes is met, and this is its own gauge.",
    ),
    Counterexample(
        "2.2, mean zero",
        "symmetric",
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.75, 0.25)),
        (5, 4, 4),
        gauge="mean_centered",
        remark="pi is not symmetric: if it were, the claim would hold in this gauge too.",
    ),
    Counterexample("2.2, other parameters", "symmetric", _MOSTLY_WRONG, (2, 1), exp_logits=(1, 2)),
    Counterexample(
        "2.2, one label",
        "symmetric",
        _MOSTLY_WRONG,
        (2, 1),
        frequencies=(1.0, 0.0),
        remark="One label, t: alpha_t is -ln P(t|x), which is positive.",
    ),
    Counterexample(
        "2.3, confused one way",
        "single symmetric",
        ((0.25, 0.5, 0.25), (0.5, 0.5, 0.0), (0.0, 0.0, 1.0)),
        (2, 1, 1),
        remark="pi_jj = 1, and t is labelled j as well.",
    ),
    Counterexample(
        "2.3, j is labelled wrong",
        "single symmetric",
        ((0.25, 0.5, 0.25), (0.5, 0.5, 0.0), (0.25, 0.0, 0.75)),
        (2, 1, 1),
        remark="pi is symmetric.",
    ),
    Counterexample(
        "2.3, an outside category labelled j",
        "single symmetric",
        (*_MOSTLY_WRONG_OF_3, (0.0, 0.0, 1.0)),
        (4, 1, 1, 1),
        remark="Single-symmetric inside of the set, and K* is larger than K.",
    ),
    Counterexample(
        "2.3, first constant zero",
        "single symmetric",
        _MOSTLY_WRONG_OF_3,
        (4, 1, 1),
        gauge="first_zero",
        remark="All that the paper assumes is met, and this is its own gauge.",
    ),
    Counterexample("2.3, mean zero", "single symmetric", _MOSTLY_WRONG_OF_3, (4, 1, 1), gauge="mean_centered"),
    Counterexample("2.3, other parameters", "single symmetric", _MOSTLY_WRONG_OF_3, (4, 1, 1), exp_logits=(4, 1, 2)),
    Counterexample(
        "2.3, four labels", "single symmetric", _MOSTLY_WRONG_OF_3, (4, 1, 1), frequencies=(0.25, 0.5, 0.25)
    ),
)
COUNTEREXAMPLES = {example.name: example for example in _EXAMPLES}
