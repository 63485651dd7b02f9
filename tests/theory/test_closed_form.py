"""Definition 1 and Theorem 1's constants, and the project's table learning them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from acestimator import AlphaTable
from acestimator.noise import pair_flip, symmetric
from acestimator.objectives import softmax_gradient
from theory.closed_form import log_observed_probability, optimal_alpha


@st.composite
def processes(draw):
    """A transition matrix (K*, K) with K <= K*, and true logits (K*,)."""
    n_true = draw(st.integers(2, 12))
    n_observed = draw(st.integers(2, n_true))
    rng = np.random.RandomState(draw(st.integers(0, 10_000)))
    scale = draw(st.sampled_from([0.1, 3.0, 1e4]))
    return rng.dirichlet(np.full(n_observed, 0.3), size=n_true), scale * rng.normal(size=n_true)


@given(processes())
def test_observed_probabilities_sum_to_one_and_agree_with_the_definition(process):
    pi, m = process
    q = np.exp(log_observed_probability(pi, m))
    assert q.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(q, softmax(m) @ pi, atol=1e-12)


@given(processes())
def test_the_expected_gradient_vanishes_at_the_optimal_constants(process):
    """Theorem 1: softmax_K(m + alpha*) = Q, so the expected gradient, softmax - Q, is zero in logits and in alpha."""
    pi, m = process
    alpha = optimal_alpha(pi, m)
    n_observed = pi.shape[1]
    c = m[:n_observed] + alpha
    np.testing.assert_allclose(softmax(c), np.exp(log_observed_probability(pi, m)), atol=1e-11)
    # the closed form's own gauge
    assert logsumexp(c) == pytest.approx(logsumexp(m), rel=1e-12, abs=1e-9)


def test_a_category_that_is_never_given_has_constant_minus_infinity():
    pi = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert optimal_alpha(pi, np.zeros(2)).tolist() == [np.log(2.0), -np.inf]


def test_sizes_that_disagree():
    with pytest.raises(ValueError, match="m has 3 logits and pi 2 rows"):
        optimal_alpha(np.eye(2), np.zeros(3))


@pytest.mark.parametrize("pi", [symmetric(4, 0.4), pair_flip(4, 0.3)], ids=["symmetric", "pair"])
def test_the_table_learns_the_closed_form(pi):
    """Gradient descent on the expected loss, m held at m*: each row converges to alpha* up to its constant."""
    m = np.random.RandomState(0).normal(size=(6, 4))
    q = torch.from_numpy(np.exp(log_observed_probability(pi, m)))
    logits, index = torch.from_numpy(m), torch.arange(6)
    table = AlphaTable(6, 4, lr=1.0, dtype=torch.float64)
    for _ in range(3000):
        rows = table.rows(index)
        # sum_i Q(i) (softmax - onehot(i)): the loss's own gradient, averaged over the observed label
        grads = [softmax_gradient(logits + rows, torch.full((6,), i))[0] for i in range(4)]
        table.step(index, sum(q[:, i : i + 1] * grads[i] for i in range(4)))
    learned, expected = table.dense().numpy(), optimal_alpha(pi, m)
    difference = learned - expected
    np.testing.assert_allclose(difference - difference.mean(axis=1, keepdims=True), 0, atol=1e-9)
