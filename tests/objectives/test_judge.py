"""A judge: its word, how long it is trained, and what the loop does with judged samples."""

import math

import numpy as np
import pytest
import torch
from by_hand import a_block, started
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acestimator.channel import temperature
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import TensorSamples
from acestimator.objectives import CrossEntropy
from acestimator.objectives.judge import _GAIN, _LEAST_PATIENCE, _PATIENCE, Judge
from acestimator.training import TrainingPlan, train

K, M = 3, 20
SEEDS = st.integers(0, 2**31 - 1)
PLAN = TrainingPlan(max_epochs=6, batch_size=8, learning_rate=0.01, optimizer="adamw", momentum=0.9, weight_decay=1e-2)


def judging(seed, n_epochs=16, **options):
    """A judge at its start, and what its network will say, (epochs, M, K): ever less to the point, or ever more."""
    rng = np.random.RandomState(seed)
    labels = torch.from_numpy(rng.randint(K, size=M))
    growth = np.exp(np.arange(n_epochs) * rng.uniform(-0.5, 0.3))[:, None, None]
    right = np.eye(K)[labels] * rng.exponential() * growth
    logits = torch.from_numpy(rng.normal(size=(n_epochs, M, K)) + right)
    return started(Judge(labels, **options), labels, K, max_epochs=n_epochs), logits


def all_stops(judge, logits):
    """Epochs, from 1, after which the judge was stopped."""
    stops = []
    for epoch, said in enumerate(logits):
        judge.judge(epoch, said)
        stops += [epoch + 1] if judge.stopped else []
    return stops


def lengths_and_stop(logits, labels, weight=None):
    """Best length and the epoch of the stop, as the docstring has them."""
    best, best_length = -math.inf, 0
    for length in range(1, len(logits) + 1):
        mean = torch.softmax(logits[:length], dim=2).mean(dim=0)
        gained = temperature(mean.log(), labels, weight)[1]
        if gained - best > _GAIN:
            best, best_length = gained, length
        if length - best_length > max(_LEAST_PATIENCE, _PATIENCE * length):
            return best_length, length
    return best_length, None


@given(SEEDS, st.booleans())
def test_a_judge_stops_when_the_mean_of_its_probabilities_gains_no_more(seed, weighted):
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(0.5, 3, size=M)) if weighted else None
    judge, logits = judging(seed, weight=weight)
    best_length, stop = lengths_and_stop(logits, judge.labels, weight)
    stops = all_stops(judge, logits[:stop])
    assert stops == ([] if stop is None else [stop])
    assert judge.length == best_length
    mean = torch.softmax(logits[:best_length], dim=2).mean(dim=0)
    torch.testing.assert_close(judge.word, mean)
    assert judge.log_likelihood == pytest.approx(temperature(mean.log(), judge.labels, weight)[1])


def test_among_these_are_stops_and_their_absence():
    stops = [lengths_and_stop(logits, judge.labels)[1] for judge, logits in map(judging, range(20))]
    assert None in stops
    assert len(set(stops)) > 5


@given(SEEDS)
def test_no_judge_stops_before_its_third_epoch(seed):
    judge, logits = judging(seed)
    assert min(all_stops(judge, logits), default=3) >= 3


@given(SEEDS, st.integers(1, 12))
def test_a_wanted_length_is_kept_whatever_the_likelihood(seed, length):
    judge, logits = judging(seed, length=length)
    assert all_stops(judge, logits[:length]) == [length]
    assert judge.length == length
    torch.testing.assert_close(judge.word, torch.softmax(logits[:length], dim=2).mean(dim=0))


def test_a_judge_can_be_started_again():
    judge, logits = judging(0, length=2)
    all_stops(judge, logits[:2])
    first = judge.word
    started(judge, judge.labels, K, max_epochs=16)
    assert not judge.stopped
    all_stops(judge, logits[:2])
    assert torch.equal(judge.word, first)


def test_probabilities_of_zero_are_no_end_of_the_judging():
    """Logits so far apart that a float64 has no probability for the other categories."""
    labels = torch.arange(M) % K
    judge = started(Judge(labels), labels, K, max_epochs=9)
    judge.judge(0, 1e4 * nn.functional.one_hot((labels + (torch.arange(M) == 0)) % K).double())
    assert math.isfinite(judge.log_likelihood)
    assert judge.length == 1
    torch.testing.assert_close(judge.word.sum(dim=1), torch.ones(M, dtype=torch.float64))


def test_samples_that_are_kept_in_part_have_their_weights():
    kept = torch.tensor([1.0, 0.0, 0.5, 1.0])
    judge = started(Judge(torch.tensor([0]), kept=kept), torch.tensor([0, 1, 2, 0]), K)
    index = torch.tensor([2, 0, 1])
    assert torch.equal(judge.begin_block(a_block(judge.training.labels, index)), kept[index])
    assert Judge(torch.tensor([0])).begin_block(a_block(judge.training.labels)) is None


# --- in the loop ---


class Dropping(nn.Sequential):
    """Draws, and normalises by batches."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, K))


def problem(n_samples, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_samples, 4, generator=generator), torch.randint(K, (n_samples,), generator=generator)


def run(judge, judged, network=None, **options):
    network = Dropping() if network is None else network
    (features, labels), generator = problem(30, 1), torch.Generator().manual_seed(0)
    samples = None if judged is None else TensorSamples(judged, Preprocessing(torch.device("cpu")))
    torch.manual_seed(1)
    history = train(network, judge, features, labels, PLAN, n_classes=K, generator=generator, judged=samples, **options)
    return network, history


def test_the_word_is_what_the_network_says_in_evaluation_mode_after_each_epoch():
    features, labels = problem(M, 2)
    network, said, modes = Dropping(), [], []

    class Asked(Judge):
        def judge(self, epoch, logits):
            modes.append(network.training)
            with torch.no_grad():
                said.append(network.eval()(features))
            torch.testing.assert_close(logits, said[-1])
            super().judge(epoch, logits)

        def begin_block(self, block):
            modes.append(network.training)
            return super().begin_block(block)

    judge = Asked(labels, length=4)
    _, history = run(judge, features, network)
    assert len(history) == len(said) == 4
    assert modes == [True, False] * 4
    assert network.training
    torch.testing.assert_close(judge.word, torch.softmax(torch.stack(said).double(), dim=2).mean(dim=0))


def test_judged_samples_are_never_trained_on():
    features, labels = problem(M, 2)
    ours, _ = run(Judge(labels, length=4), features)
    theirs, _ = run(Judge((labels + 1) % K, length=4), 100 * features + 7)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_a_judge_that_is_never_stopped_is_plain_training():
    """Asking it draws nothing and changes nothing."""
    features, labels = problem(M, 2)
    ours, history = run(Judge(labels, length=PLAN.max_epochs), features)
    theirs, plain = run(CrossEntropy(), None)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert [record["loss"] for record in history] == [record["loss"] for record in plain]
