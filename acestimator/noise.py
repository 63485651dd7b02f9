"""Transition matrices, and labels corrupted by them.

Legend: K* true categories, K observed ones; ``pi[k, i]`` is the probability that true category k is labelled i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state, column_or_1d


def symmetric(n_classes: int, rate: float) -> np.ndarray:
    """Each label is replaced with probability ``rate``, by any of the others alike.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    rate : float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (K, K)
        Rows sum to one.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or the rate is not between 0 and 1.
    """
    _check(n_classes, rate)
    pi = np.full((n_classes, n_classes), rate / (n_classes - 1))
    np.fill_diagonal(pi, 1.0 - rate)
    return pi


def pair_flip(n_classes: int, rate: float) -> np.ndarray:
    """Each label is replaced with probability ``rate`` by the next category, the last by the first.

    Parameters, returns and errors as in :func:`symmetric`.
    """
    _check(n_classes, rate)
    identity = np.eye(n_classes)
    return (1.0 - rate) * identity + rate * np.roll(identity, 1, axis=1)


def corrupt(y: Any, pi: np.ndarray, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
    """Draw an observed label for every true one.

    Parameters
    ----------
    y : array-like of shape (N,)
        True labels. The sorted distinct labels are the categories 0..K-1 of ``pi``.
    pi : ndarray of shape (K, K)
        Transition matrix, ``pi[true, observed]``.
    random_state : int, RandomState or None

    Returns
    -------
    ndarray of shape (N,)
        Observed labels, in y's label space.

    Raises
    ------
    ValueError
        If ``pi`` is not (K, K), has a negative entry, or a row that does not sum to one.
    """
    y = column_or_1d(y)
    classes, true = np.unique(y, return_inverse=True)
    pi = np.asarray(pi, dtype=np.float64)
    if pi.shape != (len(classes), len(classes)):
        raise ValueError(
            f"pi has shape {pi.shape} and y {len(classes)} classes, expected {(len(classes), len(classes))}."
        )
    sums = pi.sum(axis=1)
    off = np.flatnonzero(~(np.abs(sums - 1.0) <= 1e-8) | ~(pi >= 0).all(axis=1))
    if len(off):
        raise ValueError(
            f"rows {off.tolist()[:10]} of pi have negative entries or do not sum to one (sums "
            f"{sums[off][:10].tolist()}): pi[true, observed] holds the probabilities of the observed labels of one "
            "true category in a row."
        )
    draw = check_random_state(random_state).uniform(size=len(y))
    # The first category whose cumulative probability exceeds the draw; the last sum is one, up to rounding.
    cumulative = np.cumsum(pi, axis=1)
    cumulative[:, -1] = 1.0
    observed = (draw[:, None] >= cumulative[true]).sum(axis=1)
    return classes[observed]


def _check(n_classes: int, rate: float) -> None:
    if n_classes < 2:
        raise ValueError(f"n_classes is {n_classes!r}, expected at least 2.")
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is {rate!r}, expected a probability between 0 and 1.")
