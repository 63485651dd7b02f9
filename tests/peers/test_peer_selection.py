"""Selection of samples: areas under the margin, trimming, co-teaching; against references written out."""

import math

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from acestimator import peers
from acestimator.detection import find_mislabeled, observed_score
from acestimator.estimators.baseline import BaselineClassifier
from acestimator.objectives import AutoCleansing, CrossEntropy
from acestimator.peers import Method, Outcome, Reading, make
from acestimator.peers.selection import AreaUnderMargin, Margins, Pair, SmallLossExchange, Trimmed, margins
from acestimator.training import TrainingPlan, batch_sizes, train

K = 4
PLAN = TrainingPlan(max_epochs=4, batch_size=8, learning_rate=0.05, optimizer="sgd", momentum=0.9, weight_decay=1e-3)


def problem(n_samples=29, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n_samples, 5, generator=generator, dtype=torch.float64)
    return features, torch.randint(K, (n_samples,), generator=generator)


def networks(n, seed=0):
    torch.manual_seed(seed)
    return [nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, K)).double() for _ in range(n)]


def run(objective, network, features, labels, sample_weight=None):
    generator = torch.Generator().manual_seed(0)
    return train(
        network, objective, features, labels, PLAN, n_classes=K, generator=generator, sample_weight=sample_weight
    )


