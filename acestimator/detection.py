"""Reading alpha: gauges, mislabel scores, Algorithm 2, ranks, suggested labels. Pure functions on arrays.

Every function takes numpy arrays or torch tensors and returns what it was given.

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
    """Let a function of tensors serve numpy arrays too, by views of the same memory."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, Tensor) for a in args):
            return function(*args, **kwargs)
        # torch shares the memory of writable, positively strided arrays only; others are copied.
        tensors = [torch.from_numpy(np.require(a, requirements=["C", "W"])) if np.ndim(a) else a for a in args]
        result = function(*tensors, **kwargs)
        return result.numpy() if isinstance(result, Tensor) else result

    return wrapper  # type: ignore[return-value]


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
    """Score of the first stage: the constant of the observed label in the partition gauge, in nats.

    Higher is more suspicious. It is the same in every gauge of ``alpha``. The estimator's ``mislabel_scores_`` are
    others where it came to the second stage, see :mod:`acestimator.posterior`.

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


def mislabel_log_odds(log_proba: torch.Tensor, labels: torch.Tensor, odds: torch.Tensor) -> torch.Tensor:
    r"""Log-odds that each label is wrong, :math:`\ln \sum_{k \ne y} R_{ky} p_k - \ln p_y`.

    By Bayes' rule: :math:`R_{ky} = \pi_{ky} / \pi_{yy}` for a transition matrix :math:`\pi`.

    Parameters
    ----------
    log_proba : Tensor, shape (N, K)
        The network's log-probabilities of the true category.
    labels : Tensor of int64, shape (N,)
        Observed labels, 0..K-1.
    odds : Tensor, shape (K, K) or ()
        R; a number: the same for all pairs. The diagonal is not looked at.

    Returns
    -------
    Tensor, shape (N,)
    """
    at = labels[:, None]
    others = log_proba.exp().scatter_(1, at, 0.0)
    others *= odds if odds.ndim == 0 else odds.index_select(1, labels).T
    wrong = others.sum(dim=1).clamp(min=torch.finfo(others.dtype).tiny)
    return wrong.log() - log_proba.gather(1, at).squeeze(1)


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
        If ``percent`` is not between 0 and 100.
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
    """
    from scipy.stats import rankdata

    highest, lowest = _extremes(alpha)
    scale = 100.0 / max(len(highest), 1)
    return scale * rankdata(-highest, method="min"), scale * rankdata(lowest, method="min")


def suggested_labels(labels: np.ndarray, predicted: np.ndarray, mislabel_proba: np.ndarray) -> np.ndarray:
    """Return the network's label where the given one is more likely wrong than right, the given one elsewhere.

    Parameters
    ----------
    labels : ndarray of shape (N,)
        Observed labels.
    predicted : ndarray of shape (N,)
        The network's labels, without constants.
    mislabel_proba : ndarray of shape (N,)

    Returns
    -------
    ndarray of shape (N,)
    """
    return np.where(mislabel_proba > 0.5, predicted, labels)


def _extremes(alpha: Array) -> tuple[np.ndarray, np.ndarray]:
    """Alpha-Max and alpha-Min (N,) of the mean-centred rows."""
    centered = np.asarray(mean_centered_gauge(alpha))
    return centered.max(axis=1), centered.min(axis=1)
