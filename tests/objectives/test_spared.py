"""A network that is spared labels: which, from when on, and that they are without influence then; its constants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acestimator.channel import Channel, levelled
from acestimator.facts import SUREST
from acestimator.objectives import AutoCleansing, CrossEntropy
from acestimator.objectives.early_learning import DECAY, EVERY, add_pull_
from acestimator.objectives.judge import Judgement
from acestimator.objectives.spared import _OWN_SAY, LEFT_OUT, Spared
from acestimator.training import TrainingPlan, train

K, N = 3, 40
PLAN = TrainingPlan(max_epochs=9, batch_size=8, learning_rate=0.01, optimizer="adamw", momentum=0.9, weight_decay=1e-2)
NOISY = Channel(1.3, torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.0, 0.7]]).double(), 0.0)
TABLE = {"variant": "AC1", "lr": 0.3}


def problem():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, 4, generator=generator), torch.randint(K, (N,), generator=generator)


def a_judgement(log_odds=None, rate=0.3, length=3, low=0.1, finished=True):
    """Of log-odds that are drawn, as a rule, so that some labels are left out and some are kept."""
    if log_odds is None:
        log_odds = torch.from_numpy(np.random.RandomState(0).normal(scale=4, size=N))
    return Judgement(NOISY, log_odds, rate, (low, 1.0), length, finished)


def right(length=3):
    """A judgement by which no label is wrong."""
    return a_judgement(torch.full((N,), -15.0, dtype=torch.float64), 1e-6, length, 0.0)


def run(objective, labels=None, on_epoch=None):
    """Parameters of a network after the training, its labels looked at anew in every epoch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, K))
    features, observed = problem()
    labels = observed if labels is None else labels
    generator = torch.Generator().manual_seed(0)
    history = train(network, objective, features, labels, PLAN, n_classes=K, generator=generator, on_epoch=on_epoch)
    return torch.cat([p.detach().flatten() for p in network.parameters()]), history


def drive(objective, seen, seed=0, sizes=(17, 17, 6)):
    """Take epochs in which the network's outputs are these (epochs, N, K); the weights and gradients of each, (N,)."""
    rng, labels, weights, grads = np.random.RandomState(seed), objective.training.labels, [], []
    for epoch, outputs in enumerate(seen):
        weight, grad = torch.ones(N, dtype=torch.float64), torch.empty(N, K, dtype=torch.float64)
        index = torch.from_numpy(rng.permutation(N))
        block = a_block(labels, index, list(sizes), epoch=epoch)
        kept = objective.begin_block(block)
        if kept is not None:
            weight[index] = kept
        grad[index] = take(objective, outputs[index], block)[0]
        objective.end_epoch(epoch)
        weights.append(weight)
        grads.append(grad)
    return torch.stack(weights), torch.stack(grads)


def outputs(seed, n_epochs=9):
    return torch.from_numpy(np.random.RandomState(seed).normal(scale=3, size=(n_epochs, N, K)))


# --- where nothing is left out ---


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
@pytest.mark.parametrize("length", [1, 3, 9])
def test_where_no_label_is_wrong_the_network_is_cross_entropys(length, variant):
    """Bit for bit, however strong the pull and however large the rate of the constants."""
    objective = Spared(right(length), early_learning=5.0, variant=variant, lr=2.0)
    ours, history = run(objective)
    theirs, plain = run(CrossEntropy())
    assert torch.equal(ours, theirs)
    assert [record["loss"] for record in history] == [record["loss"] for record in plain]
    assert objective.kept.all()
    assert not objective.pulls
    assert objective.table.dense().abs().max() > 0


# --- which labels, and from when on ---


@pytest.mark.parametrize(
    ("length", "max_epochs", "first"), [(1, 60, 1), (7, 60, 7), (50, 60, 20), (5, 2, 1), (3, 9, 3)]
)
def test_all_labels_are_learnt_for_the_judges_length_or_a_third_of_the_epochs(length, max_epochs, first):
    labels = problem()[1]
    objective = started(Spared(a_judgement(length=length), **TABLE), labels, K, max_epochs=max_epochs)
    assert objective.first == first == max(1, min(length, int(_OWN_SAY * max_epochs)))


