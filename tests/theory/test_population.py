"""The expected loss's gradient, analytically and by autograd, its convexity, and the models and populations refused."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import softmax
from strategies import linear_populations, seeds

from theory.paper.transitions import symmetric
from theory.population import (
    Population,
    autograd_gradient,
    expected_loss,
    first_outputs,
    linear_gradient,
    linear_network,
    small_mlp,
    softmax_curvature,
)

EPS = np.finfo(float).eps
# Logits and constants, at most 1e4 each here, are off by 7e-12 with what the matrix product adds; softmax moves by at
# most half as much, and a feature, at most 5, multiplies it. The average over the inputs adds nothing.
TOLERANCE = 1e-10
properties = Properties()


def linear_gradient_of(off):
    """A wrong gradient in the logits, (N, K), in the place of the right one."""

    def gradient(population, theta, alpha=0.0):
        right = linear_gradient(population, theta, alpha)
        of_logits = off(population, population.x @ theta[:, : population.q.shape[1]] + alpha, right.alpha)
        return type(right)((population.x.T @ of_logits,), of_logits)

    return gradient


GRADIENT_MUTANTS = {
    "wrong sign": linear_gradient_of(lambda population, c, g: -g),
    "no partition function": linear_gradient_of(
        lambda population, c, g: population.weights[:, None] * (np.exp(np.minimum(c, 1)) - population.q)
    ),
    "weights forgotten": linear_gradient_of(lambda population, c, g: (softmax(c, axis=1) - population.q) / len(c)),
    "labels forgotten": linear_gradient_of(lambda population, c, g: g + population.weights[:, None] * population.q),
}


@st.composite
def points(draw):
    """A population and two points (theta, alpha), near each other or far apart."""
    population, theta = draw(linear_populations())
    rng = np.random.RandomState(draw(seeds))
    n_observed = population.q.shape[1]
    first = theta[:, :n_observed], rng.normal(size=population.q.shape)
    step = draw(st.sampled_from([1e-3, 1.0, 100.0]))
    return population, first, tuple(part + step * rng.normal(size=part.shape) for part in first)


@properties.add(linear_gradient, points(), GRADIENT_MUTANTS)
def autograd_agrees_with_the_analytic_gradient(linear_gradient, case):
    population, (theta, alpha), _ = case
    analytic = linear_gradient(population, theta, alpha)
    automatic = autograd_gradient(population, linear_network(theta), alpha)
    np.testing.assert_allclose(analytic.theta[0].T, automatic.theta[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(analytic.alpha, automatic.alpha, rtol=0, atol=TOLERANCE)


@properties.add(linear_gradient, points(), GRADIENT_MUTANTS | {"half": linear_gradient_of(lambda p, c, g: g / 2)})
def loss_lies_above_its_tangents(linear_gradient, case):
    """The loss is convex, jointly in theta and alpha: L(b) >= L(a) + gradient(a) (b - a). No step size to choose."""
    population, a, b = case
    gradient = linear_gradient(population, *a)
    loss_a, loss_b = (expected_loss(population, population.x @ theta, alpha) for theta, alpha in (a, b))
    rise = (gradient.theta[0] * (b[0] - a[0])).sum() + (gradient.alpha * (b[1] - a[1])).sum()
    # Logits and their shifts are at most 1e4 + 4000: log softmax, a difference of these, is known to a few EPS of it.
    size = np.abs(population.m).max() + np.abs(b[0] - a[0]).sum() * 5 + np.abs(b[1] - a[1]).max() + 10
    assert loss_b - loss_a - rise >= -16 * EPS * size


@st.composite
def evenly_wrong(draw):
    """(linear population, theta, rate): wrong labels are all alike."""
    n_classes, rate = draw(st.integers(2, 20)), draw(st.sampled_from([0.01, 0.3, 0.9, 1.0]))
    rng = np.random.RandomState(draw(seeds))
    x, theta = rng.normal(size=(5, 3)), rng.normal(size=(3, n_classes)) * draw(st.sampled_from([0.1, 1.0, 10.0]))
    return Population(x, x @ theta, symmetric(n_classes, rate)), theta, rate


@properties.add(
    linear_gradient,
    evenly_wrong(),
    {
        "wrong sign": linear_gradient_of(lambda p, c, g: -g),
        "one over K forgotten": linear_gradient_of(lambda p, c, g: g - 1.0 / g.shape[1]),
        "no bias": linear_gradient_of(lambda p, c, g: 0 * g),
    },
)
def evenly_wrong_labels_bias_plain_cross_entropy_towards_smaller_logits(linear_gradient, case):
    """The gradient times theta is r K / (K - 1) of the mean gap between weighted and plain mean logit: positive."""
    population, theta, rate = case
    k, m = theta.shape[1], population.m
    gap = ((softmax(m, axis=1) - 1 / k) * m).sum(axis=1).mean()
    product = (linear_gradient(population, theta).theta[0] * theta).sum()
    np.testing.assert_allclose(product, rate * k / (k - 1) * gap, rtol=1e-10)
    assert product > 0


# --- the curvature of the cross-entropy ---


@properties.add(
    softmax_curvature,
    linear_populations(),
    {
        "diagonal alone": lambda p: p[:, :, None] * np.eye(p.shape[1]),
        "wrong sign": lambda p: -softmax_curvature(p),
        "half": lambda p: softmax_curvature(p) / 2,
    },
)
def eigenvalues_of_the_curvature_interlace_with_the_probabilities(softmax_curvature, case):
    population, _ = case
    found, p = np.linalg.eigvalsh(softmax_curvature(population.q)), np.sort(population.q, axis=1)
    atol = 8 * EPS * p.shape[1]
    assert np.abs(found[:, 0]).max() <= atol
    assert (found[:, 1:] >= p[:, :-1] - atol).all()
    assert (found[:, 1:] <= p[:, 1:] + atol).all()


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_the_first_outputs_are_those_of_the_whole_network():
    network, x = small_mlp(3, 8, 6, seed=1), torch.from_numpy(np.random.RandomState(1).normal(size=(40, 3)))
    with torch.no_grad():
        cut, whole = first_outputs(network, 4)(x), network(x)
    assert cut.shape == (40, 4)
    torch.testing.assert_close(cut, whole[:, :4], rtol=1e-12, atol=1e-12)  # a smaller matrix product may add otherwise
    assert network[-1].out_features == 6  # a copy was cut
    torch.testing.assert_close(first_outputs(network, 6)(x), network(x), rtol=0, atol=0)


LINE = np.array([[-1.0], [1.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Population(LINE, np.zeros((3, 2)), np.eye(2)), r"m \(3, 2\) and weights \(2,\)"),
        (lambda: Population(LINE, np.zeros((2, 2)), np.eye(2), [0.5, 0.4]), "weights sum to .*0.9"),
        (lambda: Population(LINE, np.zeros((2, 2)), np.eye(3)).q, "m has 2 logits and pi 3 rows"),
        (lambda: first_outputs(small_mlp(2, 3, 4), 5), "a Linear of at least 5 outputs"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
