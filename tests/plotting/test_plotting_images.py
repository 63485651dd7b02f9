"""Samples become pictures, and no pixel moves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acestimator.plotting.images import as_images

shapes = st.tuples(st.integers(0, 3), st.sampled_from([1, 3]), st.integers(1, 4), st.integers(1, 4))
images = shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(-(2**20), 2**20, width=32)))


@given(images)
def test_flattened_images_are_pictures_again(X):
    grey = X[:, 0]
    np.testing.assert_array_equal(as_images(grey.reshape(len(X), np.prod(grey.shape[1:])), grey.shape[1:]), grey)
    np.testing.assert_array_equal(as_images(X[:, :1]), grey)


@given(images)
def test_colours_are_brought_to_0_to_1_in_their_order(X):
    if X.shape[1] == 1:
        return
    shown = as_images(X)
    pixels = X.transpose(0, 2, 3, 1)
    assert shown.shape == pixels.shape
    assert ((shown >= 0) & (shown <= 1)).all()
    if X.size and X.min() < X.max():
        assert (shown[pixels == X.min()] == 0).all()
        assert (shown[pixels == X.max()] == 1).all()
        assert (np.diff(shown.ravel()[np.argsort(pixels, axis=None)]) >= 0).all()


def test_bytes_and_rows_of_a_table_stay_what_they_are():
    bytes_ = np.arange(24, dtype=np.uint8).reshape(1, 3, 2, 4)
    np.testing.assert_array_equal(as_images(bytes_), bytes_.transpose(0, 2, 3, 1))
    table = np.arange(6.0).reshape(2, 3)
    assert as_images(table) is table


def test_other_numbers_of_pixels_and_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"shape \(64,\), which is no image of shape \(9, 9\): give the height and width"
    ):
        as_images(np.zeros((2, 64)), (9, 9))
    with pytest.raises(ValueError, match="images have 2 channels, expected 1 or 3 to be shown: choose some of them"):
        as_images(np.zeros((2, 2, 4, 4)))
