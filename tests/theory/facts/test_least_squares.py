"""Fact 3: the l2-penalised minimiser against scipy's, its limits for strong and weak penalties, and the rate.

Populations are of a usual size, Q at least 0.1 / K: alpha, a difference of logarithms below ten, is known to 1e-14, and
theta to that divided by sigma, at least 0.05, and by what the Hessian loses where lambda is above min Q.
"""

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from mutations import Properties
from scipy.optimize import minimize
from scipy.special import softmax
from strategies import dirichlet_matrices, seeds, square_matrices

from theory.facts import least_squares
from theory.facts.identifiability import contaminated, feasible_alpha
from theory.facts.least_squares import STRENGTHS, l2_minimizer, least_squares_limit, least_squares_theta
from theory.facts.robust_loss import profile
from theory.paper.theorem1 import bias
from theory.population import Population, expected_loss, linear_gradient

properties = Properties()


@st.composite
def populations(draw, low=2, high=6):
    """Population of N inputs, N at least D, of linear true logits; any process of labels, weights equal or not."""
    k = draw(st.integers(low, high))
    pi = draw(st.one_of(square_matrices(k), dirichlet_matrices(k + 2, k)))
    rng = np.random.RandomState(draw(seeds))
    d = draw(st.integers(1, 3))
    n = draw(st.integers(d, 6))
    x = np.clip(rng.normal(size=(n, d)), -3, 3)
    weights = draw(st.sampled_from([None, 1.0 + rng.randint(5, size=n)]))
    weights = None if weights is None else weights / weights.sum()
    population = Population(x, np.clip(x @ rng.normal(size=(d, len(pi))), -4, 4), 0.9 * pi + 0.1 / k, weights)
    assume(sigma(population) > 0.05)
    return population


def sigma(population):
    return np.linalg.svd(np.sqrt(population.weights)[:, None] * population.x, compute_uv=False).min()


def equally_weighted(population):
    return Population(population.x, population.m, population.pi)


def centred(a):
    return a - a.mean(axis=1, keepdims=True)


def size(population, alpha):
    return np.sqrt(population.weights @ (alpha**2).sum(axis=1))


# --- the least-squares fit ---

FIT_MUTANTS = {
    "weights forgotten": lambda population: least_squares_theta(equally_weighted(population)),
    "wrong sign": lambda population: -least_squares_theta(population),
    "Q, not its logarithm": lambda population: np.linalg.lstsq(population.x, centred(population.q))[0],
    "weights squared": lambda population: np.linalg.lstsq(
        population.weights[:, None] * population.x, population.weights[:, None] * feasible_alpha(population, 0.0)
    )[0],
}


@properties.add(
    least_squares_theta,
    populations(),
    FIT_MUTANTS | {"not centred": lambda population: least_squares_theta(population) + np.ones(population.q.shape[1])},
)
def fit_solves_the_normal_equations(least_squares_theta, case):
    x, w = case.x, np.diag(case.weights)
    expected = np.linalg.solve(x.T @ w @ x, x.T @ w @ centred(np.log(case.q)))
    np.testing.assert_allclose(least_squares_theta(case), expected, rtol=0, atol=1e-10)  # of condition 1 / sigma^2


@properties.add(least_squares_theta, st.tuples(populations(), seeds), FIT_MUTANTS)
def constants_of_any_theta_are_larger_by_pythagoras(least_squares_theta, case):
    """|alpha(theta)|^2 = |alpha_0|^2 + |X (theta - theta_0)|^2: theta_0 has the least, of all theta of least loss."""
    population, seed = case
    best = least_squares_theta(population)
    theta = centred(best + np.random.RandomState(seed).normal(size=best.shape))
    at_theta, at_best = (size(population, feasible_alpha(population, population.x @ t)) for t in (theta, best))
    apart = size(population, population.x @ (theta - best))
    assert at_theta**2 == pytest.approx(at_best**2 + apart**2, rel=1e-11, abs=1e-11)


# --- the joint minimiser ---

strengths = st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 30.0, 1e4])


def with_strength(change):
    return lambda population, strength: l2_minimizer(population, change(population, strength))


MINIMISER_MUTANTS = {
    "twice the strength": with_strength(lambda population, strength: 2 * strength),
    "penalty of the sum": with_strength(lambda population, strength: strength * len(population.x)),
    "weights forgotten": lambda population, strength: l2_minimizer(equally_weighted(population), strength),
    "least squares": lambda population, strength: (
        least_squares_theta(population),
        feasible_alpha(population, population.x @ least_squares_theta(population)),
    ),
    "theta of the fit": lambda population, strength: _at_the_fit(population, strength),
}


