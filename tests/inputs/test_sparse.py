"""Sparse samples: their scales, and that they are the dense ones of the same numbers."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from acestimator.augment import Cutout
from acestimator.folds import row_keys
from acestimator.inputs import sparse as module
from acestimator.inputs.source import ArraySource, SparseSource, Wanted
from acestimator.inputs.sparse import fit_sparse_scaler, scaled
from acestimator.inputs.standardize import fit_scaler

CPU = torch.device("cpu")
BLOCKS = [torch.tensor([3, 1, 4]), torch.tensor([15, 9, 2, 6])]


def numbers(n_samples=40, n_features=12, seed=0):
    """Rows of which one is empty, with a column that is."""
    rng = np.random.RandomState(seed)
    X = np.where(rng.rand(n_samples, n_features) < 0.3, rng.normal(1.0, 2.0, size=(n_samples, n_features)), 0.0)
    X[5] = 0.0
    X[:, 7] = 0.0
    return X


def wanted(scaler=None, **changes):
    defaults = {"dtype": torch.float32, "augment": None, "seed": 0, "channels_last": False, "sparse": True}
    return Wanted(**({"device": CPU, "scaler": scaler} | defaults | changes))


def dense(rows):
    return rows if isinstance(rows, torch.Tensor) else rows.dense()


def everything(chunks):
    return torch.cat([dense(chunk) for chunk in chunks])


# ------------------------------------------------------------------ scales


def test_features_that_all_samples_have_get_a_mean_square_of_one():
    X = numbers() + 1.0
    scaled_X = X / fit_sparse_scaler(sp.csr_array(X), None).scale_
    np.testing.assert_allclose((scaled_X**2).mean(axis=0), 1.0, rtol=1e-12)


def test_numbers_that_are_not_zero_get_a_mean_square_of_one():
    X = numbers()
    scaled_X = X / fit_sparse_scaler(sp.csr_array(X), None).scale_
    assert np.mean(scaled_X[X != 0] ** 2) == pytest.approx(1.0)


@given(st.lists(st.floats(1e-3, 1e3), min_size=12, max_size=12))
def test_the_unit_of_a_feature_does_not_matter(units):
    X = numbers()
    plain, other = (fit_sparse_scaler(sp.csr_array(each), None).scale_ for each in (X, X * units))
    np.testing.assert_allclose(X * units / other, X / plain, rtol=1e-9)


def test_a_feature_that_fewer_samples_have_counts_for_less():
    X = sp.csr_array(np.tri(100, 100)[:, ::-1])  # column j has j + 1 ones
    ones, share = 1.0 / fit_sparse_scaler(X, None).scale_, X.sum(axis=0) / 100
    order = np.argsort(share)
    assert (np.diff(ones[order]) > 0).all()
    rarest = ((1.0 + module.ONE_OF) / (1.0 + module.ONE_OF / 0.01)) ** 0.5
    assert ones[order[0]] / ones[order[-1]] == pytest.approx(rarest)


@given(st.lists(st.integers(0, 3), min_size=40, max_size=40).filter(any))
def test_weight_two_is_the_sample_twice(weight):
    X, weight = numbers(), np.array(weight)
    weighted = fit_sparse_scaler(sp.csr_array(X), weight.astype(float))
    repeated = fit_sparse_scaler(sp.csr_array(X.repeat(weight, axis=0)), None)
    np.testing.assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-10)
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-9, atol=1e-12)


def test_of_rows_of_one_length_features_keep_their_weights_against_each_other():
    X = numbers()
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
    common = X[:, (X != 0).sum(axis=0) == 12]
    assert common.shape[1] >= 2
    scales = fit_sparse_scaler(sp.csr_array(X), None).scale_[(X != 0).sum(axis=0) == 12]
    np.testing.assert_allclose(scales, scales[0], rtol=1e-12)
    doubled = X.copy()
    doubled[1] *= 2.0  # a row of another length
    assert np.ptp(fit_sparse_scaler(sp.csr_array(doubled), None).scale_[(X != 0).sum(axis=0) == 12]) > 0.01
    single = fit_sparse_scaler(sp.csr_array(X.astype(np.float32)), None).scale_
    np.testing.assert_allclose(single, fit_sparse_scaler(sp.csr_array(X), None).scale_, rtol=1e-6)


def test_zeros_that_are_stored_change_nothing_and_a_feature_that_nobody_has_is_left():
    X = sp.csr_array(numbers())
    with_zeros = sp.csr_array((np.r_[X.data, 0.0], np.r_[X.indices, 7], np.r_[X.indptr[:-1], X.nnz + 1]), shape=X.shape)
    np.testing.assert_array_equal(fit_sparse_scaler(with_zeros, None).scale_, fit_sparse_scaler(X, None).scale_)
    assert fit_sparse_scaler(X, None).scale_[7] == 1.0


def test_the_scaler_is_scikit_learns_and_scales_as_the_network_s_input_is_scaled():
    X = sp.csr_array(numbers())
    scaler = fit_sparse_scaler(X, None)
    np.testing.assert_allclose(scaler.transform(X).toarray(), scaled(X, scaler, torch.float64).toarray(), rtol=1e-12)


def test_numbers_that_overflow_are_named():
    with pytest.raises(ValueError, match=r"X holds values up to 1e\+300, whose variance overflows in columns \[1\]"):
        fit_sparse_scaler(sp.csr_array([[1.0, 1e300], [2.0, -1e300]]), None)
    with pytest.raises(ValueError, match=r"up to 1e\+300 that overflow torch.float32 without standardisation"):
        scaled(sp.csr_array([[0.0, 1e300]]), None, torch.float32)


# ------------------------------------------------------------------ the dense samples of the same numbers


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_are_the_dense_ones(monkeypatch, index, takes, dtype):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 60)
    X = sp.csr_array(numbers())
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    scaler = fit_sparse_scaler(X, None)
    source, other = SparseSource(X), ArraySource(X.toarray())
    keep = np.array([7, 2, 20, 5])
    for ours, theirs in ((source, other), (source.subset(keep), other.subset(keep))):
        assert ours.shape == theirs.shape
        assert torch.equal(ours.trial(scaler), theirs.trial(scaler))
        assert torch.equal(
            everything(ours.chunks(scaler, dtype, CPU, sparse=takes)), everything(theirs.chunks(scaler, dtype, CPU))
        )
    ours, theirs = (each.samples(wanted(scaler, dtype=dtype, sparse=takes)) for each in (source, other))
    assert (ours.shape, ours.dtype, ours.sparse) == (theirs.shape, dtype, takes)
    assert torch.equal(ours.keys(), theirs.keys())
    assert ours.density() == theirs.density() == np.mean(numbers() != 0)
    some = torch.tensor([9, 2, 30, 5, *range(12)])
    for one, two in ((ours, theirs), (ours.subset(some), theirs.subset(some))):
        assert torch.equal(everything(one.evaluation()), everything(two.evaluation()))
        for x, block in zip(one.training(0, 1, BLOCKS), two.training(0, 1, BLOCKS), strict=True):
            assert isinstance(x, torch.Tensor) is not takes
            assert torch.equal(dense(x), block)


@pytest.mark.parametrize("takes", [True, False])
def test_a_bounded_number_of_numbers_is_handed_out_at_one_go(monkeypatch, takes):
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 60)
    source = SparseSource(sp.csr_array(numbers() + 1.0))  # all of them stored
    samples = source.samples(wanted(sparse=takes))
    for parts in (source.chunks(None, torch.float32, CPU, sparse=takes), samples.evaluation()):
        assert [len(part) for part in parts] == [5] * 8


@pytest.mark.parametrize(
    ("indices", "starts"), [(np.int64, np.int32), (np.int32, np.int64), (np.uint16, np.uint32), (np.int16, np.int16)]
)
def test_index_arrays_may_have_any_types(indices, starts):
    X = sp.csr_array(numbers())
    other = X.copy()
    other.indices, other.indptr = other.indices.astype(indices), other.indptr.astype(starts)
    found, expected = (SparseSource(each).statistics(None).scale_ for each in (other, X))
    np.testing.assert_array_equal(found, expected)


def test_of_a_network_that_was_trained_on_centred_samples_the_sparse_ones_are_centred():
    X = numbers()
    scaler = fit_scaler(X, None)
    ours, theirs = (
        everything(s.chunks(scaler, torch.float32, CPU)) for s in (SparseSource(sp.csr_array(X)), ArraySource(X))
    )
    assert torch.equal(ours, theirs)


def test_keys_do_not_depend_on_how_a_row_is_stored():
    X = numbers()[:6]
    doubled = sp.csr_array(
        (np.r_[X.ravel() / 2, X.ravel() / 2], (np.tile(np.arange(6).repeat(12), 2), np.tile(np.arange(12), 12))),
        shape=(6, 12),
    )
    keys = SparseSource(doubled).samples(wanted()).keys()
    assert torch.equal(keys, row_keys(torch.from_numpy(X).float()))


def test_a_fingerprint_is_of_the_samples_and_not_of_how_they_are_stored():
    X = sp.csr_array(numbers())
    same = [X, sp.csr_matrix(X), X[:, ::-1][:, ::-1].tocsr()]
    changed = X.copy()
    changed.data[3] += 1e-12
    moved = X.copy()
    moved.indices = (moved.indices + 1) % 12
    others = [X, changed, moved, X.astype(np.float32), X[::-1], X[:-1], X.reshape((80, 6)).tocsr()]
    assert len({SparseSource(each).fingerprint() for each in same}) == 1
    assert len({SparseSource(each).fingerprint() for each in others}) == len(others)


def test_the_matrix_is_left_as_it_is():
    X = sp.csr_array((np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    before = [part.copy() for part in (X.data, X.indices, X.indptr)]
    source = SparseSource(X)
    everything(source.chunks(source.statistics(None), torch.float32, CPU, sparse=True))
    for part, was in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(part, was)


def test_sparse_samples_cannot_be_augmented():
    with pytest.raises(ValueError, match=r"augment was given, and X is a sparse matrix of shape \(40, 12\)"):
        SparseSource(sp.csr_array(numbers())).samples(wanted(augment=Cutout(2)))
