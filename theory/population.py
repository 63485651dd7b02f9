r"""Finitely many inputs of known logits, the expected loss on them, its gradient, and the models that are used.

With constants, on N inputs x of probabilities :math:`w`, the expected loss of AutoCleansing is

.. math:: L(\theta, \alpha) = -\sum_n w_n \sum_{i \in K} Q(i|x_n) \ln \mathrm{softmax}(m_\theta(x_n) + \alpha_n)_i .

Legend: N inputs, D features, K* true categories of which the first K are the model's.
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

from theory.observed import observed_probability


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

    Raises
    ------
    ValueError
        If sizes disagree, or the weights are no distribution; ``q``, if ``pi`` is no transition matrix.
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


def softmax_curvature(p: np.ndarray) -> np.ndarray:
    r"""Hessian of the cross-entropy in the logits, :math:`B_n = \mathrm{diag}\,p_n - p_n p_n^T`.

    Parameters
    ----------
    p : ndarray of shape (N, K)
        Probabilities, softmax of the logits.

    Returns
    -------
    ndarray of shape (N, K, K)
    """
    return p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None, :]