def _at_the_fit(population, strength):
    """Alpha minimised out, theta not: where the search begins."""
    theta = least_squares_theta(population)
    return theta, profile(population.x @ theta, population.q, "l2", strength).alpha


@properties.add(l2_minimizer, st.tuples(populations(), strengths), MINIMISER_MUTANTS)
def gradient_of_the_penalised_loss_is_zero(l2_minimizer, case):
    """In theta it is the plain one, and in alpha the plain one and lambda w alpha."""
    population, strength = case
    theta, alpha = l2_minimizer(population, strength)
    gradient = linear_gradient(population, theta, alpha)
    penalty = strength * population.weights[:, None] * alpha
    assert np.abs(gradient.theta[0]).max() <= 1e-11 * min(1.0, strength) + 1e-14
    assert np.abs(gradient.alpha + penalty).max() <= 1e-13
    assert np.abs(population.x.T @ (population.weights[:, None] * alpha)).max() <= 1e-11
    for rows in (theta, alpha):
        assert np.abs(rows.mean(axis=1)).max() <= 1e-13


def by_scipy(population, strength):
    """Newton's method of trust regions on theta and alpha jointly, from zero, its gradient by `linear_gradient`."""
    (n, k), d = population.q.shape, population.x.shape[1]
    w = population.weights

    def split(z):
        return z[: d * k].reshape(d, k), z[d * k :].reshape(n, k)

    def value(z):
        theta, alpha = split(z)
        penalty = strength / 2 * size(population, alpha) ** 2
        gradient = linear_gradient(population, theta, alpha)
        of_alpha = gradient.alpha + strength * w[:, None] * alpha
        loss = expected_loss(population, population.x @ theta, alpha) + penalty
        return loss, np.concatenate([gradient.theta[0].ravel(), of_alpha.ravel()])

    def curvature(z):
        theta, alpha = split(z)
        p = softmax(population.x @ theta + alpha, axis=1)
        hessian = np.zeros((len(z), len(z)))
        for i in range(n):
            jacobian = np.hstack([np.kron(population.x[i], np.eye(k)), np.kron(np.eye(n)[i], np.eye(k))])
            hessian += w[i] * jacobian.T @ (np.diag(p[i]) - np.outer(p[i], p[i])) @ jacobian
        hessian[d * k :, d * k :] += strength * np.diag(np.repeat(w, k))
        return hessian

    found = minimize(
        value, np.zeros(d * k + n * k), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-12}
    )
    theta, alpha = split(found.x)
    return centred(theta), centred(alpha)


@properties.add(l2_minimizer, st.tuples(populations(high=4), st.sampled_from([0.03, 0.3, 3.0])), MINIMISER_MUTANTS)
def it_is_what_scipy_finds_jointly(l2_minimizer, case):
    """scipy stops where the loss no longer falls in double precision: theta is then off by the root of 1e-16."""
    population, strength = case
    for found, expected in zip(l2_minimizer(population, strength), by_scipy(population, strength), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@st.composite
def reparametrised(draw):
    """(Population, strength, matrix A, order of the categories)."""
    population = draw(populations())
    rng = np.random.RandomState(draw(seeds))
    d = population.x.shape[1]
    a = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.5, 2, size=d)
    return population, draw(strengths), a, rng.permutation(population.q.shape[1])


@properties.add(
    l2_minimizer,
    reparametrised(),
    {
        "theta penalised": lambda population, strength: (
            l2_minimizer(population, strength)[0] / (1 + (population.x**2).sum()),
            l2_minimizer(population, strength)[1],
        ),
        "first constant penalised more": lambda population, strength: tuple(
            part * np.linspace(1, 2, part.shape[1]) for part in l2_minimizer(population, strength)
        ),
    },
)
def it_moves_with_features_and_categories(l2_minimizer, case):
    """x A has the parameters A^-1 theta and the same constants; categories in another order, all in that order."""
    population, strength, a, order = case
    theta, alpha = l2_minimizer(population, strength)
    linear = Population(population.x @ a, population.m, population.pi, population.weights)
    permuted = Population(population.x, population.m, population.pi[:, order], population.weights)
    assert permuted.q == pytest.approx(population.q[:, order], rel=1e-12)
    for moved, back in ((linear, lambda t, c: (a @ t, c)), (permuted, lambda t, c: (t[:, order.argsort()], c))):
        other = back(*l2_minimizer(moved, strength))
        np.testing.assert_allclose(other[0], theta, rtol=0, atol=1e-9)
    np.testing.assert_allclose(l2_minimizer(linear, strength)[1], alpha, rtol=0, atol=1e-9)
    np.testing.assert_allclose(l2_minimizer(permuted, strength)[1], alpha[:, order], rtol=0, atol=1e-9)


