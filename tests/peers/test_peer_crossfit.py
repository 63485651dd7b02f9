"""Labels judged by networks that have not seen them: its folds, what it asks of whom, and fits."""

import numpy as np
import pytest
import torch
from by_hand import started
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from torch import nn

from acestimator import BaselineClassifier
from acestimator.channel import fit_channel
from acestimator.objectives.judge import Judge
from acestimator.objectives.spared import LEFT_OUT, Spared, mean_log_odds
from acestimator.peers.crossfit import _JUDGES_TIME, _MOST_FOLDS, _OWN_SAY, CrossFit, _folds

K, N = 4, 200
SEEDS = st.integers(0, 2**31 - 1)


# --- folds ---


@given(SEEDS, st.integers(1, 80), st.integers(1, 6), st.integers(2, 10))
def test_folds_are_disjoint_cover_all_and_are_stratified(seed, n_samples, n_classes, n_folds):
    """Whatever the classes: of every class, and of all, two folds have as many samples to within one."""
    labels = torch.from_numpy(np.random.RandomState(seed).randint(n_classes, size=n_samples))
    folds = list(_folds(labels, n_folds, torch.Generator().manual_seed(seed)))
    assert len(folds) == n_folds
    assert torch.equal(torch.cat([unseen for _, unseen in folds]).sort().values, torch.arange(n_samples))
    for seen, unseen in folds:
        assert torch.equal(torch.cat((seen, unseen)).sort().values, torch.arange(n_samples))
    counts = torch.stack([torch.bincount(labels[unseen], minlength=n_classes) for _, unseen in folds])
    assert ((counts.amax(dim=0) - counts.amin(dim=0)) <= 1).all()
    assert counts.sum(dim=1).max() - counts.sum(dim=1).min() <= 1


def test_folds_are_drawn():
    labels = torch.arange(60) % 3
    first, again, other = (
        [unseen for _, unseen in _folds(labels, 2, torch.Generator().manual_seed(s))] for s in (0, 0, 1)
    )
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


# --- the phases, with judges whose word a test gives ---


def words(seed=0, noise=0.2, n_samples=N, scale=6.0):
    """Observed labels (N,), which of them are wrong, and two different words (N, K) of judges that know better."""
    rng = np.random.RandomState(seed)
    true = np.arange(n_samples) % K
    wrong = rng.uniform(size=n_samples) < noise
    labels = np.where(wrong, (true + rng.randint(1, K, size=n_samples)) % K, true)
    logits = torch.from_numpy(scale * np.eye(K)[true] + rng.normal(size=(2, n_samples, K)))
    return torch.from_numpy(labels), wrong, torch.softmax(logits, dim=2)


def drive(labels, first, second, lengths=(10, 20), max_epochs=100, weight=None):
    """All phases of a method whose judges say this (N, K), the halves first; and its reading."""
    method = CrossFit()
    method.sample_weight = weight
    phases, run = method.phases(labels, first.shape[1], torch.Generator().manual_seed(0)), []
    phase = next(phases)
    while True:
        seen = labels if phase.keep is None else labels[phase.keep]
        started(phase.objective, seen, first.shape[1], max_epochs=max_epochs)
        if isinstance(phase.objective, Judge):
            halves = len(run) < 2
            phase.objective.word = (first if halves else second)[phase.judged]
            phase.objective.length = lengths[len(run)] if halves else phase.objective.wanted
        run.append(phase)
        try:
            phase = phases.send(None)
        except StopIteration as end:
            return run, end.value


def test_every_judge_is_trained_on_the_others_and_the_last_network_on_all():
    labels, _, (first, second) = words()
    run, _ = drive(labels, first, second)
    *judges, last = run
    for phase in judges:
        assert not np.intersect1d(phase.keep, phase.judged).size
        assert len(phase.keep) + len(phase.judged) == N
        assert torch.equal(phase.objective.labels, labels[phase.judged])
    for asked in (judges[:2], judges[2:]):
        assert torch.equal(torch.cat([phase.judged for phase in asked]).sort().values, torch.arange(N))
    assert type(last.objective) is Spared
    assert last.keep is last.judged is None


