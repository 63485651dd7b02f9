r"""Fact 2: Theorem 1 does not identify theta, every theta has constants of least loss. The flat set's dimension.

What picks a point of the manifold is in `least_squares` (fact 3), `group_recovery` (fact 4) and
`joint` (descent); what single labels change, in `robust_loss` and `table_dynamics` (fact 5).

Legend: N inputs, D features, K categories of the model, p parameters; :math:`P = I - 11^T/K` centres a row. The
expected loss is that of `population`, a function of :math:`c_n = m_\theta(x_n) + \alpha_n` alone, and least, the
entropy of Q, exactly where :math:`\mathrm{softmax}(c_n) = Q_n` for all n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from acestimator.detection import mean_centered_gauge
from theory.claim import ClaimResult
from theory.observed import log_observed_probability
from theory.paper.transitions import random_dirichlet, symmetric
from theory.population import Population, autograd_gradient, expected_loss, linear_network, small_mlp

# Roundings of sums of a few hundred products of size one to ten; gradients are held to the same number in theorem1.
TOLERANCE = 1e-10


def contaminated(
    n_inputs: int,
    n_features: int,
    n_classes: int,
    n_contaminated: int,
    random_state: int | np.random.RandomState | None = None,
    concentration: float = 1.0,
    scale: float = 1.0,
) -> tuple[Population, np.ndarray]:
    """Draw a linear population of which some inputs are labelled by random processes, each by its own.

    Parameters
    ----------
    n_inputs, n_features, n_classes : int
        N, D, K. Inputs are standard normal.
    n_contaminated : int
        Inputs with a ``pi`` of Dirichlet rows; the labels of all others are right.
    random_state : int, RandomState or None
    concentration : float, default=1.0
        Of the Dirichlet distribution.
    scale : float, default=1.0
        Standard deviation of the normal parameters.

    Returns
    -------
    population : Population
    theta : ndarray of shape (D, K)
        True parameters, rows centred.
    """
    rng = check_random_state(random_state)
    x = rng.normal(size=(n_inputs, n_features))
    theta = mean_centered_gauge(scale * rng.normal(size=(n_features, n_classes)))
    pi = np.broadcast_to(np.eye(n_classes), (n_inputs, n_classes, n_classes)).copy()
    for n in rng.permutation(n_inputs)[:n_contaminated]:
        pi[n] = random_dirichlet(n_classes, n_classes, concentration, rng)
    return Population(x, x @ theta, pi), theta


def feasible_alpha(population: Population, logits: Any) -> np.ndarray:
    r"""Constants :math:`P(\ln Q - m)` that make the loss of *any* logits least, centred: fact 2.

    Parameters
    ----------
    population : Population
        Q positive everywhere.
    logits : array-like of shape (N, K), or a number

    Returns
    -------
    ndarray of shape (N, K)

    Raises
    ------
    ValueError
        If Q is zero somewhere: no finite constants give a probability of zero.
    """
    return mean_centered_gauge(_log_q(population) - np.asarray(logits))


def network_hessian(population: Population, network: nn.Module, alpha: np.ndarray) -> np.ndarray:
    r"""Compute the Hessian of the expected loss in :math:`(\theta, \alpha)` by torch's autograd.

    Parameters
    ----------
    population : Population
    network : torch.nn.Module
        (N, D) to (N, K), in float64.
    alpha : ndarray of shape (N, K)

    Returns
    -------
    ndarray of shape (p + N K, p + N K)
        In the order of the network's parameters, flattened, and then of alpha, row by row.
    """
    x, q, weights = (torch.tensor(a) for a in (population.x, population.q, population.weights))
    named = dict(network.named_parameters())
    sizes = [p.numel() for p in named.values()] + [alpha.size]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        *parts, constants = torch.split(flat, sizes)
        parameters = {name: part.view_as(named[name]) for name, part in zip(named, parts, strict=True)}
        c = functional_call(network, parameters, (x,)) + constants.view(q.shape)
        return -(weights @ (q * torch.log_softmax(c, dim=1)).sum(dim=1))

    flat = torch.cat([p.detach().flatten() for p in named.values()] + [torch.tensor(alpha).flatten()])
    return np.asarray(hessian(loss, flat).numpy())  # type: ignore[no-untyped-call]


def flat_dimension(population: Population, matrix: np.ndarray) -> int:
    r"""Dimension of the set of least loss at one of its points, as that of the Hessian's kernel: p + N.

    The set is the graph of :math:`(\theta, s) \mapsto \alpha = \ln Q - m_\theta + s 1^T`, of p + N coordinates. The
    second derivatives of the logits have the factor :math:`\mathrm{softmax}(c_n) - Q_n = 0`, so that the Hessian is
    :math:`J^T B J` there, of networks too, with the blocks :math:`B_n = w_n (\mathrm{diag}\, Q_n - Q_n Q_n^T)` of rank
    K - 1, and a Jacobian J of c whose part in alpha is the identity. So J has full row rank NK, whatever directions of
    theta are redundant; the Hessian has rank N(K - 1); and of its p + NK dimensions p + N are left.

    How zero is told from rounding: the eigenvalues of :math:`J^T B J` other than zero are those of
    :math:`B^{1/2} J J^T B^{1/2}`, which is at least B as :math:`J J^T \ge I`; and those of B, a rank-one change of a
    diagonal matrix, interlace with the numbers :math:`w_n Q_{ni}` of each block. So none lies between zero and the
    least of these numbers, and half of that is the threshold.

    Parameters
    ----------
    population : Population
        Q and weights positive.
    matrix : ndarray of shape (p + N K, p + N K)
        Hessian at a point of least loss.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If Q or a weight is zero somewhere: no finite point has the least loss, or an input has no part in it.
    """
    return int((np.linalg.eigvalsh(matrix) <= _eigenvalue_gap(population) / 2).sum())


def _eigenvalue_gap(population: Population) -> float:
    """No eigenvalue of the Hessian at a point of least loss lies between zero and this number."""
    least = float((population.weights[:, None] * population.q).min())
    if least <= 0:
        raise ValueError("Q or a weight is zero somewhere, expected positive: leave such an input out.")
    return least


@dataclass(frozen=True)
class FlatManifold(ClaimResult):
    """Dimension of the set of least loss, computed and predicted; see :func:`flat_manifold`.

    Parameters
    ----------
    dimensions, predicted : list of int
        One per population, linear models and networks in turn: from the Hessian's rank, and p + N.
    smallest_kept, largest_dropped : float
        Over all populations, of the Hessian's eigenvalues that count as positive, and in size of those that count as
        zero; over the number between which and zero none can lie.
    """

    dimensions: list[int]
    predicted: list[int]
    smallest_kept: float
    largest_dropped: float


def flat_manifold(n_cases: int = 8, n_points: int = 5, random_state: int = 0) -> FlatManifold:
    r"""Fact 2: every theta has constants of least loss, and the set of all these points has p + N dimensions.

    Populations of linear models and of networks in turn. The set is tried at ``n_points`` thetas that have nothing to
    do with the true one: gradient and excess of the loss are zero there, and at the last of them the dimension is
    computed.

    Parameters
    ----------
    n_cases, n_points : int
    random_state : int, default=0

    Returns
    -------
    FlatManifold
        Margin: minus the largest of the gradient, the excess, and the difference of the dimensions.
    """
    rng = np.random.RandomState(random_state)
    errors, dimensions, predicted, sizes = [], [], [], []
    for case in range(n_cases):
        n, d, k = rng.randint(3, 7), rng.randint(1, 5), rng.randint(2, 5)
        models = [_draw_model(case % 2 == 0, d, k, rng) for _ in range(1 + n_points)]
        x = rng.normal(size=(n, d))
        population = Population(
            x, _outputs(models[0], x), 0.5 * random_dirichlet(k, k, 1.0, rng) + 0.5 * symmetric(k, 0.2)
        )
        error = max(_off_least_loss(population, model) for model in models)
        matrix = network_hessian(population, models[-1], feasible_alpha(population, _outputs(models[-1], x)))
        dimensions.append(flat_dimension(population, matrix))
        predicted.append(sum(p.numel() for p in models[-1].parameters()) + n)
        sizes.append(np.linalg.eigvalsh(matrix) / _eigenvalue_gap(population))
        errors.append(max(error, float(abs(dimensions[-1] - predicted[-1]))))
    worst, all_sizes = int(np.argmax(errors)), np.concatenate(sizes)
    return FlatManifold(
        "Fact 2: every theta has constants of least loss, a set of p + N dimensions: the Hessian has rank N(K - 1)",
        ("Q > 0", "free rows of constants"),
        n_cases,
        -errors[worst],
        (worst,),
        TOLERANCE,
        errors[worst] <= TOLERANCE,
        dimensions,
        predicted,
        float(all_sizes[all_sizes > 0.5].min()),
        float(np.abs(all_sizes[all_sizes <= 0.5]).max()),
    )


def _draw_model(linear: bool, n_features: int, n_classes: int, rng: np.random.RandomState) -> nn.Sequential:
    if linear:
        return linear_network(rng.normal(size=(n_features, n_classes)))
    return small_mlp(n_features, 3, n_classes, seed=rng.randint(2**31))


def _outputs(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(x)).numpy())


def _off_least_loss(population: Population, model: nn.Module) -> float:
    """Gradient, and excess of the loss over Q's entropy, at the model's theta and the constants that fit it."""
    logits = _outputs(model, population.x)
    alpha = feasible_alpha(population, logits)
    excess = expected_loss(population, logits, alpha) - expected_loss(population, _log_q(population))
    return max(abs(excess), autograd_gradient(population, model, alpha).largest)


def _log_q(population: Population) -> np.ndarray:
    log_q = log_observed_probability(population.pi, population.m)
    if not np.isfinite(log_q).all():
        raise ValueError("Q is zero somewhere, expected positive: no finite constants give a probability of zero.")
    return log_q
