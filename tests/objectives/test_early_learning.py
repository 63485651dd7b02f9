"""The pull towards averaged predictions: its gradient, its limits, and its averages."""

from __future__ import annotations

import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from acestimator.objectives.early_learning import DECAY, PredictionAverages, add_pull_
from acestimator.peers.memory import EarlyLearning

N, K = 12, 4


def pull(probability, average, strength):
    """What is added to a gradient."""
    return add_pull_(torch.zeros_like(probability), probability, 1.0 - average, strength)


def problem(seed, spread=2.0, dtype=torch.float64):
    """Logits (N, K), and averages of many predictions (N, K)."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(N, K, generator=generator, dtype=dtype)
    past = torch.softmax(spread * torch.randn(5, N, K, generator=generator, dtype=dtype), dim=2)
    return logits, past.mean(dim=0)


@given(st.integers(0, 10_000), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_the_gradient_is_autograds_and_sums_to_zero(seed, spread, strength):
    logits, average = problem(seed, spread)
    logits.requires_grad_()
    probability = torch.softmax(logits, dim=1)
    (strength * torch.log1p(-(average * probability).sum(dim=1)).sum()).backward()
    found = pull(probability.detach(), average, strength)
    assert_close(found, logits.grad, rtol=1e-8, atol=1e-10)
    assert_close(found.sum(dim=1), torch.zeros(N, dtype=torch.float64), rtol=0, atol=1e-10 * strength)
    assert found.abs().max() <= strength
    grad = torch.ones_like(found)
    assert_close(add_pull_(grad, probability.detach(), 1.0 - average, strength), 1.0 + found)


@given(st.integers(0, 10_000))
def test_a_descent_step_raises_the_agreement_with_the_average(seed):
    logits, average = problem(seed)

    def agreement(m):
        return (average * torch.softmax(m, dim=1)).sum(dim=1)

    moved = logits - 1e-4 * pull(torch.softmax(logits, dim=1), average, 1.0)
    assert (agreement(moved) >= agreement(logits) - 1e-12).all()


def test_predictions_that_are_even_or_without_a_past_are_not_pulled():
    logits, average = problem(0)
    probability = torch.softmax(logits, dim=1)
    zero = torch.zeros_like(logits)
    assert_close(pull(probability, zero, 2.0), zero, rtol=0, atol=1e-15)
    assert_close(pull(probability, torch.full_like(average, 1.0 / K), 2.0), zero, rtol=0, atol=1e-15)


@given(st.integers(0, 10_000))
def test_where_nothing_is_clamped_it_is_the_term_of_elr(seed):
    """After a first visit; ELR normalises its target again, which is then one already."""
    logits, _ = problem(seed, spread=0.7)  # far from the clamps, 1e-4 and 1 - 1e-4
    labels, index = torch.arange(N) % K, torch.arange(N)
    theirs = started(EarlyLearning(2.0, DECAY), labels, K, max_epochs=10)
    ours = PredictionAverages(N, K, torch.float64, torch.device("cpu"))
    take(theirs, logits, a_block(labels))
    ours.visit(index, torch.softmax(logits, dim=1))
    assert_close(ours.values, theirs.target)
    then = logits.flip(1)
    probability = torch.softmax(then, dim=1)
    ours.gather(index, [N])
    grad = probability - torch.nn.functional.one_hot(labels, K)
    add_pull_(grad, probability, ours.doubts(0, probability), 2.0)
    assert_close(grad, take(theirs, then, a_block(labels))[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certain_predictions_leave_it_finite(dtype):
    """A network that is as certain of a category as numbers can be, visit after visit, and then of another."""
    averages = PredictionAverages(N, K, dtype, torch.device("cpu"))
    index = torch.arange(N)
    certain = torch.zeros(N, K, dtype=dtype)
    certain[:, 1] = 1.0

    def gradient(probability):
        averages.gather(index, [N])
        return add_pull_(torch.zeros_like(probability), probability, averages.doubts(0, probability), 2.0)

    for _ in range(200):
        assert_close(gradient(certain), torch.zeros_like(certain), rtol=0, atol=1e-3)
        averages.visit(index, certain)
    assert (averages.values.sum(dim=1) < 1.0).all()
    assert torch.isfinite(gradient(certain.flip(1))).all()


def test_averages_are_of_the_samples_visited_and_forget_at_the_stated_rate():
    averages = PredictionAverages(N, K, torch.float64, torch.device("cpu"))
    probability = torch.softmax(problem(3)[0], dim=1)
    index = torch.tensor([7, 2, 5])
    for _ in range(3):
        averages.gather(index, [2, 1])
        doubts = [averages.doubts(step, probability[part]) for step, part in enumerate(torch.split(index, [2, 1]))]
        averages.visit(index, probability[index])
        assert_close(torch.cat(doubts), 1.0 - averages.values[index])  # a step sees them as its visit will leave them
    expected = torch.zeros(N, K, dtype=torch.float64)
    expected[index] = (1.0 - DECAY**3) * probability[index]
    assert_close(averages.values, expected)
