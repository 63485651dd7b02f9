r"""Theorem 2: what the constants say of the true label t and a false label f. What suffices for it, and what does not.

Legend: K* true categories of which the first K are the model's; leading axes are samples. Everything is read from
:math:`\alpha^*_i = \ln \sum_k \pi_{ki} e^{m^*_k} - m^*_i`.

The paper's premise of all three cases, that a false label is at least as likely as the true one, is used in the first
alone. Where categories are confused evenly (:func:`theory.transitions.symmetric` at rate r), Q(f) - Q(t) is
:math:`(1 - rK/(K-1)) (P(f) - P(t))`, so that below r = (K-1)/K the premise is never met by a strictly likeliest t, and
the first case then is a statement about no sample at all.

Not checked, since it is what ``alpha`` stands for: the constants are those of the population's Q at the true
parameters. `COUNTEREXAMPLES` has what happens otherwise, as for every other assumption that is dropped alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from acestimator.noise import TOLERANCE
from theory.closed_form import log_observed_probability, observed_probability, optimal_alpha, to_gauge
from theory.theorem1 import ClaimResult
from theory.transitions import check_transition_matrix, random_symmetric

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class _Samples:
    """Everything that assumptions and claims speak of, one entry per sample: shape S, in place of the leading axes."""

    pi: np.ndarray  # (..., K*, K)
    m: np.ndarray  # S + (K*,)
    t: np.ndarray  # S
    f: np.ndarray  # S
    alpha: np.ndarray  # S + (K,)

    @property
    def others(self) -> np.ndarray:
        """S + (K,): where category j is neither t nor f."""
        j = np.arange(self.pi.shape[-1])
        return (j != self.t[..., None]) & (j != self.f[..., None])

    def at(self, values: np.ndarray, category: np.ndarray) -> np.ndarray:
        """S: the entry of one category per sample."""
        return np.take_along_axis(values, category[..., None], axis=-1)[..., 0]

    def over(self, per_matrix: Any) -> np.ndarray:
        """S: what is one number per matrix, per sample."""
        return np.broadcast_to(per_matrix, self.t.shape)


def _false_label_at_least_as_likely(s: _Samples) -> np.ndarray:
    log_q = log_observed_probability(s.pi, s.m)
    likely_f, likely_t = s.at(log_q, s.f), s.at(log_q, s.t)
    return _difference(likely_f, likely_t) + _rounding_of_sum(s, likely_f, likely_t)  # ties are met


def _columns_off_unit(s: _Samples) -> np.ndarray:
    """S + (K,): the largest deviation of column j of pi from the unit vector of j."""
    n_true, n_observed = s.pi.shape[-2:]
    off = np.abs(s.pi - np.eye(n_true, n_observed)).max(axis=-2)
    return np.broadcast_to(off, s.others.shape)


def _symmetric_pi(s: _Samples) -> np.ndarray:
    if s.pi.shape[-2] != s.pi.shape[-1]:
        return np.full(s.t.shape, -np.inf)
    return s.over(TOLERANCE - np.abs(s.pi - np.swapaxes(s.pi, -2, -1)).max(axis=(-2, -1)))


def _others_right(s: _Samples) -> np.ndarray:
    right = np.broadcast_to(np.diagonal(s.pi, axis1=-2, axis2=-1), s.others.shape)
    return -np.abs(1.0 - right).max(axis=-1, where=s.others, initial=0.0)


# Each assumption gives its slack for every sample, S: met where that is not negative. Logits are compared as they are,
# likelihoods up to rounding, and sums and symmetry of pi up to what its validator allows.
ASSUMPTIONS: dict[str, Callable[[_Samples], np.ndarray]] = {
    "Q(f|x) >= Q(t|x)": _false_label_at_least_as_likely,
    "m*_t >= m*_f": lambda s: s.at(s.m, s.t) - s.at(s.m, s.f),
    "t is the argmax of m* over K*": lambda s: s.at(s.m, s.t) - s.m.max(axis=-1),
    "column t of pi sums to at most 1": lambda s: 1.0 + TOLERANCE - _sum_of_column_t(s),
    "column j of pi is unit, for all j but t and f": lambda s: (
        -_columns_off_unit(s).max(axis=-1, where=s.others, initial=0.0)
    ),
    "pi is symmetric": _symmetric_pi,
    "pi does not depend on x": lambda s: s.over(-np.abs(_stack(s.pi) - _stack(s.pi)[:1]).max(initial=0.0)),
    "pi_jj = 1 for all j but t and f": _others_right,
}


@dataclass(frozen=True)
class Case:
    """One part of the theorem: what it says, on which assumptions, and the margin by which that is met.

    Parameters
    ----------
    claim : str
    paper, weaker : tuple of str
        Names in `ASSUMPTIONS`: what the paper assumes, and what suffices.
    in_partition_gauge : bool
        Whether the claim needs that gauge.
    margins : callable
        Samples to margins, S or S + (K,), NaN where the claim says nothing.
    rounding : callable
        Samples to bounds on the margins' rounding errors, of the same shape.
    """

    claim: str
    paper: tuple[str, ...]
    weaker: tuple[str, ...]
    in_partition_gauge: bool
    margins: Callable[[_Samples], np.ndarray]
    rounding: Callable[[_Samples], np.ndarray]


def _rounding_of_sum(s: _Samples, *logarithms: np.ndarray) -> np.ndarray:
    """Bound of the rounding errors of some log-sum-exps over K*, ln Q or alpha, added up.

    Each is off by at most EPS (3 |ln pi| + 4 |value| + K* + 4 ln K* + 4), with the largest |ln pi|: a logarithm, a
    difference and a sum per term, the sum of K* exponentials, and as much again where a softmax comes first.
    """
    n_true = s.pi.shape[-2]
    log_pi = np.abs(np.log(s.pi[s.pi > 0])).max(initial=0.0)
    size = sum(np.where(np.isfinite(value), np.abs(value), 0.0) for value in logarithms)
    per_term = 3 * log_pi + n_true + 4 * np.log(n_true) + 4
    return np.asarray(EPS * (len(logarithms) * per_term + 4 * size))


def _rounding_of_gauge(s: _Samples) -> float:
    """Bound of the rounding error of a move to a gauge: K additions and some more, of numbers no larger than these."""
    spread = np.abs(s.m - s.m.max(axis=-1, keepdims=True)).max(initial=0.0)
    largest = np.abs(s.alpha).max(where=np.isfinite(s.alpha), initial=0.0)
    return EPS * (16 + s.m.shape[-1]) * float(1 + largest + spread + np.log(s.m.shape[-1]))


def _rounding_general(s: _Samples) -> np.ndarray:
    """Of both constants, and twice of both ln Q: by as much the premise may be short, and is computed wrong."""
    log_q = log_observed_probability(s.pi, s.m)
    return _rounding_of_sum(s, *(s.at(values, i) for values in (s.alpha, log_q, log_q) for i in (s.t, s.f)))


def _rounding_symmetric(s: _Samples) -> np.ndarray:
    """Of the constant, and what the column's sum may exceed one by: ln of it is the claim's exact bound."""
    return _rounding_of_sum(s, s.at(s.alpha, s.t)) + np.log(np.maximum(_sum_of_column_t(s), 1.0))


_COMMON = ("Q(f|x) >= Q(t|x)", "t is the argmax of m* over K*")
_FIXED_SYMMETRIC = ("pi is symmetric", "pi does not depend on x")
CASES = {
    "general": Case(
        "Theorem 2.1: alpha_t <= alpha_f",
        _COMMON,
        ("Q(f|x) >= Q(t|x)", "m*_t >= m*_f"),
        False,
        lambda s: _difference(s.at(s.alpha, s.f), s.at(s.alpha, s.t)),
        _rounding_general,
    ),
    "symmetric": Case(
        "Theorem 2.2: alpha_t <= 0",
        (*_FIXED_SYMMETRIC, *_COMMON),
        ("t is the argmax of m* over K*", "column t of pi sums to at most 1"),
        True,
        lambda s: -s.at(s.alpha, s.t),
        _rounding_symmetric,
    ),
    "single symmetric": Case(
        "Theorem 2.3: alpha_j = 0 for all j but t and f",
        (*_FIXED_SYMMETRIC, "pi_jj = 1 for all j but t and f", *_COMMON),
        ("column j of pi is unit, for all j but t and f",),
        True,
        lambda s: np.where(s.others, -np.abs(s.alpha), np.nan),
        lambda s: _rounding_of_sum(s, s.alpha),
    ),
}


def general_case(
    pi: Any,
    m: Any,
    t: Any,
    f: Any,
    *,
    assume: str = "weaker",
    alpha: Any = None,
    gauge: str | None = None,
    error: float = 0.0,
) -> ClaimResult:
    r"""Theorem 2.1: the constant of the true label is at most that of the false one, :math:`\alpha_t \le \alpha_f`.

    :math:`\alpha^*_f - \alpha^*_t = \ln Q(f|x) / Q(t|x) + m^*_t - m^*_f` is a sum of two terms that are not negative
    (appendix A.2). A difference inside a row: it holds in every gauge.

    - The paper assumes: Q(f|x) >= Q(t|x), and m*_t >= m*_j for every j ("the output for the true category is higher").
    - It suffices: Q(f|x) >= Q(t|x), and m*_t >= m*_f.

    Parameters
    ----------
    pi : array-like of shape (..., K*, K)
        ``pi[true, observed]``, K at most K*.
    m : array-like of shape (..., K*)
        True logits.
    t, f : int or array-like of int, shape (...)
        Categories of the model, 0..K-1, for each sample. Both are labels that can be given, so that t is in K too.
    assume : {"weaker", "paper"}, default="weaker"
        Which assumptions are asked for.
    alpha : array-like of shape (..., K), optional
        Constants to judge, in the partition gauge, such as learned ones. By default the closed form.
    gauge : {"partition", "first_zero", "mean_centered"}, optional
        Move the constants there first.
    error : float, default=0.0
        Error of ``alpha``'s own, added to what rounding may take from a margin.

    Returns
    -------
    ClaimResult
        Margin: alpha_f - alpha_t; zero where both are -inf.

    Raises
    ------
    ValueError
        If an assumption is not met, named with the samples; if t and f are the same or no categories of the model, or
        ``alpha`` has NaN or another shape; or as in :func:`theory.closed_form.optimal_alpha`.
    """
    return _evaluate(CASES["general"], _samples(pi, m, t, f, alpha, gauge), assume, gauge, error)


def symmetric_case(
    pi: Any,
    m: Any,
    t: Any,
    f: Any = None,
    *,
    assume: str = "weaker",
    alpha: Any = None,
    gauge: str | None = None,
    error: float = 0.0,
) -> ClaimResult:
    r"""Theorem 2.2: the constant of the true label is at most zero, :math:`\alpha_t \le 0`.

    :math:`\alpha^*_t = \ln \sum_k \pi_{kt} e^{m^*_k - m^*_t} \le \ln \sum_k \pi_{kt} \le 0`: every exponent is at most
    zero where t is the argmax, which the paper leaves to the words "true label" (appendix A.2).

    - The paper assumes: Q(f|x) >= Q(t|x), t is the argmax of m*, pi is symmetric and does not depend on x.
    - It suffices: t is the argmax of m* over all of K*, and column t of pi sums to at most one. A symmetric pi has
      columns that sum to one. K* may be larger than K, pi may depend on x, and Q(f|x) may be the smaller.

    The gauge matters: the claim is one about the partition gauge. With :math:`\alpha_1 = 0`, the paper's own choice,
    it fails even for symmetric pi. With mean zero it fails under the weaker assumptions, yet it holds for symmetric,
    and all doubly stochastic, pi: ln is concave, so :math:`\alpha^*_i \ge \sum_k \pi_{ki} (m^*_k - m^*_i)`, which
    summed over i is zero; the mean is therefore not negative, and subtracting it leaves :math:`\alpha_t` at most zero.

    Parameters
    ----------
    pi, m, t, f, assume, alpha, gauge, error
        As in :func:`general_case`; by default f is the likeliest label but t.

    Returns
    -------
    ClaimResult
        Margin: -alpha_t.

    Raises
    ------
    ValueError
        As in :func:`general_case`; with ``assume="paper"``, if pi is not square.
    """
    return _evaluate(CASES["symmetric"], _samples(pi, m, t, f, alpha, gauge), assume, gauge, error)


def single_symmetric_case(
    pi: Any,
    m: Any,
    t: Any,
    f: Any,
    *,
    assume: str = "weaker",
    alpha: Any = None,
    gauge: str | None = None,
    error: float = 0.0,
) -> ClaimResult:
    r"""Theorem 2.3: all other constants are zero, :math:`\alpha_j = 0` for j not t, not f.

    :math:`\alpha^*_j = \ln \sum_k \pi_{kj} e^{m^*_k} - m^*_j`, where only k = j is left in the sum (appendix A.2).

    - The paper assumes: Q(f|x) >= Q(t|x), t is the argmax of m*, pi is symmetric and does not depend on x, and
      pi_jj = 1 for all j but t and f.
    - It suffices: column j of pi is the unit vector of j, for all j but t and f; row j is then unit too. This is the
      least that makes the claim true for every m*, and it asks nothing of the likelihoods, of t, or of K* = K: other
      true categories must only never be labelled j. With K* larger than K, pi_jj = 1 alone is not enough.

    The gauge matters: the claim is one about the partition gauge. With :math:`\alpha_1 = 0` it fails where category
    1 is t or f, and with mean zero wherever :math:`\alpha_t + \alpha_f` is not zero.

    Parameters
    ----------
    pi, m, t, f, assume, alpha, gauge, error
        As in :func:`general_case`.

    Returns
    -------
    ClaimResult
        Margin: -|alpha_j|; cases are pairs of a sample and a j, of which two categories have none. ``worst_case``
        ends with j.

    Raises
    ------
    ValueError
        As in :func:`symmetric_case`.
    """
    return _evaluate(CASES["single symmetric"], _samples(pi, m, t, f, alpha, gauge), assume, gauge, error)


def positive_for_another_label(
    n_matrices: int = 1000, n_logits: int = 20, random_state: int | np.random.RandomState | None = 0
) -> tuple[int, int]:
    """Count how often alpha_t > 0 under symmetric pi where t is not the argmax of m*.

    Each matrix is :func:`theory.transitions.random_symmetric` of 2 to 10 categories, all sizes alike, with
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


