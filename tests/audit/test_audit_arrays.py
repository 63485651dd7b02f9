"""Arrays with labels beside them: what is not a label stays as it was."""

import mmap
import zipfile

import numpy as np
import pytest
from decided import left

from acestimator.audit.sources import DROP, ArraySource, open_source

X = np.arange(24.0).reshape(4, 3, 2)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_all_other_arrays_of_an_archive_are_kept(tmp_path, save):
    others = {"names": np.array(["p", "q", "r", "s"]), "X_test": np.ones((9, 2)), "rate": np.float32(0.5)}
    save(tmp_path / "in.npz", X=X, y=np.array([0, 1, 1, 0]), **others)
    source = open_source(tmp_path / "in.npz")
    assert isinstance(source, ArraySource)
    assert (source.info.kind, source.info.label, source.classes) == ("arrays", "y", ["0", "1"])
    assert source.write({}, tmp_path / "same.npz") == []
    assert (tmp_path / "same.npz").read_bytes() == (tmp_path / "in.npz").read_bytes()
    assert source.write({1: "5"}, tmp_path / "out.npz") == []
    new = np.load(tmp_path / "out.npz")
    assert new.files == ["X", "y", "names", "X_test", "rate"]
    np.testing.assert_array_equal(new["y"], [0, 5, 1, 0])
    for name, array in {"X": X, **others}.items():
        np.testing.assert_array_equal(new[name], array, strict=True)
    kinds = [
        [one.compress_type for one in zipfile.ZipFile(tmp_path / name).infolist()] for name in ("in.npz", "out.npz")
    ]
    assert kinds[0] == kinds[1]
    notes = source.write({1: "5", 2: DROP}, tmp_path / "dropped.npz")
    assert notes == ["Rows were left out of names, too, which had as many as X."]
    new = np.load(tmp_path / "dropped.npz")
    np.testing.assert_array_equal(new["X"], X[[0, 1, 3]])
    np.testing.assert_array_equal(new["names"], ["p", "q", "s"])
    np.testing.assert_array_equal(new["X_test"], others["X_test"])
    source.write({1: "5", 2: DROP}, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "dropped.npz").read_bytes()


@pytest.mark.parametrize(
    ("y", "texts", "new", "value", "refused"),
    [
        (np.array(["a", "bb", "", "a"]), ["a", "bb", None, "a"], "longer", "longer", []),
        (np.array([b"a", b"b", b"", b"a"]), ["a", "b", None, "a"], "longer", b"longer", []),
        (np.array([1.0, 2.0, np.nan, 1.0], np.float32), ["1", "2", None, "1"], "3", 3.0, ["x", "nan ", "0.1"]),
        (np.array([1, 2, 3, 1], np.uint8), ["1", "2", "3", "1"], "255", 255, ["256", "-1", "x"]),
        (np.array([True, False, True, True]), ["true", "false", "true", "true"], "false", False, ["x", "1"]),
    ],
)
def test_labels_keep_their_kind(tmp_path, y, texts, new, value, refused):
    np.savez(tmp_path / "in.npz", X=X, target=y)
    source = open_source(tmp_path / "in.npz", label="target")
    assert [*source.labels] == texts
    source.write({0: new}, tmp_path / "out.npz")
    result = np.load(tmp_path / "out.npz")["target"]
    assert result.dtype.kind == y.dtype.kind
    assert result[0] == value
    np.testing.assert_array_equal(result[1:], y[1:])
    for text in refused:
        with pytest.raises(ValueError, match="the new label"):
            source.write({0: text}, tmp_path / "other.npz")
    assert left(tmp_path) == ["in.npz", "out.npz"]


def test_a_pair_becomes_a_folder_with_a_pair(tmp_path):
    np.save(tmp_path / "X_train.npy", X)
    np.save(tmp_path / "y_train.npy", np.array(["a", "b", "a", "b"]))
    source = open_source(tmp_path / "X_train.npy")
    assert isinstance(source.X, np.memmap)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source.write({}, tmp_path / "same")
    assert {path.name: path.read_bytes() for path in (tmp_path / "same").iterdir()} == before
    source.write({0: "ccc", 1: DROP}, tmp_path / "out")
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "X_train.npy"), X[[0, 2, 3]], strict=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "y_train.npy"), ["ccc", "a", "b"])
    with pytest.raises(ValueError, match="the copy is a folder"):
        source.write({}, tmp_path / "X.npy")
    assert source.digests()[1:] == open_source(tmp_path / "same" / "X_train.npy").digests()[1:]
    assert (
        source.info.fingerprint == open_source(tmp_path / "same" / "X_train.npy", label="y_train.npy").info.fingerprint
    )
    assert source.info.fingerprint != open_source(tmp_path / "out" / "X_train.npy").info.fingerprint


def test_rows_of_an_archive_are_named_by_an_array_of_ids(tmp_path):
    np.savez(tmp_path / "in.npz", X=X, y=[0, 1, 1, 0], key=[7, 8, 9, 10])
    assert open_source(tmp_path / "in.npz", id="key").ids == ["7", "8", "9", "10"]
    assert open_source(tmp_path / "in.npz").name(2) == "row 2"
    np.savez(tmp_path / "in.npz", X=X, y=[0, 1, 1, 0], key=[7, 8, 7, 10])
    with pytest.raises(ValueError, match=r"more than once in column 'key': '7'; the first is of row 0, row 2"):
        open_source(tmp_path / "in.npz", id="key")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "has no array 'y', it holds 'X'"),
        ({"X": X, "y": [0, 1]}, r"y has shape \(2,\) and dtype int64, expected \(4,\)"),
        ({"X": X[:, 0, 0], "y": [0, 1, 0, 1]}, "X has shape"),
        ({"X": X.astype(str), "y": [0, 1, 0, 1]}, "X has shape .* expected numbers"),
        ({"X": X, "y": [1, 1, 1, 1]}, "has the one label '1'"),
        ({"X": X, "y": np.array([0, "a", None, 1], dtype=object)}, "Save numbers, and labels as numbers or text"),
    ],
)
def test_archives_of_something_else_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "in.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / "in.npz")


