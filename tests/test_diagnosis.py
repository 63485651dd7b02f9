"""acestimator.diagnosis: slopes against autograd, chance against all permutations, bounds against closed forms."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from torch import nn

from acestimator.diagnosis import FREE, Tally, are_probabilities, highest_probability, learnt, mostly_flagged, sums


def tallied(logits, labels, weight=None):
    tally = Tally(labels, logits.shape[1], weight)
    tally.add(logits, slice(None))
    return tally.learnt()


def some(n_samples=40, n_classes=3, seed=0):
    """Logits that know something of the labels, and labels, all of which occur."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat(
        (torch.arange(n_classes), torch.randint(n_classes, (n_samples - n_classes,), generator=generator))
    )
    logits = torch.randn(n_samples, n_classes, dtype=torch.float64, generator=generator)
    return logits + nn.functional.one_hot(labels, n_classes), labels


def likelihood(beta, logits, labels, frequencies):
    """Mean log-likelihood at a place on the line from the class frequencies to the network."""
    start = frequencies.log()
    line = torch.log_softmax(start + beta * (logits - start), dim=1)
    return line.gather(1, labels[:, None]).mean()


# ---------------------------------------------------------------- learnt


def test_what_is_unanswered_is_the_slope_at_the_network_over_that_at_the_frequencies():
    logits, labels = some()
    frequencies = torch.bincount(labels).double() / len(labels)
    slopes = []
    for at in (0.0, 1.0):
        beta = torch.tensor(at, dtype=torch.float64, requires_grad=True)
        likelihood(beta, logits, labels, frequencies).backward()
        slopes.append(beta.grad.item())
    assert tallied(logits, labels).unanswered == pytest.approx(slopes[1] / slopes[0], rel=1e-12)


def test_association_is_in_standard_deviations_over_all_orders_of_the_labels():
    logits, labels = some(n_samples=6)
    frequencies = torch.bincount(labels).double() / len(labels)
    start = frequencies.log()
    v = logits - start - ((logits - start) @ frequencies)[:, None]
    slopes = [
        v.gather(1, labels[list(order)][:, None]).mean().item() for order in itertools.permutations(range(len(labels)))
    ]
    assert np.mean(slopes) == pytest.approx(0.0, abs=1e-12)
    assert tallied(logits, labels).association == pytest.approx(slopes[0] / np.std(slopes), rel=1e-10)


def test_logistic_regression_has_answered_all_of_the_pull():
    X, y = make_blobs(300, centers=3, cluster_std=3.0, random_state=0)
    logits = torch.from_numpy(LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(X, y).decision_function(X))
    labels = torch.from_numpy(y)
    assert tallied(logits, labels).unanswered == pytest.approx(0.0, abs=1e-6)
    assert tallied(0.5 * logits, labels).unanswered > 0.1
    assert tallied(2.0 * logits, labels).unanswered < -0.1


@given(st.floats(1e-3, 1e3), st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.integers(0, 20))
def test_association_does_not_see_the_size_of_logits_nor_numbers_added_to_rows_or_classes(scale, of_classes, seed):
    logits, labels = some(seed=seed)
    of_rows = torch.linspace(-3, 3, len(labels), dtype=torch.float64)[:, None]
    other = scale * (logits + of_rows) + torch.tensor(of_classes, dtype=torch.float64)
    assert tallied(other, labels).association == pytest.approx(tallied(logits, labels).association, rel=1e-6)


def test_association_of_logits_that_know_nothing_is_standard_normal():
    labels = torch.arange(120) % 3
    generator = torch.Generator().manual_seed(0)
    seen = [tallied(torch.randn(120, 3, generator=generator), labels).association for _ in range(400)]
    assert abs(np.mean(seen)) < 3 / math.sqrt(400)
    assert np.std(seen) == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("biases", [[0.0, 0.0, 0.0], [1000.0, -30.0, 0.1]])
def test_logits_that_are_the_same_for_all_samples_have_no_association(biases):
    labels = torch.tensor([0, 1, 1, 2, 2, 2, 2])
    found = tallied(torch.tensor(biases).expand(7, 3), labels)
    assert found.association == 0.0
    assert math.isnan(found.unanswered)


def test_accuracy_and_confidence_are_those_of_the_predictions():
    logits, labels = some()
    found = tallied(logits, labels)
    assert found.accuracy == pytest.approx((logits.argmax(dim=1) == labels).double().mean().item())
    assert found.confidence == pytest.approx(torch.softmax(logits, dim=1).amax(dim=1).mean().item())


@given(st.lists(st.integers(1, 39), max_size=4, unique=True))
def test_sums_of_parts_add_up_to_those_of_the_whole(cuts):
    logits, labels = some()
    weight = torch.linspace(0.5, 2.0, len(labels), dtype=torch.float64)
    whole, parts = (Tally(labels, 3, weight) for _ in range(2))
    whole.add(logits, slice(None))
    for start, stop in itertools.pairwise([0, *sorted(cuts), len(labels)]):
        parts.add(logits[start:stop], slice(start, stop))
    torch.testing.assert_close(parts.sums, whole.sums)


def test_a_weight_of_two_is_the_sample_twice_and_only_ratios_count():
    logits, labels = some()
    weight = 1.0 + (torch.arange(len(labels)) % 2).double()
    twice = torch.arange(len(labels)).repeat_interleave(weight.long())
    ours, theirs = tallied(logits, labels, weight), tallied(logits[twice], labels[twice])
    for name in ("unanswered", "accuracy", "confidence"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)
    for scale in (7.0, 1e300, 1e-300):
        assert vars(tallied(logits, labels, scale * weight)) == pytest.approx(vars(ours), rel=1e-12)
    # But what is chance is decided by how many samples there are, not by how often each is counted.
    assert ours.association < theirs.association


