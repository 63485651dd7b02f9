"""Fact 2: the flat set of least loss.

Bounds on gradients are those of test_population, 1e-10: the logits are at most 1e4 here, too.
"""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from references import rounding_of_gauge
from scipy.special import entr, log_softmax, softmax
from strategies import (
    dirichlet_matrices,
    logits,
    seeds,
    sizes,
    square_matrices,
)
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from theory.facts import identifiability
from theory.facts.identifiability import (
    TOLERANCE,
    contaminated,
    feasible_alpha,
    flat_dimension,
    flat_manifold,
    network_hessian,
)
from theory.observed import log_observed_probability
from theory.paper.closed_form import optimal_alpha
from theory.population import (
    Population,
    autograd_gradient,
    expected_loss,
    linear_gradient,
    linear_network,
    small_mlp,
    softmax_curvature,
)

properties = Properties()


@st.composite
def positive_populations(draw, high=50):
    """(Population, theta): Q at least 0.1/K, any theta. Equal features, unequal weights, N below D occur."""
    pi = draw(sizes(2, high).flatmap(lambda k: st.one_of(square_matrices(k), dirichlet_matrices(k + 2, k))))
    rng = np.random.RandomState(draw(seeds))
    n, d = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    x = np.clip(rng.normal(size=(n, d)), -3, 3)
    if draw(st.booleans()):
        x[:, -1] = x[:, 0]
    weights = draw(st.sampled_from([None, (1 + rng.randint(5, size=n)) / 1.0]))
    m = draw(logits(len(pi), n))
    theta = rng.normal(size=(d, pi.shape[1])) * draw(st.sampled_from([0.0, 1.0, 1e3]))
    pi = 0.9 * pi + 0.1 / pi.shape[1]
    return Population(x, m, pi, None if weights is None else weights / weights.sum()), theta


ALPHA_MUTANTS = {
    "wrong sign": lambda population, m: -feasible_alpha(population, m),
    "of the true logits": lambda population, m: feasible_alpha(population, population.m[:, : population.q.shape[1]]),
    "logits forgotten": lambda population, m: feasible_alpha(population, 0.0),
}


@properties.add(
    feasible_alpha,
    positive_populations(),
    ALPHA_MUTANTS | {"not centred": lambda population, m: np.log(population.q) - m},
)
def constants_fit_any_logits(feasible_alpha, case):
    population, theta = case
    outputs = population.x @ theta
    alpha = feasible_alpha(population, outputs)
    atol = rounding_of_gauge(outputs, alpha)
    np.testing.assert_allclose(
        log_softmax(outputs + alpha, axis=1), log_observed_probability(population.pi, population.m), rtol=0, atol=atol
    )
    assert np.abs(alpha.mean(axis=1)).max() <= atol


@properties.add(feasible_alpha, positive_populations(), ALPHA_MUTANTS)
def every_theta_has_constants_of_zero_gradient_and_least_loss(feasible_alpha, case):
    """Zero in theta and in alpha; and the loss is the entropy of Q, below which no cross-entropy is."""
    population, theta = case
    outputs = population.x @ theta
    alpha = feasible_alpha(population, outputs)
    assert linear_gradient(population, theta, alpha).largest <= TOLERANCE
    entropy = population.weights @ entr(population.q).sum(axis=1)
    assert expected_loss(population, outputs, alpha) == pytest.approx(entropy, abs=TOLERANCE)


def by_hand(population, outputs):
    """Hessian of a linear model: J^T B J, with theta in the order of torch, (K, D)."""
    n, k = population.q.shape
    d = population.x.shape[1]
    hessian = np.zeros((k * d + n * k, k * d + n * k))
    for i, (x, p, w) in enumerate(zip(population.x, softmax(outputs, axis=1), population.weights, strict=True)):
        jacobian = np.hstack([np.kron(np.eye(k), x), np.kron(np.eye(n)[i], np.eye(k))])
        hessian += w * jacobian.T @ (np.diag(p) - np.outer(p, p)) @ jacobian
    return hessian


def with_equal_weights(population, network, alpha):
    return network_hessian(Population(population.x, population.m, population.pi), network, alpha)


