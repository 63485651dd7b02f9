"""Readers of idx files and of a user's own, and the tasks that are made of them."""

import gzip
import struct

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from acestimator.comparison.tasks import PROCESSES, NotPossibleError, load, make_task, parse, split
from acestimator.datasets import load_fashion_mnist, load_samples

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def arrays():
    rng = np.random.RandomState(0)
    shapes = ((12, 4, 3), (12,), (5, 4, 3), (5,))
    return [rng.randint(0, 10, size=shape).astype(np.uint8) for shape in shapes]


@pytest.fixture
def folder(tmp_path, arrays):
    for name, values in zip(NAMES, arrays, strict=True):
        (tmp_path / name).write_bytes(idx(values))
    return tmp_path


# ---------------------------------------------------------------- idx


def test_images_get_a_channel_and_labels_are_int64(folder, arrays):
    X_train, y_train, X_test, y_test = load_fashion_mnist(folder)
    np.testing.assert_array_equal(X_train[:, 0], arrays[0])
    np.testing.assert_array_equal(y_train, arrays[1])
    np.testing.assert_array_equal(X_test[:, 0], arrays[2])
    np.testing.assert_array_equal(y_test, arrays[3])
    assert y_train.dtype == y_test.dtype == np.int64
    assert X_train.dtype == np.uint8
    X_train[0] = 1  # is the caller's own


def test_compressed_files_are_the_same(folder):
    plain = load_fashion_mnist(folder)
    for name in NAMES:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    for a, b in zip(plain, load_fashion_mnist(str(folder)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_missing_file_is_named(folder):
    (folder / NAMES[2]).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{NAMES[2]} is missing.*zalandoresearch"):
        load_fashion_mnist(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\1" + content[1:],
        lambda content: content[:2] + b"\x0d" + content[3:],  # floats
        lambda content: content[:3] + b"\1" + content[4:],  # one axis
        lambda content: content[:4] + b"\xff" * 12 + content[16:],  # a product that overflows 64 bits
    ],
)
def test_damaged_files(folder, damage):
    path = folder / NAMES[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{NAMES[0]} is damaged"):
        load_fashion_mnist(folder)


def test_damaged_compressed_files(folder):
    packed = gzip.compress((folder / NAMES[0]).read_bytes())
    path = folder / f"{NAMES[0]}.gz"
    (folder / NAMES[0]).unlink()
    flipped = bytearray(packed)
    flipped[12] ^= 0xFF  # inside the compressed stream
    for content in (b"no gzip", packed[:-12], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            load_fashion_mnist(folder)


def test_images_without_labels(folder, arrays):
    (folder / NAMES[1]).write_bytes(idx(arrays[1][:-2]))
    with pytest.raises(ValueError, match="12 training images and 10 labels"):
        load_fashion_mnist(folder)


# ---------------------------------------------------------------- a user's own


def test_csv_and_npz_hold_the_same(tmp_path):
    X, y = np.array([[1.5, -2], [3, 4e3], [0, 0]]), np.array(["b", "a", "b"])
    lines = ["one,label,two"] + [f"{a},{c},{b}" for (a, b), c in zip(X, y, strict=True)]
    (tmp_path / "own.csv").write_text("\ufeff" + "\n".join(lines) + "\n\n", encoding="utf-8")
    np.savez(tmp_path / "own.npz", X=X, y=y, other=y[::-1])
    for path, target in (("own.csv", "label"), ("own.npz", None)):
        found = load_samples(tmp_path / path, target)
        np.testing.assert_array_equal(found[0], X)
        np.testing.assert_array_equal(found[1], y)
    np.testing.assert_array_equal(load_samples(tmp_path / "own.npz", "other")[1], y[::-1])


def test_the_last_column_is_the_label_by_default(tmp_path):
    (tmp_path / "own.csv").write_text('a,"b, quoted",c\n1,2,x\n3,4,y\n')
    X, y = load_samples(tmp_path / "own.csv")
    np.testing.assert_array_equal(X, [[1, 2], [3, 4]])
    assert y.tolist() == ["x", "y"]
    for header in ("0,1,label", "1,2,label"):  # of a data frame without names
        (tmp_path / "own.csv").write_text(f"{header}\n1,2,x\n3,4,y\n")
        np.testing.assert_array_equal(load_samples(tmp_path / "own.csv")[0], X)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds 0 lines"),
        ("a,b\n", "holds 1 lines"),
        ("a;b\n1;2\n", "the one column 'a;b', expected several, separated by commas"),
        ("1,2\n3,4\n", "holds numbers, expected column names"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "line, 5.1,3.5,setosa,..., holds numbers, expected column names"),
        ("a,y,y\n1,2,3\n", "has 2 columns 'y', expected one"),
        ("a,y\n1,2\n1,2,3\n", "line 3, has 3 fields, expected 2"),
        ("a,y\n1,p\n\nred,q\n", "line 4, has 'red' in column 'a', expected a finite number"),
        ("a,y\n,p\n", "line 2, has '' in column 'a'"),
        ("a,y\nnan,p\n", "line 2, has 'nan' in column 'a'"),
        (
            "a,y\n1,p\n2, \n",
            "'y' has 1 missing label of 2, at line 3; expected a label for each sample: leave these rows out, or give "
            "the file to acestimator audit",
        ),
        ("a,y\n" + "red,\n" * 12, "has 12 missing labels of 12, at lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...; exp"),
    ],
)
def test_errors_of_csv_files(tmp_path, content, message):
    (tmp_path / "own.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_samples(tmp_path / "own.csv")


def test_a_column_that_is_not_there(tmp_path):
    (tmp_path / "own.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has 0 columns 'z', expected one; the columns are 'a', 'b'"):
        load_samples(tmp_path / "own.csv", "z")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((3, 2))}, "holds the arrays 'X', expected 'X' and 'y'"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(2)}, r"X has shape \(3, 2\) and y \(2,\)"),
        ({"X": np.zeros((3, 2, 2)), "y": np.zeros(3)}, r"X has shape \(3, 2, 2\)"),
        ({"X": np.array([["a"]]), "y": np.zeros(1)}, "X has dtype <U1, expected numbers"),
        ({"X": np.full((1, 1), np.inf), "y": np.zeros(1)}, "X holds entries that are not finite"),
        ({"X": np.zeros((1, 1)), "y": np.array([np.inf])}, "y holds entries that are not finite"),
        (
            {"X": np.zeros((3, 1)), "y": np.array([1, np.nan, np.nan])},
            "'y' has 2 missing labels of 3, at positions 1, 2;",
        ),
        ({"X": np.zeros((2, 1)), "y": np.array(["NaT", "2020"], dtype="M8[D]")}, "1 missing label of 2, at position 0"),
        ({"X": np.zeros((2, 1)), "y": np.array(["a", " "])}, "1 missing label of 2, at position 1"),
        ({"X": np.zeros((2, 1)), "y": np.array(1.0)}, r"X has shape \(2, 1\) and y \(\)"),
        ({"X": np.zeros((1, 1)), "y": np.array(["a"], dtype=object)}, r"labels as numbers or text"),
    ],
)
def test_errors_of_npz_files(tmp_path, arrays, message):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_samples(tmp_path / "own.npz")


