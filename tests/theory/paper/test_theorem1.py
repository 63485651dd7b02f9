"""Theorem 1: the gradient at the true parameters, analytically and by autograd, and the bias without constants.

The bound on gradients, 1e-10: logits are at most 1e4 here, so m + alpha, at most 3e4, is off by 7e-12 with what the
matrix product adds; softmax moves by at most half as much, and a feature, at most 5, multiplies it. The average over
the inputs adds nothing.
"""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import entr, logsumexp, softmax
from strategies import dirichlet_matrices, features, linear_populations, network_populations, seeds, square_matrices
from torch.autograd.functional import hessian

from theory.observed import observed_probability
from theory.paper.closed_form import optimal_alpha
from theory.paper.theorem1 import GRADIENT_TOLERANCE, bias, theorem1
from theory.paper.transitions import multiple_objects, outside, pair_flip, symmetric
from theory.population import (
    Population,
    autograd_gradient,
    expected_loss,
    first_outputs,
    linear_gradient,
    linear_network,
    small_mlp,
)

properties = Properties()


def transposed(pi, m):
    """alpha* of the transposed matrix; a ValueError where pi is not square."""
    return logsumexp(np.log(np.swapaxes(pi, -2, -1)) + m[..., :, None], axis=-2) - m


ALPHA_MUTANTS = {
    "wrong sign": lambda pi, m: -optimal_alpha(pi, m),
    "transposed pi": transposed,
    "no log-sum-exp": lambda pi, m: np.einsum("...k,...ki->...i", m, pi) - m[..., : pi.shape[-1]],
    "logits not subtracted": lambda pi, m: optimal_alpha(pi, m) + m[..., : pi.shape[-1]],
    "last K, not first": lambda pi, m: optimal_alpha(pi, m) + m[..., : pi.shape[-1]] - m[..., -pi.shape[-1] :],
    "no constants": lambda pi, m: np.zeros(m.shape[:-1] + pi.shape[-1:]),
}


# --- the theorem ---


@properties.add(optimal_alpha, linear_populations(), ALPHA_MUTANTS)
def gradient_of_a_linear_model_vanishes_at_the_truth(optimal_alpha, case):
    population, theta = case
    alpha = optimal_alpha(population.pi, population.m)
    assert linear_gradient(population, theta, alpha).largest <= GRADIENT_TOLERANCE


@properties.add(optimal_alpha, network_populations(), ALPHA_MUTANTS)
def gradient_of_a_network_vanishes_at_the_truth(optimal_alpha, case):
    """By autograd; one layer more, whose weights are at most 5 and multiply the gradient of five hidden units."""
    population, network = case
    alpha = optimal_alpha(population.pi, population.m)
    cut = first_outputs(network, population.q.shape[1])
    assert autograd_gradient(population, cut, alpha).largest <= GRADIENT_TOLERANCE


@properties.add(optimal_alpha, linear_populations(), ALPHA_MUTANTS)
def loss_at_the_truth_is_the_entropy_of_the_labels(optimal_alpha, case):
    """The least that any model can have: cross-entropy is entropy where softmax(m + alpha) is Q."""
    population, _ = case
    alpha = optimal_alpha(population.pi, population.m)
    loss = expected_loss(population, population.m[:, : population.q.shape[1]], alpha)
    # ln softmax is off by as much as m + alpha, and Q by a relative 1e-12
    assert loss == pytest.approx(population.weights @ entr(population.q).sum(axis=1), rel=1e-11, abs=2e-11)


# --- the bias of plain cross-entropy ---


@st.composite
def tame_populations(draw, matrices):
    """(Population, theta*) of logits of a usual size, with inputs enough to tell all parameters."""
    pi = draw(matrices)
    rng = np.random.RandomState(draw(seeds))
    x = features(rng, 12, draw(st.integers(1, 3)))
    theta = rng.normal(size=(x.shape[1], len(pi)))
    return Population(x, x @ theta, pi, rng.dirichlet(np.full(12, 5.0))), theta


@st.composite
def harmless(draw):
    """Right labels, and an outside category that goes to the others in proportion to their own probabilities."""
    population, theta = draw(tame_populations(st.integers(2, 8).map(lambda k: np.eye(k + 1))))
    n_outside = draw(st.integers(0, 1))
    if n_outside:
        p = softmax(population.m[:, :-1], axis=1)
        pi = np.stack([outside(p.shape[1], row[None]) for row in p])
        population = Population(population.x, population.m, pi, population.weights)
    return population, theta


def bias_with(change):
    """A bias whose result is changed."""

    def changed(population, theta):
        result = bias(population, theta)
        return type(result)(**(vars(result) | change(population, theta, result)))

    return changed


@properties.add(
    bias,
    harmless(),
    {
        "last K columns": lambda population, theta: bias(population, theta[:, ::-1]),
        "rows not centred": bias_with(
            lambda population, theta, b: {"distance": np.linalg.norm(b.theta - theta[:, : b.theta.shape[1]])}
        ),
    },
)
def harmless_labels_do_not_bias(bias, case):
    population, theta = case
    result = bias(population, theta)
    # The search begins at the truth, where the gradient is rounding: it ends there.
    assert result.gradient_norm <= 1e-12
    assert result.distance <= 1e-10