HESSIAN_MUTANTS = {
    "weights forgotten": with_equal_weights,
    "half": lambda population, network, alpha: network_hessian(population, network, alpha) / 2,
    "without constants": lambda population, network, alpha: network_hessian(population, network, 0 * alpha),
}


@st.composite
def linear_points(draw):
    """(Population, theta, alpha), of least loss or not."""
    population, theta = draw(positive_populations(high=6))
    alpha = np.random.RandomState(draw(seeds)).normal(size=population.q.shape)
    return population, theta, alpha


@properties.add(network_hessian, linear_points(), HESSIAN_MUTANTS)
def hessian_of_a_linear_model_is_that_by_hand(network_hessian, case):
    population, theta, alpha = case
    found = network_hessian(population, linear_network(theta), alpha)
    # entries are sums of products of a few features of at most 3; logits, up to 9e3, are off by 1e-12
    np.testing.assert_allclose(found, by_hand(population, population.x @ theta + alpha), rtol=0, atol=1e-10)


@st.composite
def network_points(draw):
    """(Population, network, alpha, direction in all of them), of any loss."""
    population, _ = draw(positive_populations(high=4))
    rng = np.random.RandomState(draw(seeds))
    network = small_mlp(population.x.shape[1], 2, population.q.shape[1], seed=draw(st.integers(0, 2**31 - 1)))
    size = sum(p.numel() for p in network.parameters()) + population.q.size
    direction = rng.normal(size=size)
    return population, network, rng.normal(size=population.q.shape), direction / np.linalg.norm(direction)


def flat_gradient(population, network, alpha, step):
    """Gradient after a step in (theta, alpha), flattened."""
    start = parameters_to_vector(network.parameters()).detach()
    moved = small_mlp(population.x.shape[1], 2, population.q.shape[1])
    vector_to_parameters(start + torch.tensor(step[: len(start)]), moved.parameters())
    gradient = autograd_gradient(population, moved, alpha + step[len(start) :].reshape(alpha.shape))
    return np.concatenate([part.ravel() for part in (*gradient.theta, gradient.alpha)])


def gauss_newton(population, network, alpha):
    """J^T B J, which leaves out the second derivatives of the logits."""
    x, parameters = torch.tensor(population.x), list(network.parameters())
    outputs = network(x)
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(c, parameters, retain_graph=True)])
            for c in outputs.flatten()]  # fmt: skip
    jacobian = np.hstack([torch.stack(rows).numpy(), np.eye(population.q.size)])
    curvature = population.weights[:, None, None] * softmax_curvature(softmax(outputs.detach().numpy() + alpha, axis=1))
    n, k = population.q.shape
    block = np.einsum("nij,nm->nimj", curvature, np.eye(n)).reshape(n * k, n * k)
    return jacobian.T @ block @ jacobian


@properties.add(network_hessian, network_points(), HESSIAN_MUTANTS | {"Gauss-Newton": gauss_newton})
def hessian_of_a_network_is_the_derivative_of_the_gradient(network_hessian, case):
    """By central differences: the third derivative, products of a few weights, is at most 1e3, its part 1e3 h^2 / 6."""
    population, network, alpha, direction = case
    h = 1e-5
    ends = [flat_gradient(population, network, alpha, sign * h * direction) for sign in (1, -1)]
    numeric = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(network_hessian(population, network, alpha) @ direction, numeric, rtol=0, atol=1e-7)


@properties.add(
    network_hessian,
    network_points(),
    HESSIAN_MUTANTS,
)
def at_least_loss_it_is_gauss_newton(network_hessian, case):
    """Second derivatives of the logits have the factor softmax(c) - Q, which is zero."""
    population, network, *_ = case
    alpha = feasible_alpha(population, network(torch.tensor(population.x)).detach().numpy())
    found = network_hessian(population, network, alpha)
    np.testing.assert_allclose(found, gauss_newton(population, network, alpha), rtol=0, atol=1e-10)


@st.composite
def points_of_least_loss(draw):
    """(Population, network, alpha): linear or a small MLP, any theta of a usual size."""
    population, theta = draw(positive_populations(high=6))
    if draw(st.booleans()):
        network = linear_network(theta / max(1.0, np.abs(theta).max()))
    else:
        network = small_mlp(population.x.shape[1], 2, population.q.shape[1], seed=draw(st.integers(0, 2**31 - 1)))
    return population, network, feasible_alpha(population, network(torch.tensor(population.x)).detach().numpy())


