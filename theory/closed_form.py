"""Definition 1 and the optimal constants of Theorem 1, in log space.

Legend: K* true categories, of which the first K are the model's; leading axes of m are samples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp


def log_observed_probability(pi: np.ndarray, m: np.ndarray) -> np.ndarray:
    r"""Logarithm of :math:`Q(i|x) = \sum_k \pi_{ki} e^{m_k} / \sum_k e^{m_k}` (Definition 1).

    Parameters
    ----------
    pi : ndarray of shape (K*, K)
        ``pi[true, observed]``; rows sum to one.
    m : ndarray of shape (..., K*)
        True logits.

    Returns
    -------
    ndarray of shape (..., K)
        -inf where no category of positive probability is labelled i.

    Raises
    ------
    ValueError
        If the last axis of ``m`` is not as long as ``pi`` has rows.
    """
    pi, m = np.asarray(pi, dtype=np.float64), np.asarray(m, dtype=np.float64)
    if m.shape[-1] != pi.shape[0]:
        raise ValueError(f"m has {m.shape[-1]} logits and pi {pi.shape[0]} rows, expected one logit per row of pi.")
    with np.errstate(divide="ignore"):
        log_pi = np.log(pi)  # (K*, K); zeros become -inf, and vanish from the sum
    joint = logsumexp(log_pi + m[..., :, None], axis=-2)  # (..., K)
    return joint - logsumexp(m, axis=-1, keepdims=True)


def optimal_alpha(pi: np.ndarray, m: np.ndarray) -> np.ndarray:
    r"""Constants :math:`\alpha^*_i = \ln \sum_k \pi_{ki} e^{m_k} - m_i`: the gradient is zero there (Theorem 1).

    Parameters
    ----------
    pi : ndarray of shape (K*, K)
    m : ndarray of shape (..., K*)

    Returns
    -------
    ndarray of shape (..., K)
        In the partition gauge: the logsumexp of ``m[..., :K] + alpha`` over K is that of ``m`` over K*.
    """
    m = np.asarray(m, dtype=np.float64)
    log_partition = logsumexp(m, axis=-1, keepdims=True)
    return log_observed_probability(pi, m) + log_partition - m[..., : np.shape(pi)[1]]
