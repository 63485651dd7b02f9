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
from acestimator.objectives.judge import _GAIN, _LEAST_PATIENCE, _PATIENCE, Judge, asked_epochs
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
    """Epochs, from 1, after which the judge was stopped; it is asked when it wants to be."""
    stops = []
    for epoch, said in enumerate(logits):
        if judge.wants(epoch):
            judge.judge(epoch, said)
            stops += [epoch + 1] if judge.stopped else []
    return stops


def mean_word(logits, length, n_epochs):
    """Mean of the probabilities over the first epochs: an answer stands for those since the one before."""
    total, before = 0.0, 0
    for asked in asked_epochs(n_epochs):
        if asked <= length:
            total = total + (asked - before) * torch.softmax(logits[asked - 1], dim=1)
            before = asked
    assert before == length
    return total / length


def likelihoods(logits, labels, weight=None):
    """Mean log-likelihood of each of the epochs asked, as the docstring has it."""
    asked = asked_epochs(len(logits))
    return {length: temperature(mean_word(logits, length, len(logits)).log(), labels, weight)[1] for length in asked}


def best_length_and_stop(gained, last=None):
    """Best length, and the epoch of the stop or None: with patience, and not beyond ``last``."""
    best, best_length = -math.inf, 0
    for length, likelihood in gained.items():
        if likelihood - best > _GAIN:
            best, best_length = likelihood, length
        if length == last or length - best_length > max(_LEAST_PATIENCE, _PATIENCE * length):
            return best_length, length
    return best_length, None


# --- when it is asked ---


@given(st.integers(1, 500))
def test_a_judge_is_asked_ever_less_often_and_at_the_end(n_epochs):
    asked = asked_epochs(n_epochs)
    assert asked[:10] == list(range(1, min(n_epochs, 10) + 1))
    assert asked[-1] == n_epochs
    steps = np.diff(asked)
    assert (steps >= 1).all()
    assert (steps <= np.maximum(1, 0.2 * np.array(asked[:-1]))).all()
    assert len(asked) <= 10 + 1 + math.log(max(n_epochs, 10) / 10) / math.log(1.1)


def test_the_epochs_that_the_docstring_names():
    assert asked_epochs(60)[9:15] == [10, 12, 14, 16, 19, 22]
    assert len(asked_epochs(60)) == 21


@given(SEEDS, st.integers(1, 30), st.none() | st.integers(1, 40))
def test_it_wants_these_epochs_and_no_others(seed, n_epochs, length):
    labels = torch.from_numpy(np.random.RandomState(seed).randint(K, size=M))
    judge = started(Judge(labels, length=length), labels, K, max_epochs=n_epochs)
    last = n_epochs if length is None else min(length, n_epochs)
    assert [epoch + 1 for epoch in range(n_epochs) if judge.wants(epoch)] == asked_epochs(last)


# --- its word and its end ---


@given(SEEDS, st.booleans())
def test_a_judge_stops_when_the_mean_of_its_probabilities_gains_no_more(seed, weighted):
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(0.5, 3, size=M)) if weighted else None
    judge, logits = judging(seed, weight=weight)
    gained = likelihoods(logits, judge.labels, weight)
    best_length, stop = best_length_and_stop(gained)
    stops = all_stops(judge, logits[:stop])
    assert stops == ([] if stop is None else [stop])
    assert judge.best_length() == best_length
    for length in [asked for asked in asked_epochs(16) if stop is None or asked <= stop]:
        mean = mean_word(logits, length, 16)
        torch.testing.assert_close(judge.word(length).exp().float(), mean.float())
        assert judge.log_likelihoods[length] == pytest.approx(gained[length])


def test_among_these_are_stops_and_their_absence():
    stops = [best_length_and_stop(likelihoods(logits, judge.labels))[1] for judge, logits in map(judging, range(20))]
    assert None in stops
    assert len(set(stops)) > 4