def test_files_that_are_something_else(tmp_path):
    (tmp_path / "own.npz").write_bytes(b"something")
    with pytest.raises(ValueError, match=r"own.npz is no .npz: write it with numpy.savez"):
        load_samples(tmp_path / "own.npz")
    (tmp_path / "own.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match=r"is no .csv in UTF-8"):
        load_samples(tmp_path / "own.csv")
    with pytest.raises(ValueError, match=r"neither .npz, .* nor .csv"):
        load_samples(tmp_path / "own.xlsx")
    for name in ("missing.csv", "missing.npz"):
        with pytest.raises(FileNotFoundError):
            load_samples(tmp_path / name)


# ---------------------------------------------------------------- tasks


def test_splits_are_stratified_and_the_seeds():
    X, y = load_digits(return_X_y=True)
    first, again, other = load("digits", 1), load("digits", 1), load("digits", 2)
    assert len(first[2]) == np.ceil(0.3 * len(X))
    assert len(first[0]) + len(first[2]) == len(X)
    np.testing.assert_allclose(np.bincount(first[3]) / np.bincount(y), 0.3, atol=0.01)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[1] != other[1]).any()


@pytest.mark.parametrize("process", ["symmetric_20", "symmetric_60", "pair_30", "class_40", "instance_20"])
def test_rates_masks_and_seeds(process):
    data = load("digits", 0)
    task = make_task(data, process, 0)
    np.testing.assert_array_equal(task.is_wrong, task.observed != data[1])
    # The rate's own standard error, and the spread that class-dependent rates have over unequal classes.
    assert task.is_wrong.mean() == pytest.approx(parse(process)[1] / 100, abs=4 * 0.5 / np.sqrt(len(data[1])))
    np.testing.assert_array_equal(task.y_test, data[3])
    np.testing.assert_array_equal(make_task(data, process, 0).observed, task.observed)
    assert (make_task(data, process, 1).observed != task.observed).any()


