"""Suspects stand beside their constants, as in the paper's Figures 4 to 6."""

import numpy as np
import pytest

from acestimator import ConstantsDisplay
from acestimator.detection import max_min_ranks


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
