"""Displays draw what the estimator holds."""

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

from acestimator import (
    AutoCleansingClassifier,
    CleanedClassifier,
    ConstantsDisplay,
    ScoreHistogramDisplay,
    SuspectsDisplay,
    TrainingCurvesDisplay,
)
from acestimator.detection import max_min_ranks

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted(noisy_digits):
    X, y = noisy_digits[:2]
    return AutoCleansingClassifier(max_epochs=20, random_state=0).fit(X, y), X, y


def test_suspects_are_the_highest_scores_with_their_labels(fitted):
    clf, X, y = fitted
    display = SuspectsDisplay.from_estimator(clf, X, y, n_suspects=10, image_shape=(8, 8))
    order = np.argsort(-clf.mislabel_scores_)[:10]
    np.testing.assert_array_equal(display.positions, order)
    titles = [ax.get_title() for ax in display.axes_.flat[:10]]
    assert titles[0] == f"given {y[order[0]]}\nsuggested {clf.suggested_labels_[order[0]]}"
    np.testing.assert_array_equal(display.axes_.flat[3].images[0].get_array(), X[order[3]].reshape(8, 8))


def test_suspects_of_a_table_are_rows_with_the_columns_names(small):
    X, y = small
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    clf = AutoCleansingClassifier(max_epochs=5, random_state=0).fit(frame, y)
    display = SuspectsDisplay.from_estimator(clf, frame, y, n_suspects=4)
    (table,) = display.axes_[0].tables
    header = [table[0, j].get_text().get_text() for j in range(8)]
    assert header == ["sample", "given", "suggested", "P(wrong)", "a", "b", "c", "d"]
    assert table[1, 0].get_text().get_text() == str(np.argmax(clf.mislabel_scores_))


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.float32), (3, np.uint8), (3, np.float64)])
def test_suspects_of_images(channels, dtype):
    rng = np.random.RandomState(0)
    X, y = (255 * rng.uniform(size=(12, channels, 8, 6))).astype(dtype), np.arange(12) % 2
    clf = AutoCleansingClassifier(max_epochs=1, random_state=0).fit(X, y)
    display = SuspectsDisplay.from_estimator(clf, X, y, n_suspects=3)
    assert display.samples.shape == ((3, 8, 6) if channels == 1 else (3, 8, 6, 3))
    display.figure_.canvas.draw()


def test_constants_stand_beside_the_suspects_of_algorithm_2(fitted):
    clf, X, y = fitted
    images = X.reshape(-1, 1, 8, 8)
    display = ConstantsDisplay.from_estimator(clf, images, y, n_suspects=5)
    order = clf.find_mislabeled(100)[:5]
    np.testing.assert_array_equal(display.positions, order)
    centred = clf.alpha_ - clf.alpha_.mean(axis=1, keepdims=True)
    max_rank, min_rank = max_min_ranks(clf.alpha_)
    for i, n in enumerate(order):
        image, bars = display.axes_[i]
        np.testing.assert_array_equal(image.images[0].get_array(), images[n, 0])
        np.testing.assert_allclose([bar.get_height() for bar in bars.patches], centred[n], atol=1e-6)
        assert image.get_title() == f"{n}: {y[n]}"
        assert bars.get_title() == f"MaxRank {max_rank[n]:.3f} %   MinRank {min_rank[n]:.3f} %"
        # The given label's bar has a colour of its own, and so has the smallest
        colours = {bar.get_facecolor() for k, bar in enumerate(bars.patches) if k not in (y[n], centred[n].argmin())}
        assert len(colours) == 1
        assert bars.patches[int(y[n])].get_facecolor() not in colours


def test_constants_of_chosen_samples_with_names_and_of_many_categories():
    alpha, labels = np.random.RandomState(0).normal(size=(9, 20)), np.arange(9)
    images = np.zeros((9, 3, 4, 4), dtype=np.uint8)
    names = [f"name {k}" for k in range(20)]
    display = ConstantsDisplay.from_constants(alpha, images, labels, names=names, positions=[7, 2, 2])
    assert [ax.get_title() for ax in display.axes_[:, 0]] == ["7: name 7", "2: name 2", "2: name 2"]
    ticks = [tick.get_text() for tick in display.axes_[0, 1].get_xticklabels()]
    assert set(ticks) == {"name 7", f"name {alpha[7].argmin()}"}  # the others have no room
    with pytest.raises(ValueError, match="positions run from 0 to 9, expected 0 to 8"):
        ConstantsDisplay.from_constants(alpha, images, labels, names=names, positions=[0, 9])
    with pytest.raises(ValueError, match="X has 8 samples and the table of constants 9"):
        ConstantsDisplay.from_constants(alpha, images[1:], labels, names=names)


def test_errors(fitted):
    clf, X, y = fitted
    with pytest.raises(ValueError, match="y has 3 samples and the estimator was fitted on 1257"):
        SuspectsDisplay.from_estimator(clf, X, y[:3])
    with pytest.raises(ValueError, match=r"shape \(64,\), which is no image of shape \(9, 9\)"):
        SuspectsDisplay.from_estimator(clf, X, y, image_shape=(9, 9))
    with pytest.raises(ValueError, match=r"scores has shape \(3,\) and proba \(2,\), expected \(N,\) for both"):
        ScoreHistogramDisplay(np.zeros(3), np.zeros(2)).plot()
    cleaned = CleanedClassifier(GaussianNB(), cleanser=AutoCleansingClassifier(max_epochs=1)).fit(X, y)
    for draw in (ScoreHistogramDisplay.from_estimator, lambda e: SuspectsDisplay.from_estimator(e, X, y)):
        with pytest.raises(TypeError, match=r"has no mislabel_scores_.* of a CleanedClassifier give its cleanser_"):
            draw(cleaned)
        draw(cleaned.cleanser_)


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


def test_training_curves(fitted):
    clf = fitted[0]
    display = TrainingCurvesDisplay.from_estimator(clf)
    line = display.axes_[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [record["loss"] for record in clf.history_])
    assert len(display.axes_[1].lines) == 2


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import sys, acestimator, acestimator.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
