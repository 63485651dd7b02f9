"""The gallery shows the highest scores, with their labels."""

import numpy as np
import pandas as pd
import pytest

from acestimator import AutoCleansingClassifier, SuspectsDisplay


def test_suspects_are_the_highest_scores_with_their_labels(fitted):
    clf, X, y = fitted
    display = SuspectsDisplay.from_estimator(clf, X, y, n_suspects=10, image_shape=(8, 8))
    order = np.argsort(-clf.mislabel_scores_, kind="stable")[:10]  # log-odds end at 20: the first may tie
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


def test_errors(fitted):
    clf, X, y = fitted
    with pytest.raises(ValueError, match="y has 3 samples and the estimator was fitted on 1257"):
        SuspectsDisplay.from_estimator(clf, X, y[:3])
    with pytest.raises(ValueError, match=r"shape \(64,\), which is no image of shape \(9, 9\)"):
        SuspectsDisplay.from_estimator(clf, X, y, image_shape=(9, 9))
