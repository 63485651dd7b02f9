"""Theta and the constants learned together: the end of descent against the closed form, solvers and optimality.

Descent ends at steps of 1e-13; what is left is less than that times the number of steps (`joint_learning` says why).
The populations here have Q of at least 1 / 4K, so that a few thousand steps are enough.
"""

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import softmax
from strategies import seeds

from acestimator.detection import mean_centered_gauge
from theory.facts.least_squares import least_squares_theta
from theory.facts.robust_loss import profile
from theory.population import Population
from theory.trained import joint
from theory.trained.joint import descend_jointly, joint_learning, joint_sampling_error, ridge_limit

properties = Properties()


@st.composite
def populations(draw):
    """(Population, start): weights of unlike size, a start with rows that are not centred."""
    rng = np.random.RandomState(draw(seeds))
    n, d, k = draw(st.integers(2, 6)), draw(st.integers(1, 2)), draw(st.integers(2, 4))
    x = np.clip(rng.normal(size=(n, d)), -1.5, 1.5)  # sigma is at most 4.5, and all rates below stable
    pi = 0.75 * rng.dirichlet(np.ones(k), size=(n, k)) + 0.25 / k
    x[:d] = np.eye(d)  # and no direction without curvature, in which theta would hardly move
    weights = 0.5 * rng.dirichlet(np.ones(n)) + 0.5 / n
    return Population(x, rng.normal(size=(n, k)), pi, weights), rng.normal(size=(d, k)) + rng.normal()


def reweighted(population):
    return Population(population.x, population.m, population.pi)


# --- without a penalty ---


def by_lstsq(population, start, ratio):
    """The ridge's objective as one least-squares problem."""
    root = np.sqrt(population.weights)[:, None]
    centered = start - start.mean(axis=1, keepdims=True)
    target = np.log(population.q) - np.log(population.q).mean(axis=1, keepdims=True)
    rows = np.vstack([root * population.x, np.eye(len(start)) / np.sqrt(ratio)])
    return np.linalg.lstsq(rows, np.vstack([root * target, centered / np.sqrt(ratio)]))[0] + (start - centered)


RIDGE_MUTANTS = {
    "rates turned round": lambda population, start, ratio: ridge_limit(population, start, 1 / ratio),
    "weights forgotten": lambda population, start, ratio: ridge_limit(reweighted(population), start, ratio),
    "towards zero": lambda population, start, ratio: ridge_limit(population, 0 * start, ratio),
    "from theta, not alpha": lambda population, start, ratio: least_squares_theta(population) + 0 * start,
    "rows centred": lambda population, start, ratio: mean_centered_gauge(ridge_limit(population, start, ratio)),
    "the start's offset shrunk": lambda population, start, ratio: (
        ridge_limit(population, start, ratio) - start.mean(axis=1, keepdims=True) * ratio / (1 + ratio)
    ),
}
rates = st.sampled_from([(0.6, 0.6), (0.3, 1.0), (0.5, 0.3), (0.2, 2.0)])


@properties.add(ridge_limit, st.tuples(populations(), rates), RIDGE_MUTANTS)
def the_closed_form_is_the_ridge_regression(ridge_limit, case):
    (population, start), (theta_lr, alpha_lr) = case
    ratio = theta_lr / alpha_lr
    expected = by_lstsq(population, start, ratio)
    # the square of a matrix whose condition is at most sqrt(1 + 4.5 ratio), about 3
    np.testing.assert_allclose(ridge_limit(population, start, ratio), expected, rtol=0, atol=1e-12)


@properties.add(ridge_limit, st.tuples(populations(), rates), RIDGE_MUTANTS)
def descent_ends_at_the_closed_form(ridge_limit, case):
    (population, start), (theta_lr, alpha_lr) = case
    end = descend_jointly(population, start, theta_lr=theta_lr, alpha_lr=alpha_lr)
    expected = ridge_limit(population, start, theta_lr / alpha_lr)
    np.testing.assert_allclose(end.theta, expected, rtol=0, atol=1e-13 * (end.n_steps + 10))
    # alpha is centred, makes the loss least, and adds up to theta's way
    np.testing.assert_allclose(end.alpha.sum(axis=1), 0, atol=1e-12)
    fitted = softmax(population.x @ end.theta + end.alpha, axis=1)
    np.testing.assert_allclose(fitted, population.q, rtol=0, atol=1e-13 * (end.n_steps + 10))
    way = theta_lr / alpha_lr * population.x.T @ (population.weights[:, None] * end.alpha)
    np.testing.assert_allclose(end.theta - start, way, rtol=0, atol=1e-14 * (end.n_steps + 100))


# --- with one ---

penalties = st.tuples(st.sampled_from(["l2", "group"]), st.sampled_from([0.2, 0.5]))


def descent(population, start, penalty):
    return descend_jointly(population, start, theta_lr=0.6, penalty=penalty)


