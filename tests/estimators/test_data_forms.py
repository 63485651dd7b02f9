"""Data in all the forms that users have: label kinds, frames, dtypes, layouts, sizes, images."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from acestimator import AutoCleansingClassifier


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 3, "random_state": 0, **parameters})


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ape", "bee", "cow"]),
        np.array(["ape", "bee", "cow"], dtype=object),
        np.array([-7, 3, 100]),
        np.array([0.0, 1.0, 2.0]),
    ],
)
def test_labels_of_any_kind(small, labels):
    X, codes = small
    clf = quick(max_epochs=20).fit(X, labels[codes])
    np.testing.assert_array_equal(clf.classes_, labels)
    assert clf.predict(X).dtype == labels.dtype
    assert np.mean(clf.predict(X) == labels[codes]) > 0.95
    assert clf.suggested_labels_.dtype == labels.dtype
    assert set(clf.suggested_labels_) <= set(labels)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_and_series(small, frame):
    X, y = small
    names = ["a", "b", "c", "d"]
    table = frame(dict(zip(names, X.T, strict=True)))
    series = pd.Series(y) if frame is pd.DataFrame else pl.Series(y)
    clf = quick().fit(table, series)
    assert clf.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(clf.predict(table), quick().fit(X, y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(table[names[::-1]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8, bool])
def test_dtypes(small, dtype):
    X, y = small
    assert quick().fit(np.abs(X).astype(dtype), y).predict(np.abs(X).astype(dtype)).shape == y.shape


def test_arrays_of_any_layout_and_lists(small):
    X, y = small
    expected = quick().fit(X, y).decision_function(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X[:, ::-1].copy()[:, ::-1], frozen, X.tolist()):
        np.testing.assert_allclose(quick().fit(same, y).decision_function(same), expected, atol=1e-5)


def test_two_classes_give_one_decision(small):
    X, y = small
    keep = y < 2
    clf = quick(max_epochs=10).fit(X[keep], y[keep])
    decision = clf.decision_function(X[keep])
    assert decision.shape == (keep.sum(),)
    np.testing.assert_array_equal(clf.predict(X[keep]), (decision > 0).astype(int))
    np.testing.assert_allclose(clf.predict_proba(X[keep])[:, 1], 1 / (1 + np.exp(-decision)))


def test_a_hundred_classes_and_a_class_of_one():
    rng = np.random.RandomState(0)
    y = np.r_[np.arange(100).repeat(3)[:-2]]
    X = rng.normal(size=(len(y), 6))
    clf = quick().fit(X, y)
    assert clf.alpha_.shape == (298, 100)
    assert clf.predict_proba(X).shape == (298, 100)


@pytest.mark.parametrize(("n_samples", "batch_size"), [(7, 1), (2, 64), (5, 64), (65, 64), (129, 64)])
def test_batches_of_one_and_fewer_samples_than_a_batch(n_samples, batch_size):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n_samples, 3)), np.arange(n_samples) % 2
    for backbone, samples in (("mlp", X), ("small_resnet", X[:, :, None, None])):
        clf = quick(backbone=backbone, batch_size=batch_size).fit(samples, y)
        assert np.isfinite(clf.decision_function(samples)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images(dtype):
    rng = np.random.RandomState(0)
    y = np.arange(80) % 2
    X = (100 + 40 * y[:, None, None, None] + 10 * rng.normal(size=(80, 3, 9, 7))).astype(dtype)
    clf = quick(max_epochs=5).fit(X, y)
    assert clf.input_shape_ == (3, 9, 7)
    assert clf.score(X, y) == 1.0
    np.testing.assert_allclose(clf.scaler_.mean_, X.astype(float).mean(axis=(0, 2, 3)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"\(3, 7, 9\), expected \(3, 9, 7\) as in fit"):
        clf.predict(X.transpose(0, 1, 3, 2))


def test_an_offset_costs_no_digits(small):
    """Features like time stamps: standardised before they are rounded to float32.

    Without judges: rounding, of 1e-7 here, draws other halves.
    """
    X, y = small
    shifted = quick(max_epochs=10, batch_size=32, alpha_lr="paper").fit(X + 1.6e9, y)
    plain = quick(max_epochs=10, batch_size=32, alpha_lr="paper").fit(X, y)
    np.testing.assert_allclose(shifted.decision_function(X + 1.6e9), plain.decision_function(X), atol=1e-4)


def test_standardize_off_takes_the_inputs_as_they_are(small):
    X, y = small
    clf = quick(standardize=False).fit(X, y)
    assert clf.scaler_ is None
    with torch.no_grad():
        np.testing.assert_allclose(clf.decision_function(X), clf.module_(torch.from_numpy(X)).numpy(), atol=1e-12)