def test_the_second_judges_are_spared_what_the_first_have_found():
    labels, wrong, (first, second) = words()
    run, reading = drive(labels, first, second)
    channel = fit_channel(first.log(), labels)
    found = channel.wrong_probability(first.log(), labels) > LEFT_OUT
    assert (found.numpy() == wrong).mean() > 0.95
    for phase in run[2:-1]:
        assert torch.equal(phase.objective.kept == 0, found[phase.keep])
        assert phase.objective.wanted == 15  # the mean of the two lengths
    channel = fit_channel(second.log(), labels)
    again = channel.wrong_probability(second.log(), labels)
    torch.testing.assert_close(run[-1].objective.judged, again)
    torch.testing.assert_close(run[-1].objective.channel.pi, channel.pi)
    torch.testing.assert_close(reading.proba, again)  # the network itself has said nothing here
    np.testing.assert_allclose(reading.scores.numpy(), logit(again.numpy().clip(1e-9, 1 - 1e-9)), rtol=1e-9)


@pytest.mark.parametrize("length", [1, 4, 10, 45, 60, 99, 100])
@pytest.mark.parametrize("n_samples", [6, N])
def test_there_are_as_many_second_judges_as_fit_into_a_training(length, n_samples):
    labels, _, (first, second) = words(n_samples=n_samples)
    labels = torch.where(torch.arange(n_samples) == 0, (first[0].argmax() + 1) % K, labels)
    run, reading = drive(labels, first, second, lengths=(length, length))
    assert (run[2].objective.kept == 0).any() or (run[3].objective.kept == 0).any()
    n_folds = len(run) - 3
    fits = [n for n in range(2, min(_MOST_FOLDS, n_samples) + 1) if (n - 1) * length <= _JUDGES_TIME * 100]
    assert n_folds == max(fits, default=2)
    assert all(len(phase.judged) for phase in run[:-1])
    proba = [fit_channel(w.log(), labels).wrong_probability(w.log(), labels) for w in (first, second)]
    torch.testing.assert_close(reading.proba, proba[1] if n_folds > 2 else mean_log_odds(*proba))
    assert run[-1].objective.first == max(1, min(length, int(_OWN_SAY * 100)))


def test_where_no_label_is_found_the_second_judges_are_not_asked():
    labels, _, (first, _) = words(noise=0.0, scale=12.0)
    run, reading = drive(labels, first, None)
    assert [type(phase.objective) for phase in run] == [Judge, Judge, Spared]
    assert not reading.proba.any()
    assert torch.isfinite(reading.scores).all()


def test_weights_are_those_of_the_channel_and_only_their_ratios_count():
    labels, _, (first, second) = words(scale=3.0)
    weight = torch.from_numpy(np.random.RandomState(0).uniform(0.5, 2, size=N))
    run, reading = drive(labels, first, second, weight=weight)
    for phase in run[:2]:
        torch.testing.assert_close(phase.objective.weight, weight[phase.judged] / weight.mean())
    channel = fit_channel(second.log(), labels, weight / weight.mean())
    torch.testing.assert_close(reading.proba, channel.wrong_probability(second.log(), labels))
    for scale in (1e-200, 1e200):
        torch.testing.assert_close(drive(labels, first, second, weight=scale * weight)[1].proba, reading.proba)
    unweighted = drive(labels, first, second)[1].proba
    assert not torch.equal(reading.proba, unweighted)
    assert torch.equal(drive(labels, first, second, weight=torch.full((N,), 0.3).double())[1].proba, unweighted)


# --- fits ---

SETTINGS = {"backbone": "mlp", "random_state": 0}