def test_pairs_are_the_next_class():
    data = load("digits", 0)
    task = make_task(data, "pair_30", 0)
    np.testing.assert_array_equal(task.observed[task.is_wrong], (data[1][task.is_wrong] + 1) % 10)


@pytest.mark.parametrize(("dataset", "n_kept"), [("digits", 7), ("wine", 2)])
def test_outside_classes_are_gone_from_the_test_set(dataset, n_kept):
    data = load(dataset, 0)
    task = make_task(data, "outside_20", 0)
    assert set(task.observed) == set(task.y_test) == set(range(n_kept))
    assert len(task.y_test) == (data[3] < n_kept).sum()
    n_wrong, n_right = task.is_wrong.sum(), (~task.is_wrong).sum()
    assert n_right == (data[1] < n_kept).sum()  # all that are inside stay, with their labels
    assert n_wrong == round(n_right * 0.2 / 0.8)
    true = {tuple(x): k for x, k in zip(data[0], data[1], strict=True)}
    kinds = np.array([true[tuple(x)] for x in task.X_train])
    np.testing.assert_array_equal(task.is_wrong, kinds >= n_kept)
    np.testing.assert_array_equal(task.observed[~task.is_wrong], kinds[~task.is_wrong])
    if n_kept > 2:
        counts = np.bincount(task.observed[task.is_wrong], minlength=n_kept)
        assert np.abs(counts - n_wrong / n_kept).max() < 4 * np.sqrt(n_wrong / n_kept)  # each label alike


def test_two_classes_cannot_spare_one():
    with pytest.raises(NotPossibleError, match="there are 2 classes, too few to hold out 20% of the training set"):
        make_task(load("breast_cancer", 0), "outside_20", 0)


def test_unchanged_labels():
    data = load("iris", 0)
    none, given = make_task(data, "none", 0), make_task(data, "given", 0)
    np.testing.assert_array_equal(none.observed, data[1])
    assert not none.is_wrong.any()
    assert given.is_wrong is None


@pytest.mark.parametrize("process", ["", "symmetric", "symmetric_", "symmetric_0", "symmetric_100", "pair_2.5", "x_20"])
def test_processes_that_are_not_there(process):
    with pytest.raises(ValueError, match=f"process is '{process}', expected 'none', 'given', .* or one of symmetric"):
        make_task(load("iris", 0), process, 0)


def test_all_processes_keep_two_classes_apart_from_outside():
    X, y = load_breast_cancer(return_X_y=True)
    data = split(X, y, 0)
    for kind in set(PROCESSES) - {"outside"}:
        assert set(make_task(data, f"{kind}_20", 0).observed) == {0, 1}


def test_fashion_mnist_takes_as_many_as_asked_for(folder, arrays):
    X_train, y_train, X_test, y_test, _ = load("fashion_mnist_7", 3, folder)
    assert X_train.shape == (7, 12)
    assert X_test.shape == (5, 12)
    assert X_train.dtype == np.float32
    order = np.random.RandomState(3).permutation(12)[:7]
    np.testing.assert_array_equal(X_train, arrays[0][order].reshape(7, 12))
    np.testing.assert_array_equal(y_train, arrays[1][order])
    np.testing.assert_array_equal(y_test, arrays[3])


def test_errors_of_data_sets(folder):
    with pytest.raises(ValueError, match="data set is 'mnist', expected 'digits', 'breast_cancer', 'wine', 'iris', or"):
        load("mnist", 0)
    with pytest.raises(ValueError, match="data set is 'fashion_mnist_all'"):
        load("fashion_mnist_all", 0, folder)
    with pytest.raises(ValueError, match="give the folder of its files with --data"):
        load("fashion_mnist_10", 0)
    for n in (0, 13):
        with pytest.raises(ValueError, match=f"has 12 training images, and {n} are asked for"):
            load(f"fashion_mnist_{n}", 0, folder)