def test_a_label_that_no_sample_has_changes_nothing():
    logits, labels = some()
    with_another = torch.cat((logits, torch.full((len(labels), 1), -1e4, dtype=torch.float64)), dim=1)
    assert vars(tallied(with_another, labels)) == pytest.approx(vars(tallied(logits, labels)), rel=1e-9)


def test_one_sample_is_no_evidence():
    totals = sums(torch.tensor([[3.0, 0.0]]), torch.tensor([0]), torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert learnt(totals.numpy(), np.array([0.5, 0.5])).association == 0.0


def test_logits_that_overflow_are_not_short_of_size():
    logits, labels = some()
    found = tallied(1e200 * logits, labels)
    assert (found.association, found.unanswered) == (math.inf, 0.0)


# ---------------------------------------------------------------- bounded outputs


class Cosine(nn.Module):
    def __init__(self, n_classes, scale=None, temperature=None):
        super().__init__()
        self.inner, self.prototypes = nn.Linear(6, 8), nn.Parameter(torch.randn(n_classes, 8))
        for name, value in (("scale", scale), ("temperature", temperature)):
            setattr(self, name, None if value is None else nn.Parameter(torch.tensor(value)))

    def forward(self, x):
        cosine = nn.functional.normalize(self.inner(x), dim=1) @ nn.functional.normalize(self.prototypes, dim=1).T
        cosine = cosine if self.scale is None else cosine * self.scale
        return cosine if self.temperature is None else cosine / self.temperature


def ends_in(*end, n_classes=4):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, n_classes), *end).eval()


BOUNDED = {"softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "hardtanh": nn.Hardtanh()}


@pytest.mark.parametrize("n_classes", [2, 4, 50])
@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_outputs_do_not_come_over_their_bound(name, n_classes):
    spread = 2.0 if "tanh" in name else 1.0
    bound = math.exp(spread) / (math.exp(spread) + n_classes - 1)
    found = highest_probability(ends_in(BOUNDED[name], n_classes=n_classes), torch.randn(64, 6))
    assert found <= bound + 1e-6
    assert found > bound / math.e**spread  # what equal outputs would have is less


@pytest.mark.parametrize(
    "network",
    [
        *(lambda end=end: ends_in(*end) for end in ([], [nn.LogSoftmax(1)], [nn.BatchNorm1d(4)])),
        lambda: nn.Linear(6, 4),
        lambda: nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 4)),
        lambda: Cosine(4, scale=0.5),
        lambda: Cosine(4, temperature=2.0),
    ],
    ids=["linear end", "log-softmax", "batch norm", "linear", "layer norm before", "scaled cosine", "temperature"],
)
def test_outputs_that_training_could_make_larger_are_not_bounded(network):
    assert highest_probability(network().eval(), torch.randn(64, 6)) >= FREE


def test_a_cosine_is_bounded():
    assert highest_probability(Cosine(4), torch.randn(64, 6)) <= math.exp(2) / (math.exp(2) + 3)


@pytest.mark.parametrize("end", [[], [nn.Softmax(1)]])
def test_a_network_is_left_as_it_was(end):
    network = ends_in(*end)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    highest_probability(network, torch.randn(8, 6))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_a_network_that_fails_with_other_parameters_is_not_called_bounded_and_is_left_as_it_was():
    class Wary(nn.Linear):
        def forward(self, x):
            if self.weight.abs().max() > 5:
                raise RuntimeError("too large")
            return torch.tanh(super().forward(x))

    network = Wary(6, 4)
    before = network.weight.detach().clone()
    assert highest_probability(network, torch.randn(8, 6)) == 1.0
    assert torch.equal(network.weight, before)


def test_zeros_and_frozen_networks_are_not_called_bounded():
    zero, frozen = ends_in(), ends_in(nn.Softmax(1)).requires_grad_(False)
    nn.init.zeros_(zero[2].weight)
    nn.init.zeros_(zero[2].bias)
    for network in (zero, frozen):
        assert highest_probability(network, torch.randn(8, 6)) == 1.0


def test_probabilities_are_told_from_other_numbers():
    logits = torch.randn(5, 3)
    assert are_probabilities(torch.softmax(logits, dim=1))
    assert are_probabilities(torch.softmax(logits, dim=1).bfloat16())
    assert not are_probabilities(torch.sigmoid(logits))
    assert not are_probabilities(torch.zeros(5, 3))
    assert not are_probabilities(torch.tensor([[1.5, -0.5]]))


# ---------------------------------------------------------------- classes


def test_more_than_half_of_a_class_and_five_labels():
    codes = np.repeat(np.arange(4), [10, 10, 4, 9])
    flagged = np.zeros(33, dtype=bool)
    flagged[:6] = flagged[10:15] = flagged[20:24] = flagged[24:29] = True  # 6 of 10, 5 of 10, 4 of 4, 5 of 9
    assert mostly_flagged(codes, flagged, None, 4).tolist() == [0, 3]
    heavy = np.ones(33)
    heavy[10:15] = 1.5
    heavy[6:10] = 10.0
    assert mostly_flagged(codes, flagged, heavy, 4).tolist() == [1, 3]


def test_a_class_is_seldom_named_where_a_fifth_of_labels_is_flagged_at_random():
    """The numbers that the docstring has, from the binomial distribution."""
    for n in range(5, 60):
        least = max(5, n // 2 + 1)
        chance = sum(math.comb(n, k) * 0.2**k * 0.8 ** (n - k) for k in range(least, n + 1))
        assert chance < (1e-3 if n >= 20 else 0.02)
