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
from strategies import dirichlet_matrices, seeds, square_matrices, transition_matrices
from torch.autograd.functional import hessian

from theory.paper.closed_form import observed_probability, optimal_alpha
from theory.paper.theorem1 import (
    GRADIENT_TOLERANCE,
    Population,
    autograd_gradient,
    bias,
    expected_loss,
    first_outputs,
    linear_gradient,
    linear_network,
    small_mlp,
    theorem1,
)
from theory.paper.transitions import instance_dependent, multiple_objects, outside, pair_flip, symmetric

EPS = np.finfo(float).eps
properties = Properties()


def features(rng, n_samples, n_features):
    return np.clip(rng.normal(size=(n_samples, n_features)), -5, 5)


@st.composite
def labelled_inputs(draw, matrices=None):
    """(x (N, D), pi, weights): up to five inputs, pi (K*, K) or, instance-dependent, (N, K*, K)."""
    pi = draw(transition_matrices() if matrices is None else matrices)
    rng = np.random.RandomState(draw(seeds))
    n_samples = draw(st.integers(1, 5))
    x = features(rng, n_samples, draw(st.integers(1, 4)))
    if draw(st.booleans()):
        labellers = [pi, draw(dirichlet_matrices(*pi.shape))]
        pi = instance_dependent(labellers, lambda x: np.eye(2)[(x[:, 0] > 0).astype(int)] * 0.5 + 0.25)(x)
    return x, pi, draw(st.sampled_from([None, rng.dirichlet(np.ones(n_samples))]))


@st.composite
def linear_populations(draw, matrices=None):
    """(Population, theta*): logits of any size up to 1e4."""
    x, pi, weights = draw(labelled_inputs(matrices))
    theta = np.random.RandomState(draw(seeds)).normal(size=(x.shape[1], pi.shape[-2]))
    # tiny, usual, and with the largest logit at 1e4
    m = x @ theta
    theta *= draw(st.sampled_from([1e-3, 1.0, 1e4 / max(np.abs(m).max(), 1e-300)]))
    return Population(x, x @ theta, pi, weights), theta


@st.composite
def network_populations(draw):
    """(Population, network): a small MLP of K* outputs."""
    x, pi, weights = draw(labelled_inputs())
    scale = draw(st.sampled_from([0.1, 1.0, 100.0]))
    network = small_mlp(x.shape[1], 5, pi.shape[-2], seed=draw(st.integers(0, 2**31)), scale=scale)
    with torch.no_grad():
        m = network(torch.tensor(x)).numpy()
    return Population(x, m, pi, weights), network


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


# --- the gradient ---


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
    np.testing.assert_allclose(analytic.theta[0].T, automatic.theta[0], rtol=0, atol=GRADIENT_TOLERANCE)
    np.testing.assert_allclose(analytic.alpha, automatic.alpha, rtol=0, atol=GRADIENT_TOLERANCE)


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
    assert linear_gradient(moved, theta, moved.alpha).largest <= GRADIENT_TOLERANCE


def test_a_category_that_is_never_given():
    """Its constant is -inf: the gradient is zero there too, and the loss finite, analytically and by autograd."""
    population, theta = example(np.eye(4)[[0, 0, 2, 3]])
    assert np.isneginf(population.alpha[:, 1]).all()
    assert theorem1(population, theta).holds
    assert theorem1(population, linear_network(theta)).holds
    loss = expected_loss(population, population.m, population.alpha)
    assert loss == pytest.approx(entr(observed_probability(population.pi, population.m)).sum(axis=1).mean())


def unit_rows(labels):
    """One label for each input, whatever its true category."""
    return np.eye(2)[np.array(labels)][:, None, :].repeat(2, axis=1)


LINE = np.array([[-1.0], [1.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Population(LINE, np.zeros((3, 2)), np.eye(2)), ValueError, r"m \(3, 2\) and weights \(2,\)"),
        (lambda: Population(LINE, np.zeros((2, 2)), np.eye(2), [0.5, 0.4]), ValueError, "weights sum to .*0.9"),
        (lambda: Population(LINE, np.zeros((2, 2)), np.eye(3)).q, ValueError, "m has 2 logits and pi 3 rows"),
        (lambda: first_outputs(small_mlp(2, 3, 4), 5), ValueError, "a Linear of at least 5 outputs"),
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
