"""Definition 1, Theorem 1's constants and the gauges; the project's table learning the constants.

Tolerances are bounds of the rounding error, in multiples of EPS, not observed errors. A logarithm is held to an
absolute error: that of alpha is the relative error of exp(alpha), which is what softmax sees, and one last digit of an
entry of pi moves alpha by as much. So alpha near zero, a cancellation, has no relative accuracy to be asked for.
"""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import log_softmax, logsumexp, softmax
from strategies import logits, processes, sizes, square_matrices

from acestimator import AlphaTable
from acestimator.objectives import softmax_gradient
from theory.paper.closed_form import GAUGES, log_observed_probability, observed_probability, optimal_alpha, to_gauge
from theory.paper.transitions import pair_flip, symmetric

EPS = np.finfo(float).eps
properties = Properties()


def rounding(pi, value):
    """Bound of the error of a log-sum-exp over K* terms t = ln pi + d, of result ``value``, -inf allowed.

    In units of EPS / 2: a term is off by at most 3 |ln pi| + 2 |t| (logarithm, difference, sum), and the terms that
    matter have |t| <= |value| + ln K* on average; the sum of K* exponentials adds K* + 2 ln K* + 2, the last addition
    |value| + 1. A softmax before it (log Q) adds at most as much again.
    """
    n_true = pi.shape[-2]
    log_pi = np.abs(np.log(pi[pi > 0])).max()
    size = np.where(np.isfinite(value), np.abs(value), 0)
    return EPS * (3 * log_pi + 4 * size + n_true + 4 * np.log(n_true) + 4)


def exact(pi, m):
    """Q, ln Q and alpha* from 50 digits and the definition: sums of exponentials, no log-sum-exp."""
    with mpmath.workdps(50):
        weights = [mpmath.exp(mpmath.mpf(v)) for v in m.tolist()]
        total = mpmath.fsum(weights)
        joint = [mpmath.fdot(column, weights) for column in pi.T.tolist()]
        log_joint = [mpmath.log(v) if v else mpmath.ninf for v in joint]
        q = [float(v / total) for v in joint]
        log_q = [float(v - mpmath.log(total)) for v in log_joint]
        alpha = [float(v - mpmath.mpf(a)) for v, a in zip(log_joint, m.tolist(), strict=False)]
        return np.array(q), np.array(log_q), np.array(alpha)


