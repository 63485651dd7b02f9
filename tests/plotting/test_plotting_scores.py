"""The histogram holds all scores, and both components."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from acestimator import AutoCleansingClassifier, CleanedClassifier, ScoreHistogramDisplay, SuspectsDisplay


def test_histogram_holds_all_scores_and_both_components(fitted):
    clf = fitted[0]
    display = ScoreHistogramDisplay.from_estimator(clf, bins=30)
    assert sum(patch.get_height() for patch in display.ax_.patches[:30]) == len(clf.mislabel_scores_)
    labels = display.ax_.get_legend_handles_labels()[1]
    assert labels == ["samples", "label right", "label wrong"]
    right, wrong = (p.get_data().values.sum() for p in display.ax_.patches if hasattr(p, "get_data"))
    assert right + wrong == pytest.approx(len(clf.mislabel_scores_))
    assert wrong == pytest.approx(clf.mislabel_proba_.sum())


def test_histogram_without_probabilities_and_on_given_axes(small):
    clf = AutoCleansingClassifier(alpha_lr=0, max_epochs=2, random_state=0).fit(*small)
    ax = plt.figure().add_subplot()
    display = ScoreHistogramDisplay.from_estimator(clf, ax=ax)
    assert display.ax_ is ax
    assert display.ax_.get_legend_handles_labels()[1] == ["samples"]


def test_estimators_without_scores_are_refused_by_all_that_show_them(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match=r"scores has shape \(3,\) and proba \(2,\), expected \(N,\) for both"):
        ScoreHistogramDisplay(np.zeros(3), np.zeros(2)).plot()
    cleaned = CleanedClassifier(GaussianNB(), cleanser=AutoCleansingClassifier(max_epochs=1)).fit(X, y)
    for draw in (ScoreHistogramDisplay.from_estimator, lambda e: SuspectsDisplay.from_estimator(e, X, y)):
        with pytest.raises(TypeError, match=r"has no mislabel_scores_.* of a CleanedClassifier give its cleanser_"):
            draw(cleaned)
        draw(cleaned.cleanser_)
