"""Definition 1 against 50 digits, and as a distribution over K; tolerances are explained in `references`."""

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from references import EPS, assert_close, exact, naive_log_q, rounding, transposed_log_q
from scipy.special import logsumexp
from strategies import logits, processes, square_matrices

from theory.observed import log_observed_probability, observed_probability

properties = Properties()

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


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def test_a_category_that_is_never_given_has_probability_zero():
    assert observed_probability([[1.0, 0.0], [1.0, 0.0]], np.zeros(2)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: observed_probability(np.eye(3)[None].repeat(4, 0), np.zeros((5, 3))), r"axes \(5,\) and pi \(4,\)"),
        (lambda: observed_probability(np.eye(2), [0.0, np.inf]), "not finite"),
        (
            lambda: log_observed_probability([[0.5, 0.4], [0, 1]], [0, 0]),
            r"rows \[0\] of pi sum to \[0.9\], off by -0.1",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