# --- its limits ---


def rate(population):
    """-X^+ P(alpha_0 / Q) by normal equations, and alpha_0."""
    alpha = feasible_alpha(population, population.x @ least_squares_theta(population))
    x, w = population.x, np.diag(population.weights)
    return -np.linalg.solve(x.T @ w @ x, x.T @ w @ centred(alpha / population.q)), alpha


def largest_allowed(population):
    """Largest lambda of the theorem."""
    alpha = rate(population)[1]
    largest = population.q.min() * np.sqrt(population.weights.min()) / 2 / max(size(population, alpha), 1e-300)
    return min(largest, 1e3)


weak = st.tuples(populations(), st.sampled_from([1e-4, 1e-2, 0.3, 1.0]))  # share of the largest lambda

DRIFTING = {
    "a limit of its own": lambda population, strength: (
        l2_minimizer(population, strength)[0] + 1e-3 * centred(np.eye(1, population.q.shape[1])),
        l2_minimizer(population, strength)[1],
    ),
    "rate of a root": with_strength(lambda population, strength: np.sqrt(strength)),
}


@properties.add(l2_minimizer, weak, DRIFTING)
def distance_to_the_fit_is_within_the_bound(l2_minimizer, case):
    population, share = case
    strength = share * largest_allowed(population)
    gap = np.linalg.norm(l2_minimizer(population, strength)[0] - least_squares_theta(population))
    s = size(population, rate(population)[1])
    assert gap <= 2 * strength * s / (sigma(population) * population.q.min()) + 1e-11


@properties.add(
    l2_minimizer,
    weak,
    DRIFTING
    | {
        "twice the strength": MINIMISER_MUTANTS["twice the strength"],
        "least squares": MINIMISER_MUTANTS["least squares"],
    },
)
def first_order_is_off_by_the_second_at_most(l2_minimizer, case):
    population, share = case
    strength = share * largest_allowed(population)
    slope, alpha = rate(population)
    shift = l2_minimizer(population, strength)[0] - least_squares_theta(population)
    s, q, root = size(population, alpha), population.q.min(), np.sqrt(population.weights.min())
    allowed = strength**2 * s / (sigma(population) * q**2) * (2 + s / root)
    assert np.linalg.norm(shift - strength * slope) <= allowed + 1e-11


def changed(change):
    return lambda population, strength: change(population, *l2_minimizer(population, strength))


@properties.add(
    l2_minimizer,
    st.tuples(populations(), strengths),
    {
        "a feature left in the constants": changed(lambda p, theta, alpha: (theta, alpha + 1e-3 * (p.x @ theta))),
        "constants of any theta": changed(lambda p, theta, alpha: (0 * theta, feasible_alpha(p, 0.0))),
        "fit of the mean": changed(lambda p, theta, alpha: (theta + 1e-3, alpha + 1e-3)),
    },
)
def constants_are_no_larger_than_those_of_the_fit(l2_minimizer, case):
    """And they are the residuals of a fit: theta is X^+ (X theta + alpha)."""
    population, strength = case
    theta, alpha = l2_minimizer(population, strength)
    assert size(population, alpha) <= size(population, rate(population)[1]) + 1e-12
    x, w = population.x, np.diag(population.weights)
    refit = np.linalg.solve(x.T @ w @ x, x.T @ w @ (x @ theta + alpha))
    np.testing.assert_allclose(theta, refit, rtol=0, atol=1e-10)


@properties.add(
    l2_minimizer,
    populations(),
    {
        "weak": lambda population, strength: l2_minimizer(population, 1.0),
        "least squares": MINIMISER_MUTANTS["least squares"],
    },
)
def a_strong_penalty_leaves_plain_cross_entropy(l2_minimizer, case):
    """As lambda grows the constants vanish like 1 / lambda, and theta tends to the minimiser without them."""
    plain = bias(case, np.zeros((case.x.shape[1], case.q.shape[1])))
    first, second = (l2_minimizer(case, strength) for strength in (1e4, 1e6))
    assert np.abs(second[1]).max() <= 1e-6  # (Q - p) / lambda
    # The Hessian of plain cross-entropy is at least sigma^2 min p, and its gradient is moved by |alpha|.
    distances = [np.linalg.norm(theta - plain.theta) for theta, _ in (first, second)]
    assert distances[1] <= distances[0] / 50 + 1e-9