@properties.add(
    descent,
    st.tuples(populations(), penalties),
    {
        "twice the strength": lambda population, start, penalty: descent(
            population, start, (penalty[0], 2 * penalty[1])
        ),
        "no penalty": lambda population, start, penalty: descent(population, start, None),
        "weights forgotten": lambda population, start, penalty: descent(reweighted(population), start, penalty),
        "the other penalty": lambda population, start, penalty: descent(
            population, start, ("l2" if penalty[0] == "group" else "group", penalty[1])
        ),
    },
)
def descent_ends_at_the_penalised_optimum(descent, case):
    """Of sum w (CE + lambda f(alpha)), convex: alpha is the row's minimiser, and the gradient in theta is zero."""
    (population, start), (kind, strength) = case
    end = descent(population, start, (kind, strength))
    c = population.x @ end.theta + end.alpha
    g = softmax(c, axis=1) - population.q
    left = 1e-13 * (end.n_steps + 100)
    assert np.abs(population.x.T @ (population.weights[:, None] * g)).max() <= left
    if kind == "l2":
        np.testing.assert_allclose(g, -strength * end.alpha, rtol=0, atol=left)
    else:
        norm, size = np.linalg.norm(g, axis=1), np.linalg.norm(end.alpha, axis=1)
        assert (norm <= strength + left).all()
        # alpha lies against g, and is zero where g is shorter than lambda
        np.testing.assert_allclose(strength * end.alpha, -size[:, None] * g, rtol=0, atol=left * (1 + size.max()))
    # the same optimum by a solver of its own, for which a row's problem is two numbers
    reduced = profile(population.x @ end.theta, population.q, kind, strength)
    np.testing.assert_allclose(reduced.gradient, g, rtol=0, atol=left)


# --- from drawn labels ---


def patched(name, change):
    def claim(*args, **parameters):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(joint, name, change(getattr(joint, name)))
            return joint_sampling_error(*args, **parameters)

    return claim


@properties.add(
    joint_sampling_error,
    st.integers(0, 2),
    {
        "a sixteenth of the labels": patched(
            "draw_counts", lambda draw: lambda pi, m, n, rng: 16 * draw(pi, m, n // 16, rng)
        ),
        "labels of theta* alone": patched(
            "draw_counts", lambda draw: lambda pi, m, n, rng: draw(0 * pi + np.eye(pi.shape[-1]), m, n, rng)
        ),
        "other rates": patched("descend_jointly", lambda descend: lambda *a, **k: descend(*a, **k, theta_lr=0.9)),
    },
)
def theta_from_drawn_labels_lies_on_its_line(joint_sampling_error, seed):
    result = joint_sampling_error((100_000, 1_000_000), n_draws=3, random_state=seed)
    assert result.holds, result


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_what_penalties_and_rates_make_of_it():
    result = joint_learning()
    assert result.holds
    assert result.n_cases == 8
    # descent is better than its bound: the farthest is off by 8e-12, and 1.5e-9 are allowed
    assert result.tolerance < 2e-9
    errors = result.errors
    # Fact 4: the group penalty recovers theta*, to what its strength leaves; l2 does not.
    assert errors["group 0.01"] < 0.05 < 0.4 < errors["l2 0.01"]
    # Descent without a penalty is as near to theta* as its start.
    assert errors["no penalty, from theta*"] < errors["no penalty, slow constants"] < errors["no penalty, from zero"]
    assert errors["no penalty, from zero"] < errors["no penalty, fast constants"]


def test_slow_constants_are_least_squares_and_fast_ones_leave_theta():
    population, _ = joint.contaminated(20, 2, 3, 5, 0)
    start = np.array([[1.0, 0.0, -1.0], [2.0, -1.0, -1.0]])
    # off the limits by a number of order ten over, or times, the ratio
    np.testing.assert_allclose(ridge_limit(population, start, 1e9), least_squares_theta(population), atol=1e-7)
    np.testing.assert_allclose(ridge_limit(population, start, 1e-9), start, atol=1e-7)


POPULATION = Population(np.eye(2), np.zeros((2, 2)), np.eye(2))


def test_rates_are_stable_below_4():
    """Where sigma is 1/2 and Q even, the curvature is all of 1/2: just below four descent ends, just above it not."""
    start = np.array([[0.1, -0.1], [0.1, -0.1]])
    assert descend_jointly(POPULATION, start, theta_lr=2.0, alpha_lr=2.9).n_steps < 5000
    with pytest.raises(RuntimeError, match="lower the rates"):
        descend_jointly(POPULATION, start, theta_lr=2.0, alpha_lr=3.1, max_steps=5000)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: descend_jointly(POPULATION, np.ones((2, 2)) * [1, 0], max_steps=3),
            RuntimeError,
            "step 3 still moved something by .*, expected at most 1.0e-13",
        ),
        (
            lambda: ridge_limit(
                Population(np.eye(2), np.zeros((2, 2)), np.array([[1.0, 0.0]] * 2)), np.zeros((2, 2)), 1.0
            ),
            ValueError,
            "Q is zero somewhere",
        ),
        (lambda: joint_sampling_error((10, 100)), ValueError, "Q is zero somewhere"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
