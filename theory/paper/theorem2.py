r"""Theorem 2: what the constants say of the true label t and a false label f, on the paper's assumptions and on weaker.

Legend: K* true categories of which the first K are the model's; S, the leading axes, are samples. Everything is read
from :math:`\alpha^*_i = \ln \sum_k \pi_{ki} e^{m^*_k} - m^*_i`.

The paper's premise of all three cases, that a false label is at least as likely as the true one, is used in the first
alone. Where categories are confused evenly (:func:`theory.paper.transitions.symmetric` at rate r), Q(f) - Q(t) is
:math:`(1 - rK/(K-1)) (P(f) - P(t))`, so that below r = (K-1)/K the premise is never met by a strictly likeliest t, and
the first case then is a statement about no sample at all.

Not checked, since it is what ``alpha`` stands for: the constants are those of the population's Q at the true
parameters. `theory.paper.counterexamples` has what happens otherwise, and where any other assumption is dropped alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from acestimator.noise import TOLERANCE
from theory.claim import ClaimResult
from theory.observed import log_observed_probability
from theory.paper.closed_form import optimal_alpha
from theory.paper.transitions import check_transition_matrix

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Samples:
    """All that assumptions and claims speak of, checked: see :func:`labelled`."""

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
        """S: the entry of one category per sample, of values S + (K,) or the like."""
        values = np.broadcast_to(values, (*self.t.shape, values.shape[-1]))
        return np.take_along_axis(values, category[..., None], axis=-1)[..., 0]


def labelled(pi: Any, m: Any, t: Any, f: Any = None, alpha: Any = None) -> Samples:
    """Check and broadcast samples. Parameters, errors as in :func:`general_case`.

    By default f is the likeliest label but t: if any label is as likely as t, it is.
    """
    pi, m = check_transition_matrix(pi, m), np.asarray(m, dtype=np.float64)
    closed_form = optimal_alpha(pi, m)
    leading, n_observed = closed_form.shape[:-1], closed_form.shape[-1]
    alpha = closed_form if alpha is None else np.asarray(alpha, dtype=np.float64)
    bad = ~(alpha < np.inf)
    if alpha.shape != closed_form.shape or bad.any():
        raise ValueError(
            f"alpha has shape {alpha.shape} and {bad.sum()} entries NaN or +inf, expected {closed_form.shape}, a "
            "constant for each label, finite or -inf."
        )
    t = _categories("t", t, leading, n_observed)
    if f is None:
        log_q = np.maximum(log_observed_probability(pi, m), -np.finfo(np.float64).max)  # above the -inf of t
        f = np.where(np.arange(n_observed) == t[..., None], -np.inf, log_q).argmax(axis=-1)
    f = _categories("f", f, leading, n_observed)
    if (t == f).any():
        raise ValueError(f"t and f are the same at {_first(t == f)}, expected two categories.")
    return Samples(pi, np.broadcast_to(m, (*leading, m.shape[-1])), t, f, alpha)


# --- assumptions ---


def _false_label_at_least_as_likely(s: Samples) -> np.ndarray:
    log_q = log_observed_probability(s.pi, s.m)
    likely_f, likely_t = s.at(log_q, s.f), s.at(log_q, s.t)
    return _difference(likely_f, likely_t) + _rounding_of_sum(s, likely_f, likely_t)  # ties are met


def _other_columns_unit(s: Samples) -> np.ndarray:
    return _minus_largest_of_others(s, np.abs(s.pi - np.eye(*s.pi.shape[-2:])).max(axis=-2))


def _other_labels_right(s: Samples) -> np.ndarray:
    return _minus_largest_of_others(s, np.abs(1.0 - np.diagonal(s.pi, axis1=-2, axis2=-1)))


def _minus_largest_of_others(s: Samples, deviations: np.ndarray) -> np.ndarray:
    return -np.broadcast_to(deviations, s.others.shape).max(axis=-1, where=s.others, initial=0.0)


def _symmetric_pi(s: Samples) -> np.ndarray:
    square = s.pi.shape[-2] == s.pi.shape[-1]
    off = np.abs(s.pi - np.swapaxes(s.pi, -2, -1)).max(axis=(-2, -1)) if square else np.inf
    return np.broadcast_to(TOLERANCE - off, s.t.shape)


def _one_pi(s: Samples) -> np.ndarray:
    matrices = s.pi.reshape(-1, *s.pi.shape[-2:])
    return np.broadcast_to(-np.abs(matrices - matrices[:1]).max(initial=0.0), s.t.shape)


# Each assumption gives its slack for every sample, S: met where that is not negative. Likelihoods are compared up to
# rounding, and sums and symmetry of pi up to what its validator allows. Logits are compared as they are; so are entries
# of pi that have to be 0, since the logits by whose exponentials they are multiplied have no bound.
ASSUMPTIONS: dict[str, Callable[[Samples], np.ndarray]] = {
    "Q(f|x) >= Q(t|x)": _false_label_at_least_as_likely,
    "m*_t >= m*_f": lambda s: s.at(s.m, s.t) - s.at(s.m, s.f),
    "t is the argmax of m* over K*": lambda s: s.at(s.m, s.t) - s.m.max(axis=-1),
    "column t of pi sums to at most 1": lambda s: 1.0 + TOLERANCE - s.at(s.pi.sum(axis=-2), s.t),
    "column j of pi is unit, for all j but t and f": _other_columns_unit,
    "pi is symmetric": _symmetric_pi,
    "pi does not depend on x": _one_pi,
    "pi_jj = 1 for all j but t and f": _other_labels_right,
}


# --- rounding ---


def _rounding_of_sum(s: Samples, *logarithms: np.ndarray) -> np.ndarray:
    """Bound of the rounding errors of some log-sum-exps over K*, ln Q or alpha, added up.

    Each is off by at most EPS (3 |ln pi| + 4 |value| + K* + 4 ln K* + 4), with the largest |ln pi|: a logarithm, a
    difference and a sum per term, the sum of K* exponentials, and as much again where a softmax comes first.
    """
    n_true = s.pi.shape[-2]
    log_pi = np.abs(np.log(s.pi[s.pi > 0])).max(initial=0.0)
    size = sum(np.where(np.isfinite(value), np.abs(value), 0.0) for value in logarithms)
    per_term = 3 * log_pi + n_true + 4 * np.log(n_true) + 4
    return np.asarray(EPS * (len(logarithms) * per_term + 4 * size))


def _rounding_general(s: Samples) -> np.ndarray:
    """Of both constants, and twice of both ln Q: by as much the premise may be short, and is computed wrong."""
    log_q = log_observed_probability(s.pi, s.m)
    return _rounding_of_sum(s, *(s.at(values, i) for values in (s.alpha, log_q, log_q) for i in (s.t, s.f)))


def _rounding_symmetric(s: Samples) -> np.ndarray:
    """Of the constant, and what the column's sum may exceed one by: ln of it is the claim's exact bound."""
    return _rounding_of_sum(s, s.at(s.alpha, s.t)) + np.log(np.maximum(s.at(s.pi.sum(axis=-2), s.t), 1.0))


# --- the three cases ---


@dataclass(frozen=True)
class Case:
    """One part of the theorem: what it says, on which assumptions, and the margin by which that is met."""

    claim: str
    paper: tuple[str, ...]  # names in `ASSUMPTIONS`: what the paper assumes
    weaker: tuple[str, ...]  # and what suffices
    margins: Callable[[Samples], np.ndarray]  # S, or S + (K,) with NaN where the claim says nothing
    rounding: Callable[[Samples], np.ndarray]  # bounds on the margins' rounding errors, of the same shape


_COMMON = ("Q(f|x) >= Q(t|x)", "t is the argmax of m* over K*")
_FIXED_SYMMETRIC = ("pi is symmetric", "pi does not depend on x")
CASES = {
    "general": Case(
        "Theorem 2.1: alpha_t <= alpha_f",
        _COMMON,
        ("Q(f|x) >= Q(t|x)", "m*_t >= m*_f"),
        lambda s: _difference(s.at(s.alpha, s.f), s.at(s.alpha, s.t)),
        _rounding_general,
    ),
    "symmetric": Case(
        "Theorem 2.2: alpha_t <= 0",
        (*_FIXED_SYMMETRIC, *_COMMON),
        ("t is the argmax of m* over K*", "column t of pi sums to at most 1"),
        lambda s: -s.at(s.alpha, s.t),
        _rounding_symmetric,
    ),
    "single symmetric": Case(
        "Theorem 2.3: alpha_j = 0 for all j but t and f",
        (*_FIXED_SYMMETRIC, "pi_jj = 1 for all j but t and f", *_COMMON),
        ("column j of pi is unit, for all j but t and f",),
        lambda s: np.where(s.others, -np.abs(s.alpha), np.nan),
        lambda s: _rounding_of_sum(s, s.alpha),
    ),
}


def general_case(
    pi: Any, m: Any, t: Any, f: Any, *, assume: str = "weaker", alpha: Any = None, error: float = 0.0
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
        Constants to judge, such as learned ones, in the partition gauge where the claim is about it. By default the
        closed form.
    error : float, default=0.0
        Error of ``alpha``'s own, added to what rounding may take from a margin.

    Returns
    -------
    ClaimResult
        Margin: alpha_f - alpha_t; zero where both are -inf.

    Raises
    ------
    ValueError
        If an assumption is not met, named with the samples; if t and f are the same or no categories of the model;
        if ``alpha`` has NaN or +inf, or another shape; or as in :func:`theory.paper.closed_form.optimal_alpha`.
    """
    return _evaluate(CASES["general"], labelled(pi, m, t, f, alpha), assume, error)