test_property, test_mutant_is_caught = properties.tests()


# --- fact 3 by example ---


def test_the_limit_and_its_rate():
    population, theta = contaminated(60, 3, 4, 15, 0)
    result = least_squares_limit(population, theta)
    assert result.holds
    assert result.n_cases == np.isfinite(result.bounds).sum() == 3
    assert (np.diff(result.gaps) < 0).all()
    # gap / lambda tends to the rate: 398, 400, 401 at 1e-6, 1e-7, 1e-8
    assert result.gaps[-1] / STRENGTHS[-1] == pytest.approx(result.first_order, rel=1e-3)
    # a tenth of lambda leaves a hundredth of the deviation
    assert result.deviations[-2] / result.deviations[-1] == pytest.approx(100, rel=0.02)
    assert result.errors["least squares"] == pytest.approx(np.linalg.norm(least_squares_theta(population) - theta))
    assert result.errors["cross-entropy"] == bias(population, theta).distance


def test_right_labels_are_fitted_by_any_penalty():
    population, theta = contaminated(20, 2, 3, 0, 0)
    result = least_squares_limit(population, theta)
    assert result.holds
    assert result.gaps.max() <= 1e-11
    assert result.errors["least squares"] <= 1e-12


def test_without_a_weak_penalty_nothing_is_claimed():
    result = least_squares_limit(*contaminated(20, 2, 3, 5, 0), strengths=[1.0, 10.0])
    assert result.n_cases == 0
    assert result.worst_margin == np.inf


def errors_of_both(**settings):
    """(20, 2): distance to theta* of least squares and of plain cross-entropy."""
    drawn = [contaminated(60, 3, 4, 15, seed, **settings) for seed in range(20)]
    return np.array([list(least_squares_limit(*case, strengths=[1.0]).errors.values()) for case in drawn])


def test_least_squares_is_not_the_truth_and_mostly_better_than_cross_entropy():
    """In all 20 draws; in none where labels are nearly functions of the true category, and ln Q far below m*."""
    usual, deterministic = errors_of_both(), errors_of_both(concentration=0.05, scale=0.3)
    assert min(usual.min(), deterministic.min()) > 0.05
    assert (usual[:, 0] < usual[:, 1]).mean() >= 0.9
    assert (deterministic[:, 0] < deterministic[:, 1]).mean() <= 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        MINIMISER_MUTANTS["twice the strength"],
        MINIMISER_MUTANTS["least squares"],
        MINIMISER_MUTANTS["penalty of the sum"],
        DRIFTING["rate of a root"],
    ],
)
def test_the_claim_can_fail(monkeypatch, wrong):
    monkeypatch.setattr(least_squares, "l2_minimizer", wrong)
    assert not least_squares_limit(*contaminated(20, 2, 3, 5, 0)).holds


REDUNDANT = Population(np.ones((3, 2)), np.zeros((3, 2)), np.eye(2))
ZERO_Q = Population(np.ones((2, 1)), np.zeros((2, 2)), np.array([[1.0, 0.0], [1.0, 0.0]]))
ZERO_WEIGHT = Population(np.ones((2, 1)), np.zeros((2, 2)), np.eye(2), np.array([1.0, 0.0]))
USUAL, _ = contaminated(5, 2, 3, 2, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: l2_minimizer(REDUNDANT, 1.0), ValueError, "x has rank 1 and 2 features, expected equal"),
        (lambda: l2_minimizer(ZERO_Q, 1.0), ValueError, "Q is zero somewhere"),
        (lambda: least_squares_theta(ZERO_Q), ValueError, "Q is zero somewhere"),
        (lambda: l2_minimizer(USUAL, 0.0), ValueError, "strength 0.0, expected .* positive"),
        (lambda: least_squares_limit(ZERO_WEIGHT, np.zeros((1, 2))), ValueError, "weight 0, expected positive"),
        (lambda: l2_minimizer(USUAL, 0.1, max_iter=1), RuntimeError, "did not end in 1 steps: last decrement"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_redundant_features_have_a_least_norm_fit():
    fit = least_squares_theta(Population(np.ones((3, 2)), np.full((3, 2), [0.0, 1.0]), np.eye(2)))
    np.testing.assert_allclose(fit, [[-0.25, 0.25]] * 2, atol=1e-14)