def _evaluate(case: Case, samples: _Samples, assume: str, gauge: str | None, error: float) -> ClaimResult:
    if assume not in ("weaker", "paper"):
        raise ValueError(f"assume is {assume!r}, expected 'weaker' or 'paper'.")
    # The paper's assumptions imply the weaker ones, up to the tolerance on pi: with both, the claim follows.
    names = dict.fromkeys((*(case.paper if assume == "paper" else ()), *case.weaker))
    for name in names:
        _require(case, name, samples)
    margins = case.margins(samples)
    tolerance = case.rounding(samples) + error
    if gauge is not None:
        tolerance = tolerance + _rounding_of_gauge(samples)
    tolerance = np.broadcast_to(tolerance, margins.shape)
    counted = ~np.isnan(margins)
    excess = np.where(counted, margins + tolerance, np.inf)
    worst = np.unravel_index(int(excess.argmin()), margins.shape) if counted.any() else ()
    return ClaimResult(
        case.claim,
        (*names, *([] if gauge is None else [f"read in the {gauge} gauge"])),
        int(counted.sum()),
        float(margins[worst]) + 0.0 if counted.any() else np.inf,  # no negative zero
        tuple(int(i) for i in worst),
        float(tolerance[worst]) if counted.any() else 0.0,
        bool((excess >= 0).all()),
    )


