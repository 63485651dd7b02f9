r"""Theorem 1: the gradient of the expected loss with constants is zero at the true parameters; without them it is not.

On a finite population, N inputs x with probabilities :math:`w`, the expected loss of AutoCleansing is

.. math:: L(\theta, \alpha) = -\sum_n w_n \sum_{i \in K} Q(i|x_n) \ln \mathrm{softmax}(m_\theta(x_n) + \alpha_n)_i .

Legend: N inputs, D features, K* true categories of which the first K are the model's.

**Which theta.** The true parameters produce K* logits, and the model that is trained has K. The claim is about the
part of theta* that produces the first K logits: the first K columns of a linear model, a network whose last layer is
cut to its first K outputs. What produces the other logits is no part of the model, and is seen in Q alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from acestimator.detection import mean_centered_gauge
from theory.paper.closed_form import observed_probability, optimal_alpha

GRADIENT_TOLERANCE = 1e-10


@dataclass(frozen=True)
class ClaimResult:
    """What was claimed, of how many cases, and the case that came nearest to breaking it.

    Parameters
    ----------
    claim : str
    assumptions : tuple of str
    n_cases : int
        With none, the claim holds of nothing and the worst margin is infinite.
    worst_margin : float
        By how much an inequality is met where it is met least; of an equality, minus the largest deviation.
    worst_case : tuple of int
        Where that was, in the leading axes of the samples.
    tolerance : float
        What rounding may take from the margin there.
    holds : bool
        Whether every margin is at least minus its tolerance.
    """

    claim: str
    assumptions: tuple[str, ...]
    n_cases: int
    worst_margin: float
    worst_case: tuple[int, ...]
    tolerance: float
    holds: bool

    def __str__(self) -> str:
        verdict = "holds" if self.holds else f"fails, worst at {self.worst_case}"
        assuming = "; ".join(self.assumptions)
        found = f"{self.n_cases} cases, worst margin {self.worst_margin:.3g}, {verdict}"
        return f"{self.claim}\n  assumes: {assuming}\n  {found}"


@dataclass(frozen=True)
class Population:
    """Finitely many inputs, their true logits, and how they are labelled.

    Parameters
    ----------
    x : ndarray of shape (N, D)
    m : ndarray of shape (N, K*)
        True logits, ``m_theta*(x)``.
    pi : ndarray of shape (K*, K) or (N, K*, K)
        ``pi[true, observed]``.
    weights : ndarray of shape (N,), optional
        Probabilities of the inputs, summing to one. By default all alike.

    Attributes
    ----------
    q : ndarray of shape (N, K)
        Q(i|x), Definition 1.
    alpha : ndarray of shape (N, K)
        The constants of Theorem 1; -inf where Q is zero by ``pi``.

    Raises
    ------
    ValueError
        If sizes disagree, or the weights are no distribution; ``q`` and ``alpha``, if ``pi`` is no transition matrix.
    """

    x: np.ndarray
    m: np.ndarray
    pi: np.ndarray
    weights: Any = None

    def __post_init__(self) -> None:
        n = len(self.x)
        weights = np.full(n, 1.0 / n) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        if np.ndim(self.x) != 2 or np.ndim(self.m) != 2 or len(self.m) != n or weights.shape != (n,):
            raise ValueError(
                f"x has shape {np.shape(self.x)}, m {np.shape(self.m)} and weights {weights.shape}, "
                "expected (N, D), (N, K*) and (N,)."
            )
        if (weights < 0).any() or abs(weights.sum() - 1.0) > 1e-12:
            raise ValueError(f"weights sum to {weights.sum()!r}, expected probabilities that sum to 1.")
        object.__setattr__(self, "weights", weights)

    @cached_property
    def q(self) -> np.ndarray:  # noqa: D102 (documented in the class)
        return observed_probability(self.pi, self.m)

    @cached_property
    def alpha(self) -> np.ndarray:  # noqa: D102
        return optimal_alpha(self.pi, self.m)


@dataclass(frozen=True)
class Gradient:
    """Gradient of the expected loss.

    Parameters
    ----------
    theta : tuple of ndarray
        One array per parameter of the model, of its shape.
    alpha : ndarray of shape (N, K)
    """

    theta: tuple[np.ndarray, ...]
    alpha: np.ndarray

    @property
    def largest(self) -> float:
        """Largest entry in size, over theta and alpha."""
        return max(float(np.abs(part).max()) for part in (*self.theta, self.alpha))

    @property
    def theta_norm(self) -> float:
        """Euclidean norm over all of theta."""
        return float(np.sqrt(sum((part**2).sum() for part in self.theta)))


def expected_loss(population: Population, logits: Any, alpha: Any = 0.0) -> float:
    r"""The loss :math:`L` of the module's docstring (appendix A.1), in nats.

    Parameters
    ----------
    population : Population
    logits : array-like of shape (N, K)
        The model's, :math:`m_\theta(x)`.
    alpha : array-like of shape (N, K), default=0.0
        Zero: plain cross-entropy. -inf is allowed where Q is zero, and adds nothing there.

    Returns
    -------
    float
    """
    log_p = log_softmax(np.asarray(logits) + alpha, axis=-1)
    terms = np.multiply(population.q, log_p, out=np.zeros_like(log_p), where=population.q > 0)
    return -float(population.weights @ terms.sum(axis=-1))


def linear_gradient(population: Population, theta: np.ndarray, alpha: Any = 0.0) -> Gradient:
    r"""Gradient of the loss of the linear model :math:`m_\theta(x) = \theta^T x`, analytically.

    :math:`\partial L / \partial \alpha_n = w_n (\mathrm{softmax}(m_n + \alpha_n) - Q(\cdot|x_n))` and
    :math:`\partial L / \partial \theta = \sum_n x_n (\partial L / \partial \alpha_n)^T`.

    Parameters
    ----------
    population : Population
    theta : ndarray of shape (D, K) or (D, K*)
        The first K columns are the model's parameters.
    alpha : array-like of shape (N, K), default=0.0

    Returns
    -------
    Gradient
        ``theta``: one array, (D, K).
    """
    logits = population.x @ theta[:, : population.q.shape[1]]
    of_logits = population.weights[:, None] * (softmax(logits + alpha, axis=-1) - population.q)
    return Gradient((population.x.T @ of_logits,), of_logits)


def autograd_gradient(population: Population, network: nn.Module, alpha: Any = 0.0) -> Gradient:
    """Gradient of the same loss by torch's autograd, of any network of K outputs.

    Parameters
    ----------
    population : Population
    network : torch.nn.Module
        (N, D) to (N, K), in float64: see :func:`first_outputs` for the part of a true network that is trained.
    alpha : array-like of shape (N, K), default=0.0

    Returns
    -------
    Gradient
        ``theta``: an array per parameter, in the network's order.
    """
    q, x, weights = (torch.tensor(a) for a in (population.q, population.x, population.weights))
    constants = torch.tensor(np.broadcast_to(alpha, population.q.shape).copy(), requires_grad=True)
    log_p = torch.log_softmax(network(x) + constants, dim=1)
    # Where Q is zero by pi the constant is -inf: 0 * -inf is no number, and the term is zero.
    loss = -(weights @ torch.where(q > 0, q * log_p, 0.0).sum(dim=1))
    gradients = torch.autograd.grad(loss, [*network.parameters(), constants])
    *theta, of_alpha = (g.numpy() for g in gradients)
    return Gradient(tuple(theta), of_alpha)


def linear_network(theta: np.ndarray) -> nn.Sequential:
    """The linear model of parameters theta (D, K) as a network in float64, for autograd."""
    n_features, n_outputs = theta.shape
    layer = nn.Linear(n_features, n_outputs, bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(theta.T)
    return nn.Sequential(layer)


def small_mlp(n_features: int, n_hidden: int, n_true: int, seed: int = 0, scale: float = 1.0) -> nn.Sequential:
    """A network of one hidden layer (tanh) in float64, with normal weights: a true model of K* outputs.

    Parameters
    ----------
    n_features, n_hidden, n_true : int
        D, hidden units, K*.
    seed : int, default=0
    scale : float, default=1.0
        Standard deviation of the output layer's weights.

    Returns
    -------
    torch.nn.Sequential
    """
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(n_features, n_hidden), nn.Tanh(), nn.Linear(n_hidden, n_true)]
    network = nn.Sequential(*layers).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
    for parameter in network[-1].parameters():
        parameter.data *= scale
    return network


def first_outputs(network: nn.Sequential, n_observed: int) -> nn.Sequential:
    """Cut a copy of a true network to its first K outputs: the model that is trained, at the true parameters."""
    cut = copy.deepcopy(network)
    layer = cut[-1]
    if not isinstance(layer, nn.Linear) or layer.out_features < n_observed:
        raise ValueError(f"the last layer is {layer}, expected a Linear of at least {n_observed} outputs.")
    layer.out_features = n_observed
    layer.weight = nn.Parameter(layer.weight.detach()[:n_observed].clone())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[:n_observed].clone())
    return cut


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
    n_observed = population.q.shape[1]
    if isinstance(model, np.ndarray):
        logits = population.x @ model
        gradient = linear_gradient(population, model, population.alpha)
    else:
        with torch.no_grad():
            logits = model(torch.tensor(population.x)).numpy()
        gradient = autograd_gradient(population, first_outputs(model, n_observed), population.alpha)
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
        p = softmax(x @ theta, axis=-1)
        curvature = weights[:, None, None] * (p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None, :])
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
