r"""What classes are like, column by column, and how far a row departs from one: pure functions on arrays.

The weight of a value x of a column is :math:`\ln p(x \mid \text{suggested}) - \ln p(x \mid \text{given})`, with the
frequencies of the rows that are not suspected: a normal density of numbers, smoothed frequencies of categories. This is
what naive Bayes would say. It is not what the network has done, but a person can check it by eye.

Legend: N rows, D columns of numbers, V values of a category, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

_FAR = 2.0  # standard deviations from a class's mean, beyond which a number departs from the class
_RARE = 0.05  # share of a class, below which a category departs from it
_FARTHEST = 5.0  # standard deviations: one odd value is not worth more than many others
_LEAST_SPREAD = 0.05  # of the spread of all rows: a class of equal values is no certainty
_TINY = 1e-12


def class_normals(values: np.ndarray, codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column in each class.

    Parameters
    ----------
    values : ndarray of float64, shape (N, D)
        Gaps are NaN, and count nowhere.
    codes : ndarray of int64, shape (N,)
        Classes.
    n_classes : int
        K.

    Returns
    -------
    mean, std : ndarray of float64, shape (K, D)
        Where a class has less than two values, those of all rows. No deviation is zero.
    """
    finite = np.isfinite(values)
    everyone = np.ones((1, len(values)))
    member = (codes == np.arange(n_classes)[:, None]).astype(np.float64)  # (K, N)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest ones
        centre = _means(everyone, values, finite)  # (1, D)
        centred = values - centre  # or digits would cancel in the deviations
        spread = _deviations(everyone, centred, finite)
        own = np.maximum(_deviations(member, centred, finite), _LEAST_SPREAD * spread)
        mean = _means(member, values, finite)
    several = member @ finite > 1
    return np.where(several, mean, centre), np.maximum(np.where(several, own, spread), _TINY)


def sparse_class_normals(values: Any, codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of a sparse matrix or array (N, D) without gaps, which is never made dense."""
    values = sparse.csr_array(values, dtype=np.float64)  # squares of small integers would overflow
    member = sparse.csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n_classes, len(codes)))
    count = np.bincount(codes, minlength=n_classes)[:, None]  # (K, 1)
    total, squares = ((member @ part).toarray() for part in (values, values.multiply(values)))
    centre, mean = total.sum(axis=0) / max(1, len(codes)), total / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(squares.sum(axis=0) / max(1, len(codes)) - centre**2, 0.0))
    own = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0.0))
    std = np.where(count > 1, np.maximum(own, _LEAST_SPREAD * spread), spread)
    return np.where(count > 1, mean, centre), np.maximum(std, _TINY)


def _means(member: np.ndarray, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Means (K, D) of groups, whose rows have a one among their members (K, N); 0 of none."""
    total: np.ndarray = member @ np.where(finite, values, 0.0)
    return total / np.maximum(member @ finite, 1.0)


def _deviations(member: np.ndarray, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Standard deviations (K, D) of these groups."""
    variance = _means(member, values**2, finite) - _means(member, values, finite) ** 2
    largest = np.finfo(np.float64).max
    return np.sqrt(np.nan_to_num(np.maximum(variance, 0.0), nan=largest, posinf=largest))


def log_normal(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Logarithm of the density of numbers, less a constant, in nats; no number is farther than five deviations.

    Parameters
    ----------
    values, mean, std : ndarray of float64
        Of shapes that go together.

    Returns
    -------
    ndarray of float64
        0 where a value is missing: a gap speaks for nobody.
    """
    with np.errstate(invalid="ignore"):
        z = np.minimum(np.abs(values - mean) / std, _FARTHEST)
    return np.where(np.isfinite(values), -0.5 * z * z - np.log(std), 0.0)


def is_far(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Whether numbers are more than two standard deviations from the mean; gaps are not."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(values) & (np.abs(values - mean) > _FAR * std)


def class_shares(values: np.ndarray, codes: np.ndarray, n_classes: int, n_values: int) -> np.ndarray:
    """Share of each value of a category in each class, smoothed.

    Parameters
    ----------
    values : ndarray of int64, shape (N,)
        From 0 to V - 1; -1 of gaps, which count nowhere.
    codes : ndarray of int64, shape (N,)
        Classes.
    n_classes, n_values : int
        K and V.

    Returns
    -------
    ndarray of float64, shape (K, V)
        None is zero.
    """
    has = values >= 0
    counts = np.zeros((n_classes, max(n_values, 1)))
    np.add.at(counts, (codes[has], values[has]), 1.0)
    everywhere = (counts.sum(axis=0) + 1.0) / (counts.sum() + counts.shape[1])  # (V,)
    # One imagined row a class, of the value's frequency everywhere: a rare class does not look sure.
    return (counts + everywhere) / (counts.sum(axis=1, keepdims=True) + 1.0)


def log_share(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Logarithm of the shares of values, in nats.

    Parameters
    ----------
    values : ndarray of int64, shape (N,)
        -1 of gaps, which speak for nobody: 0.
    shares : ndarray of float64, shape (N, V)
        Those of the class that each row is held against.
    """
    own = np.take_along_axis(shares, np.maximum(values, 0)[:, None], axis=1)[:, 0]
    return np.where(values >= 0, np.log(own), 0.0)


def is_rare(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Whether less than a twentieth of the class has the value; of the shapes of :func:`log_share`."""
    return (values >= 0) & (log_share(values, shares) < np.log(_RARE))
