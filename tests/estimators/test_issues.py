"""label_issues: the table that cleanlab makes, and two columns more, from what a fit of ours has read off."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.estimators.issues import label_quality

NAMES = np.array(["ape", "bee", "cow"])


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 20, "random_state": 0, **parameters})


@pytest.fixture
def noisy(small):
    """Three clouds with 15 wrong labels, by name."""
    X, y = small
    return X, NAMES[np.where(np.arange(150) < 15, (y + 1) % 3, y)]


def test_the_table_is_cleanlabs_and_cleanlab_takes_it(small):
    classification = pytest.importorskip("cleanlab.classification")
    X, true = small
    y = np.where(np.arange(150) < 15, (true + 1) % 3, true)
    theirs = classification.CleanLearning(LogisticRegression(), seed=0).find_label_issues(X, y)
    ours = quick().fit(X, y).label_issues()
    assert ours.columns.tolist() == [*theirs.columns, "suggested_label", "mislabel_probability"]
    assert [dtype.kind for dtype in ours.dtypes[:4]] == [dtype.kind for dtype in theirs.dtypes]
    pd.testing.assert_index_equal(ours.index, theirs.index)
    pd.testing.assert_series_equal(ours["given_label"], theirs["given_label"], check_dtype=False)
    kept = classification.CleanLearning(LogisticRegression(), seed=0).fit(X, y, label_issues=ours)
    assert kept.label_issues_mask.sum() == ours["is_label_issue"].sum() > 0


@pytest.mark.parametrize("clf", [quick(), BaselineClassifier("trimmed", max_epochs=20, random_state=0)])
def test_the_table_says_what_the_attributes_say(noisy, clf):
    X, y = noisy
    issues = clf.fit(X, y).label_issues()
    np.testing.assert_array_equal(issues["is_label_issue"], clf.mislabel_proba_ > 0.5)
    np.testing.assert_allclose(issues["label_quality"], 1 - clf.mislabel_proba_, rtol=0, atol=1e-3)
    assert issues["given_label"].tolist() == y.tolist()
    assert issues["predicted_label"].tolist() == clf.predict(X).tolist()
    assert issues["suggested_label"].tolist() == clf.suggested_labels_.tolist()
    suggested = issues["suggested_label"]
    changed = suggested != issues["given_label"]
    assert changed.any()
    assert issues["is_label_issue"][changed].all()
    assert (suggested == issues["predicted_label"])[changed].all()
    np.testing.assert_array_equal(issues["mislabel_probability"], clf.mislabel_proba_)


def test_the_worst_quality_is_the_most_suspicious_score(noisy_digits):
    """Two suspects are alike only where log-odds and the constants' order have them in each other's place.

    A list of them is in the order of the scores.
    """
    clf = AutoCleansingClassifier(max_epochs=20, random_state=0).fit(*noisy_digits[:2])
    issues = clf.label_issues()
    suspects = clf.mislabel_scores_[clf.mislabel_proba_ > 0.5]
    assert len(suspects) > 100
    assert len(np.unique(suspects)) > 0.95 * len(suspects)
    by_quality = issues.sort_values("label_quality", kind="stable").index
    np.testing.assert_array_equal(by_quality, np.argsort(-clf.mislabel_scores_, kind="stable"))


probabilities = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 1.0 - 1e-9, 1.0])


@given(st.lists(st.tuples(probabilities, st.floats(-1e9, 1e9)), min_size=1, max_size=30))
def test_quality_follows_the_probability_and_then_the_score(pairs):
    proba, scores = np.array(pairs).T
    quality = label_quality(proba, scores)
    np.testing.assert_allclose(quality, 1 - proba, rtol=0, atol=1e-3)
    assert ((quality >= 0) & (quality <= 1)).all()
    same = (proba[:, None] == proba) & (scores[:, None] == scores)
    worse = ((proba[:, None] >= proba) & (scores[:, None] >= scores)) & ~same & (scores[:, None] > scores)
    assert (np.equal.outer(quality, quality) | ~same).all()
    assert (np.less.outer(quality, quality) | ~worse).all()


def test_samples_of_weight_zero_are_predicted_what_they_were_given(noisy):
    X, y = noisy
    clf = quick().fit(X, y, sample_weight=(y != "cow").astype(float))
    issues = clf.label_issues()
    out = y == "cow"
    assert (issues.loc[out, ["predicted_label", "suggested_label"]] == "cow").all(axis=None)
    assert (issues["mislabel_probability"][out] == clf.noise_rate_).all()
    assert issues["predicted_label"][~out].tolist() == clf.predict(X[~out]).tolist()
    np.testing.assert_allclose(issues["label_quality"][out], 1 - clf.noise_rate_, rtol=0, atol=1e-3)


@pytest.mark.parametrize("labels", [NAMES, NAMES.astype(object), np.arange(3), np.array([0.0, 1.0, 2.0])])
def test_without_pandas_it_is_a_structured_array(small, labels, monkeypatch):
    X, y = small
    clf = quick(max_epochs=5).fit(X, labels[y])
    frame = clf.label_issues()
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = clf.label_issues()
    assert isinstance(table, np.ndarray)
    assert list(table.dtype.names) == frame.columns.tolist()
    for name in table.dtype.names:
        np.testing.assert_array_equal(table[name], frame[name].to_numpy())
    assert table["given_label"].dtype == table["suggested_label"].dtype == labels.dtype


def test_rows_are_numbered_whatever_the_index_of_a_frame(noisy):
    X, y = noisy
    frame = pd.DataFrame(X, index=np.arange(150)[::-1], columns=list("abcd"))
    issues = quick(max_epochs=2).fit(frame, pd.Series(y, index=frame.index)).label_issues()
    pd.testing.assert_index_equal(issues.index, pd.RangeIndex(150))
    assert issues["given_label"].tolist() == y.tolist()


def test_plain_training_finds_no_issue(noisy):
    issues = quick(alpha_lr=0).fit(*noisy).label_issues()
    assert not issues["is_label_issue"].any()
    assert (issues["label_quality"] == 1).all()


def test_the_table_belongs_to_its_reader(noisy):
    X, y = noisy
    observed = y.copy()
    clf = quick(max_epochs=2).fit(X, observed)
    before = clf.label_issues()
    observed[:] = "ape"
    mine = clf.label_issues()
    mine.loc[:, ["predicted_label", "suggested_label"]] = "ape"
    mine.loc[:, "mislabel_probability"] = 2.0
    pd.testing.assert_frame_equal(clf.label_issues(), before)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(clf)).label_issues(), before)


def test_before_fit():
    with pytest.raises(NotFittedError):
        quick().label_issues()