def assert_close(actual, expected, tolerance):
    """Within the tolerance, and -inf in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert (np.isneginf(actual) == np.isneginf(expected)).all()
    finite = ~np.isneginf(expected)
    error = np.abs(actual[finite] - expected[finite])
    tolerance = np.broadcast_to(tolerance, expected.shape)[finite]
    assert (error <= tolerance).all(), f"off by {error.max()!r}, bound {tolerance[error.argmax()]!r}"


# --- Definition 1 ---


def naive_log_q(pi, m):
    return np.log(np.exp(m) @ pi) - np.log(np.exp(m).sum(axis=-1, keepdims=True))


def transposed_log_q(pi, m):
    return logsumexp(np.log(np.swapaxes(pi, -2, -1)) + m[..., :, None], axis=-2) - logsumexp(m, axis=-1, keepdims=True)


LOG_Q_MUTANTS = {
    "transposed pi": transposed_log_q,
    "no partition function": lambda pi, m: log_observed_probability(pi, m) + logsumexp(m, axis=-1, keepdims=True),
    "partition function of K": lambda pi, m: (
        log_observed_probability(pi, m)
        + logsumexp(m, axis=-1, keepdims=True)
        - logsumexp(m[..., : pi.shape[-1]], axis=-1, keepdims=True)
    ),
    "exponentials of large logits": naive_log_q,
}


@properties.add(
    log_observed_probability,
    processes(),
    LOG_Q_MUTANTS | {"wrong sign of m": lambda pi, m: log_observed_probability(pi, -m)},
)
def log_q_agrees_with_50_digits(log_observed_probability, process):
    _, expected, _ = exact(*process)
    assert_close(log_observed_probability(*process), expected, 2 * rounding(process.pi, expected))


@properties.add(
    observed_probability,
    processes(),
    {"logarithm": log_observed_probability, "logits are probabilities": lambda pi, m: np.abs(m) / np.abs(m).sum() @ pi},
)
def q_agrees_with_50_digits_to_1e_12_relative(observed_probability, process):
    """Where Q is a normal number: the relative error of exp is the error of ln Q, whose terms are then below 750."""
    expected, _, _ = exact(*process)
    q = observed_probability(*process)
    assert_close(q, expected, 1e-12 * expected + np.finfo(float).tiny)


@properties.add(
    observed_probability,
    processes(samples=True),
    {
        "partition function of K": lambda pi, m: np.exp(LOG_Q_MUTANTS["partition function of K"](pi, m)),
        "negative": lambda pi, m: -observed_probability(pi, m),
        "transposed pi": lambda pi, m: np.exp(transposed_log_q(pi, m)),
    },
)
def q_is_a_distribution_over_k(observed_probability, process):
    q = observed_probability(*process)
    assert q.shape == (*process.m.shape[:-1], process.pi.shape[-1])
    assert (q >= 0).all()
    # rows of pi sum to one to a rounding per entry, and each ln Q is off by its bound
    tolerance = 2 * rounding(process.pi, np.log(np.maximum(q, 1e-300))).max() + EPS * process.pi.shape[-1]
    assert_close(q.sum(axis=-1), np.ones(q.shape[:-1]), tolerance)


@properties.add(
    observed_probability,
    st.tuples(square_matrices(5), square_matrices(5), logits(5)),
    {"transposed pi": lambda pi, m: np.exp(transposed_log_q(pi, m))},
)
def q_of_mixed_processes_is_the_mixture(observed_probability, case):
    """Q is linear in pi."""
    first, second, m = case
    mixed = observed_probability(0.25 * first + 0.75 * second, m)
    apart = 0.25 * observed_probability(first, m) + 0.75 * observed_probability(second, m)
    np.testing.assert_allclose(mixed, apart, rtol=1e-12, atol=1e-300)


# --- Theorem 1's constants ---


def alpha_from(log_q):
    """Constants from ln Q: what optimal_alpha is, without its order of operations."""
    return lambda pi, m: log_q(pi, m) + logsumexp(m, axis=-1, keepdims=True) - m[..., : pi.shape[-1]]


ALPHA_MUTANTS = {
    "wrong sign": lambda pi, m: -optimal_alpha(pi, m),
    "transposed pi": alpha_from(transposed_log_q),
    "no log-sum-exp": lambda pi, m: m @ pi - m[..., : pi.shape[-1]],
    "logits not subtracted": lambda pi, m: optimal_alpha(pi, m) + m[..., : pi.shape[-1]],
    "last K, not first": lambda pi, m: optimal_alpha(pi, m) + m[..., : pi.shape[-1]] - m[..., -pi.shape[-1] :],
}


@properties.add(
    optimal_alpha,
    processes(),
    ALPHA_MUTANTS
    | {
        "exponentials of large logits": alpha_from(naive_log_q),
        "cancels large logits": alpha_from(log_observed_probability),
        "another gauge": lambda pi, m: optimal_alpha(pi, m) - optimal_alpha(pi, m).mean(),
        "zeros of pi replaced": lambda pi, m: optimal_alpha(np.maximum(pi, 1e-12), m),
    },
)
def alpha_agrees_with_50_digits(optimal_alpha, process):
    _, _, expected = exact(*process)
    alpha = optimal_alpha(*process)
    # The bound is sharper than 1e-12 relative to the largest of 1, |ln pi| and |alpha*|: at most 2e-14 of it.
    assert_close(alpha, expected, rounding(process.pi, expected))


@properties.add(optimal_alpha, processes(samples=True), ALPHA_MUTANTS)
def expected_gradient_vanishes(optimal_alpha, process):
    """Theorem 1: softmax(m + alpha*) over K is Q, and the expected gradient is their difference."""
    pi, m = process
    c = m[..., : pi.shape[-1]] + optimal_alpha(pi, m)
    # m + alpha rounds to EPS |c| / 2 with |c| <= 3e4, and softmax moves by at most as much: 7e-12 a logit, times Q.
    np.testing.assert_allclose(softmax(c, axis=-1), observed_probability(pi, m), rtol=0, atol=1e-11)


@properties.add(
    optimal_alpha,
    processes(samples=True),
    ALPHA_MUTANTS | {"another gauge": lambda pi, m: to_gauge(optimal_alpha(pi, m), "first_zero")},
)
def alpha_is_in_the_partition_gauge(optimal_alpha, process):
    """Summed over K, exp(m + alpha*) is exp(m*) summed over K*: the gauge of the closed form, fact 1 of the design."""
    pi, m = process
    total = logsumexp(m, axis=-1)
    c = m[..., : pi.shape[-1]] + optimal_alpha(pi, m)
    tolerance = rounding(pi, np.abs(c).max(where=np.isfinite(c), initial=0)) + 4 * EPS * np.abs(m).max()
    assert_close(logsumexp(c, axis=-1), total, tolerance)


@properties.add(
    optimal_alpha,
    st.tuples(processes(), st.integers(-100, 100)),
    {
        "logits not subtracted": ALPHA_MUTANTS["logits not subtracted"],
        "logits scaled": lambda pi, m: optimal_alpha(pi, m) * np.abs(m).max(),
    },
)
def alpha_does_not_see_a_number_added_to_all_logits(optimal_alpha, case):
    (pi, m), shift = case
    m = np.round(m)  # so that the shifted logits are exact
    assert_close(optimal_alpha(pi, m + shift), optimal_alpha(pi, m), 0)


@properties.add(
    optimal_alpha,
    st.tuples(processes(square_matrices()), st.integers(0, 1000)),
    {
        "no log-sum-exp": lambda pi, m: np.log(pi[0]) + m.max() - m,
        "sorted": lambda pi, m: np.sort(optimal_alpha(pi, m)),
        "first category zero": lambda pi, m: to_gauge(optimal_alpha(pi, m), "first_zero"),
    },
)
def alpha_follows_a_renaming_of_the_categories(optimal_alpha, case):
    (pi, m), seed = case
    order = np.random.RandomState(seed).permutation(len(m))
    alpha = optimal_alpha(pi, m)
    assert_close(optimal_alpha(pi[np.ix_(order, order)], m[order]), alpha[order], rounding(pi, alpha[order]))


@properties.add(
    optimal_alpha,
    processes(samples=True),
    {
        "first sample for all": lambda pi, m: optimal_alpha(pi, m if m.ndim == 1 else np.broadcast_to(m[:1], m.shape)),
        "mean process": lambda pi, m: optimal_alpha(pi if pi.ndim == 2 else pi.mean(axis=0), m),
    },
)
def samples_are_apart(optimal_alpha, process):
    """Leading axes of m, and of an instance-dependent pi, are so many separate problems."""
    pi, m = process
    together = optimal_alpha(pi, m)
    alone = [optimal_alpha(pi[n] if pi.ndim == 3 else pi, m[n]) for n in range(len(m))]
    assert_close(together, np.array(alone), rounding(pi, together))


@properties.add(
    optimal_alpha,
    processes(),
    {
        "wrong sign": ALPHA_MUTANTS["wrong sign"],
        "no log-sum-exp": ALPHA_MUTANTS["no log-sum-exp"],
        "summed over observed": lambda pi, m: logsumexp(m) - m[: pi.shape[1]],
    },
)
def alpha_is_bounded_by_its_largest_term(optimal_alpha, process):
    """A sum of K* positive terms lies between the largest of them and K* times it."""
    pi, m = process
    with np.errstate(divide="ignore"):
        largest = (np.log(pi) + (m[:, None] - m[: pi.shape[1]])).max(axis=0)
    alpha = optimal_alpha(pi, m)
    tolerance = rounding(pi, largest)
    assert (alpha >= largest - tolerance).all()
    assert (alpha <= largest + np.log(len(m)) + tolerance).all()


@properties.add(
    optimal_alpha,
    sizes().flatmap(logits),
    {"logits not subtracted": ALPHA_MUTANTS["logits not subtracted"], "off": lambda pi, m: optimal_alpha(pi, m) + EPS},
)
def right_labels_need_no_constants(optimal_alpha, m):
    """Under the identity alpha* is zero, exactly."""
    assert_close(optimal_alpha(np.eye(len(m)), m), np.zeros(len(m)), 0)


# --- gauges ---


def gauge_cases(rows=3):
    """Finite constants that belong to logits: (alpha (N, K), m (N, K*))."""
    return sizes(2, 12).flatmap(
        lambda k: st.tuples(logits(k, rows), st.integers(0, 5).flatmap(lambda more: logits(k + more, rows)))
    )


def gauge_tolerance(alpha, m):
    """Each of a handful of additions and subtractions rounds to EPS / 2 of the largest number about."""
    return 16 * EPS * (1 + np.abs(alpha).max() + np.abs(m - m.max(axis=-1, keepdims=True)).max() + np.log(m.shape[-1]))


GAUGE_MUTANTS = {
    "wrong sign of alpha": lambda alpha, gauge, m=None: to_gauge(-alpha, gauge, m),
    "shifts by category": lambda alpha, gauge, m=None: to_gauge(alpha, gauge, m) + np.arange(alpha.shape[-1]),
}


@properties.add(
    to_gauge,
    gauge_cases(),
    {
        "unmoved": lambda alpha, gauge, m=None: alpha,
        "partition function of K": lambda alpha, gauge, m=None: to_gauge(
            alpha, gauge, None if m is None else m[..., : alpha.shape[-1]]
        ),
        "mean of the table": lambda alpha, gauge, m=None: alpha - alpha.mean(),
    },
)
def a_gauge_is_what_it_says(to_gauge, case):
    alpha, m = case
    tolerance = gauge_tolerance(alpha, m)
    assert (to_gauge(alpha, "first_zero")[..., 0] == 0).all()
    assert np.abs(to_gauge(alpha, "mean_centered").mean(axis=-1)).max() <= tolerance
    m = m - m.max(axis=-1, keepdims=True)
    c = m[..., : alpha.shape[-1]] + to_gauge(alpha, "partition", m)
    assert_close(logsumexp(c, axis=-1), logsumexp(m, axis=-1), tolerance)


@properties.add(to_gauge, gauge_cases(), GAUGE_MUTANTS)
def softmax_does_not_see_the_gauge(to_gauge, case):
    alpha, m = case
    within = m[..., : alpha.shape[-1]]
    expected = log_softmax(within + alpha, axis=-1)
    for gauge in GAUGES:
        moved = log_softmax(within + to_gauge(alpha, gauge, m), axis=-1)
        assert_close(moved, expected, gauge_tolerance(alpha, m) + 8 * EPS * np.abs(m).max())


@properties.add(
    to_gauge,
    gauge_cases(),
    {
        **GAUGE_MUTANTS,
        "a shift, not a place": lambda alpha, gauge, m=None: alpha - alpha[..., :1] / 2,
    },
)
def the_way_to_a_gauge_does_not_matter(to_gauge, case):
    """From any gauge to any other, and back; the three conversions of the paper's own gauges among them."""
    alpha, m = case
    for first in GAUGES:
        moved = to_gauge(alpha, first, m)
        for gauge in GAUGES:
            tolerance = gauge_tolerance(alpha, m) + gauge_tolerance(moved, m)
            assert_close(to_gauge(moved, gauge, m), to_gauge(alpha, gauge, m), tolerance)


