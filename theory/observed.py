r"""Definition 1: with what probability an input gets each label, in log space.

Legend: K* true categories, of which the first K are the model's; leading axes are samples.

Everything is a log-sum-exp over the true categories k of terms :math:`\ln \pi_{ki} + (\text{a difference of logits})`.
The differences are taken first, so that logits of any size cost no digits; a zero of ``pi`` is a term of -inf, which
vanishes from the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp

from acestimator.noise import check_transition_matrix


def log_observed_probability(pi: Any, m: Any) -> np.ndarray:
    r"""Logarithm of :math:`Q(i|x) = \sum_k \pi_{ki} e^{m_k} / \sum_k e^{m_k}` (Definition 1).

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (..., K*, K)
        ``pi[true, observed]``; rows sum to one. Leading axes: one matrix per sample, broadcast against those of ``m``.
    m : array-like of shape (..., K*)
        True logits, finite.

    Returns
    -------
    ndarray of shape (..., K)
        -inf where no true category is ever labelled i (column i of ``pi`` is zero), and nowhere else.

    Raises
    ------
    ValueError
        If ``pi`` is no transition matrix, a logit is not finite, or their sizes disagree.
    """
    pi, m = check_transition_matrix(pi, m), finite_logits(m)
    # The probabilities of the true categories first: a number added to all logits is gone before pi is seen.
    return log_mixture(pi, log_softmax(m, axis=-1)[..., None])


def observed_probability(pi: Any, m: Any) -> np.ndarray:
    r"""Probability :math:`Q(i|x)` that x is labelled i (Definition 1).

    Parameters, errors as in :func:`log_observed_probability`.

    Returns
    -------
    ndarray of shape (..., K)
        Sums to one. Probabilities below 1e-308 lose digits, and below 5e-324 are zero: their logarithms are exact.
    """
    return np.exp(log_observed_probability(pi, m))


def log_mixture(pi: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    r"""Logarithm of :math:`\sum_k \pi_{ki} e^{e_{ki}}`.

    Parameters
    ----------
    pi : ndarray of shape (..., K*, K)
        Not negative.
    exponents : ndarray of shape (..., K*, K) or (..., K*, 1)

    Returns
    -------
    ndarray of shape (..., K)
        -inf where column i of ``pi`` is zero.
    """
    with np.errstate(divide="ignore"):
        log_pi = np.log(pi)
    return logsumexp(log_pi + exponents, axis=-2)


def finite_logits(m: Any) -> np.ndarray:
    """Check true logits, and give them as an array of float64.

    Parameters
    ----------
    m : array-like of shape (..., K*)

    Returns
    -------
    ndarray of shape (..., K*)

    Raises
    ------
    ValueError
        If ``m`` is None or a number, or a logit is not finite.
    """
    m = np.asarray(np.nan if m is None else m, dtype=np.float64)
    if not m.ndim or not np.isfinite(m).all():
        raise ValueError("m is missing or has logits that are not finite, expected shape (..., K*) of finite numbers.")
    return m