@given(SEEDS, SEEDS, st.booleans())
def test_two_judges_have_one_length_that_is_best_for_both(seed, other_seed, weighted):
    """The second goes on no longer than the first did; what counts is the likelihood of all their samples."""
    rng = np.random.RandomState(seed)
    weights = [torch.from_numpy(rng.uniform(0.5, 3, size=M)) if weighted else None for _ in range(2)]
    first, said = judging(seed, weight=weights[0])
    end = min(all_stops(first, said), default=None)
    first, said = judging(seed, weight=weights[0])
    all_stops(first, said[:end])
    second, others = judging(other_seed, weight=weights[1], beside=first)
    gained = [likelihoods(said, first.labels, weights[0]), likelihoods(others, second.labels, weights[1])]
    parts = [M if weight is None else float(weight.sum()) for weight in weights]
    last = max(first.words)
    both = {
        length: (parts[0] * gained[0][length] + parts[1] * gained[1][length]) / sum(parts)
        for length in gained[0]
        if length <= last
    }
    best_length, stop = best_length_and_stop(both, last)
    assert all_stops(second, others[:stop]) == [stop]
    assert second.best_length() == best_length
    assert {best_length} <= first.words.keys() & second.words.keys()


@given(SEEDS)
def test_no_judge_stops_before_its_third_epoch(seed):
    judge, logits = judging(seed)
    assert min(all_stops(judge, logits), default=3) >= 3


@given(SEEDS, st.integers(1, 20))
def test_a_wanted_length_is_kept_whatever_the_likelihood(seed, length):
    """As far as the training goes."""
    judge, logits = judging(seed, length=length)
    end = min(length, 16)
    assert all_stops(judge, logits[:end]) == [end]
    assert judge.words.keys() == {end}
    assert not judge.log_likelihoods
    torch.testing.assert_close(judge.word(end).exp().float(), mean_word(logits, end, end).float())


def test_a_judge_can_be_started_again():
    judge, logits = judging(0, length=2)
    all_stops(judge, logits[:2])
    first = judge.word(2)
    started(judge, judge.labels, K, max_epochs=16)
    assert not judge.stopped
    all_stops(judge, logits[:2])
    assert torch.equal(judge.word(2), first)


def test_a_judge_s_state_is_all_that_it_goes_on_from():
    whole, logits = judging(3)
    resumed, _ = judging(3)
    for epoch in range(2):
        whole.judge(epoch, logits[epoch])
    resumed.load_state_dict(whole.state_dict())
    for judge in (whole, resumed):
        judge.judge(2, logits[2])
    assert resumed.log_likelihoods == whole.log_likelihoods
    assert resumed.words.keys() == whole.words.keys() == {1, 2, 3}
    assert torch.equal(resumed.word(3), whole.word(3))


def test_probabilities_of_zero_are_no_end_of_the_judging():
    """Logits so far apart that a float64 has no probability for the other categories."""
    labels = torch.arange(M) % K
    judge = started(Judge(labels), labels, K, max_epochs=9)
    judge.judge(0, 1e4 * nn.functional.one_hot((labels + (torch.arange(M) == 0)) % K).double())
    assert math.isfinite(judge.log_likelihoods[1])
    assert judge.best_length() == 1
    torch.testing.assert_close(judge.word(1).exp().sum(dim=1), torch.ones(M, dtype=torch.float64))


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
    mean = torch.softmax(torch.stack(said).double(), dim=2).mean(dim=0)
    torch.testing.assert_close(judge.word(4).exp(), mean, rtol=1e-6, atol=1e-6)


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


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_judge_whose_logits_are_not_finite_is_an_error_with_the_cure(value):
    """On samples that it is not trained on, so that no loss shows it."""
    features, labels = problem(M, 2)
    features[3, 0] = value
    message = r"gives NaN or infinite logits on its training samples: lower learning_rate, standardise the inputs"
    with pytest.raises(FloatingPointError, match=message):
        run(Judge(labels), features)
