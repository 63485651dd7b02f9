"""The comparison on sparse samples."""

import numpy as np
import pytest
import scipy.sparse as sp

from acestimator.comparison.own import compare
from acestimator.comparison.tasks import make_task, split
from acestimator.datasets import load_samples
from acestimator.noise import instance_dependent


def bags():
    rng = np.random.RandomState(0)
    y = np.arange(90) % 3
    X = (rng.rand(90, 30) < 0.05) * 1.0
    X[np.arange(90), 4 * y + rng.randint(0, 4, 90)] = 1.0
    return sp.csr_array(X), y


def save(path, X, y, **others):
    np.savez(path, y=y, format="csr", shape=X.shape, data=X.data, indices=X.indices, indptr=X.indptr, **others)


def test_a_file_of_scipy_s_arrays_and_labels_is_read(tmp_path):
    X, y = bags()
    save(tmp_path / "own.npz", X, y)
    found, labels = load_samples(tmp_path / "own.npz")
    np.testing.assert_array_equal(found.toarray(), X.toarray())
    np.testing.assert_array_equal(labels, y)
    save(tmp_path / "short.npz", X, y[1:])
    with pytest.raises(ValueError, match=r"X has shape \(90, 30\) and y \(89,\)"):
        load_samples(tmp_path / "short.npz")
    wide = sp.csr_array(X)
    wide.indices = wide.indices + 30
    save(tmp_path / "wide.npz", wide, y)
    with pytest.raises(ValueError, match=r"wide.npz: indices must be < 30\. Save numbers"):
        load_samples(tmp_path / "wide.npz")
    X.data[3] = np.nan
    save(tmp_path / "bad.npz", X, y)
    with pytest.raises(ValueError, match="X holds entries that are not finite"):
        load_samples(tmp_path / "bad.npz")


def test_noise_that_depends_on_sparse_samples_is_that_of_the_dense_ones():
    X, y = bags()
    np.testing.assert_allclose(instance_dependent(X, y, 0.3, 0), instance_dependent(X.toarray(), y, 0.3, 0), rtol=1e-12)
    X.data[0] = np.inf
    with pytest.raises(ValueError, match="entries that are not finite"):
        instance_dependent(X, y, 0.3, 0)


@pytest.mark.parametrize("process", ["symmetric_20", "instance_20", "outside_20", "none", "given"])
def test_tasks_are_those_of_the_dense_samples(process):
    X, y = bags()
    sparse, dense = (make_task(split(each, y, 0), process, 0) for each in (X, X.toarray()))
    np.testing.assert_array_equal(sparse.X_train.toarray(), dense.X_train)
    np.testing.assert_array_equal(sparse.X_test.toarray(), dense.X_test)
    np.testing.assert_array_equal(sparse.observed, dense.observed)


def test_methods_are_compared_on_sparse_samples(tmp_path):
    pytest.importorskip("cleanlab")
    save(tmp_path / "own.npz", *bags())
    methods = ["AutoCleansing", "oracle", "cross_entropy", "cleanlab"]
    found = compare(tmp_path / "own.npz", processes=["symmetric_10"], methods=methods, n_seeds=1)
    assert set(found.methods) == set(methods)
    records = [record for record in found.records if "accuracy" in record]
    assert len(records) == len(methods), found.records
