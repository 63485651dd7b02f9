r"""The optimal constants of Theorem 1, and the three gauges of constants.

Legend: K* true categories, of which the first K are the model's; leading axes are samples. In log space, as
`observed`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax, logsumexp

from acestimator import detection
from acestimator.noise import check_transition_matrix
from theory.observed import finite_logits, log_mixture

GAUGES = ("partition", "first_zero", "mean_centered")


def optimal_alpha(pi: Any, m: Any) -> np.ndarray:
    r"""Constants :math:`\alpha^*_i = \ln \sum_k \pi_{ki} e^{m_k} - m_i`: the gradient is zero there (Theorem 1).

    Assumes the model to be correct: the logits that the constants are added to are the true ones.

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (..., K*, K), K at most K*
        ``pi[true, observed]``; rows sum to one. Leading axes: one matrix per sample, broadcast against those of ``m``.
    m : array-like of shape (..., K*)
        True logits :math:`m^*`, finite.

    Returns
    -------
    ndarray of shape (..., K)
        In the partition gauge: the logsumexp of ``m[..., :K] + alpha`` over K is that of ``m`` over K*. An entry is
        -inf if its category is never given as a label (column i of ``pi`` is zero): only a probability of zero meets
        that Q. Descent on the loss drives such a constant down without end.

    Raises
    ------
    ValueError
        If ``pi`` is no transition matrix, a logit is not finite, or their sizes disagree.
    """
    pi, m = check_transition_matrix(pi, m), finite_logits(m)
    n_true, n_observed = pi.shape[-2:]
    if n_observed > n_true:
        raise ValueError(
            f"pi has {n_true} rows and {n_observed} columns, expected at most as many columns as rows: the observed "
            "categories are the first of the true ones."
        )
    return log_mixture(pi, m[..., :, None] - m[..., None, :n_observed])


def to_gauge(alpha: Any, gauge: str, m: Any = None) -> np.ndarray:
    r"""Move each row of constants to a gauge, from any other.

    Softmax does not see a number added to a row; a gauge picks it:

    - ``"partition"``: :math:`\ln \sum_{i \in K} e^{m_i + \alpha_i} = \ln \sum_{k \in K^*} e^{m_k}`, the gauge of the
      closed form, in which the signs of Theorem 2.2 and 2.3 hold;
    - ``"first_zero"``: :math:`\alpha_1 = 0`, the paper's (Section 4);
    - ``"mean_centered"``: the mean is zero, the "standardize" of Algorithm 2.

    Parameters
    ----------
    alpha : array-like of shape (..., K)
        Constants. -inf, the constant of a category that is never given, stays -inf in the partition gauge; the
        other two gauges do not exist if the first entry (first_zero) or any entry (mean_centered) is -inf.
    gauge : {"partition", "first_zero", "mean_centered"}
    m : array-like of shape (..., K*), optional
        True logits, K first, for the partition gauge only. With the logits of K alone it is the gauge of
        :func:`acestimator.detection.partition_gauge`.

    Returns
    -------
    ndarray of shape (..., K)

    Raises
    ------
    ValueError
        If the gauge is unknown or does not exist for a row, ``alpha`` is NaN or +inf somewhere, or ``m`` is missing,
        not finite, or does not fit ``alpha``.
    """
    alpha = np.asarray(alpha, dtype=np.float64)
    if gauge not in GAUGES:
        raise ValueError(f"gauge is {gauge!r}, expected one of {GAUGES}.")
    if not alpha.ndim or not (alpha < np.inf).all():
        raise ValueError("alpha is one number or has entries NaN or +inf, expected shape (..., K), finite or -inf.")
    # What the gauge rests on: one finite constant at least, the first, or all of them.
    needed = {"partition": alpha.max(axis=-1), "first_zero": alpha[..., 0], "mean_centered": alpha.min(axis=-1)}
    if np.isneginf(needed[gauge]).any():
        raise ValueError(f"alpha has a row without {gauge} gauge: the gauge rests on a constant that is -inf.")
    if gauge == "first_zero":
        return detection.first_zero_gauge(_rows(alpha)).reshape(alpha.shape)
    if gauge == "mean_centered":
        return detection.mean_centered_gauge(_rows(alpha)).reshape(alpha.shape)
    n_observed = alpha.shape[-1]
    m = finite_logits(m)
    if m.shape[-1] < n_observed:
        raise ValueError(f"m has {m.shape[-1]} logits and alpha {n_observed} constants, expected a logit for each.")
    log_p = log_softmax(m, axis=-1)  # the same gauge, and logits of any size cost no digits
    leading = np.broadcast_shapes(alpha.shape[:-1], m.shape[:-1])
    alpha = np.broadcast_to(alpha, (*leading, n_observed))
    log_p = np.broadcast_to(log_p, (*leading, m.shape[-1]))[..., :n_observed]
    moved = detection.partition_gauge(_rows(alpha), _rows(log_p)).reshape(alpha.shape)
    return moved - logsumexp(log_p, axis=-1, keepdims=True)  # from the partition function of K to that of K*, here 1


def _rows(a: np.ndarray) -> np.ndarray:
    """(..., K) as (N, K), the shape that the gauges of acestimator take."""
    return a.reshape(-1, a.shape[-1])