def _samples(pi: Any, m: Any, t: Any, f: Any, alpha: Any = None, gauge: str | None = None) -> _Samples:
    pi, m = check_transition_matrix(pi, m), np.asarray(m, dtype=np.float64)
    closed_form = optimal_alpha(pi, m)
    leading, n_observed = closed_form.shape[:-1], closed_form.shape[-1]
    alpha = closed_form if alpha is None else np.asarray(alpha, dtype=np.float64)
    if alpha.shape != closed_form.shape or np.isnan(alpha).any():
        raise ValueError(
            f"alpha has shape {alpha.shape} and {np.isnan(alpha).sum()} entries NaN, expected {closed_form.shape}, a "
            "constant for each label, and none."
        )
    if gauge is not None:
        alpha = to_gauge(alpha, gauge, m)
    t = _categories("t", t, leading, n_observed)
    if f is None:  # the likeliest label but t: if any is as likely as t, it is
        f = np.where(np.arange(n_observed) == t[..., None], -np.inf, log_observed_probability(pi, m)).argmax(axis=-1)
    else:
        f = _categories("f", f, leading, n_observed)
        if (t == f).any():
            raise ValueError(f"t and f are the same at {_first(t == f)}, expected two categories.")
    return _Samples(pi, np.broadcast_to(m, (*leading, m.shape[-1])), t, f, alpha)