@pytest.mark.parametrize("early_learning", [0.0, 2.0])
def test_labels_that_are_left_out_have_no_influence_from_then_on_and_all_have_it_before(early_learning):
    def spared():
        return Spared(a_judgement(), early_learning=early_learning, **TABLE)

    def parameters(when, which):
        """Of a training in which some labels become others once so many epochs are over."""
        objective, (_, labels) = spared(), problem()

        def change(record):
            if record["epoch"] == when:
                labels[which(objective.kept)] = (labels[which(objective.kept)] + 1) % K

        return run(objective, labels, change)[0]

    unchanged = run(spared())[0]
    assert torch.equal(parameters(3, lambda kept: kept == 0), unchanged)
    assert not torch.equal(parameters(3, lambda kept: kept == 1), unchanged)
    for n in range(0, N, 7):
        assert not torch.equal(parameters(2, lambda _, n=n: n), unchanged)


@given(st.integers(0, 2**31 - 1), st.integers(1, 3))
def test_the_judges_and_the_networks_own_word_are_averaged_and_keep_the_rate(seed, length):
    """The network's is the sum of the first epochs, read by the channel as what judges say is; later ones are none."""
    rng = np.random.RandomState(seed)
    labels, judged = torch.from_numpy(rng.randint(K, size=N)), torch.from_numpy(rng.normal(scale=3, size=N))
    weight = torch.from_numpy(rng.uniform(0.5, 2, size=N)) if seed % 2 else None
    seen, rate = outputs(seed), rng.uniform(0.05, 0.5)
    judgement = a_judgement(judged, rate, length)
    objective = started(Spared(judgement, **TABLE), labels, K, max_epochs=9, sample_weight=weight)
    assert torch.equal(objective.log_odds, judged)
    weights, _ = drive(objective, seen, seed % 100)
    own = NOISY.log_odds(torch.softmax(seen[:length], dim=2).sum(dim=0).log(), labels)
    expected = levelled((judged + own) / 2, rate, weight)
    torch.testing.assert_close(objective.log_odds, expected)
    mean = np.average(torch.sigmoid(objective.log_odds), weights=weight)
    assert mean == pytest.approx(rate)
    assert (weights[:length] == 1).all()
    left_out = expected > LEFT_OUT
    assert torch.equal(weights[length:] == 0, left_out.expand(9 - length, N))
    for kept in weights[length:]:
        assert kept[kept > 0].unique().numel() <= 1


@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_kept_has_the_weight_of_all(weighted):
    labels = problem()[1]
    loss_weight = torch.from_numpy(np.random.RandomState(0).uniform(0.5, 2, size=N)) if weighted else None
    objective = started(Spared(a_judgement(length=1), **TABLE), labels, K, max_epochs=9, loss_weight=loss_weight)
    kept = drive(objective, outputs(0))[0][-1]
    assert (kept == 0).any()
    assert np.average(kept, weights=loss_weight) == pytest.approx(1.0, abs=1e-6)


@given(st.integers(0, 2**31 - 1))
def test_where_all_are_kept_they_weigh_one_to_the_last_bit(seed):
    weight = torch.from_numpy(np.random.RandomState(seed).uniform(1e-3, 1e3, size=N))
    objective = started(Spared(right(1), **TABLE), problem()[1], K, max_epochs=9, loss_weight=weight)
    drive(objective, 40 * nn.functional.one_hot(problem()[1], K).double().expand(9, N, K))
    assert (objective.kept.all(), objective.scale) == (True, 1.0)


@given(st.floats(0.01, 0.3), st.floats(0, 1))
def test_of_unfinished_judges_no_more_is_left_out_than_there_is_evidence_for(rate, share):
    labels, seen, low = problem()[1], outputs(0), rate * share
    left_out = []
    for finished in (True, False):
        judgement = a_judgement(rate=rate, low=low, finished=finished)
        objective = started(Spared(judgement, **TABLE), labels, K, max_epochs=9)
        drive(objective, seen)
        left_out.append(objective.kept == 0)
    believed = levelled(objective.log_odds, low) if low > 0 else torch.full((N,), -torch.inf)
    assert torch.equal(left_out[1], believed > LEFT_OUT)
    assert not (left_out[1] & ~left_out[0]).any()


def test_without_evidence_unfinished_judges_leave_the_network_as_it_is():
    objective = Spared(a_judgement(low=0.0, finished=False), early_learning=5.0, **TABLE)
    assert torch.equal(run(objective)[0], run(CrossEntropy())[0])
    assert (objective.log_odds > LEFT_OUT).any()  # they are said to be wrong all the same


def test_the_reported_rate_is_the_judges():
    history = run(Spared(a_judgement(rate=0.21), **TABLE))[1]
    assert [record["noise_rate"] for record in history] == [0.21] * 9


