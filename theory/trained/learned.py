r"""Learned constants against the closed form: the project's own table, trained on labels that are drawn.

The logits are held at the true ones, so that only the constants are learned, from the frequencies of n labels of each
input; `single_labels` learns them label by label, `joint` with theta beside them, and `softmax_world` through the
estimator.

The error of a row is :math:`\sum_i Q_i (\hat\alpha_i - \alpha^*_i)^2`, in the partition gauge. To first order it is
:math:`\delta^T B \delta` in every gauge, for :math:`\delta = \hat\alpha - \alpha^*` and :math:`B = \mathrm{diag}(Q) -
Q Q^T`, which is both the Hessian of the row's loss and the covariance of one label's gradient.

Legend: N inputs, K* true categories of which the first K are the model's, L numbers of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from acestimator import AlphaTable
from acestimator.noise import check_transition_matrix, symmetric
from theory.claim import ClaimResult
from theory.observed import observed_probability
from theory.paper.closed_form import optimal_alpha, to_gauge


def draw_counts(pi: Any, m: Any, n_labels: int, rng: np.random.Generator) -> np.ndarray:
    """Draw labels of every input: a true category each time from its softmax, then the observed one from ``pi``.

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (N, K*, K)
    m : array-like of shape (N, K*)
    n_labels : int
        n, of each input.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (N, K)
        How often each label was drawn; rows sum to n.

    Raises
    ------
    ValueError
        If ``pi`` is no transition matrix, or does not fit ``m``.
    """
    pi = check_transition_matrix(pi, m)
    true = rng.multinomial(n_labels, softmax(np.asarray(m), axis=1))  # (N, K*)
    return np.sum([rng.multinomial(true[:, k], pi[..., k, :]) for k in range(pi.shape[-2])], axis=0)


# --- the errors of several n, and the line that they should lie on ---


@dataclass(frozen=True)
class SamplingError(ClaimResult):
    r"""Error of what is learned from n labels per input, for several n; see :func:`judge_line`.

    Parameters
    ----------
    n_labels : ndarray of int, shape (L,)
    errors : ndarray of shape (L,)
    predicted : ndarray of shape (L,)
        The line, :math:`\sqrt{c / n}` with a known c.
    slope : float
        Of ln errors over ln n_labels, by least squares.
    slope_error : float
        Its standard error.
    """

    n_labels: np.ndarray
    errors: np.ndarray
    predicted: np.ndarray
    slope: float
    slope_error: float


def judge_line(
    claim: str,
    assumptions: tuple[str, ...],
    n_labels: Sequence[int],
    errors: np.ndarray,
    spectrum: np.ndarray,
    next_order: float,
) -> SamplingError:
    r"""Compare errors with the line :math:`\sqrt{c / n}`, in slope and in height.

    Parameters
    ----------
    claim : str
    assumptions : tuple of str
    n_labels : sequence of int
        n, rising; independent draws.
    errors : ndarray of shape (L,)
        Roots of means over R squared errors, each to first order the sum over d of ``spectrum[r, d]`` times a
        chi-square of one degree of freedom, over n.
    spectrum : ndarray of shape (R, d)
        Its sums over d have the mean c.
    next_order : float
        ln error may be off by this over n, beside chance.

    Returns
    -------
    SamplingError
        Margin: the least slack of these: the slope is within four standard errors of -1/2, and every ln error within
        four of the line; what the next order may add is allowed on top.

    Raises
    ------
    ValueError
        If there are fewer than two n.
    """
    n = np.asarray(n_labels)
    if len(n) < 2 or not (np.diff(n) > 0).all():
        raise ValueError(f"n_labels is {n.tolist()}, expected at least two, rising: they are to have a slope.")
    predicted = np.sqrt(spectrum.sum() / len(spectrum) / n)
    # The variance of a sum of f chi-square is 2 sum f^2; that of the logarithm of the root a quarter of the relative.
    deviation = float(np.sqrt(0.5 * (spectrum**2).sum()) / spectrum.sum())
    centered = np.log(n) - np.log(n).mean()
    weights = centered / (centered**2).sum()  # the slope is a weighted sum of the logarithms of the errors
    slope, slope_error = float(weights @ np.log(errors)), deviation * float(np.linalg.norm(weights))
    of_slope = 4 * slope_error + next_order * float(np.abs(weights) @ (1 / n)) - abs(slope + 0.5)
    of_heights = 4 * deviation + next_order / n - np.abs(np.log(errors / predicted))
    worst = int(of_heights.argmin())
    margin = float(min(of_slope, of_heights[worst]))
    return SamplingError(
        f"{claim}: slope {slope:.4f}, predicted -1/2",
        assumptions,
        len(spectrum) * len(n),
        margin,
        () if of_slope < of_heights[worst] else (worst,),
        0.0,
        margin >= 0,
        n,
        errors,
        predicted,
        slope,
        slope_error,
    )


# --- the optimum, from the frequencies of the labels ---


def learn_constants(
    m: Any, frequencies: Any, *, lr: float = 2.0, tolerance: float = 1e-12, max_steps: int = 100_000
) -> np.ndarray:
    r"""Train the project's table on labels of known frequencies, the logits held at the true ones.

    Every step visits every row with the mean gradient of its labels, :math:`g = \mathrm{softmax}(m + \alpha) - \hat Q`.
    The curvature is at most 1/2, so that any rate below 4 is stable. Where a row ends its constants are off the
    optimum, :math:`\ln \hat Q - m`, by :math:`\ln(1 + g / \hat Q)`: at most about the tolerance over
    :math:`\min \hat Q`.

    Parameters
    ----------
    m : array-like of shape (N, K*)
    frequencies : array-like of shape (N, K)
        Positive: a label that was never drawn has no optimum, its constant falls without end.
    lr : float, default=2.0
    tolerance : float, default=1e-12
        Of the largest entry of the gradient.
    max_steps : int, default=100000

    Returns
    -------
    ndarray of shape (N, K)
        In the partition gauge.

    Raises
    ------
    ValueError
        If a frequency is not positive.
    RuntimeError
        If ``max_steps`` are not enough.
    """
    m, q = np.asarray(m, dtype=np.float64), np.asarray(frequencies, dtype=np.float64)
    if not (q > 0).all():
        raise ValueError(
            f"frequencies has {int((~(q > 0)).sum())} entries that are not positive, expected none: draw more labels, "
            "or leave these inputs out."
        )
    target, logits = torch.from_numpy(q), torch.from_numpy(m[:, : q.shape[1]].copy())
    index = torch.arange(len(q))
    table = AlphaTable(*q.shape, lr=lr, dtype=torch.float64)
    for _ in range(max_steps):
        gradient = torch.softmax(logits + table.rows(index), dim=1) - target
        if float(gradient.abs().max()) <= tolerance:
            return to_gauge(table.dense().numpy(), "partition", m)
        table.step(index, gradient)
    raise RuntimeError(
        f"{max_steps} steps were not enough: the least frequency is {q.min():.1e}, and steps go like 1 / (lr * it)."
    )


def sampling_error(
    n_labels: Sequence[int] = (100, 300, 1000, 3000, 10_000, 30_000, 100_000),
    *,
    pi: Any = None,
    n_inputs: int = 1000,
    random_state: int = 0,
) -> SamplingError:
    r"""The table trained on n labels per input converges to alpha*, and its error falls as :math:`n^{-1/2}`.

    In the partition gauge the optimum is off by :math:`\ln \hat Q_i - \ln Q_i`, and
    :math:`n \sum_i Q_i (\ln \hat Q_i - \ln Q_i)^2` tends to Pearson's chi-square of K - 1 degrees of freedom, whatever
    Q. So both the slope and the height of the line, :math:`\sqrt{(K - 1) / n}`, are known beforehand.

    Parameters
    ----------
    n_labels : sequence of int
        n, rising.
    pi : array-like of shape (K*, K), optional
        By default three categories, of which 40 % of the labels are replaced evenly: Q is then at least 0.2.
    n_inputs : int, default=1000
        With standard normal logits.
    random_state : int, default=0

    Returns
    -------
    SamplingError
        Errors are roots of the mean over inputs of :math:`\sum_i Q_i (\hat\alpha_i - \alpha^*_i)^2`, in the partition
        gauge. The next order adds a positive :math:`0.875 / (n \min Q)` at most to their logarithm (see the source).

    Raises
    ------
    ValueError
        If a label of some input is never drawn: then its constants have no optimum.
    """
    pi, m, q, alpha, rng = constants_world(pi, n_inputs, random_state)
    errors = []
    for n in n_labels:
        counts = draw_counts(pi, m, n, rng)
        missed = (counts == 0).any(axis=1)
        if missed.any():
            raise ValueError(
                f"n_labels has {n}, of which {missed.sum()} inputs miss a label, expected every label to be drawn: "
                f"begin at a larger n (min Q is {q.min():.1e})."
            )
        errors.append(root_error(learn_constants(m, counts / n), alpha, q))
    # With d = (Qhat - Q) / Q: ln(1 + d)^2 = d^2 - d^3 + 11/12 d^4, whose mean is (1 - Q) / (n Q) times
    # 1 + (1.75 - 0.75 Q) / (n Q), to the next order: its root is off by half of at most 1.75 / (n min Q).
    return judge_line(
        "Constants learned from n labels per input are off by n^(-1/2)",
        ("logits held at m*", "the table is trained to its optimum", "every label is drawn"),
        n_labels,
        np.array(errors),
        np.ones((n_inputs, q.shape[1] - 1)),
        0.875 / float(q.min()),
    )


def constants_world(
    pi: Any, n_inputs: int, random_state: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.random.Generator]:
    """Draw inputs with standard normal logits.

    Parameters
    ----------
    pi : array-like of shape (K*, K), or None
        None: three categories, of which 40 % of the labels are replaced evenly. Q is then at least 0.2.
    n_inputs : int
    random_state : int

    Returns
    -------
    pi : ndarray of shape (K*, K)
    m : ndarray of shape (N, K*)
    q, alpha : ndarray of shape (N, K)
        Definition 1, and the closed form.
    rng : numpy.random.Generator
        What the labels are to be drawn with.
    """
    pi = symmetric(3, 0.4) if pi is None else np.asarray(pi)
    rng = np.random.default_rng(random_state)
    m = rng.normal(size=(n_inputs, len(pi)))
    return pi, m, observed_probability(pi, m), optimal_alpha(pi, m), rng


def root_error(learned: np.ndarray, alpha: np.ndarray, q: np.ndarray) -> float:
    r"""Root of the mean over inputs of :math:`\sum_i Q_i (\hat\alpha_i - \alpha^*_i)^2`; all (N, K)."""
    return float(np.sqrt((q * (learned - alpha) ** 2).sum(axis=1).mean()))