def test_right_labels_are_left_alone(small):
    X, y = small
    clf = BaselineClassifier("cross_fit", **SETTINGS).fit(X, y)
    plain = BaselineClassifier(**SETTINGS).fit(X, y)
    assert clf.noise_rate_ < 0.01
    assert (clf.mislabel_proba_ < LEFT_OUT).all()
    assert clf.score(X, y) == plain.score(X, y) == 1.0


def test_wrong_labels_are_found_and_the_network_is_spared_them(noisy_digits):
    X, observed, true, X_test, y_test = noisy_digits
    settings = {"backbone": "mlp", "max_epochs": 20, "random_state": 0}
    clf = BaselineClassifier("cross_fit", **settings).fit(X, observed)
    wrong, found = observed != true, clf.mislabel_proba_ > 0.5
    assert found[wrong].mean() >= 0.9
    assert found[~wrong].mean() < 0.03
    assert clf.noise_rate_ == pytest.approx(wrong.mean(), abs=0.03)
    assert clf.score(X_test, y_test) > BaselineClassifier(**settings).fit(X, observed).score(X_test, y_test)


def test_a_fit_repeats_and_its_seed_counts(small):
    X, y = small[0], np.where(np.arange(150) % 10 == 0, (small[1] + 1) % 3, small[1])
    fits = [BaselineClassifier("cross_fit", max_epochs=8, random_state=s).fit(X, y) for s in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].mislabel_scores_, fits[1].mislabel_scores_)
    np.testing.assert_array_equal(fits[0].decision_function(X), fits[1].decision_function(X))
    assert (fits[0].mislabel_scores_ != fits[2].mislabel_scores_).any()


@pytest.mark.parametrize("max_epochs", [1, 2, 7])
@pytest.mark.parametrize(
    "y",
    [
        *([0, 1], [0, 0, 1], [0, 1, 2], [0, 0, 1, 1], [0, 1, 0, 1, 1, 0, 2, 2, 1]),
        *([0] * 20 + [1], [0] * 10 + [1] * 10 + [2], [0] * 10 + [1] * 10 + [2, 2]),
    ],
    ids=str,
)
def test_few_samples_and_rare_classes(y, max_epochs):
    """A class that one half does not have, folds that would be empty: all K outputs and finite numbers."""
    X = np.random.RandomState(0).normal(size=(len(y), 3))
    clf = BaselineClassifier("cross_fit", max_epochs=max_epochs, batch_size=4, random_state=0).fit(X, y)
    assert clf.decision_function(X).reshape(len(y), -1).shape[1] == (1 if max(y) == 1 else max(y) + 1)
    assert np.isfinite(clf.mislabel_scores_).all()
    assert ((clf.mislabel_proba_ >= 0) & (clf.mislabel_proba_ <= 1)).all()


def test_a_fit_has_the_weights_of_its_samples(small):
    """Samples of weight 0 take no part; of the others only the ratios count."""
    X, y = small[0], np.where(np.arange(150) % 8 == 0, (small[1] + 1) % 3, small[1])
    weight = np.random.RandomState(0).uniform(0.5, 2, size=150)
    weight[:10] = 0
    clf = BaselineClassifier("cross_fit", max_epochs=10, batch_size=32, random_state=0, class_weight="balanced")
    fitted = clf.fit(X, y, sample_weight=weight)
    alone = BaselineClassifier(**fitted.get_params()).fit(X[10:], y[10:], sample_weight=1e-50 * weight[10:])
    np.testing.assert_allclose(fitted.mislabel_proba_[10:], alone.mislabel_proba_, rtol=1e-3, atol=1e-4)
    assert fitted.noise_rate_ == pytest.approx(np.average(fitted.mislabel_proba_, weights=weight))


def test_a_network_of_ones_own_that_normalises_by_batches(small):
    X, y = small
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    clf = BaselineClassifier("cross_fit", backbone=net, random_state=0).fit(X, y)
    plain = BaselineClassifier(backbone=net, random_state=0).fit(X, y)
    assert clf.score(X, y) >= plain.score(X, y) - 0.01
    assert clf.noise_rate_ < 0.01