@properties.add(
    flat_dimension,
    points_of_least_loss(),
    {
        "zero up to 0.05": lambda population, hessian: int((np.linalg.eigvalsh(hessian) <= 0.05).sum()),
        "exactly zero": lambda population, hessian: int((np.linalg.eigvalsh(hessian) == 0).sum()),
        "rank": lambda population, hessian: len(hessian) - flat_dimension(population, hessian),
        "constants alone": lambda population, hessian: len(population.x),
        "curvature of theta": lambda population, hessian: int(
            len(hessian) - np.linalg.matrix_rank(hessian[: len(hessian) - population.q.size])
        ),
    },
)
def flat_set_has_p_plus_N_dimensions(flat_dimension, case):  # noqa: N802
    """Redundant parameters change nothing: equal features, more features than inputs."""
    population, network, alpha = case
    n_parameters = sum(p.numel() for p in network.parameters())
    assert flat_dimension(population, network_hessian(population, network, alpha)) == n_parameters + len(population.x)


@properties.add(
    network_hessian,
    points_of_least_loss(),
    {
        "smaller": lambda p, network, alpha: network_hessian(p, network, alpha) * 0.3,
        "wrong sign": lambda p, network, alpha: -network_hessian(p, network, alpha),
    },
)
def no_eigenvalue_lies_between_zero_and_the_least_probability(network_hessian, case):
    population, network, alpha = case
    found = np.linalg.eigvalsh(network_hessian(population, network, alpha))
    least = (population.weights[:, None] * population.q).min()
    zero = np.abs(found) <= 1e-12 * max(1.0, found.max())
    assert (zero | (found >= least * (1 - 1e-9))).all()


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_flat_manifold():
    result = flat_manifold()
    assert result.holds
    assert result.dimensions == result.predicted
    assert result.smallest_kept >= 1 - 1e-9  # no eigenvalue below the bound
    assert result.largest_dropped <= 1e-10


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("feasible_alpha", lambda population, outputs: 0.5 * feasible_alpha(population, outputs)),
        ("feasible_alpha", lambda population, outputs: feasible_alpha(population, population.m)),
        ("flat_dimension", lambda population, hessian: 1 + flat_dimension(population, hessian)),
    ],
)
def test_the_claim_of_the_manifold_can_fail(monkeypatch, name, wrong):
    monkeypatch.setattr(identifiability, name, wrong)
    assert not flat_manifold(n_cases=2).holds


def test_contaminated():
    population, theta = contaminated(40, 3, 5, 7, 0)
    np.testing.assert_allclose(population.m, population.x @ theta, rtol=0, atol=0)
    np.testing.assert_allclose(theta.mean(axis=1), 0, atol=1e-15)
    clean = (population.pi == np.eye(5)).all(axis=(1, 2))
    assert clean.sum() == 33
    np.testing.assert_allclose(population.q[clean], softmax(population.m[clean], axis=1), rtol=1e-13)
    assert np.abs(optimal_alpha(population.pi, population.m)[~clean]).max(axis=1).min() > 0.01
    again, _ = contaminated(40, 3, 5, 7, 0)
    other, _ = contaminated(40, 3, 5, 7, 1)
    assert (again.pi == population.pi).all()
    assert (other.x != population.x).any()
    _, small = contaminated(40, 3, 5, 7, 0, scale=0.1)
    np.testing.assert_allclose(small, 0.1 * theta, rtol=1e-13)


ZERO_Q = Population(np.ones((2, 1)), np.zeros((2, 2)), np.array([[1.0, 0.0], [1.0, 0.0]]))
ZERO_WEIGHT = Population(np.ones((2, 1)), np.zeros((2, 2)), np.eye(2), np.array([1.0, 0.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feasible_alpha(ZERO_Q, 0.0), "Q is zero somewhere, expected positive"),
        (lambda: flat_dimension(ZERO_Q, np.eye(6)), "Q or a weight is zero somewhere"),
        (lambda: flat_dimension(ZERO_WEIGHT, np.eye(6)), "leave such an input out"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