def symmetric_case(
    pi: Any, m: Any, t: Any, f: Any = None, *, assume: str = "weaker", alpha: Any = None, error: float = 0.0
) -> ClaimResult:
    r"""Theorem 2.2: the constant of the true label is at most zero, :math:`\alpha_t \le 0`.

    :math:`\alpha^*_t = \ln \sum_k \pi_{kt} e^{m^*_k - m^*_t} \le \ln \sum_k \pi_{kt} \le 0`: every exponent is at most
    zero where t is the argmax, which the paper leaves to the words "true label" (appendix A.2).

    - The paper assumes: Q(f|x) >= Q(t|x), t is the argmax of m*, pi is symmetric and does not depend on x.
    - It suffices: t is the argmax of m* over all of K*, and column t of pi sums to at most one. A symmetric pi has
      columns that sum to one. K* may be larger than K, pi may depend on x, and Q(f|x) may be the smaller.

    The gauge matters: the claim is one about the partition gauge. With :math:`\alpha_1 = 0`, the paper's own choice,
    it fails even on all of the paper's assumptions. With mean zero it fails under the weaker ones, yet it holds for
    symmetric, and all doubly stochastic, pi: ln is concave, so :math:`\alpha^*_i \ge \sum_k \pi_{ki} (m^*_k - m^*_i)`,
    which summed over i is zero; the mean is therefore not negative, and subtracting it leaves :math:`\alpha_t` at most
    zero.

    Parameters
    ----------
    pi, m, t, f, assume, alpha, error
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
    return _evaluate(CASES["symmetric"], labelled(pi, m, t, f, alpha), assume, error)


def single_symmetric_case(
    pi: Any, m: Any, t: Any, f: Any, *, assume: str = "weaker", alpha: Any = None, error: float = 0.0
) -> ClaimResult:
    r"""Theorem 2.3: all other constants are zero, :math:`\alpha_j = 0` for j not t, not f.

    :math:`\alpha^*_j = \ln \sum_k \pi_{kj} e^{m^*_k} - m^*_j`, where only k = j is left in the sum (appendix A.2).

    - The paper assumes: Q(f|x) >= Q(t|x), t is the argmax of m*, pi is symmetric and does not depend on x, and
      pi_jj = 1 for all j but t and f.
    - It suffices: column j of pi is the unit vector of j, for all j but t and f; row j is then unit too. This is the
      least that makes the claim true for every m*, and it asks nothing of the likelihoods, of t, or of K* = K: other
      true categories must only never be labelled j. With K* larger than K, pi_jj = 1 alone is not enough.

    The gauge matters: the claim is one about the partition gauge. With :math:`\alpha_1 = 0` it fails where category
    1 is t or f and its constant is not zero, and with mean zero wherever :math:`\alpha_t + \alpha_f` is not zero.

    Parameters
    ----------
    pi, m, t, f, assume, alpha, error
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
    return _evaluate(CASES["single symmetric"], labelled(pi, m, t, f, alpha), assume, error)