@properties.add(
    to_gauge,
    processes(samples=True),
    {
        "partition function of K": lambda alpha, gauge, m: to_gauge(alpha, gauge, m[..., : alpha.shape[-1]]),
        "-inf replaced": lambda alpha, gauge, m: to_gauge(np.maximum(alpha, -1e6), gauge, m),
    },
)
def the_closed_form_is_recovered_from_any_shift(to_gauge, process):
    """Minus infinity stays, whatever is added to its row."""
    alpha = optimal_alpha(*process)
    shift = np.linspace(-3, 3, len(alpha))[:, None]
    finite = np.where(np.isfinite(alpha), alpha, 0)
    assert_close(to_gauge(alpha + shift, "partition", process.m), alpha, gauge_tolerance(finite, process.m))


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_a_category_that_is_never_given_has_constant_minus_infinity():
    pi = np.array([[1.0, 0.0], [1.0, 0.0]])
    alpha = optimal_alpha(pi, np.zeros(2))
    assert alpha.tolist() == [np.log(2.0), -np.inf]
    assert observed_probability(pi, np.zeros(2)).tolist() == [1, 0]
    assert to_gauge(alpha + 5, "partition", np.zeros(2)).tolist() == pytest.approx(alpha.tolist())
    assert to_gauge(alpha, "first_zero").tolist() == [0, -np.inf]


