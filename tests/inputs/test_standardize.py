"""Statistics of a training set, and what is standardised by them: on the host in float64, on a device in float32."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from acestimator.inputs import standardize
from acestimator.inputs.standardize import Standardization, fit_scaler, standardized, to_tensor

CPU = torch.device("cpu")


def numbers(*shape, seed=0):
    return np.random.RandomState(seed).normal(3.0, 2.0, size=shape)


@pytest.mark.parametrize("shape", [(40, 5), (40, 3, 4, 6)])
def test_statistics_are_those_of_each_feature_or_channel(shape):
    X = numbers(*shape)
    flat = X if X.ndim == 2 else X.transpose(0, 2, 3, 1).reshape(-1, shape[1])
    scaler = fit_scaler(X, None)
    np.testing.assert_allclose(scaler.mean_, flat.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale_, flat.std(axis=0), rtol=1e-12)


@given(st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any), st.sampled_from([(6, 4), (6, 2, 3, 3)]))
def test_weight_two_is_the_sample_twice(weight, shape):
    X, weight = numbers(*shape), np.array(weight)
    weighted, repeated = fit_scaler(X, weight.astype(float)), fit_scaler(X.repeat(weight, axis=0), None)
    np.testing.assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-10)
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_only_the_ratios_of_weights_matter(scale):
    X, weight = numbers(20, 3), np.linspace(0.5, 2.0, 20)
    np.testing.assert_allclose(fit_scaler(X, scale * weight).mean_, fit_scaler(X, weight).mean_, rtol=1e-12)


@pytest.mark.parametrize("shape", [(40, 5), (40, 3, 4, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_elements", [1, 50, 1 << 22])
def test_chunks_are_the_standardised_array(monkeypatch, shape, dtype, n_elements):
    X = numbers(*shape)
    scaler = fit_scaler(X, None)
    axis = (1, -1) if X.ndim == 2 else (1, -1, 1, 1)
    expected = (X - scaler.mean_.reshape(axis)) / scaler.scale_.reshape(axis)
    monkeypatch.setattr(standardize, "_CHUNK", n_elements)
    chunks = list(standardized(X, scaler, dtype))
    assert max(chunk.numel() for chunk in chunks) <= max(n_elements, X[0].size)
    np.testing.assert_allclose(torch.cat(chunks), expected, rtol=0, atol=1e-6 if dtype is torch.float32 else 1e-13)
    assert torch.equal(to_tensor(X, scaler, dtype), torch.cat(chunks))
    np.testing.assert_array_equal(to_tensor(X, None, torch.float64), X)


def test_the_array_is_left_as_it_is():
    X = numbers(10, 3)
    before = X.copy()
    to_tensor(X, fit_scaler(X, None), torch.float64)
    np.testing.assert_array_equal(X, before)


def test_a_large_offset_costs_no_digits():
    X = numbers(30, 2)
    shifted = X + 1e9
    ours = to_tensor(shifted, fit_scaler(shifted, None), torch.float32)
    np.testing.assert_allclose(ours, to_tensor(X, fit_scaler(X, None), torch.float32), atol=1e-5)


def test_images_on_the_device_are_those_of_the_host():
    X = np.random.RandomState(0).randint(0, 256, size=(9, 3, 4, 5)).astype(np.uint8)
    scaler = fit_scaler(X, None)
    images = torch.from_numpy(X)
    torch.testing.assert_close(Standardization.of(scaler, 3, CPU)(images), to_tensor(X, scaler, torch.float32))
    assert images.dtype == torch.uint8
    np.testing.assert_array_equal(Standardization.of(None, 3, CPU)(images), X.astype(np.float32))


def test_numbers_that_overflow_are_named():
    with pytest.raises(ValueError, match=r"X holds values up to 1e\+300, whose variance overflows in columns \[1\]"):
        fit_scaler(np.array([[1.0, 1e300], [2.0, -1e300]]), None)
    X = np.array([[1.0], [1e300]])
    with pytest.raises(ValueError, match=r"up to 1e\+300 that overflow torch.float32 without standardisation"):
        to_tensor(X, None, torch.float32)
    tiny = StandardScaler().fit(np.array([[0.0], [1e-30]]))
    with pytest.raises(ValueError, match=r"overflow torch.float32 after standardisation: rescale X"):
        to_tensor(np.array([[1e20]]), tiny, torch.float32)