def _evaluate(case: Case, samples: Samples, assume: str, error: float) -> ClaimResult:
    if assume not in ("weaker", "paper"):
        raise ValueError(f"assume is {assume!r}, expected 'weaker' or 'paper'.")
    # The paper's assumptions imply the weaker ones, up to the tolerance on pi: with both, the claim follows.
    names = tuple(dict.fromkeys((*(case.paper if assume == "paper" else ()), *case.weaker)))
    for name in names:
        _require(case, name, samples)
    margins = case.margins(samples)
    counted = ~np.isnan(margins)
    if not counted.any():
        return ClaimResult(case.claim, names, 0, np.inf, (), 0.0, True)
    tolerance = np.broadcast_to(case.rounding(samples) + error, margins.shape)
    excess = np.where(counted, margins + tolerance, np.inf)
    worst = np.unravel_index(int(excess.argmin()), margins.shape)
    return ClaimResult(
        case.claim,
        names,
        int(counted.sum()),
        float(margins[worst]) + 0.0,  # no negative zero
        tuple(int(i) for i in worst),
        float(tolerance[worst]),
        bool((excess >= 0).all()),
    )


def _require(case: Case, name: str, s: Samples) -> None:
    slack = ASSUMPTIONS[name](s)
    failing = slack < 0
    if failing.any():
        at = np.unravel_index(int(failing.argmax()), failing.shape)
        shape = f"shape {s.pi.shape}" + (", not square" if name == "pi is symmetric" and slack[at] == -np.inf else "")
        raise ValueError(
            f"{case.claim}, assumes that {name}: not so at {_first(failing)}, short by {-slack[at]:.3g}, where "
            f"t = {s.t[at]}, f = {s.f[at]} and pi has {shape}."
        )


def _categories(name: str, categories: Any, leading: tuple[int, ...], n_observed: int) -> np.ndarray:
    categories = np.asarray(categories)
    if categories.dtype.kind not in "iu" or not ((categories >= 0) & (categories < n_observed)).all():
        raise ValueError(f"{name} is {categories!r}, expected categories of the model, 0..{n_observed - 1}.")
    if categories.shape not in ((), leading):
        raise ValueError(f"{name} has shape {categories.shape}, expected {leading}, a category per sample, or one.")
    return np.broadcast_to(categories, leading)


def _first(mask: np.ndarray) -> str:
    """The samples at which a mask is set, in words."""
    if not mask.ndim:
        return "the only sample"
    shown = [int(i[0]) if len(i) == 1 else tuple(i.tolist()) for i in np.argwhere(mask)[:5]]
    return f"samples {shown}" + (f" and {mask.sum() - 5} more" if mask.sum() > 5 else "")


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Difference of logarithms, zero where both are -inf: equal."""
    return np.subtract(a, b, out=np.zeros(np.shape(a)), where=~(np.isneginf(a) & np.isneginf(b)))
