"""AutoCleansingClassifier: what it finds, what weights mean, the paper's regime, and what is read off the constants."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from by_hand import a_trainer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from torch import nn
from torch.nn import functional as F

from acestimator import AutoCleansingClassifier, backbones, detection
from acestimator.channel import levelled
from acestimator.estimators.autocleansing import read_constants
from acestimator.objectives import AutoCleansing
from acestimator.phases import Phase
from acestimator.presets import resolve
from acestimator.training import TrainingPlan


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 3, "random_state": 0, **parameters})


# ------------------------------------------------------------------ what it is for


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_learns_from_noisy_digits_and_finds_the_wrong_labels(noisy_digits, variant):
    X, observed, true, X_test, y_test = noisy_digits
    wrong = observed != true
    plain = AutoCleansingClassifier(alpha_lr=0, random_state=0).fit(X, observed)
    clf = AutoCleansingClassifier(variant=variant, random_state=0).fit(X, observed)
    assert clf.score(X_test, y_test) > plain.score(X_test, y_test) + 0.05
    assert roc_auc_score(wrong, clf.mislabel_scores_) > 0.98
    assert abs(clf.noise_rate_ - wrong.mean()) < 0.08
    changed = clf.suggested_labels_ != observed
    assert np.mean(clf.suggested_labels_[changed] == true[changed]) > 0.98
    assert np.mean(changed[wrong]) > 0.6
    assert np.mean(wrong[clf.find_mislabeled(100 * wrong.mean())]) > 0.8


def test_what_is_read_off_the_constants_is_consistent(noisy_digits):
    X, y = noisy_digits[:2]
    clf = quick(max_epochs=15).fit(X, y)
    logits = clf.decision_function(X)
    codes = np.searchsorted(clf.classes_, y)
    in_paper = quick(alpha_lr="paper", max_epochs=2).fit(X, y)
    constants = in_paper.alpha_[np.arange(len(y)), codes]
    np.testing.assert_allclose(in_paper.mislabel_scores_, constants, rtol=1e-6, atol=1e-7)
    assert -20 <= clf.mislabel_scores_.min() < -2 < 2 < clf.mislabel_scores_.max() <= 20
    np.testing.assert_allclose(clf.alpha_, detection.partition_gauge(clf.alpha_, logits), atol=2e-5)
    np.testing.assert_allclose(clf.mislabel_proba_, expit(clf.mislabel_scores_), rtol=1e-12)
    assert clf.noise_rate_ == pytest.approx(clf.mislabel_proba_.mean())
    low = clf.noise_rate_interval_[0]
    sure = expit(levelled(torch.from_numpy(clf.mislabel_scores_), low).numpy())
    said, among_others = clf.predict_proba(X).max(axis=1), 1 - clf.predict_proba(X)[np.arange(len(y)), codes]
    better = (clf.predict(X) != y) & (sure * said / among_others > 1 - sure)
    np.testing.assert_array_equal(clf.suggested_labels_, np.where(better, clf.predict(X), y))
    assert 0 < better.sum() < (clf.mislabel_proba_ > 0.5).sum()
    assert (clf.mislabel_proba_[better] > 0.5).all()
    np.testing.assert_array_equal(clf.find_mislabeled(3.0), detection.find_mislabeled(clf.alpha_, 3.0))


def test_constants_have_half_a_say_in_the_order_of_the_suspects(noisy_digits):
    X, y = noisy_digits[:2]
    with mock.patch("acestimator.crossfit.in_order_of", wraps=detection.in_order_of) as asked:
        clf = quick(max_epochs=15).fit(X, y)
    (log_odds, constants, weight), _ = asked.call_args
    np.testing.assert_allclose(constants, clf.alpha_[np.arange(len(y)), np.searchsorted(clf.classes_, y)], rtol=1e-5)
    together = 0.5 * (log_odds + detection.in_order_of(log_odds, constants, weight))
    rate = float(torch.sigmoid(log_odds).mean())
    np.testing.assert_allclose(clf.mislabel_scores_, levelled(together, rate), atol=1e-6)
    low, high = clf.noise_rate_interval_
    assert low <= clf.noise_rate_ <= high
    assert clf.noise_rate_ == pytest.approx(rate)


def test_history_and_shapes(small):
    X, y = small
    clf = quick(max_epochs=6, batch_size=32).fit(X, y)
    assert [record["epoch"] for record in clf.history_] == [1, 2, 3, 4, 5, 6]
    assert clf.n_iter_ == 6
    assert {"loss", "accuracy", "lr", "alpha_norm", "seconds"} <= set(clf.history_[0])
    assert clf.history_[-1]["lr"] < clf.history_[0]["lr"] < 1e-3
    assert clf.alpha_.shape == (150, 3)
    assert clf.alpha_.dtype == np.float32
    assert clf.input_shape_ == (4,)
    assert clf.n_features_in_ == 4
    np.testing.assert_allclose(clf.scaler_.mean_, X.mean(axis=0))


# ------------------------------------------------------------------ properties


def scores_in_this_order(X, y, orders, variant):
    """Constants (N,) of the labels, of a training whose batches are drawn in these orders, one an epoch."""
    features, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    plan = TrainingPlan(
        len(orders), 32, 1e-3, "adamw", 0.9, 1e-2, batch_order=lambda epoch, generator: torch.from_numpy(orders[epoch])
    )
    trainer = a_trainer(lambda n_outputs: backbones.make("mlp", features[:2], n_outputs), features, labels, 3, plan)
    objective = AutoCleansing(variant=variant, **resolve("default", {}, len(y)).objective())
    network, _ = trainer.run(Phase(objective))
    _, observed, _, _ = read_constants(objective.table.dense(), trainer.logits(network), labels)
    return observed.numpy()


@given(st.integers(0, 1000), st.sampled_from(["AC1", "AC2"]))
@settings(max_examples=8)
def test_permuting_the_rows_permutes_the_scores(seed, variant):
    """When the batch order is permuted alike."""
    rng = np.random.RandomState(seed)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 4)) + 2.0 * np.eye(3, 4)[y]
    y = np.where(rng.uniform(size=90) < 0.2, rng.permutation(y), y)
    rows = rng.permutation(90)
    orders = [rng.permutation(90) for _ in range(5)]
    position = np.argsort(rows)  # of each sample, once they are permuted
    scores = scores_in_this_order(X, y, orders, variant)
    permuted = scores_in_this_order(X[rows], y[rows], [position[order] for order in orders], variant)
    np.testing.assert_allclose(permuted, scores[rows], atol=1e-5)
    assert scores.std() > 0.02


@pytest.mark.parametrize("parameters", [{}, {"variant": "AC2"}, {"preset": "paper", "max_epochs": 3}])
def test_alpha_lr_zero_is_plain_training_with_nothing_to_report(noisy_digits, parameters):
    X, y = noisy_digits[:2]
    clf = quick(**parameters, alpha_lr=0).fit(X, y)
    for name in ("alpha_", "mislabel_scores_", "mislabel_proba_"):
        assert not getattr(clf, name).any()
    assert clf.noise_rate_ == 0
    np.testing.assert_array_equal(clf.suggested_labels_, y)


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_weight_two_is_the_sample_twice_and_zero_its_absence(variant):
    rng = np.random.RandomState(0)
    X, y, weight = rng.normal(size=(20, 3)), np.arange(20) % 2, rng.randint(0, 4, size=20)
    weighted = quick(variant=variant, max_epochs=30).fit(X, y, sample_weight=weight)
    repeated = quick(variant=variant, max_epochs=30).fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.decision_function(X), repeated.decision_function(X), atol=1e-8)
    used = weight > 0
    np.testing.assert_allclose(
        weighted.mislabel_scores_[used].repeat(weight[used]), repeated.mislabel_scores_, atol=1e-8
    )
    assert weighted.noise_rate_ == pytest.approx(repeated.noise_rate_, abs=1e-8)
    assert not weighted.alpha_[~used].any()
    np.testing.assert_allclose(weighted.mislabel_proba_[~used], weighted.noise_rate_)


def test_weights_that_sum_to_one_still_make_batches(noisy_digits):
    X, y = noisy_digits[:2]
    uniform = np.full(len(y), 1.0 / len(y))
    weighted, plain = quick().fit(X, y, sample_weight=uniform), quick().fit(X, y)
    np.testing.assert_allclose(weighted.decision_function(X), plain.decision_function(X), atol=1e-3)


@pytest.mark.parametrize(("one", "other"), [(0.4, 1e-3), (0.4, 1e-50), (1e39, 1e300)])
def test_only_the_ratios_of_weights_matter_but_for_how_many_copies_they_are(small, one, other):
    """What judges say counts the more, the more samples there are: weights that are one at least are copies."""
    X, y = small
    weight = np.random.RandomState(0).randint(1, 4, size=len(y)).astype(float)
    fits = [quick().fit(X, y, sample_weight=pd.Series(c * weight)) for c in (one, other)]
    np.testing.assert_allclose(*(clf.decision_function(X) for clf in fits), atol=1e-5)


@pytest.mark.parametrize("weight", [1.0, 1 / 150, 1e-50])
def test_in_the_papers_regime_equal_weights_move_the_constants_as_none_do(small, weight):
    X, y = small
    clf = AutoCleansingClassifier(preset="paper", max_epochs=3, batch_size=32, standardize=False, random_state=0)
    plain = clf.fit(X, y).alpha_
    np.testing.assert_array_equal(clf.fit(X, y, np.full(150, weight)).alpha_, plain)


def test_samples_of_weight_zero_are_not_listed_as_suspects(small):
    X, y = small
    weight = (np.arange(150) % 2).astype(float)
    found = quick().fit(X, y, sample_weight=weight).find_mislabeled(80)
    assert len(found) == 60
    assert weight[found].all()


def test_image_statistics_count_a_sample_by_its_weight():
    rng = np.random.RandomState(0)
    X, y, weight = rng.normal(size=(10, 2, 4, 4)), np.arange(10) % 2, rng.randint(0, 4, size=10)
    scalers = [
        quick(max_epochs=1).fit(X, y, sample_weight=weight).scaler_,
        quick(max_epochs=1).fit(X.repeat(weight, axis=0), y.repeat(weight)).scaler_,
    ]
    np.testing.assert_allclose(scalers[0].mean_, scalers[1].mean_, atol=1e-12)
    np.testing.assert_allclose(scalers[0].scale_, scalers[1].scale_, atol=1e-12)


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_the_papers_regime_through_the_estimator(small, variant):
    """Against network and dense alpha under one torch.optim.SGD on the mean loss, ragged batch included."""
    X, y = small
    weight = np.random.RandomState(0).randint(1, 4, size=150).astype(float)
    sample = {row.tobytes(): i for i, row in enumerate(X.astype(np.float32))}
    batches = []

    class Watched(nn.Linear):
        def forward(self, x):
            if self.training:
                batches.append(torch.tensor([sample[row.tobytes()] for row in x.numpy()]))
            return super().forward(x)

    start = Watched(4, 3)
    clf = AutoCleansingClassifier(
        start, variant=variant, preset="paper", standardize=False, max_epochs=4, batch_size=40, random_state=0
    )
    clf.fit(X, y, sample_weight=weight)
    assert len(batches.pop(0)) == 2  # the trial
    assert [len(index) for index in batches] == 4 * [40, 40, 40, 30]

    network, alpha = nn.Linear(4, 3), nn.Parameter(torch.zeros(150, 3))
    network.load_state_dict(start.state_dict())
    x, labels, w = torch.from_numpy(X).float(), torch.from_numpy(y), torch.from_numpy(weight).float()
    mask = F.one_hot(labels, 3) if variant == "AC2" else torch.ones(150, 3)
    groups = [{"params": network.parameters(), "weight_decay": 5e-4}, {"params": [alpha], "weight_decay": 5e-5}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    for step, index in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.5 * (1 + np.cos(np.pi * step / 16))
        loss = F.cross_entropy(network(x[index]) + (alpha * mask)[index], labels[index], reduction="none")
        optimizer.zero_grad()
        # The network sees the weights; a sample's own row moves at full rate, over the batch's number of samples.
        network_loss, row_loss = (loss * w[index]).sum() / w[index].sum(), loss.mean()
        parameters = list(network.parameters())
        grads = torch.autograd.grad(network_loss, parameters, retain_graph=True)
        alpha.grad = torch.autograd.grad(row_loss, alpha)[0]
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        optimizer.step()
    torch.testing.assert_close(clf.module_.weight, network.weight, rtol=0, atol=1e-5)
    expected = detection.mean_centered_gauge((alpha * mask).detach().numpy())
    np.testing.assert_allclose(detection.mean_centered_gauge(clf.alpha_), expected, atol=1e-5)


def test_classes_that_only_zero_weights_have_are_no_classes(small):
    X, y = small
    clf = quick().fit(X, y, sample_weight=(y != 2).astype(float))
    assert clf.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(clf.suggested_labels_[y == 2], 2)


# ------------------------------------------------------------------ among other classifiers


def test_suggested_labels_feed_another_classifier(noisy_digits):
    X, y, _, X_test, y_test = noisy_digits
    clf = AutoCleansingClassifier(random_state=0).fit(X, y)
    scores = [
        LogisticRegression(max_iter=200).fit(X / 16, labels).score(X_test / 16, y_test)
        for labels in (y, clf.suggested_labels_)
    ]
    assert scores[1] > scores[0]


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_small_clean_sets_lose_little_to_plain_training(load):
    X, y = load(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    plain, cleansed = (
        cross_val_score(AutoCleansingClassifier(random_state=0, **parameters), X, y, cv=folds).mean()
        for parameters in ({"alpha_lr": 0}, {})
    )
    assert cleansed > plain - 0.02


@pytest.mark.parametrize("penalty", [("l2", 3.0), ("l1", 0.5), ("group", 0.5)])
def test_a_penalty_shrinks_the_constants(noisy_digits, penalty):
    X, y = noisy_digits[:2]
    norms = [quick(penalty=p).fit(X, y).history_[-1]["alpha_norm"] for p in (None, penalty)]
    assert norms[1] < 0.8 * norms[0]