def test_files_of_something_else_are_refused(tmp_path):
    (tmp_path / "in.npz").write_text("x,label\n")
    with pytest.raises(ValueError, match=r"is no \.npz"):
        open_source(tmp_path / "in.npz")
    (tmp_path / "X.npy").write_text("x,label\n")
    np.save(tmp_path / "y.npy", [0, 1])
    with pytest.raises(ValueError, match=r"is no \.npy"):
        open_source(tmp_path / "X.npy")
    with pytest.raises(ValueError, match="no single X in its name"):
        open_source(tmp_path / "y.npy")
    with pytest.raises(ValueError, match=r"rows of \.npy files have no ids"):
        open_source(tmp_path / "X.npy", id="key")
    np.save(tmp_path / "X_a.npy", X)
    with pytest.raises(FileNotFoundError, match=r"y_a\.npy"):
        open_source(tmp_path / "X_a.npy")


def test_a_pair_that_was_changed_meanwhile_is_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", [0, 1, 0, 1])
    source = open_source(tmp_path / "X.npy")
    np.save(tmp_path / "y.npy", [0, 1, 1, 1])
    with pytest.raises(ValueError, match="was changed since it was opened"):
        source.write({0: "1"}, tmp_path / "out")
    assert left(tmp_path) == ["X.npy", "y.npy"]


def test_what_is_no_array_stays_and_objects_lose_no_row(tmp_path):
    np.savez(tmp_path / "in.npz", X=X, y=[0, 1, 1, 0])
    with zipfile.ZipFile(tmp_path / "in.npz", "a") as archive:
        archive.writestr("README.txt", "all of it")
    open_source(tmp_path / "in.npz").write({1: DROP}, tmp_path / "out.npz")
    assert zipfile.ZipFile(tmp_path / "out.npz").read("README.txt") == b"all of it"
    np.savez(tmp_path / "objects.npz", X=X, y=[0, 1, 1, 0], notes=np.array([{}, {}, {}, {}]))
    source = open_source(tmp_path / "objects.npz")
    source.write({1: "0"}, tmp_path / "changed.npz")
    assert np.load(tmp_path / "changed.npz", allow_pickle=True)["notes"].tolist() == [{}] * 4
    with pytest.raises(ValueError, match="no row can be left out of 'notes': Object arrays"):
        source.write({1: DROP}, tmp_path / "dropped.npz")
    assert not (tmp_path / "dropped.npz").exists()


def test_bytes_that_are_no_text_are_no_labels(tmp_path):
    np.savez(tmp_path / "in.npz", X=X, y=np.array([b"a", b"\xe8", b"\xe9", b"a"]))
    with pytest.raises(ValueError, match="that is no Unicode"):  # and not two of them one
        open_source(tmp_path / "in.npz")


def test_a_label_has_the_spaces_that_the_file_has_around_it(tmp_path):
    np.savez(tmp_path / "in.npz", X=X, y=[" a", " b", " a", " b"])
    open_source(tmp_path / "in.npz").write({0: "b", 2: "c"}, tmp_path / "out.npz")
    assert np.load(tmp_path / "out.npz")["y"].tolist() == [" b", " b", "c", " b"]


@pytest.mark.parametrize("label", ["a\0b", "\ud800"])
def test_a_new_label_is_text(tmp_path, label):
    np.savez(tmp_path / "in.npz", X=X, y=[*"abab"])
    with pytest.raises(ValueError, match="which is no text"):
        open_source(tmp_path / "in.npz").write({0: label}, tmp_path / "out.npz")
    assert left(tmp_path) == ["in.npz"]


@pytest.mark.parametrize("name", ["in.npz", "X.npy"])
def test_whatever_is_damaged_the_error_is_one_that_is_told(tmp_path, name):
    np.savez_compressed(tmp_path / "in.npz", X=X, y=[*"abab"])
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", [*"abab"])
    content, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    errors = []
    for _ in range(200):
        damaged = bytearray(content)
        for position in rng.integers(len(content), size=3):
            damaged[position] = rng.integers(256)
        (tmp_path / name).write_bytes(damaged[: rng.integers(len(content) // 2, 2 * len(content))])
        try:
            open_source(tmp_path / name)
        except (ValueError, OSError) as error:
            errors.append(str(error))
    assert len(errors) > 100
    assert all(str(tmp_path) in error for error in errors)


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_a_pair_are_left_out_in_either_order_of_memory(tmp_path, order):
    np.save(tmp_path / "X.npy", np.asarray(X, dtype=">f4", order=order))
    np.save(tmp_path / "y.npy", [*"abab"])
    open_source(tmp_path / "X.npy").write({1: DROP}, tmp_path / "out")
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "X.npy"), X[[0, 2, 3]].astype(">f4"), strict=True)


def test_no_file_is_written_through_a_map(tmp_path, monkeypatch):
    """Where the disk is full, the system kills who writes to one, and half a copy stays."""
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", [*"abab"])
    source = open_source(tmp_path / "X.npy")
    monkeypatch.setattr(mmap, "mmap", None)
    source.write({1: DROP}, tmp_path / "out")
    assert left(tmp_path / "out") == ["X.npy", "y.npy"]
