"""Reading alpha: gauges, mislabel scores, Algorithm 2, ranks, suggested labels. Pure functions on arrays.

Every function takes numpy arrays or torch tensors, on any device. Gauges, scores and probabilities come back as what
was given, or as tensors where both kinds were; positions and ranks are numpy's.

Legend: N samples, K classes. Softmax does not see a constant added to a row of alpha; a *gauge* picks that constant.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = Any  # np.ndarray or Tensor, the same in and out

F = TypeVar("F", bound=Callable[..., Any])


def _on_arrays(function: F) -> F:
    """Let a function of tensors serve numpy arrays too, by place and by name, by views of the same memory."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        device = next((a.device for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        result = function(
            *(_as_tensor(a, device) for a in args), **{name: _as_tensor(a, device) for name, a in kwargs.items()}
        )
        return result.numpy() if device is None and isinstance(result, Tensor) else result

    return wrapper  # type: ignore[return-value]


def _as_tensor(value: Any, device: torch.device | None) -> Any:
    """Tensors and single values as they are, arrays as tensors."""
    if isinstance(value, Tensor) or not np.ndim(value):
        return value
    # torch shares the memory of writable, positively strided arrays only; others are copied.
    return torch.from_numpy(np.require(value, requirements=["C", "W"])).to(device)


def _as_array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


@_on_arrays
def first_zero_gauge(alpha: Array) -> Array:
    """Gauge in which the first category's constant is zero, the paper's (Section 4).

    Parameters
    ----------
    alpha : array of shape (N, K)

    Returns
    -------
    array of shape (N, K)
    """
    return alpha - alpha[:, :1]


@_on_arrays
def mean_centered_gauge(alpha: Array) -> Array:
    """Gauge in which each row's mean is zero, the "standardize" of Algorithm 2.

    Parameters
    ----------
    alpha : array of shape (N, K)

    Returns
    -------
    array of shape (N, K)
    """
    if not alpha.is_floating_point():
        alpha = alpha.double()
    return alpha - alpha.mean(dim=1, keepdim=True)


@_on_arrays
def partition_gauge(alpha: Array, logits: Array) -> Array:
    """Gauge in which the constants leave the partition function alone: ``logsumexp(m + alpha) = logsumexp(m)``.

    Entry k is then ``ln P(k | m + alpha) - ln P(k | m)``: what the constants add to the log-probability of k.
    The signs of Theorem 2 hold in this gauge.

    Parameters
    ----------
    alpha, logits : array of shape (N, K)
        Constants, and the network's logits m for the same samples.

    Returns
    -------
    array of shape (N, K)
    """
    return alpha + (torch.logsumexp(logits, dim=1) - torch.logsumexp(logits + alpha, dim=1))[:, None]


@_on_arrays
def observed_score(alpha: Array, logits: Array, labels: Array) -> Array:
    """Constant of the observed label in the partition gauge, in nats.

    Higher is more suspicious. It is the same in every gauge of ``alpha``. The estimator's ``mislabel_scores_`` are
    these where nobody has judged the labels, see :class:`acestimator.AutoCleansingClassifier`.

    Parameters
    ----------
    alpha, logits : array of shape (N, K)
    labels : array of int, shape (N,)
        Observed labels, 0..K-1.

    Returns
    -------
    array of shape (N,)
    """
    return partition_gauge(alpha, logits).gather(1, labels.long()[:, None]).squeeze(1)


@_on_arrays
def in_order_of(values: Array, order: Array, weight: Array | None = None) -> Array:
    """Hand out values in the order of other ones: the largest goes to where the other one is largest.

    So two scores can be averaged that have nothing in common but what is high and what is low.

    Parameters
    ----------
    values, order : array of shape (N,)
    weight : array of shape (N,), optional
        Positive. Weight 2 is a sample twice.

    Returns
    -------
    array of float64, shape (N,)
        Equal where ``order`` is. Values between two of them where weights or ties ask for it.
    """
    weight = torch.ones_like(values, dtype=torch.float64) if weight is None else weight.double()
    levels, _, shares = _distribution(values.double(), weight)
    _, inverse, wanted = _distribution(order, weight)
    if len(levels) == 1:
        return levels.expand(len(values)).clone()
    above = torch.searchsorted(shares, wanted).clamp(1, len(levels) - 1)
    part = ((wanted - shares[above - 1]) / (shares[above] - shares[above - 1])).clamp(0.0, 1.0)
    return torch.lerp(levels[above - 1], levels[above], part)[inverse]


