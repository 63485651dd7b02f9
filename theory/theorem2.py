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

    def over(self, per_matrix: np.ndarray) -> np.ndarray:
        """S: what is one number per matrix, per sample."""
        return np.broadcast_to(per_matrix, self.t.shape)


def _false_label_at_least_as_likely(s: _Samples) -> np.ndarray:
    log_q = log_observed_probability(s.pi, s.m)
    likely_f, likely_t = s.at(log_q, s.f), s.at(log_q, s.t)
    return _difference(likely_f, likely_t)


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


# Each assumption gives its slack for every sample, S: met where that is not negative. Logits are compared as they are.
ASSUMPTIONS: dict[str, Callable[[_Samples], np.ndarray]] = {
    "Q(f|x) >= Q(t|x)": _false_label_at_least_as_likely,
    "m*_t >= m*_f": lambda s: s.at(s.m, s.t) - s.at(s.m, s.f),
    "t is the argmax of m* over K*": lambda s: s.at(s.m, s.t) - s.m.max(axis=-1),
    "column t of pi sums to at most 1": lambda s: (
        1.0 + TOLERANCE - s.at(np.broadcast_to(s.pi.sum(axis=-2), s.alpha.shape), s.t)
    ),
    "column j of pi is unit, for all j but t and f": lambda s: (
        -_columns_off_unit(s).max(axis=-1, where=s.others, initial=0.0)
    ),
    "pi is symmetric": _symmetric_pi,
    "pi does not depend on x": lambda s: s.over(np.float64(-np.ptp(s.pi.reshape(-1, *s.pi.shape[-2:]), axis=0).max())),
    "pi_jj = 1 for all j but t and f": _others_right,
}
PARTITION = "alpha is in the partition gauge"
AT_THE_TRUTH = "alpha belongs to Q at the true parameters"


@dataclass(frozen=True)
class _Case:
    """One part of the theorem: what it says, of what, and the margin by which that is met."""

    claim: str
    paper: tuple[str, ...]
    weaker: tuple[str, ...]
    margins: Callable[[_Samples], tuple[np.ndarray, np.ndarray]]  # margins and where they count, S or S + (K,)
    terms: Callable[[_Samples], np.ndarray]  # the constants that the margin rests on, of the same shape


def _general_margins(s: _Samples) -> tuple[np.ndarray, np.ndarray]:
    margin = _difference(s.at(s.alpha, s.f), s.at(s.alpha, s.t))
    return margin, np.ones_like(margin, dtype=bool)


_COMMON = ("Q(f|x) >= Q(t|x)", "t is the argmax of m* over K*")
CASES = {
    "general": _Case(
        "Theorem 2.1: alpha_t <= alpha_f",
        _COMMON,
        ("Q(f|x) >= Q(t|x)", "m*_t >= m*_f"),
        _general_margins,
        lambda s: np.maximum(_size(s.at(s.alpha, s.t)), _size(s.at(s.alpha, s.f))),
    ),
    "symmetric": _Case(
        "Theorem 2.2: alpha_t <= 0",
        (*_COMMON, "pi is symmetric", "pi does not depend on x"),
        ("t is the argmax of m* over K*", "column t of pi sums to at most 1"),
        lambda s: (-s.at(s.alpha, s.t), np.ones(s.t.shape, dtype=bool)),
        lambda s: _size(s.at(s.alpha, s.t)),
    ),
    "single symmetric": _Case(
        "Theorem 2.3: alpha_j = 0 for all j but t and f",
        (*_COMMON, "pi is symmetric", "pi does not depend on x", "pi_jj = 1 for all j but t and f"),
        ("column j of pi is unit, for all j but t and f",),
        lambda s: (-np.abs(s.alpha), s.others),
        lambda s: _size(s.alpha),
    ),
}
