r"""Theorem 1: the gradient of the expected loss with constants is zero at the true parameters; without them it is not.

The loss is that of `population`. Legend: N inputs, D features, K* true categories of which the first K are the
model's.

**Which theta.** The true parameters produce K* logits, and the model that is trained has K. The claim is about the
part of theta* that produces the first K logits: the first K columns of a linear model, a network whose last layer is
cut to its first K outputs. What produces the other logits is no part of the model, and is seen in Q alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from acestimator.detection import mean_centered_gauge
from theory.claim import ClaimResult
from theory.paper.closed_form import optimal_alpha
from theory.population import (
    Population,
    autograd_gradient,
    expected_loss,
    first_outputs,
    linear_gradient,
    softmax_curvature,
)

GRADIENT_TOLERANCE = 1e-10


def theorem1(population: Population, model: np.ndarray | nn.Sequential) -> ClaimResult:
    r"""Theorem 1: :math:`\partial L / \partial (\theta, \alpha) = 0` at :math:`(\theta^*, \alpha^*)`.

    Assumes, as the paper does, that the model is correct (the population's logits are those of ``model``), that
    probabilities are softmax, and that labels follow Definition 1: wrong inside the set, from outside of it, one of
    several objects. ``pi`` may depend on x. The paper states the part of theta, for the first K logits; that of alpha
    holds with it. Neither says that theta* is the only such point, nor that descent ends there.

    Parameters
    ----------
    population : Population
    model : ndarray of shape (D, K*), or torch.nn.Sequential of K* outputs
        True parameters. An array is the linear model, whose gradient is taken analytically; a network's by autograd.

    Returns
    -------
    ClaimResult
        Margin: minus the largest entry of the gradient. Tolerance: 1e-10.

    Raises
    ------
    ValueError
        If the model is not correct: the error says for which input its logits differ.
    """
    n_observed, alpha = population.q.shape[1], optimal_alpha(population.pi, population.m)
    if isinstance(model, np.ndarray):
        logits = population.x @ model
        gradient = linear_gradient(population, model, alpha)
    else:
        with torch.no_grad():
            logits = model(torch.tensor(population.x)).numpy()
        gradient = autograd_gradient(population, first_outputs(model, n_observed), alpha)
    off = np.abs(logits - population.m).max(axis=1)
    if (off > 1e-12 * (1 + np.abs(population.m).max())).any():
        n = int(off.argmax())
        raise ValueError(
            f"Theorem 1 assumes that the model is correct: at input {n} its logits are {logits[n].tolist()} and the "
            f"true ones {population.m[n].tolist()}."
        )
    # Every entry of the gradient in theta sums over inputs: the largest of alpha names the input, where there is one.
    worst = int(np.abs(gradient.alpha).max(axis=1).argmax())
    return ClaimResult(
        "Theorem 1: dL/d(theta, alpha) = 0 at (theta*, alpha*)",
        ("the model is correct", "softmax", "labels follow Definition 1"),
        len(population.x),
        -gradient.largest,
        (worst,),
        GRADIENT_TOLERANCE,
        gradient.largest <= GRADIENT_TOLERANCE,
    )


@dataclass(frozen=True)
class Bias:
    r"""What wrong labels do to plain cross-entropy of a linear model; see :func:`bias`.

    Parameters
    ----------
    gradient_norm : float
        Norm of :math:`\partial L / \partial \theta` at theta*, alpha = 0. Zero where there is no bias.
    distance : float
        Norm of the difference of the minimiser and theta*, rows of both centred.
    relative : float
        ``distance`` over the norm of the centred theta*.
    theta : ndarray of shape (D, K)
        The minimiser, rows centred.
    residual : float
        Norm of the gradient there: what the search for it left.
    """

    gradient_norm: float
    distance: float
    relative: float
    theta: np.ndarray
    residual: float


def bias(population: Population, theta: np.ndarray, max_iter: int = 200) -> Bias:
    r"""The bias of plain cross-entropy: its gradient at theta*, and how far from theta* its minimiser is.

    "The derivative of L is not always equal to zero at the true parameter value" (appendix A.1), with its size. It is
    zero exactly where :math:`\sum_n w_n x_n (\mathrm{softmax}(m^*_K) - Q)^T` is: for right labels, and for labels from
    outside that go to the categories of the set in proportion to their own probabilities.

    Softmax does not see a number added to all K parameters of a feature, so that both theta are compared with their
    rows centred. The minimiser is found by Newton's method: the loss is convex.

    Parameters
    ----------
    population : Population
        Its x must have rank D, or the minimiser is not unique.
    theta : ndarray of shape (D, K*)
        True parameters of the linear model; compared are the first K columns.
    max_iter : int, default=200

    Returns
    -------
    Bias

    Raises
    ------
    ValueError
        If x does not have rank D.
    RuntimeError
        If the search does not end, as where zeros of Q put the minimiser at infinity.
    """
    n_features, n_observed = population.x.shape[1], population.q.shape[1]
    rank = np.linalg.matrix_rank(population.x[population.weights > 0])
    if rank < n_features:
        raise ValueError(f"x has rank {rank} and {n_features} features, expected equal: the minimiser is not unique.")
    truth = mean_centered_gauge(theta[:, :n_observed])
    at_truth = linear_gradient(population, truth)
    plain = _plain_minimiser(population, truth, max_iter)
    residual = linear_gradient(population, plain).theta_norm
    # The search ends below a Newton decrement of 1e-24, the square of a gradient: 1e-12, and less after the last step.
    if residual > 1e-11:
        raise RuntimeError(
            f"the search ended at a gradient of norm {residual:.1e}, expected at most 1e-11: where Q is zero somewhere "
            "the minimiser may be at infinity."
        )
    distance = float(np.linalg.norm(plain - truth))
    norm = float(np.linalg.norm(truth))
    return Bias(at_truth.theta_norm, distance, distance / norm if norm else np.inf, plain, residual)


def _plain_minimiser(population: Population, theta: np.ndarray, max_iter: int) -> np.ndarray:
    """Newton's method with halved steps on the cross-entropy, from theta (D, K) with centred rows."""
    x, weights = population.x, population.weights
    loss = expected_loss(population, x @ theta)
    rounding = 16 * np.finfo(float).eps * (1 + abs(loss))  # the loss is not known better
    for _ in range(max_iter):
        gradient = linear_gradient(population, theta).theta[0]
        curvature = weights[:, None, None] * softmax_curvature(softmax(x @ theta, axis=-1))
        hessian = np.einsum("na,nij,nb->aibj", x, curvature, x).reshape(theta.size, theta.size)
        # The least-norm solution: no part in the directions that softmax does not see, so that rows stay centred.
        direction = np.linalg.lstsq(hessian, gradient.ravel(), rcond=1e-14)[0].reshape(theta.shape)
        decrement, rate = float((gradient * direction).sum()), 1.0
        if decrement <= 1e-24:
            break
        while expected_loss(population, x @ (theta - rate * direction)) > loss - 1e-4 * rate * decrement + rounding:
            rate /= 2
        theta = mean_centered_gauge(theta - rate * direction)
        loss = expected_loss(population, x @ theta)
    return theta