def _distribution(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct values, rising; where each sample's stands; the share of weight below each, half of its own included."""
    levels, inverse = torch.unique(values, return_inverse=True)
    mass = torch.zeros(len(levels), dtype=torch.float64, device=values.device).index_add_(0, inverse, weight)
    return levels, inverse, (torch.cumsum(mass, 0) - 0.5 * mass) / mass.sum()


def find_mislabeled(alpha: Array, percent: float = 1.0) -> np.ndarray:
    r"""Algorithm 2: the samples with the largest and the smallest standardised constants, in turn.

    Starting from the largest, the sample of the next largest :math:`\alpha^{Max}` and the sample of the next smallest
    :math:`\alpha^{Min}` are listed in turn, each once, until :math:`\tau` percent of the samples stand in the list.

    Parameters
    ----------
    alpha : array of shape (N, K)
        In any gauge.
    percent : float, default=1.0
        :math:`\tau`, between 0 and 100.

    Returns
    -------
    ndarray of int64, shape (ceil(N percent / 100),)
        Positions of the samples, in the order of the list. Among equal constants the earlier sample comes
        first, a rule that the paper leaves open.

    Raises
    ------
    ValueError
        If ``percent`` is not between 0 and 100, or ``alpha`` no matrix of finite numbers.
    """
    try:
        in_range = 0 <= percent <= 100
    except TypeError:  # no number at all
        in_range = False
    if not in_range:
        raise ValueError(f"percent is {percent!r}, expected a number between 0 and 100.")
    highest, lowest = _extremes(alpha)
    n_samples = len(highest)
    # The list grows while it is shorter than N tau / 100: a fraction is rounded up. Decimal percents such as 0.7
    # are not exact in binary, and must not become one sample more.
    n_listed = min(n_samples, math.ceil(round(n_samples * percent / 100, 9)))
    turns = np.empty(2 * n_samples, dtype=np.int64)
    turns[0::2] = np.argsort(-highest, kind="stable")
    turns[1::2] = np.argsort(lowest, kind="stable")
    # A sample that is listed already is passed over, but its turn is used: the first of its two turns counts.
    _, first = np.unique(turns, return_index=True)
    return turns[np.sort(first)][:n_listed]


def max_min_ranks(alpha: Array) -> tuple[np.ndarray, np.ndarray]:
    """MaxRank and MinRank (Figures 4 to 6): percentile ranks of the standardised extremes.

    Parameters
    ----------
    alpha : array of shape (N, K)
        In any gauge.

    Returns
    -------
    max_rank, min_rank : ndarray of shape (N,)
        In percent, above 0 to 100; 100 / N for the largest alpha-Max and for the smallest alpha-Min. Equal values
        share the better rank.

    Raises
    ------
    ValueError
        If ``alpha`` is no matrix of finite numbers.
    """
    from scipy.stats import rankdata

    highest, lowest = _extremes(alpha)
    scale = 100.0 / max(len(highest), 1)
    return scale * rankdata(-highest, method="min"), scale * rankdata(lowest, method="min")


def suggested_labels(labels: Array, predicted: Array, mislabel_proba: Array, share: Array | float = 1.0) -> Array:
    """Return the network's label where it is likelier right than the given one, the given one elsewhere.

    Parameters
    ----------
    labels : array of shape (N,)
        Observed labels: numbers, or names.
    predicted : array of shape (N,)
        The network's labels, without constants.
    mislabel_proba : array of shape (N,)
    share : array of shape (N,) or float, default=1.0
        Probability that the network's label is right where the given one is wrong: 1 where there are no other labels
        that may be.

    Returns
    -------
    array of shape (N,)
        A tensor where the first three are.
    """
    if all(isinstance(array, Tensor) for array in (labels, predicted, mislabel_proba)):
        return torch.where(mislabel_proba * share > 1.0 - mislabel_proba, predicted, labels)
    proba = _as_array(mislabel_proba)
    return np.where(proba * _as_array(share) > 1.0 - proba, _as_array(predicted), _as_array(labels))


def _extremes(alpha: Array) -> tuple[np.ndarray, np.ndarray]:
    """Alpha-Max and alpha-Min (N,) of the mean-centred rows."""
    if np.ndim(alpha) != 2:
        raise ValueError(f"alpha has shape {np.shape(alpha)}, expected (N, K), a row of constants for each sample.")
    centered = _as_array(mean_centered_gauge(alpha))
    if not np.isfinite(centered).all():
        rows = np.flatnonzero(~np.isfinite(centered).all(axis=1))
        raise ValueError(
            f"alpha has entries that are not finite in {len(rows)} rows, such as {rows[0]}, expected numbers: leave "
            "these samples out."
        )
    return centered.max(axis=1), centered.min(axis=1)