@properties.add(
    bias,
    tame_populations(st.integers(2, 8).flatmap(lambda k: st.one_of(square_matrices(k), dirichlet_matrices(k + 2, k)))),
    {
        "one step of the search": lambda population, theta: bias(population, theta, max_iter=1),
        "gradient of the minimiser": bias_with(lambda population, theta, b: {"gradient_norm": b.residual}),
        "the truth": bias_with(
            lambda population, theta, b: {
                "theta": theta[:, : b.theta.shape[1]] - theta[:, : b.theta.shape[1]].mean(axis=1, keepdims=True)
            }
        ),
        "distance without root": bias_with(lambda population, theta, b: {"distance": b.distance**2}),
    },
)
def bias_is_measured_at_the_truth_and_at_the_minimiser(bias, case):
    """Checked by autograd: its gradient at the truth, none at the minimiser; and the distance from one to the other."""
    population, theta = case
    try:
        result = bias(population, theta)
    except RuntimeError as error:  # the minimiser may be at infinity, where Q has zeros, and nowhere else
        assert (population.q < 1e-12).any(), error  # noqa: PT017 (the search's failure is the case looked at)
        return
    within = theta[:, : population.q.shape[1]]
    at_truth = autograd_gradient(population, linear_network(within)).theta_norm
    assert result.gradient_norm == pytest.approx(at_truth, rel=1e-10, abs=1e-14)
    assert autograd_gradient(population, linear_network(result.theta)).theta_norm <= 1e-10
    shift = result.theta - within
    assert result.distance == pytest.approx(np.linalg.norm(shift - shift.mean(axis=1, keepdims=True)), rel=1e-12)


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---

PROCESSES = {
    "symmetric 0.2": symmetric(4, 0.2),
    "symmetric 0.4": symmetric(4, 0.4),
    "pair flip": pair_flip(4, 0.3),
    "outside": outside(4, [[1, 0, 0, 0], [0, 0.5, 0.5, 0]]),
    "multiple objects": multiple_objects(4, [[0, 1], [2, 3]]),
}


def example(pi, n_samples=60):
    rng = np.random.RandomState(0)
    x, theta = rng.normal(size=(n_samples, 3)), rng.normal(size=(3, 6))[:, : len(pi)]
    return Population(x, x @ theta, pi), theta


@pytest.mark.parametrize("name", PROCESSES)
def test_constants_remove_the_bias_of_every_kind_of_wrong_label(name):
    population, theta = example(PROCESSES[name])
    for model in (theta, linear_network(theta)):
        result = theorem1(population, model)
        assert result.holds
        assert result.n_cases == 60
        assert "holds" in str(result)
    plain = bias(population, theta)
    # measured 0.11 to 0.23, and 1.1 to 1.9, which is 0.40 to 0.70 of the norm of theta*: eleven orders above the rest
    assert plain.gradient_norm > 0.05
    assert plain.relative > 0.3


def test_a_network_with_constants_and_without():
    network = small_mlp(3, 8, 6, seed=1)
    x = np.random.RandomState(1).normal(size=(40, 3))
    m = network(torch.tensor(x)).detach().numpy()
    population = Population(x, m, PROCESSES["outside"])
    assert theorem1(population, network).holds
    assert autograd_gradient(population, first_outputs(network, 4)).theta_norm > 0.1


def test_a_small_bias_is_newtons_step():
    """To first order in the rate, plain cross-entropy is off by the inverse Hessian times its gradient at theta*."""
    population, theta = example(symmetric(4, 1e-4))
    x, q = torch.tensor(population.x), torch.tensor(population.q)
    curvature = hessian(lambda w: -(q * torch.log_softmax(x @ w, dim=1)).sum(dim=1).mean(), torch.tensor(theta))
    gradient = linear_gradient(population, theta).theta[0]
    step = np.linalg.pinv(curvature.reshape(12, 12).numpy(), rcond=1e-12) @ gradient.ravel()
    # the second order is the rate, 1e-4, times a number of order one to ten
    assert bias(population, theta).distance == pytest.approx(np.linalg.norm(step), rel=1e-2)


def test_the_parameters_of_outside_logits_are_no_part_of_the_model():
    """The claim is about the first K columns: other columns change Q alone, and alpha with it."""
    population, theta = example(PROCESSES["outside"])
    other = np.hstack([theta[:, :4], 2 * theta[:, 4:]])
    moved = Population(population.x, population.x @ other, population.pi)
    assert np.abs(moved.q - population.q).max() > 0.01
    assert linear_gradient(moved, theta, optimal_alpha(moved.pi, moved.m)).largest <= GRADIENT_TOLERANCE


def test_a_category_that_is_never_given():
    """Its constant is -inf: the gradient is zero there too, and the loss finite, analytically and by autograd."""
    population, theta = example(np.eye(4)[[0, 0, 2, 3]])
    alpha = optimal_alpha(population.pi, population.m)
    assert np.isneginf(alpha[:, 1]).all()
    assert theorem1(population, theta).holds
    assert theorem1(population, linear_network(theta)).holds
    loss = expected_loss(population, population.m, alpha)
    assert loss == pytest.approx(entr(observed_probability(population.pi, population.m)).sum(axis=1).mean())


def unit_rows(labels):
    """One label for each input, whatever its true category."""
    return np.eye(2)[np.array(labels)][:, None, :].repeat(2, axis=1)


LINE = np.array([[-1.0], [1.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: theorem1(Population(LINE, np.zeros((2, 2)), np.eye(2)), np.ones((1, 2)) * [[1.0, 0.0]]),
            ValueError,
            r"the model is correct: at input 0 its logits are \[-1.0, -?0.0\] and the true ones \[0.0, 0.0\]",
        ),
        (
            lambda: bias(Population(np.ones((3, 2)), np.zeros((3, 2)), np.eye(2)), np.zeros((2, 2))),
            ValueError,
            "x has rank 1 and 2 features",
        ),
        (
            lambda: bias(Population(LINE, np.zeros((2, 2)), unit_rows([0, 1])), np.zeros((1, 2)), max_iter=20),
            RuntimeError,
            "the minimiser may be at infinity",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
