"""Theorem 1's constants and the gauges; the project's table learning the constants.

Tolerances are explained in `references`.
"""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from references import EPS, assert_close, exact, naive_log_q, rounding, transposed_log_q
from scipy.special import log_softmax, logsumexp, softmax
from strategies import logits, processes, sizes, square_matrices

from acestimator import AlphaTable
from acestimator.objectives import softmax_gradient
from theory.observed import log_observed_probability, observed_probability
from theory.paper.closed_form import GAUGES, optimal_alpha, to_gauge
from theory.paper.transitions import pair_flip, symmetric

properties = Properties()


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
        (lambda: optimal_alpha(np.full((2, 3), 1 / 3), np.zeros(2)), "2 rows and 3 columns, expected at most as many"),
        (lambda: optimal_alpha(np.eye(2), [0.0, -np.inf]), "not finite"),
        (lambda: optimal_alpha([[0.5, 0.4], [0, 1]], [0, 0]), r"rows \[0\] of pi sum to \[0.9\], off by -0.1"),
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
