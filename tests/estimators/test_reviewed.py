"""Labels that somebody has looked at: facts to the network, to the judges, and to what is said of the others."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.estimators.network import NetworkClassifier
from acestimator.estimators.reviewed import read_reviewed
from acestimator.facts import SUREST
from acestimator.noise import corrupt, pair_flip
from acestimator.training.checkpoint import Checkpoint

N = 240
NOTHING = [None, float("nan"), pd.NaT, pd.NA]


@pytest.fixture(scope="module")
def noisy():
    """Samples, right labels, and observed ones of which 30 % were flipped to the next class."""
    X, right = make_blobs(N, centers=4, n_features=6, cluster_std=3.0, random_state=3)
    return X, right, corrupt(right, pair_flip(4, 0.3), random_state=0)


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 12, "random_state": 0, **parameters})


def told(labels, rows):
    """Labels of these rows, None of others."""
    reviewed = np.full(len(labels), None, dtype=object)
    reviewed[rows] = labels[rows]
    return reviewed


def assert_same(ours, theirs):
    for name, tensor in ours.module_.state_dict().items():
        assert tensor.equal(theirs.module_.state_dict()[name]), name
    for name in ("mislabel_scores_", "mislabel_proba_", "suggested_labels_", "alpha_", "left_out_"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert ours.noise_rate_interval_ == theirs.noise_rate_interval_


# --- no facts, and nothing but facts ---


@pytest.mark.parametrize("reviewed", [None, [None] * N, np.full(N, np.nan), np.zeros(N, dtype=bool)])
def test_where_nothing_was_reviewed_all_is_as_ever(noisy, reviewed):
    X, _, y = noisy
    assert_same(quick().fit(X, y, reviewed=reviewed), quick().fit(X, y))


@pytest.mark.parametrize("alpha_lr", [None, 0])
def test_all_reviewed_is_plain_training_on_what_the_reviewer_says(noisy, alpha_lr):
    X, right, y = noisy
    of_labels = quick(alpha_lr=alpha_lr).fit(X, y, reviewed=right)
    of_mask = quick(alpha_lr=alpha_lr).fit(X, right, reviewed=np.ones(N, dtype=bool))
    plain = BaselineClassifier(max_epochs=12, random_state=0).fit(X, right)
    for name, tensor in plain.module_.state_dict().items():
        assert tensor.equal(of_labels.module_.state_dict()[name])
    assert_same(of_labels, of_mask)
    assert of_labels.noise_rate_ == 0
    assert of_labels.noise_rate_interval_ == (None if alpha_lr == 0 else (0.0, 0.0))
    assert np.array_equal(of_labels.suggested_labels_, right)
    assert len(of_labels.find_mislabeled(100)) == 0


# --- a fact is a fact ---


@pytest.mark.parametrize(
    "parameters", [{}, {"preset": "paper", "max_epochs": 3}, {"alpha_lr": 0}, {"alpha_lr": "paper"}]
)
@pytest.mark.parametrize("as_mask", [False, True])
def test_a_fact_is_never_suspected_and_keeps_its_label(noisy, parameters, as_mask):
    X, right, y = noisy
    rng = np.random.default_rng(0)
    rows = rng.choice(N, 60, replace=False)
    decided = right.copy()
    decided[rows[:30]] = (right[rows[:30]] + 2) % 4  # a reviewer who is wrong counts, too
    if as_mask:
        labels, reviewed = np.where(np.isin(np.arange(N), rows), decided, y), np.isin(np.arange(N), rows)
    else:
        labels, reviewed = y, told(decided, rows)
    clf = quick(**parameters).fit(X, labels, reviewed=reviewed)
    assert (clf.mislabel_proba_[rows] == 0).all()
    assert (clf.mislabel_scores_[rows] == -SUREST).all()
    assert np.array_equal(clf.suggested_labels_[rows], decided[rows])
    assert clf.left_out_ is None or not clf.left_out_[rows].any()
    assert not np.isin(clf.find_mislabeled(100), rows).any()
    issues = clf.label_issues()
    assert not issues["is_label_issue"].to_numpy()[rows].any()
    assert np.array_equal(issues["given_label"].to_numpy()[rows], decided[rows])
    if clf.noise_rate_interval_ is not None:
        assert 0 <= clf.noise_rate_interval_[0] <= clf.noise_rate_interval_[1] <= 1 - 60 / N


def test_facts_tell_more_about_the_others():
    """AUROC, Brier score and rate of what nobody looked at, once the likeliest 75 of 500 are corrected.

    Against one on the same labels that is not told which of them are facts. The AUROC against the fit before, too.
    """
    found = {"before": [], "told": [], "not told": []}
    for seed in range(3):
        X, right = make_blobs(500, centers=5, n_features=8, cluster_std=4.0, random_state=seed)
        y = corrupt(right, pair_flip(5, 0.3), random_state=seed)
        clf = AutoCleansingClassifier(random_state=0)
        before = clone(clf).fit(X, y)
        rows = np.argsort(-before.mislabel_scores_, kind="stable")[:75]
        left = ~np.isin(np.arange(500), rows)
        fits = {
            "before": before,
            "told": clone(clf).fit(X, y, reviewed=told(right, rows)),
            "not told": clone(clf).fit(X, np.where(left, y, right)),
        }
        wrong = (y != right)[left]
        for name, fit in fits.items():
            proba = fit.mislabel_proba_[left]
            auroc = roc_auc_score(wrong, fit.mislabel_scores_[left])
            found[name].append((auroc, -brier_score_loss(wrong, proba), -abs(proba.mean() - wrong.mean())))
    before, after, control = (np.mean(found[name], axis=0) for name in ("before", "told", "not told"))
    assert (after > control).all(), (after, control)
    assert after[0] > before[0]


# --- the two forms ---


@pytest.mark.parametrize("parameters", [{"alpha_lr": 0}, {"preset": "paper", "max_epochs": 3}])
def test_both_forms_agree_where_no_channel_is_fitted(noisy, parameters):
    X, _, y = noisy
    rows = np.arange(0, N, 3)
    of_labels = quick(**parameters).fit(X, y, reviewed=told(y, rows))
    assert_same(of_labels, quick(**parameters).fit(X, y, reviewed=np.isin(np.arange(N), rows)))


@pytest.mark.parametrize(
    "values",
    [
        [None, 2, None, 0],
        [np.nan, 2.0, np.nan, 0.0],
        np.array([np.nan, 2.0, np.nan, 0.0]),
        pd.Series([pd.NA, 2, pd.NA, 0], dtype="Int64"),
        pd.Series([None, 2, None, 0]),
        np.array([[None], [2], [None], [0]], dtype=object),
        np.ma.masked_array([1, 2, 0, 0], mask=[True, False, True, False]),
    ],
)
def test_whatever_marks_a_gap_does(values):
    found = read_reviewed(values, np.array([1, 1, 0, 0], dtype=np.int8))
    assert found.labels.dtype == np.int8
    assert found.labels.tolist() == [1, 2, 0, 0]
    assert found.known.tolist() == [False, True, False, True]
    assert found.observed.tolist() == [1, 1, 0, 0]
    assert found.are_pairs


@pytest.mark.parametrize("gap", NOTHING)
@pytest.mark.parametrize("form", [list, tuple, pd.Series])
def test_a_gap_among_texts_is_no_text(form, gap):
    found = read_reviewed(form([gap, "b", gap]), np.array(["a", "a", "b"]))
    assert found.known.tolist() == [False, True, False]
    assert found.labels.tolist() == ["a", "b", "b"]


@pytest.mark.parametrize("mask", [[True, False], np.array([True, False]), pd.Series([True, False], dtype="boolean")])
def test_whatever_is_a_mask_does(mask):
    found = read_reviewed(mask, np.array(["a", "b"]))
    assert found.known.tolist() == [True, False]
    assert not found.are_pairs


def test_longer_names_and_larger_numbers_are_not_cut():
    assert read_reviewed([None, "a long name"], np.array(["a", "b"])).labels.tolist() == ["a", "a long name"]
    assert read_reviewed([None, 300], np.array([1, 2], dtype=np.uint8)).labels.tolist() == [1, 300]
    assert read_reviewed([None, np.inf], np.array([1, 2])).labels.tolist() == [1, np.inf]  # for scikit-learn to refuse
    truths = read_reviewed(np.array([None, True]), np.array([False, False]))
    assert truths.labels.tolist() == [False, True]
    assert truths.are_pairs


def test_a_class_that_only_the_reviewer_names_is_one_and_one_that_nobody_has_is_none():
    X, right = make_blobs(90, centers=3, random_state=0)
    names = np.array(["cat", "dog", "eel"])[right]
    y = np.where(right == 2, "dog", names)
    y[:2] = "doog"
    rows = np.unique([0, 1, *np.flatnonzero(right == 2)])
    clf = quick().fit(X, y, reviewed=told(names, rows))
    assert clf.classes_.tolist() == ["cat", "dog", "eel"]
    assert set(clf.predict(X)) == {"cat", "dog", "eel"}


@pytest.mark.parametrize(
    ("reviewed", "message"),
    [
        ([None, 1], r"reviewed has shape \(2,\), expected \(240,\): give an entry for each"),
        (np.full((N, 2), None), r"shape \(240, 2\), expected \(240,\)"),
        (["a"] + [None] * (N - 1), r"holds texts such as 'a', expected numbers such as \d as in y: give labels as"),
        ([True] + [None] * (N - 1), "holds truth values such as True, expected numbers.*mask of dtype bool"),
        (np.arange(N) % 2, "nothing but 0 and 1, of dtype int64, and y other labels, too.*mask.*dtype bool"),
        ([0.5] + [None] * (N - 1), "Unknown label type"),
        ([["a"], ["b", "c"]] + [None] * (N - 2), r"holds objects of type list such as \['b', 'c'\], expected numbers"),
        (np.ma.masked_array([True] * N, mask=[True] + [False] * (N - 1)), "holds truth values .*, expected numbers"),
    ],
)
def test_what_cannot_be_used_is_said_before_any_training(noisy, reviewed, message):
    X, _, y = noisy
    clf = quick().fit(X, y)
    before = clf.module_
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y, reviewed=reviewed)
    assert clf.module_ is before


def test_a_mask_of_numbers_for_names_is_said_to_be_none():
    with pytest.raises(ValueError, match=r"numbers such as 1, expected texts such as 'b' as in y.*mask of dtype bool"):
        read_reviewed([1, 1], np.array(["a", "b"]))


# --- weights, routing, checkpoints ---


def test_a_sample_of_weight_zero_takes_no_part_reviewed_or_not(noisy):
    X, right, y = noisy
    weight, rows = np.ones(N), np.arange(0, 80)
    weight[40:60] = 0
    clf = quick().fit(X, y, sample_weight=weight, reviewed=told(right, rows))
    used = weight > 0
    other = quick().fit(X[used], y[used], reviewed=told(right, rows)[used])
    assert np.allclose(clf.mislabel_scores_[used], other.mislabel_scores_)
    assert clf.noise_rate_ == pytest.approx(other.noise_rate_)
    only = quick().fit(X, y, sample_weight=weight, reviewed=told(right, np.arange(40, 60)))
    assert_same(only, quick().fit(X, np.where(used, y, right), sample_weight=weight))


def test_weight_two_is_a_sample_twice(noisy):
    X, right, y = noisy
    weight, rows = 1.0 + (np.arange(N) % 3 == 0), np.arange(0, 90)
    copies = np.repeat(np.arange(N), weight.astype(int))
    whole = {"batch_size": 1000, "max_epochs": 40}
    weighted = quick(**whole).fit(X, y, sample_weight=weight, reviewed=told(right, rows))
    copied = quick(**whole).fit(X[copies], y[copies], reviewed=told(right, rows)[copies])
    assert np.allclose(weighted.mislabel_scores_[copies], copied.mislabel_scores_, atol=1e-3)
    assert weighted.noise_rate_ == pytest.approx(copied.noise_rate_, abs=1e-4)
    assert weighted.noise_rate_interval_ == pytest.approx(copied.noise_rate_interval_, abs=1e-4)


@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_hands_them_on(noisy, routing):
    X, right, y = noisy
    reviewed = told(right, np.arange(50))
    expected = quick().fit(StandardScaler().fit_transform(X), y, reviewed=reviewed)
    with sklearn.config_context(enable_metadata_routing=routing):
        last = quick().set_fit_request(reviewed=True) if routing else quick()
        name = "reviewed" if routing else "autocleansingclassifier__reviewed"
        piped = make_pipeline(StandardScaler(), last).fit(X, y, **{name: reviewed})
    assert_same(piped[-1], expected)


def test_a_fit_goes_on_and_knows_its_facts(noisy, tmp_path, monkeypatch):
    X, right, y = noisy
    reviewed = told(right, np.arange(50))
    plain = quick().fit(X, y, reviewed=reviewed)
    monkeypatch.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)
    save, count = Checkpoint.save, iter(range(100))

    def save_and_stop(self, phase, state):
        save(self, phase, state)
        if next(count) == 5:
            raise KeyboardInterrupt

    clf = quick(checkpoint=tmp_path / "fit", device="cpu")
    with monkeypatch.context() as stopping:
        stopping.setattr(Checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            clone(clf).fit(X, y, reviewed=reviewed)
    for other in (None, told(y, np.arange(50)), told(right, np.arange(51)), np.arange(N) < 50):
        with pytest.raises(ValueError, match=r"reviewed is|y is"):
            clone(clf).fit(X, y, reviewed=other)
    assert_same(clone(clf).fit(X, y, reviewed=reviewed), plain)


# --- another classifier ---


@pytest.mark.parametrize("strategy", ["drop", "relabel", "weight"])
def test_a_cleaned_classifier_trains_on_facts(noisy, strategy):
    X, right, y = noisy
    rows = np.arange(120)
    decided = (right + 1) % 4  # nobody would guess that
    tree = RandomForestClassifier(30, random_state=0)
    clf = CleanedClassifier(tree, cleanser=quick(), strategy=strategy).fit(X, y, reviewed=told(decided, rows))
    assert (clf.mislabel_proba_[rows] == 0).all()
    assert np.array_equal(clf.suggested_labels_[rows], decided[rows])
    assert (clf.predict(X[rows]) == decided[rows]).mean() > 0.9


def test_a_cleaned_classifier_hands_them_to_a_pipeline(noisy):
    X, right, y = noisy
    clf = CleanedClassifier(LogisticRegression(max_iter=1000), cleanser=make_pipeline(StandardScaler(), quick()))
    clf.fit(X, y, reviewed=told(right, np.arange(50)))
    assert (clf.mislabel_proba_[:50] == 0).all()
    with sklearn.config_context(enable_metadata_routing=True):
        outer = make_pipeline(
            StandardScaler(),
            CleanedClassifier(LogisticRegression(max_iter=1000), cleanser=quick()).set_fit_request(reviewed=True),
        )
        outer.fit(X, y, reviewed=told(right, np.arange(50)))
    assert (outer[-1].mislabel_proba_[:50] == 0).all()


def test_a_cleanser_that_takes_none_is_refused_before_any_training(noisy):
    X, right, y = noisy
    clf = CleanedClassifier(LogisticRegression(max_iter=1000), cleanser=BaselineClassifier(max_epochs=1))
    with pytest.raises(ValueError, match=r"cleanser is BaselineClassifier.*does not take reviewed.*give y as"):
        clf.fit(X, y, reviewed=told(right, np.arange(50)))
    clf.fit(X, y, reviewed=[None] * N)  # nothing was reviewed
