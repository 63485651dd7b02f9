"""A network that is spared labels: which, from when on, and that they are without influence then."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from torch import nn

from acestimator.channel import Channel
from acestimator.objectives import CrossEntropy
from acestimator.objectives.spared import _SUREST, LEFT_OUT, Spared, mean_log_odds
from acestimator.training import TrainingPlan, train

K, N = 3, 40
PLAN = TrainingPlan(max_epochs=6, batch_size=8, learning_rate=0.01, optimizer="adamw", momentum=0.9, weight_decay=1e-2)
RIGHT = Channel(1.0, torch.eye(K, dtype=torch.float64), 0.0)  # of labels that cannot be wrong
NOISY = Channel(1.3, torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.0, 0.7]]).double(), 0.0)


def problem():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, 4, generator=generator), torch.randint(K, (N,), generator=generator)


def run(objective, labels=None, on_epoch=None):
    """Parameters of a network after the training, its labels looked at anew in every epoch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, K))
    features, observed = problem()
    labels = observed if labels is None else labels
    generator = torch.Generator().manual_seed(0)
    history = train(network, objective, features, labels, PLAN, n_classes=K, generator=generator, on_epoch=on_epoch)
    return torch.cat([p.detach().flatten() for p in network.parameters()]), history


@pytest.mark.parametrize("first", [1, 3, 6])
def test_where_no_label_can_be_wrong_it_is_cross_entropy(first):
    """Bit for bit."""
    objective = Spared(torch.zeros(N, dtype=torch.float64), RIGHT, first)
    ours, history = run(objective)
    theirs, plain = run(CrossEntropy())
    assert torch.equal(ours, theirs)
    assert [record["loss"] for record in history] == [record["loss"] for record in plain]
    assert objective.kept.all()
    torch.testing.assert_close(objective.proba, torch.full((N,), _SUREST, dtype=torch.float64))


def test_labels_that_are_left_out_have_no_influence_from_then_on_and_all_have_it_before():
    judged = torch.from_numpy(np.random.RandomState(0).uniform(size=N))

    def parameters(when, which):
        """Of a training in which some labels become others once so many epochs are over."""
        objective, (_, labels) = Spared(judged, NOISY, 2), problem()

        def change(record):
            if record["epoch"] == when:
                labels[which(objective.kept)] = (labels[which(objective.kept)] + 1) % K

        return run(objective, labels, change)[0]

    unchanged = run(Spared(judged, NOISY, 2))[0]
    assert torch.equal(parameters(2, lambda kept: kept == 0), unchanged)
    assert not torch.equal(parameters(2, lambda kept: kept == 1), unchanged)
    for n in range(0, N, 7):
        assert not torch.equal(parameters(1, lambda _, n=n: n), unchanged)


@given(st.integers(0, 2**31 - 1), st.integers(1, 4))
def test_the_judges_and_the_networks_own_word_are_averaged(seed, first):
    """The network's is that of the first epochs, read by the channel as what judges say is; later ones do not count."""
    rng = np.random.RandomState(seed)
    labels, judged = torch.from_numpy(rng.randint(K, size=N)), torch.from_numpy(rng.uniform(size=N))
    seen = torch.from_numpy(rng.normal(scale=3, size=(6, N, K)))
    weight = torch.from_numpy(rng.uniform(0.5, 2, size=N)) if seed % 2 else None
    objective = started(Spared(judged, NOISY, first), labels, K, max_epochs=6, sample_weight=weight)
    mean = torch.softmax(seen[:first], dim=2).mean(dim=0)
    own = NOISY.wrong_probability(mean.log(), labels)
    both = expit((logit(judged.numpy()) + logit(own.numpy())) / 2)
    for epoch in range(6):
        for index in torch.from_numpy(rng.permutation(N)).split(17):
            block = a_block(labels, index, epoch=epoch)
            kept = objective.begin_block(block)
            if epoch < first:
                assert kept is None
            else:
                np.testing.assert_array_equal(kept.numpy(), both[index] <= LEFT_OUT)
            take(objective, seen[epoch][index], block)
        rate = objective.end_epoch(epoch)["noise_rate"]
        expected = judged.numpy() if epoch + 1 < first else both
        assert rate == pytest.approx(np.average(expected, weights=weight))
        np.testing.assert_allclose(objective.proba.numpy(), expected, rtol=1e-9)


def test_a_network_that_was_sure_is_no_end_of_the_reading():
    """Logits so far apart that a float64 has no probability for the other categories."""
    labels = torch.arange(N) % K
    objective = started(Spared(torch.full((N,), 0.5, dtype=torch.float64), NOISY, 1), labels, K, max_epochs=2)
    true = (labels + (torch.arange(N) < 5)) % K
    take(objective, 1e4 * nn.functional.one_hot(true).double(), a_block(labels))
    assert np.isfinite(objective.end_epoch(0)["noise_rate"])
    possible = NOISY.pi[true, labels] > 0  # of a mistake that there cannot be, the right category is likelier
    assert torch.equal(objective.kept == 0, (true != labels) & possible)


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4))
def test_mean_log_odds(probabilities):
    found = float(mean_log_odds(*(torch.tensor([p], dtype=torch.float64) for p in probabilities)))
    assert found == pytest.approx(expit(np.mean(logit(probabilities))))
    opposite = float(mean_log_odds(*(torch.tensor([1 - p], dtype=torch.float64) for p in probabilities)))
    assert found + opposite == pytest.approx(1)


def test_mean_log_odds_of_the_certain():
    certain = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    found = mean_log_odds(certain, torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([_SUREST, 1 - _SUREST, 0.5], dtype=torch.float64))