def test_a_network_that_was_sure_is_no_end_of_the_reading():
    """Logits so far apart that a float64 has no probability for the other categories."""
    labels = torch.arange(N) % K
    true = (labels + (torch.arange(N) < 5)) % K
    judgement = a_judgement(torch.zeros(N, dtype=torch.float64), 0.1, 1)
    objective = started(Spared(judgement, **TABLE), labels, K, max_epochs=3)
    take(objective, 1e4 * nn.functional.one_hot(true).double(), a_block(labels))
    objective.end_epoch(0)
    assert torch.isfinite(objective.log_odds).all()
    possible = NOISY.pi[true, labels] > 0
    assert not objective.kept[(true != labels) & possible].any()
    assert objective.kept[true == labels].all()


# --- the pull ---


def pulled_and_not(strength, length, judgement=None, seed=0):
    """Two objectives after the same epochs, the first with a pull, and their gradients (epochs, N, K)."""
    labels, found = problem()[1], []
    for early_learning in (strength, 0.0):
        objective = Spared(judgement or a_judgement(length=length), early_learning=early_learning, **TABLE)
        started(objective, labels, K, steps_per_epoch=3, max_epochs=9)
        found.append((objective, drive(objective, outputs(seed), seed)[1]))
    return found


def test_the_pull_acts_after_the_first_epochs_in_one_step_of_four_and_as_strongly():
    """And in proportion to the share of the epochs that is left after the judges' length."""
    (ours, pulled), (_, plain) = pulled_and_not(2.0, 3)
    assert ours.strength == pytest.approx(2.0 * (1 - 3 / 9))
    added = pulled - plain
    assert not added[:3].any()
    rng, averages, acted = np.random.RandomState(0), torch.zeros(N, K, dtype=torch.float64), 0
    for epoch, seen in enumerate(outputs(0)):
        proba = torch.softmax(seen, dim=1)
        averages = DECAY * averages + (1 - DECAY) * proba.clamp(max=1 - 1e-4)
        index = torch.from_numpy(rng.permutation(N))
        for step, part in enumerate(torch.split(index, [17, 17, 6])):
            if epoch >= 3 and (step + epoch) % EVERY == 0:
                pull = torch.zeros(len(part), K, dtype=torch.float64)
                add_pull_(pull, proba[part], 1 - averages[part], ours.strength * EVERY)
                torch.testing.assert_close(added[epoch, part], pull, rtol=1e-3, atol=1e-3)  # but for the clamp
                acted += 1
            else:
                assert not added[epoch, part].any()
    assert acted >= 4


def test_each_step_of_an_epoch_is_pulled_once_in_four_epochs():
    labels, judgement = problem()[1], a_judgement(length=1)
    objective = started(Spared(judgement, early_learning=2.0, **TABLE), labels, K, steps_per_epoch=10, max_epochs=9)
    _, grads = drive(objective, outputs(0), sizes=[4] * 10)
    theirs = started(Spared(judgement, **TABLE), labels, K, steps_per_epoch=10, max_epochs=9)
    acted = (grads - drive(theirs, outputs(0), sizes=[4] * 10)[1]).abs().amax(dim=2) > 0
    rng = np.random.RandomState(0)
    orders = np.stack([rng.permutation(N) for _ in range(9)])
    by_step = torch.stack([acted[epoch, torch.from_numpy(orders[epoch])].view(10, 4) for epoch in range(9)])
    assert (by_step.any(dim=2)[1:5].sum(dim=0) == 1).all()
    assert (by_step.any(dim=2)[5:9].sum(dim=0) == 1).all()


@pytest.mark.parametrize("length", [1, 4, 9])
def test_the_strength_falls_with_the_judges_length_to_nothing(length):
    labels = problem()[1]
    objective = started(Spared(a_judgement(length=length), early_learning=3.0, **TABLE), labels, K, max_epochs=9)
    assert objective.strength == pytest.approx(3.0 * (1 - length / 9))
    assert (objective.averages is None) == (length == 9)


def test_no_pull_without_evidence():
    objective = Spared(a_judgement(low=0.0), early_learning=3.0, **TABLE)
    started(objective, problem()[1], K, max_epochs=9)
    assert (objective.strength, objective.averages) == (0.0, None)