def _categories(name: str, categories: Any, leading: tuple[int, ...], n_observed: int) -> np.ndarray:
    categories = np.asarray(categories)
    if categories.dtype.kind not in "iu" or not ((categories >= 0) & (categories < n_observed)).all():
        raise ValueError(f"{name} is {categories!r}, expected categories of the model, 0..{n_observed - 1}.")
    return np.broadcast_to(categories, leading)


def _require(case: Case, name: str, s: _Samples) -> None:
    slack = ASSUMPTIONS[name](s)
    failing = slack < 0
    if failing.any():
        at = np.unravel_index(int(failing.argmax()), failing.shape)
        shape = f"shape {s.pi.shape}" + (", not square" if name == "pi is symmetric" and slack[at] == -np.inf else "")
        raise ValueError(
            f"{case.claim}, assumes that {name}: not so at {_first(failing)}, short by {-slack[at]:.3g}, where "
            f"t = {s.t[at]}, f = {s.f[at]} and pi has {shape}."
        )


def _first(mask: np.ndarray) -> str:
    """The samples at which a mask is set, in words."""
    if not mask.ndim:
        return "the only sample"
    shown = [int(i[0]) if len(i) == 1 else tuple(i.tolist()) for i in np.argwhere(mask)[:5]]
    return f"samples {shown}" + (f" and {mask.sum() - 5} more" if mask.sum() > 5 else "")


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Difference of logarithms, zero where both are -inf: equal."""
    return np.subtract(a, b, out=np.zeros(np.shape(a)), where=~(np.isneginf(a) & np.isneginf(b)))


def _stack(pi: np.ndarray) -> np.ndarray:
    """(K*, K) or more axes as (number of matrices, K*, K)."""
    return pi.reshape(-1, *pi.shape[-2:])


def _sum_of_column_t(s: _Samples) -> np.ndarray:
    return s.at(np.broadcast_to(s.pi.sum(axis=-2), s.alpha.shape), s.t)


LOGITS = "the logits are those of the true parameters"
FREQUENCIES = "labels are as frequent as Q says"
GAUGE = "alpha is in the partition gauge"


@dataclass(frozen=True)
class Counterexample:
    """One sample of which a claim fails, and all of whose assumptions are met but one.

    Parameters
    ----------
    case : str
        Key of `CASES`.
    dropped : str
        The assumption: of the case's weaker ones, or `GAUGE`, `LOGITS`, `FREQUENCIES`.
    pi : nested tuple, (K*, K)
    m : tuple, (K*,)
    t, f : int
        Counted from 0.
    gauge : str, default="partition"
    logits : tuple, (K,), optional
        The model's, where they are not the true ones.
    frequencies : tuple, (K,), optional
        Of the labels, where they are not Q.
    remark : str, default=""
    """

    case: str
    dropped: str
    pi: tuple[tuple[float, ...], ...]
    m: tuple[float, ...]
    t: int
    f: int
    gauge: str = "partition"
    logits: tuple[float, ...] | None = None
    frequencies: tuple[float, ...] | None = None
    remark: str = ""

    @property
    def alpha(self) -> np.ndarray:
        """(K,), ln of the labels' frequencies minus the model's logits, in the gauge: the loss has gradient zero."""
        n_observed = len(self.pi[0])
        q = observed_probability(self.pi, self.m) if self.frequencies is None else np.array(self.frequencies)
        logits = self.m if self.logits is None else self.logits
        with np.errstate(divide="ignore"):  # -inf: a label that was never seen
            return to_gauge(np.log(q) - np.array(logits[:n_observed]), self.gauge, logits)

    @property
    def margin(self) -> float:
        """Margin of the claim: below zero."""
        return float(np.nanmin(CASES[self.case].margins(self._samples())))

    @property
    def met(self) -> dict[str, bool]:
        """Every assumption of the claim, the weaker ones, and whether it is met."""
        case = CASES[self.case]
        met = {name: bool(ASSUMPTIONS[name](self._samples()) >= 0) for name in case.weaker}
        if case.in_partition_gauge:
            met[GAUGE] = self.gauge == "partition"
        return met | {LOGITS: self.logits is None, FREQUENCIES: self.frequencies is None}

    def _samples(self) -> _Samples:
        return _samples(self.pi, self.m, self.t, self.f, self.alpha)

    def __str__(self) -> str:
        lines = [
            f"{CASES[self.case].claim}, without: {self.dropped}",
            f"  pi = {[list(row) for row in self.pi]}, m* = {list(self.m)}, t = {self.t}, f = {self.f}",
            f"  alpha = {np.round(self.alpha, 4).tolist()} ({self.gauge} gauge), margin {self.margin:.4f}",
        ]
        if self.logits is not None:
            lines.append(f"  logits of the model: {list(self.logits)}")
        if self.frequencies is not None:
            lines.append(f"  frequencies of the labels: {[round(v, 4) for v in self.frequencies]}")
        return "\n".join([*lines, *([f"  {self.remark}"] if self.remark else [])])


_HALF = ((0.5, 0.5), (0.5, 0.5))
_SWAP_12 = ((0.5, 0.5, 0.0), (0.5, 0.5, 0.0), (0.0, 0.0, 1.0))
_COUNTED_THRICE = (2 / 3, 1 / 3)

COUNTEREXAMPLES: dict[str, Counterexample] = {
    "2.1, true label likelier": Counterexample(
        "general", "Q(f|x) >= Q(t|x)", ((1.0, 0.0), (0.5, 0.5)), (1.0, 0.0), t=0, f=1
    ),
    "2.1, false label has the larger logit": Counterexample(
        "general", "m*_t >= m*_f", ((1.0, 0.0), (0.25, 0.75)), (0.0, 1.0), t=0, f=1
    ),
    "2.1, other parameters": Counterexample(
        "general",
        LOGITS,
        _HALF,
        (1.0, 0.0),
        t=0,
        f=1,
        logits=(0.0, 1.0),
        remark="The gradient in alpha is zero here too: Theorem 1 does not identify theta.",
    ),
    "2.1, three labels": Counterexample(
        "general",
        FREQUENCIES,
        _HALF,
        (0.5, 0.0),
        t=0,
        f=1,
        frequencies=_COUNTED_THRICE,
        remark="Two labels t and one f, where Q has both alike: the claim is one of the limit.",
    ),
    "2.2, not the argmax": Counterexample(
        "symmetric", "t is the argmax of m* over K*", ((0.8, 0.2), (0.2, 0.8)), (0.0, 1.0), t=0, f=1
    ),
    "2.2, the argmax of K but not of K*": Counterexample(
        "symmetric",
        "t is the argmax of m* over K*",
        ((0.5, 0.5), (0.0, 1.0), (0.5, 0.5)),
        (1.0, 0.0, 2.0),
        t=0,
        f=1,
        remark="The true category is outside of the set.",
    ),
    "2.2, a column above one": Counterexample(
        "symmetric", "column t of pi sums to at most 1", ((1.0, 0.0), (0.5, 0.5)), (1.0, 0.0), t=0, f=1
    ),
    "2.2, an outside category labelled t": Counterexample(
        "symmetric",
        "column t of pi sums to at most 1",
        ((1.0, 0.0), (0.0, 1.0), (1.0, 0.0)),
        (1.0, 0.0, 0.0),
        t=0,
        f=1,
        remark="Labels inside of the set are right, as in the paper's definition of the outside case.",
    ),
    "2.2, first constant zero": Counterexample(
        "symmetric", GAUGE, _SWAP_12, (1.0, 0.0, 2.0), t=2, f=0, gauge="first_zero", remark="pi is symmetric."
    ),
    "2.2, mean zero": Counterexample(
        "symmetric",
        GAUGE,
        ((0.1, 0.9, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        (0.0, 0.0, 1.0),
        t=2,
        f=0,
        gauge="mean_centered",
        remark="pi is not symmetric: in this gauge the claim does hold for symmetric pi.",
    ),
    "2.2, other parameters": Counterexample(
        "symmetric", LOGITS, ((0.8, 0.2), (0.2, 0.8)), (1.0, 0.0), t=0, f=1, logits=(0.0, 1.0)
    ),
    "2.2, one label": Counterexample(
        "symmetric",
        FREQUENCIES,
        ((0.8, 0.2), (0.2, 0.8)),
        (1.0, 0.0),
        t=0,
        f=1,
        frequencies=(1.0, 0.0),
        remark="One label, t: alpha_t is -ln P(t|x), which is positive.",
    ),
    "2.3, confused one way": Counterexample(
        "single symmetric",
        "column j of pi is unit, for all j but t and f",
        ((0.5, 0.25, 0.25), (0.25, 0.75, 0.0), (0.0, 0.0, 1.0)),
        (1.0, 0.0, 0.0),
        t=0,
        f=1,
        remark="pi_jj = 1, and pi is not symmetric: t is labelled j as well.",
    ),
    "2.3, j is labelled wrong": Counterexample(
        "single symmetric",
        "column j of pi is unit, for all j but t and f",
        ((0.5, 0.25, 0.25), (0.25, 0.75, 0.0), (0.25, 0.0, 0.75)),
        (1.0, 0.0, 0.0),
        t=0,
        f=1,
        remark="pi is symmetric, and pi_jj < 1.",
    ),
    "2.3, an outside category labelled j": Counterexample(
        "single symmetric",
        "column j of pi is unit, for all j but t and f",
        (*_SWAP_12, (0.0, 0.0, 1.0)),
        (1.0, 0.0, 0.0, 0.0),
        t=0,
        f=1,
        remark="Single-symmetric inside of the set, pi_jj = 1, and K* is larger than K.",
    ),
    "2.3, first constant zero": Counterexample(
        "single symmetric", GAUGE, _SWAP_12, (1.0, 0.0, 0.0), t=0, f=1, gauge="first_zero"
    ),
    "2.3, mean zero": Counterexample(
        "single symmetric", GAUGE, _SWAP_12, (1.0, 0.0, 0.0), t=0, f=1, gauge="mean_centered"
    ),
    "2.3, other parameters": Counterexample(
        "single symmetric", LOGITS, _SWAP_12, (1.0, 0.0, 0.0), t=0, f=1, logits=(1.0, 0.0, 1.0)
    ),
    "2.3, four labels": Counterexample(
        "single symmetric", FREQUENCIES, _SWAP_12, (1.0, 0.0, 0.0), t=0, f=1, frequencies=(0.25, 0.25, 0.5)
    ),
}