def parameters_of(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# --- areas under the margin ---


def test_margins_are_those_to_the_best_other_category():
    rng = np.random.RandomState(0)
    logits, labels = rng.normal(size=(50, K)), rng.randint(K, size=50)
    expected = [z[y] - max(z[k] for k in range(K) if k != y) for z, y in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(margins(torch.from_numpy(logits), torch.from_numpy(labels)).numpy(), expected)


@pytest.mark.parametrize(
    ("skipped", "until", "max_epochs", "counted"),
    [
        *((1, 0.5, 8, [1, 2, 3]), (1, 1.0, 3, [1, 2]), (1, 0.5, 2, [0]), (1, 0.01, 5, [0]), (1, 1.0, 1, [0])),
        *((0, 1.0, 3, [0, 1, 2]), (0, 0.5, 8, [0, 1, 2, 3]), (0, 1.0, 1, [0])),
    ],
)
def test_areas_are_mean_margins_of_the_counted_epochs(skipped, until, max_epochs, counted):
    """All but those skipped, up to the share; the first where there is no other."""
    rng = np.random.RandomState(0)
    labels, seen = torch.from_numpy(rng.randint(K + 1, size=10)), rng.normal(size=(max_epochs, 10, K + 1))
    objective = started(Margins(skipped, until), labels, K, max_epochs=max_epochs)
    for epoch in range(max_epochs):
        for index in torch.from_numpy(rng.permutation(10)).split(6):
            take(objective, torch.from_numpy(seen[epoch])[index], a_block(labels, index, epoch=epoch))
        objective.end_epoch(epoch)
    expected = [np.mean([margins(torch.from_numpy(seen[e]), labels)[n] for e in counted]) for n in range(10)]
    np.testing.assert_allclose(objective.areas.numpy(), expected)


def test_a_network_with_one_more_output_predicts_the_k():
    labels = torch.arange(9) % K
    head = next(AreaUnderMargin().phases(labels, K, torch.Generator())).objective.head
    network = head.make_network(lambda n: nn.Linear(5, n), K)
    x = torch.randn(3, 5)
    assert network(x).shape == (3, K + 1)
    assert torch.equal(head.predictor(network)(x), network(x)[:, :K])
    assert torch.equal(head.class_logits(network(x)), network(x)[:, :K])


def test_aum_drops_what_every_training_that_judges_it_flags():
    n_samples, rng = 60, np.random.RandomState(0)
    labels = torch.from_numpy(rng.randint(K, size=n_samples))
    phases = AreaUnderMargin(percentile=75).phases(labels, K, torch.Generator().manual_seed(1))
    areas, threshold = rng.normal(size=(2, n_samples)), []
    for run_areas in areas:
        phase = next(phases)
        changed = phase.labels != labels
        assert (phase.labels[changed] == K).all()
        assert phase.keep is None
        threshold.append(changed.numpy())
        phase.objective.areas = torch.from_numpy(run_areas)
    last = next(phases)
    with pytest.raises(StopIteration) as end:
        next(phases)
    reading = end.value.value
    assert [t.sum() for t in threshold] == [n_samples // (K + 1)] * 2
    assert not (threshold[0] & threshold[1]).any()
    dropped, scores = [], []
    for n in range(n_samples):
        judging = [(a, t) for a, t in zip(areas, threshold, strict=True) if not t[n]]
        dropped.append(all(a[n] < np.percentile(a[t], 75) for a, t in judging))
        scores.append(-np.mean([a[n] for a, _ in judging]))
    assert type(last.objective) is CrossEntropy
    assert last.labels is None
    np.testing.assert_array_equal(last.keep.numpy(), np.flatnonzero(~np.array(dropped)))
    np.testing.assert_array_equal(reading.proba.numpy(), np.array(dropped, dtype=float))
    np.testing.assert_allclose(reading.scores.numpy(), scores)


def test_aum_trains_on_all_where_it_flags_all():
    labels = torch.arange(30) % 3
    phases = AreaUnderMargin().phases(labels, 3, torch.Generator().manual_seed(0))
    for _ in range(2):
        phase = next(phases)
        phase.objective.areas = torch.where(phase.labels == 3, 1.0, -1.0).double()
    with pytest.warns(RuntimeWarning, match="all but 0 of 30 samples were flagged"):
        assert next(phases).keep is None


# --- mean logit margins ---


def test_mean_logit_margin_is_plain_training_and_minus_the_mean_over_all_epochs(small):
    """Against the margins of the networks that the steps of plain training see, an epoch at a time."""
    X, y = small
    settings = {"backbone": "mlp", "batch_size": 200, "max_epochs": 5, "schedule": (100,), "random_state": 0}
    clf = BaselineClassifier("mean_logit_margin", **settings).fit(X, y)
    np.testing.assert_array_equal(
        clf.decision_function(X), BaselineClassifier(**settings).fit(X, y).decision_function(X)
    )
    # One batch an epoch and a constant rate: epoch t sees the network that t epochs have made.
    made = [BaselineClassifier(**settings | {"max_epochs": t}).fit(X, y) for t in range(1, 5)]
    untrained = BaselineClassifier(**settings | {"max_epochs": 1, "learning_rate": 1e-30, "weight_decay": 0.0}).fit(
        X, y
    )
    seen = [margins(*map(torch.from_numpy, (net.decision_function(X), y))) for net in (untrained, *made)]
    np.testing.assert_allclose(clf.mislabel_scores_, -torch.stack(seen).mean(dim=0), rtol=1e-10, atol=1e-10)


# --- trimming ---


class Cleansed(Method):
    """AutoCleansing at a rate of the constants; keeps what they end as."""

    def __init__(self, lr=0.3):
        self.lr = lr

    def objective(self, generator):
        return AutoCleansing(variant="AC1", lr=self.lr)

    def reading(self, objective, outcome, labels):
        self.constants.append(objective.table.dense())
        return Reading(observed_score(objective.table.dense(), outcome.logits, labels))


@pytest.mark.parametrize(("n_samples", "batch_size"), [(40, 16), (150, 4)])
def test_trimmed_drops_what_autocleansing_lists(small, monkeypatch, n_samples, batch_size):
    """With few steps an epoch the preset lowers the constants' rate."""
    X, y = small[0][:n_samples], small[1][:n_samples].copy()
    y[::7] = (y[::7] + 1) % 3
    settings = {"backbone": "mlp", "max_epochs": 8, "batch_size": batch_size, "random_state": 3}
    monkeypatch.setitem(peers.METHODS, "cleansed", Cleansed)
    monkeypatch.setattr(Cleansed, "constants", constants := [], raising=False)
    lr = 0.3 * min(1.0, len(batch_sizes(n_samples, batch_size)) / 8)
    cleansed = BaselineClassifier("cleansed", params={"lr": lr}, **settings).fit(X, y)
    trimmed = BaselineClassifier("trimmed", params={"percent": 15}, **settings).fit(X, y)
    dropped = find_mislabeled(constants[0], 15)
    assert len(dropped) == math.ceil(0.15 * n_samples)
    np.testing.assert_array_equal(np.sort(dropped), np.flatnonzero(trimmed.mislabel_proba_))
    np.testing.assert_array_equal(np.argsort(-trimmed.mislabel_scores_), find_mislabeled(constants[0], 100))
    estimated = BaselineClassifier("trimmed", params={"percent": None}, **settings).fit(X, y)
    rate = 100 * cleansed.noise_rate_  # of the mixture that the estimator makes of the scores
    np.testing.assert_array_equal(
        np.sort(find_mislabeled(constants[0], rate)), np.flatnonzero(estimated.mislabel_proba_)
    )


def test_the_last_training_leaves_out_the_dropped():
    phases = Trimmed(percent=50.0).phases(torch.arange(10) % 2, 2, torch.Generator())
    objective = next(phases).objective
    started(objective, torch.arange(10) % 2, 2, steps_per_epoch=20)
    alpha = np.random.RandomState(0).normal(size=(10, 2))
    objective.table.dense = lambda: torch.from_numpy(alpha)
    last = phases.send(Outcome(nn.Identity(), torch.zeros(10, 2)))
    spread = np.abs(alpha[:, 0] - alpha[:, 1])  # with two categories the largest constants are the smallest, too
    np.testing.assert_array_equal(last.keep.numpy(), np.sort(np.argsort(spread)[:5]))


# --- co-teaching ---


def exchanged_losses(first, second, labels, remember, weight):
    """The two losses of the paper, written out: each network's on the samples that the other finds easiest."""
    losses = [F.cross_entropy(z, labels, reduction="none") for z in (first, second)]
    n_picked = int(remember * len(labels))
    easiest = [loss.detach().argsort()[:n_picked] for loss in losses]
    return [(weight[i] * loss[i]).sum() / weight[i].sum() for loss, i in zip(losses, reversed(easiest), strict=True)]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_exchanged_losses(weighted):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(K, (20,), generator=generator)
    index = torch.randperm(20, generator=generator)[:13]
    weight = torch.rand(20, generator=generator, dtype=torch.float64) + 0.1 if weighted else None
    logits = torch.randn(13, 2 * K, generator=generator, dtype=torch.float64, requires_grad=True)
    objective = started(SmallLossExchange(0.4, 0.0), labels, K, max_epochs=2, loss_weight=weight)
    objective.end_epoch(0)
    grad, losses = take(objective, logits.detach(), a_block(labels, index, epoch=1))
    w = torch.ones(13, dtype=torch.float64) if weight is None else weight[index]
    expected = sum(exchanged_losses(logits[:, :K], logits[:, K:], labels[index], 0.6, w))
    expected.backward()
    torch.testing.assert_close(grad * (w / w.sum())[:, None], logits.grad)
    both = [F.cross_entropy(z, labels[index], reduction="none") for z in (logits[:, :K], logits[:, K:])]
    torch.testing.assert_close(losses, sum(both).detach() / 2)


def test_co_teaching_equals_a_loop_written_by_hand():
    """Two networks, two optimisers; R(t) falls over half of the epochs."""
    features, labels = problem()
    objective = SmallLossExchange(0.3, 0.5)
    pair, references = Pair(*networks(2)), networks(2)
    history = run(objective, pair, features, labels)
    optimizers = [
        torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-3) for net in references
    ]
    sizes, generator = batch_sizes(len(labels), PLAN.batch_size), torch.Generator().manual_seed(0)
    n_steps, step = PLAN.max_epochs * len(sizes), 0
    last = torch.zeros(len(labels), dtype=torch.float64)
    for epoch in range(PLAN.max_epochs):
        remember = 1 - 0.3 * min(epoch / 2, 1)
        assert history[epoch]["remember"] == pytest.approx(remember)
        for index in torch.randperm(len(labels), generator=generator).split(sizes):
            outputs = [net(features[index]) for net in references]
            last[index] = sum(F.cross_entropy(z, labels[index], reduction="none").detach() for z in outputs) / 2
            losses = exchanged_losses(*outputs, labels[index], remember, torch.ones(len(index)).double())
            for optimizer, loss in zip(optimizers, losses, strict=True):
                optimizer.param_groups[0]["lr"] = PLAN.learning_rate * 0.5 * (1 + math.cos(math.pi * step / n_steps))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            step += 1
    torch.testing.assert_close(parameters_of(pair), torch.cat([parameters_of(net) for net in references]))
    torch.testing.assert_close(objective.mean_losses, last)
    assert objective.head.predictor(pair) is pair.first


def test_without_wrong_labels_both_networks_are_trained_plainly():
    features, labels = problem()
    pair, references = Pair(*networks(2)), networks(2)
    run(SmallLossExchange(0.0, 0.05), pair, features, labels)
    for net in references:
        run(CrossEntropy(), net, features, labels)
    torch.testing.assert_close(parameters_of(pair), torch.cat([parameters_of(net) for net in references]))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_estimated_rate_is_the_share_of_labels_not_predicted(weighted):
    """In the first fifth of the epochs, here two of ten, the latest; then it stays. T_k is four epochs."""
    rng = np.random.RandomState(0)
    labels, seen = rng.randint(K, size=12), rng.normal(size=(10, 12, 2 * K))
    weight = rng.uniform(0.5, 2, size=12) if weighted else np.ones(12)
    objective, given = SmallLossExchange(None, 0.4), torch.from_numpy(labels)
    sample_weight = torch.from_numpy(weight) if weighted else None
    of_no_matter = torch.from_numpy(rng.uniform(0.5, 2, size=12))
    started(objective, given, K, max_epochs=10, sample_weight=sample_weight, loss_weight=of_no_matter)
    shares = []
    for epoch in range(10):
        for index in torch.from_numpy(rng.permutation(12)).split(7):
            take(objective, torch.from_numpy(seen[epoch])[index], a_block(given, index, epoch=epoch))
        objective.end_epoch(epoch)
        shares.append(objective.remember)
    missed = [
        np.average(((s[:, :K].argmax(1) != labels) * 1.0 + (s[:, K:].argmax(1) != labels)) / 2, weights=weight)
        for s in seen[:2]
    ]
    ramp = [1 / 4, 2 / 4, 3 / 4, *[1] * 7]
    np.testing.assert_allclose(shares, 1 - np.array([missed[0], *[missed[1]] * 9]) * ramp)


# --- fits ---

METHODS = {"aum": {}, "mean_logit_margin": {}, "trimmed": {"percent": 20}, "co_teaching": {}}


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_ranks_wrong_labels_above_right_ones_and_repeats(noisy_digits, method):
    """Digits are mostly learnt within these 400 steps, and the 20 % of wrong labels stand out after them."""
    X, observed, true, X_test, y_test = (part[:600] for part in noisy_digits)
    settings = {"backbone": "mlp", "max_epochs": 20, "batch_size": 32, "random_state": 0}
    clf = BaselineClassifier(method, params=METHODS[method], **settings)
    fits = [clone(clf).fit(X, observed) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].predict_proba(X_test), fits[1].predict_proba(X_test))
    np.testing.assert_array_equal(fits[0].mislabel_scores_, fits[1].mislabel_scores_)
    assert np.isfinite(fits[0].mislabel_scores_).all()
    assert roc_auc_score(observed != true, fits[0].mislabel_scores_) > 0.8
    assert ((fits[0].mislabel_proba_ > 0.5) == (observed != true)).mean() > 0.8
    assert fits[0].score(X_test, y_test) > 0.85
    assert fits[0].history_[-1]["phase"] == {"aum": 3, "trimmed": 2}.get(method, 1)


@pytest.mark.parametrize("method", METHODS)
def test_weights_and_a_batch_of_all_samples(small, method):
    X, y = small[0], np.array(["a", "b", "c"])[small[1]]
    weight = np.random.RandomState(0).uniform(0.5, 2.0, size=len(y))
    weight[:5] = 0
    clf = BaselineClassifier(method, backbone="mlp", batch_size=1000, max_epochs=60, random_state=0)
    clf.fit(X, y, sample_weight=weight)
    assert clf.score(X, y) > 0.9
    assert clf.mislabel_scores_.shape == (150,)


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("aum", {"percentile": 101}, "percentile is 101, expected a number from 0 to 100"),
        ("aum", {"until": 0}, "until is 0, expected a share of the epochs above 0"),
        ("trimmed", {"percent": 100}, "percent is 100, expected a number from 0 to below 100"),
        ("trimmed", {"percent": -1.0}, "percent is -1.0"),
        ("co_teaching", {"noise_rate": 1.0}, "noise_rate is 1.0, expected a number from 0 to below 1"),
        ("co_teaching", {"gradual": 1.5}, "gradual is 1.5, expected a share of the epochs from 0 to 1"),
        ("co_teaching", {"noise_rate": float("nan")}, "noise_rate is nan"),
    ],
)
def test_errors(method, params, message):
    with pytest.raises(ValueError, match=message):
        make(method, params)
