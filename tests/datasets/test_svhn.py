"""SVHN in its MATLAB files."""

import tracemalloc

import numpy as np
import pytest
from scipy.io import savemat

from acestimator.datasets import load_svhn

RNG = np.random.RandomState(0)
SIZES = {"train": 12, "extra": 20, "test": 7}


def content(n):
    return {
        "X": RNG.randint(0, 256, size=(32, 32, 3, n)).astype(np.uint8),
        "y": (np.arange(n, dtype=np.uint8)[:, None] % 10) + 1,
    }


@pytest.fixture
def folder(tmp_path):
    parts = {name: content(n) for name, n in SIZES.items()}
    for name, part in parts.items():
        savemat(tmp_path / f"{name}_32x32.mat", part, do_compression=True)
    return tmp_path, parts


@pytest.mark.parametrize("extra", [True, False])
def test_images_and_digits(folder, extra):
    path, parts = folder
    found = load_svhn(str(path), extra=extra)
    for X, y, names in ((*found[:2], ["train", "extra"] if extra else ["train"]), (*found[2:], ["test"])):
        n = sum(SIZES[name] for name in names)
        assert (X.dtype, y.dtype, X.shape, y.shape) == (np.uint8, np.int64, (n, 3, 32, 32), (n,))
        assert X.flags.c_contiguous
        columns = np.concatenate([parts[name]["X"] for name in names], axis=3)
        for at in range(n):
            np.testing.assert_array_equal(X[at], np.moveaxis(columns[..., at], 2, 0))
        digits = np.concatenate([parts[name]["y"].ravel() for name in names])
        np.testing.assert_array_equal(y, np.where(digits == 10, 0, digits))


def test_the_extra_set_is_not_needed_without(folder):
    path, _ = folder
    (path / "extra_32x32.mat").unlink()
    assert len(load_svhn(path, extra=False)[0]) == SIZES["train"]
    with pytest.raises(FileNotFoundError, match=r"extra_32x32.mat is missing: .*ufldl.stanford.edu/housenumbers"):
        load_svhn(path)


def test_memory_holds_one_file_beside_the_images(tmp_path):
    n_bytes = 2000 * 3072
    for name, n in (("train", 2000), ("extra", 2000), ("test", 10)):
        savemat(tmp_path / f"{name}_32x32.mat", content(n))
    load_svhn(tmp_path)  # imports
    tracemalloc.start()
    load_svhn(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (2 + 1.1) * n_bytes  # two are returned


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((32, 32, 3), np.uint8)}, r"expected X \(32, 32, 3, N\)"),
        ({"X": np.zeros((12, 3, 32, 32), np.uint8)}, r"expected X \(32, 32, 3, N\)"),
        ({"X": np.zeros((32, 32, 3, 11), np.uint8)}, "11 images of dtype uint8 and 12 labels"),
        ({"X": np.zeros((32, 32, 3, 12))}, "12 images of dtype float64 and 12 labels"),
        ({"y": np.arange(12)[:, None]}, r"2 labels out of range, the first 0 at 0: expected 1\.\.10"),
        ({"y": np.full((12, 1), 1.5)}, "labels of shape .* and dtype float64"),
    ],
)
def test_files_of_something_else(folder, change, message):
    path, parts = folder
    savemat(path / "train_32x32.mat", parts["train"] | change)
    with pytest.raises(ValueError, match=rf"train_32x32.mat .*{message}"):
        load_svhn(path)


def test_files_without_labels(folder):
    path, parts = folder
    savemat(path / "test_32x32.mat", {"X": parts["test"]["X"]})
    with pytest.raises(ValueError, match=r"test_32x32.mat holds arrays of the shapes \{'X': .*y \(N, 1\)"):
        load_svhn(path)


def test_damaged_files(folder):
    path = folder[0] / "extra_32x32.mat"
    whole = path.read_bytes()
    for damaged in (b"", b"no MATLAB file", whole[:150], whole[:-200], whole[:2000] + b"\0" * 50 + whole[2050:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"extra_32x32.mat (is damaged|holds arrays of the shapes).*housenumbers"):
            load_svhn(folder[0])
