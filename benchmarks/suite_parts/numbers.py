"""Arithmetic of the suite: probabilities pooled over seeds, anchors of classes, and how many seeds a mean needs.

Legend: N samples, K classes, S seeds, B bins.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import log_softmax
from scipy.stats import t

from acestimator.channel import temperature

ANCHOR = 0.98  # probability of a sample's own class from which on nothing else is likely
_ANCHOR_SHARE, _LEAST_ANCHORS = 0.05, 5
_ROUNDING = 1e-9


def bins_of(proba: np.ndarray, is_wrong: np.ndarray, n_bins: int = 200) -> list[list[float]]:
    """Samples in the order of their probability, in bins of equal count.

    Parameters
    ----------
    proba : ndarray of shape (N,)
    is_wrong : ndarray of bool, shape (N,)
    n_bins : int, default=200

    Returns
    -------
    list of [sum of probabilities, number of wrong labels, number of samples]
        At most ``n_bins``; none is empty.
    """
    order = np.argsort(proba, kind="stable")
    parts = np.array_split(order, min(n_bins, len(order)))
    return [[round(float(proba[part].sum()), 6), int(is_wrong[part].sum()), len(part)] for part in parts]


def calibration_error(bins: list[list[float]], n_bins: int = 10) -> float:
    """Expected calibration error over bins of equal count, of samples that are in finer bins already.

    A fine bin that lies across the border of two coarse ones is divided in proportion.

    Parameters
    ----------
    bins : list of [sum of probabilities, number of wrong labels, number of samples]
        Of any number of fits.
    n_bins : int, default=10

    Returns
    -------
    float
        The mean over samples of the gap between mean probability and share of wrong labels in their bin.
    """
    found = np.array(bins, dtype=np.float64)  # (B, 3)
    found = found[np.argsort(found[:, 0] / found[:, 2], kind="stable")]
    ends = np.cumsum(found[:, 2])
    borders = np.linspace(0.0, ends[-1], n_bins + 1)
    gap = np.concatenate([[0.0], np.cumsum(found[:, 0] - found[:, 1])])
    at_borders = np.interp(borders, np.concatenate([[0.0], ends]), gap)
    return float(np.abs(np.diff(at_borders)).sum() / ends[-1])


def anchors(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Samples of each class that can be no other, and whether each class has enough of them.

    What share of the labels is wrong can only be told from the labels where every class has samples that are of that
    class with certainty: elsewhere a wrong label and a sample that might be either look alike. The rule: at least 5 %
    of a class's samples, and at least 5, have a probability of at least .98 for it.

    Parameters
    ----------
    logits : ndarray of shape (N, K)
        Of a network that was trained on right labels and not on these samples. They are divided by their
        best temperature first: a network that fits its samples to the end is too sure of others.
    labels : ndarray of int, shape (N,)
        The right ones.

    Returns
    -------
    counts : ndarray of int, shape (K,)
    enough : bool
    """
    best, _ = temperature(torch.from_numpy(logits), torch.from_numpy(labels))
    proba = np.exp(log_softmax(logits / best, axis=1)[np.arange(len(labels)), labels])
    sizes = np.bincount(labels, minlength=logits.shape[1])
    counts = np.bincount(labels[proba >= ANCHOR], minlength=logits.shape[1])
    needed = np.maximum(_LEAST_ANCHORS, np.ceil(_ANCHOR_SHARE * sizes - _ROUNDING))
    return counts, bool((counts >= needed).all())


def standard_error(values: np.ndarray, least: float = 0.0) -> float:
    """Of the mean of values (S,), whose standard deviation is at least that; NaN of fewer than two."""
    n = len(values)
    return max(float(np.std(values, ddof=1)), least) / math.sqrt(n) if n > 1 else math.nan


def least_deviation(difference: float, n_test: int) -> float:
    """Least standard deviation of a difference of two accuracies on the same test samples.

    Where it is d, at least a share |d| of the samples is recognised by one method alone, and each sample's part in the
    difference has a variance of |d| - d^2 or more. On few samples the differences of some seeds are often equal, and
    would seem to be certain.

    Parameters
    ----------
    difference : float
    n_test : int
        Test samples; 0 where nobody knows how many.

    Returns
    -------
    float
    """
    size = min(abs(difference), 1.0)
    return math.sqrt((size - size**2) / n_test) if n_test else 0.0


def p_below(differences: np.ndarray, margin: float, n_test: int = 0) -> float:
    """One-sided paired t-test that the mean of differences is below minus a margin.

    Parameters
    ----------
    differences : ndarray of shape (S,)
        Of accuracies.
    margin : float
    n_test : int, default=0
        Test samples of a seed: see :func:`least_deviation`.

    Returns
    -------
    float
        1 with fewer than two seeds.
    """
    if len(differences) < 2:
        return 1.0
    mean = float(np.mean(differences))
    error = standard_error(differences, max(least_deviation(mean, n_test), _ROUNDING))
    return float(t.cdf((mean + margin) / error, len(differences) - 1))


def seeds_needed(differences: np.ndarray, most: int, n_test: int = 0, error: float = 0.0035) -> int:
    """How many seeds to have for a standard error that is small enough.

    Parameters
    ----------
    differences : ndarray of shape (S,)
        Paired, of two methods.
    most : int
        Seeds, at most.
    n_test : int, default=0
        As of :func:`p_below`.
    error : float, default=0.0035
        The standard error that will do.

    Returns
    -------
    int
        S where it will do or cannot be told. Else more, but at most twice as many: few seeds may have been far apart
        by chance.
    """
    n = len(differences)
    if n < 2 or n >= most:
        return n
    now = standard_error(differences, least_deviation(float(np.mean(differences)), n_test))
    if now <= error:
        return n
    return min(most, 2 * n, max(n + 1, math.ceil(n * (now / error) ** 2)))
