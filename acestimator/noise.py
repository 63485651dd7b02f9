"""Transition matrices, and labels corrupted by them.

Legend: N samples, K* true categories, K observed ones; ``pi[k, i]`` is the probability that true category k is
labelled i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state, column_or_1d

# How far a row's sum, or two mirrored entries, may be off: room for rounded input, none for a forgotten category.
TOLERANCE = 1e-8
SHOWN = 10  # positions that an error lists


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


def check_transition_matrix(pi: Any, m: Any = None, *, require_symmetric: bool = False, name: str = "pi") -> np.ndarray:
    """Check that every row is a probability distribution, and that the sizes fit.

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (..., K*, K)
        ``pi[true, observed]``; with leading axes, one matrix per sample.
    m : array-like of shape (..., K*), optional
        True logits that ``pi`` is to be used with. Only the shape is looked at: one logit per row, and leading axes
        that broadcast against those of ``pi``.
    require_symmetric : bool, default=False
        Ask for ``pi[k, i] = pi[i, k]`` too, and so for a square matrix.
    name : str, default="pi"
        What the errors call the matrix.

    Returns
    -------
    ndarray of float64, of pi's shape

    Raises
    ------
    ValueError
        If ``pi`` has fewer than two axes or no entries, an entry that is negative or not finite (the error says where),
        a row whose sum is off one by more than 1e-8 (which, and by how much), is not symmetric where that is
        required, or does not fit ``m``.
    """
    pi = np.asarray(pi, dtype=np.float64)
    if pi.ndim < 2 or 0 in pi.shape[-2:]:
        raise ValueError(
            f"{name} has shape {pi.shape}, expected (K*, K), the distribution of the observed label in a row for each "
            "true category, or (..., K*, K) with one such matrix per sample."
        )
    _refuse(~np.isfinite(pi), pi, f"{name} has entries that are not finite")
    _refuse(pi < 0, pi, f"{name} has negative entries")
    sums = pi.sum(axis=-1)
    off = np.abs(sums - 1.0) > TOLERANCE
    if off.any():
        excess = ", ".join(f"{e:+.3g}" for e in (sums - 1.0)[off][:SHOWN])
        raise ValueError(
            f"rows {_positions(off)} of {name} sum to {sums[off][:SHOWN].tolist()}, off by {excess}, expected 1: "
            f"{name}[true, observed] holds the probabilities of the observed labels of one true category in a row."
        )
    if require_symmetric:
        if pi.shape[-2] != pi.shape[-1]:
            raise ValueError(
                f"{name} has shape {pi.shape}, expected a square matrix: symmetric says pi[k, i] = pi[i, k]."
            )
        mirrored = np.swapaxes(pi, -2, -1)
        _refuse(np.abs(pi - mirrored) > TOLERANCE, pi, f"{name} is not symmetric: it differs from its transpose")
    if m is not None:
        _check_sizes(pi.shape, np.shape(m), name)
    return pi


def corrupt(y: Any, pi: np.ndarray, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
    """Draw an observed label for every true one.

    Parameters
    ----------
    y : array-like of shape (N,)
        True labels. The sorted distinct labels are the true categories 0..K*-1 of ``pi``, and the first K of them the
        observed ones.
    pi : ndarray of shape (K*, K) or (N, K*, K), K at most K*
        Transition matrix, ``pi[true, observed]``, or one per sample. With K below K*, the last labels are outside of
        the category set and are never given.
    random_state : int, RandomState or None

    Returns
    -------
    ndarray of shape (N,)
        Observed labels, in y's label space.

    Raises
    ------
    ValueError
        If ``pi`` has another shape, a negative entry, or a row that does not sum to one.
    """
    y = column_or_1d(y)
    classes, true = np.unique(y, return_inverse=True)
    pi = check_transition_matrix(pi)
    n_true = len(classes)
    if pi.shape[-2] != n_true or pi.shape[-1] > n_true or pi.shape[:-2] not in [(), (len(y),)]:
        raise ValueError(
            f"pi has shape {pi.shape} and y {n_true} classes and {len(y)} samples, expected ({n_true}, K) or "
            f"({len(y)}, {n_true}, K) with K at most {n_true}."
        )
    draw = check_random_state(random_state).uniform(size=len(y))
    cumulative = np.cumsum(pi, axis=-1)
    cumulative /= cumulative[..., -1:]  # exactly one from the last possible label on, so that none is drawn after it
    rows = cumulative[true] if pi.ndim == 2 else cumulative[np.arange(len(y)), true]
    # The first category whose cumulative probability exceeds the draw.
    return classes[(draw[:, None] >= rows).sum(axis=1)]


def _check(n_classes: int, rate: float) -> None:
    if n_classes < 2:
        raise ValueError(f"n_classes is {n_classes!r}, expected at least 2.")
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate is {rate!r}, expected a probability between 0 and 1.")


def _check_sizes(pi_shape: tuple[int, ...], m_shape: tuple[int, ...], name: str) -> None:
    """One logit per row, and leading axes that broadcast."""
    n_logits = m_shape[-1] if m_shape else 0
    if n_logits != pi_shape[-2]:
        raise ValueError(
            f"m has {n_logits} logits and {name} {pi_shape[-2]} rows, expected one logit per row of {name}."
        )
    try:
        np.broadcast_shapes(pi_shape[:-2], m_shape[:-1])
    except ValueError:
        raise ValueError(
            f"m has leading axes {m_shape[:-1]} and {name} {pi_shape[:-2]}, expected axes that broadcast."
        ) from None


def _refuse(bad: np.ndarray, pi: np.ndarray, problem: str) -> None:
    if bad.any():
        raise ValueError(f"{problem} at {_positions(bad)}: {pi[bad][:SHOWN].tolist()}.")


def _positions(mask: np.ndarray) -> str:
    """The first positions where the mask is set: numbers for one axis, tuples for several."""
    where = np.argwhere(mask)
    shown = [int(p[0]) if len(p) == 1 else tuple(p.tolist()) for p in where[:SHOWN]]
    return f"{shown}" + (f" and {len(where) - SHOWN} more" if len(where) > SHOWN else "")