def test_no_samples_and_one_matrix_for_one_row_of_logits():
    assert optimal_alpha(np.eye(3), np.zeros((0, 3))).shape == (0, 3)
    pi = np.stack([np.eye(2), symmetric(2, 0.5)])
    np.testing.assert_allclose(optimal_alpha(pi, [0.0, 0.0]), np.zeros((2, 2)), atol=EPS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_alpha(np.eye(2), np.zeros(3)), "m has 3 logits and pi 2 rows"),
        (lambda: optimal_alpha(np.eye(2), 0.0), "m has 0 logits"),
        (lambda: observed_probability(np.eye(3)[None].repeat(4, 0), np.zeros((5, 3))), r"axes \(5,\) and pi \(4,\)"),
        (lambda: optimal_alpha(np.full((2, 3), 1 / 3), np.zeros(2)), "2 rows and 3 columns, expected at most as many"),
        (lambda: optimal_alpha(np.eye(2), [0.0, -np.inf]), "not finite"),
        (
            lambda: log_observed_probability([[0.5, 0.4], [0, 1]], [0, 0]),
            r"rows \[0\] of pi sum to \[0.9\], off by -0.1",
        ),
        (lambda: to_gauge(np.zeros(2), "centred"), "gauge is 'centred', expected one of"),
        (lambda: to_gauge(np.zeros(2), "partition"), "m is missing"),
        (lambda: to_gauge(np.zeros(3), "partition", np.zeros(2)), "m has 2 logits and alpha 3 constants"),
        (lambda: to_gauge([0.0, np.nan], "first_zero"), r"NaN or \+inf"),
        (lambda: to_gauge([-np.inf, 0.0], "first_zero"), "without first_zero gauge"),
        (lambda: to_gauge([0.0, -np.inf], "mean_centered"), "without mean_centered gauge"),
        (lambda: to_gauge([-np.inf, -np.inf], "partition", [0, 0]), "without partition gauge"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("pi", [symmetric(4, 0.4), pair_flip(4, 0.3)], ids=["symmetric", "pair"])
def test_the_table_learns_the_closed_form(pi):
    """Gradient descent on the expected loss, m held at m*: each row converges to alpha* up to its constant."""
    m = np.random.RandomState(0).normal(size=(6, 4))
    q = torch.from_numpy(observed_probability(pi, m))
    logits, index = torch.from_numpy(m), torch.arange(6)
    table = AlphaTable(6, 4, lr=1.0, dtype=torch.float64)
    for _ in range(3000):
        rows = table.rows(index)
        # sum_i Q(i) (softmax - onehot(i)): the loss's own gradient, averaged over the observed label
        grads = [softmax_gradient(logits + rows, torch.full((6,), i))[0] for i in range(4)]
        table.step(index, sum(q[:, i : i + 1] * grads[i] for i in range(4)))
    learned, expected = table.dense().numpy(), optimal_alpha(pi, m)
    np.testing.assert_allclose(to_gauge(learned, "partition", m), expected, atol=1e-9)