def test_no_pull_where_nothing_is_left_out():
    # By a network that is sure of all labels as well
    labels = problem()[1]
    objective = started(Spared(right(), early_learning=2.0, **TABLE), labels, K, max_epochs=9)
    sure = 6 * nn.functional.one_hot(labels, K).double().expand(9, N, K)
    _, grads = drive(objective, sure)
    assert not objective.pulls
    torch.testing.assert_close(grads, torch.softmax(sure, dim=2) - nn.functional.one_hot(labels, K))


# --- the constants ---


@pytest.mark.parametrize("early_learning", [0.0, 5.0])
def test_the_constants_move_by_their_own_gradient_throughout(early_learning):
    """That of AutoCleansing's loss, of labels that are left out, too: the same table at the same outputs."""
    labels = problem()[1]
    ours = started(Spared(a_judgement(length=1), early_learning=early_learning, **TABLE), labels, K, max_epochs=9)
    theirs = started(AutoCleansing(**TABLE), labels, K, max_epochs=9)
    for objective in (ours, theirs):
        drive(objective, outputs(1))
    assert (ours.kept == 0).any()
    torch.testing.assert_close(ours.table.dense(), theirs.table.dense())
    assert theirs.table.dense().abs().min() > 0


@pytest.mark.parametrize(
    "table", [{"lr": 1e-30}, {"lr": 3.0}, {"lr": 0.3, "momentum": 0.9}, {"lr": 0.3, "variant": "AC2"}]
)
def test_the_constants_do_not_touch_the_network(table):
    ours, others = (run(Spared(a_judgement(), early_learning=2.0, **(TABLE | given))) for given in (table, {}))
    assert torch.equal(ours[0], others[0])


def test_the_loss_that_is_reported_is_that_of_the_network_alone():
    labels, seen = problem()[1], outputs(2, 1)[0]
    objective = started(Spared(a_judgement(), **TABLE), labels, K, max_epochs=9)
    for _ in range(2):
        _, losses = take(objective, seen, a_block(labels))
    torch.testing.assert_close(losses, nn.functional.cross_entropy(seen, labels, reduction="none"))


# --- its state ---


@pytest.mark.parametrize("stop", range(1, 9))
@pytest.mark.parametrize("judgement", [a_judgement, right])
def test_its_state_is_all_that_it_goes_on_from(stop, judgement):
    labels = problem()[1]
    # Of a network that is as sure as the judges, where these hold all labels to be right
    seen = outputs(3) + (0 if judgement is a_judgement else 40 * nn.functional.one_hot(labels, K))
    whole, first, resumed = (
        started(Spared(judgement(), early_learning=2.0, **TABLE), labels, K, steps_per_epoch=3, max_epochs=9)
        for _ in range(3)
    )
    _, grads = drive(whole, seen)
    assert whole.pulls == (judgement is a_judgement)
    rest = seen.clone()
    drive(first, seen[:stop])
    resumed.load_state_dict(first.state_dict())
    rng = np.random.RandomState(0)
    for epoch in range(9):
        index = torch.from_numpy(rng.permutation(N))
        if epoch >= stop:
            grad = take(resumed, rest[epoch][index], a_block(labels, index, [17, 17, 6], epoch=epoch))[0]
            resumed.end_epoch(epoch)
            assert torch.equal(grad, grads[epoch][index])
    for name in ("log_odds", "kept"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name))
    assert torch.equal(resumed.table.dense(), whole.table.dense())


# --- facts ---


def test_facts_are_learned_as_they_are():
    """At full weight, whatever they look like, and without a pull; all else is as without them."""
    known = torch.arange(N) % 4 == 0
    found = {}
    for name, mask in (("with", known), ("without", None)):
        judgement = replace(a_judgement(), known=mask)
        objective = started(Spared(judgement, early_learning=3.0, **TABLE), problem()[1], K, max_epochs=9)
        found[name] = objective, *drive(objective, outputs(1))
    objective, weights, grads = found["with"]
    assert objective.pulls
    assert (objective.log_odds[known] == -SUREST).all()
    assert (objective.kept[known] == 1).all()
    assert (weights[objective.first :, known] == objective.scale).all()
    plain = started(CrossEntropy(), problem()[1], K, max_epochs=9)
    _, unpulled = drive(plain, outputs(1))
    torch.testing.assert_close(grads[:, known], unpulled[:, known])
    assert not torch.allclose(grads[objective.first :, ~known], unpulled[objective.first :, ~known])
    torch.testing.assert_close(grads[:, ~known], found["without"][2][:, ~known])
