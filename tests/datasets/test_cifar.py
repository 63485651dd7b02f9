"""CIFAR-10 and CIFAR-100 in their batches, and the labels of CIFAR-10N."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from acestimator.datasets import load_cifar10, load_cifar10n, load_cifar100, load_cifar_names

RNG = np.random.RandomState(0)


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def batch(n, *keys):
    content = {b"data": RNG.randint(0, 256, size=(n, 3072)).astype(np.uint8), b"batch_label": b"some"}
    return content | {key: RNG.randint(0, n_classes, size=n).tolist() for key, n_classes in keys}


def write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.fixture
def cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = {name: batch(4 if name == "test_batch" else 6, (b"labels", 10)) for name in names}
    for name, content in batches.items():
        write(folder / name, content)
    return folder, batches


@pytest.mark.parametrize("inside", [True, False])
def test_cifar10(cifar10, inside):
    folder, batches = cifar10
    X_train, y_train, X_test, y_test = load_cifar10(folder if inside else str(folder.parent))
    for X, y, parts in (
        (X_train, y_train, [batches[f"data_batch_{i}"] for i in range(1, 6)]),
        (X_test, y_test, [batches["test_batch"]]),
    ):
        assert (X.dtype, y.dtype) == (np.uint8, np.int64)
        assert X.flags.c_contiguous
        assert X.flags.writeable
        assert X.flags.owndata
        rows = np.concatenate([part[b"data"] for part in parts])
        # A row is 1,024 bytes of red, then of green and of blue, each row by row
        np.testing.assert_array_equal(X[:, 1, 2, 3], rows[:, 1024 + 2 * 32 + 3])
        np.testing.assert_array_equal(X.reshape(len(X), -1), rows)
        np.testing.assert_array_equal(y, np.concatenate([part[b"labels"] for part in parts]))


def test_names_of_both(tmp_path):
    for folder, file, key in (
        ("cifar-10-batches-py", "batches.meta", b"label_names"),
        ("cifar-100-python", "meta", b"fine_label_names"),
    ):
        inner = tmp_path / folder
        inner.mkdir()
        write(inner / file, {key: [b"apple", "b\u00e4r".encode()], b"num_vis": 3072})
        assert load_cifar_names(inner) == ["apple", "b\u00e4r"]
    with pytest.raises(FileNotFoundError, match=r"batches\.meta or meta"):
        load_cifar_names(tmp_path / "nowhere")
    write(tmp_path / "cifar-10-batches-py" / "batches.meta", {b"num_vis": 3072})
    with pytest.raises(ValueError, match="holds 'num_vis', expected a list of names"):
        load_cifar_names(tmp_path)


@pytest.mark.parametrize(("label", "n_classes"), [("fine", 100), ("coarse", 20)])
def test_cifar100(tmp_path, label, n_classes):
    parts = [batch(n, (b"fine_labels", 100), (b"coarse_labels", 20)) for n in (300, 40)]
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, content in zip(("train", "test"), parts, strict=True):
        write(folder / name, content)
    found = load_cifar100(tmp_path, label)
    for X, y, part in ((*found[:2], parts[0]), (*found[2:], parts[1])):
        np.testing.assert_array_equal(X.reshape(len(X), -1), part[b"data"])
        np.testing.assert_array_equal(y, part[f"{label}_labels".encode()])
        assert X.flags.owndata
    assert found[1].max() >= n_classes // 2
    with pytest.raises(ValueError, match="label is 'rough', expected 'fine' or 'coarse'"):
        load_cifar100(tmp_path, "rough")


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_a_missing_batch_is_named(cifar10, name):
    (cifar10[0] / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"batches-py/{name} is missing: .*https://www.cs.toronto.edu/~kriz"):
        load_cifar10(cifar10[0].parent)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_batch_1 is missing: .*cifar-10-python.tar.gz"):
        load_cifar10(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none/train is missing: .*cifar-100-python.tar.gz"):
        load_cifar100(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {b"data": np.zeros((6, 3071), np.uint8)},
            r"shape \(6, 3071\) and dtype uint8 and 6 labels, expected \(6, 3072\)",
        ),
        ({b"data": np.zeros((5, 3072), np.uint8)}, r"shape \(5, 3072\) and dtype uint8 and 6 labels"),
        ({b"data": np.zeros((6, 3072), np.int64)}, r"dtype int64 and 6 labels, expected \(6, 3072\) and uint8"),
        ({b"data": [[1] * 3072] * 6}, r"shape \(6, 3072\) and dtype list"),
        ({b"labels": [0, 9, 10, 1, 11, 2]}, r"2 labels out of range, the first 10 at 2: expected 0\.\.9"),
        ({b"labels": [0, 1, 2, -1, 4, 5]}, r"1 labels out of range, the first -1 at 3"),
        ({b"labels": [0.5] * 6}, r"labels of shape \(6,\) and dtype float64, expected integers"),
        ({b"labels": [[1], [1, 2]]}, r"expected integers"),
        ({b"labels": b"012345"}, r"expected integers"),
    ],
)
def test_batches_of_something_else(cifar10, change, message):
    folder, batches = cifar10
    write(folder / "data_batch_2", batches["data_batch_2"] | change)
    with pytest.raises(ValueError, match=rf"data_batch_2 has .*{message}.*kriz/cifar.html") as caught:
        load_cifar10(folder)
    assert str(folder) in str(caught.value)


def test_batches_without_labels(cifar10):
    folder, batches = cifar10
    write(folder / "test_batch", {b"data": batches["test_batch"][b"data"]})
    with pytest.raises(ValueError, match=r"test_batch holds 'data', and lacks 'labels'"):
        load_cifar10(folder)
    write(folder / "test_batch", [1, 2])
    with pytest.raises(ValueError, match=r"test_batch holds a list, expected a dictionary"):
        load_cifar10(folder)


def test_a_batch_that_is_cut_off(cifar10):
    path = cifar10[0] / "data_batch_4"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"data_batch_4 is damaged .*cifar.html"):
        load_cifar10(cifar10[0])


def test_a_batch_that_would_run_a_command(cifar10, tmp_path):
    created = tmp_path / "created"
    write(cifar10[0] / "test_batch", {b"data": Call(os.system, f"touch {created}")})
    with pytest.raises(ValueError, match=rf"test_batch asks for {os.name}.system, .* nothing of it was run"):
        load_cifar10(cifar10[0])
    assert not created.exists()


# ---------------------------------------------------------------- CIFAR-10N

PUBLISHED = {
    "clean": "clean_label",
    "aggregate": "aggre_label",
    "worst": "worse_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
}
HUMAN = {name: RNG.randint(0, 10, size=50_000) for name in PUBLISHED}
HUMAN["clean"][:10] = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # CIFAR-10's first training labels


def write_pt(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr(f"{path.stem}/version", "3\n")


@pytest.mark.parametrize("suffix", ["pt", "npz", "own.npz"])
def test_human_labels(tmp_path, suffix):
    path = tmp_path / f"labels.{suffix}"
    if suffix == "pt":
        write_pt(path, {PUBLISHED[name]: labels for name, labels in HUMAN.items()})
    elif suffix == "npz":
        np.savez(path, **{PUBLISHED[name]: labels for name, labels in HUMAN.items()})
    else:
        np.savez_compressed(path, **{name: labels.astype(np.uint8) for name, labels in HUMAN.items()})
    for name, labels in HUMAN.items():
        found = load_cifar10n(path, name)
        np.testing.assert_array_equal(found, labels)
        assert found.dtype == np.int64
    np.testing.assert_array_equal(load_cifar10n(str(path)), HUMAN["aggregate"])


def test_what_torch_saves_is_read(tmp_path):
    import torch

    torch.save({PUBLISHED[name]: labels for name, labels in HUMAN.items()}, tmp_path / "own.pt")
    np.testing.assert_array_equal(load_cifar10n(tmp_path / "own.pt", "worst"), HUMAN["worst"])
    torch.save({"clean_label": torch.zeros(3)}, tmp_path / "own.pt")
    with pytest.raises(ValueError, match=r"own.pt asks for torch\._utils\._rebuild_tensor_v2"):
        load_cifar10n(tmp_path / "own.pt", "clean")


def test_human_labels_that_are_not_there(tmp_path):
    path = tmp_path / "labels.npz"
    np.savez(path, clean=HUMAN["clean"], aggregate=HUMAN["aggregate"])
    with pytest.raises(ValueError, match=r"holds 'clean', 'aggregate', expected 'worst' too.*UCSC-REAL"):
        load_cifar10n(path, "worst")
    with pytest.raises(ValueError, match="which is 'majority', expected one of 'aggregate', 'random1'"):
        load_cifar10n(path, "majority")
    with pytest.raises(FileNotFoundError, match=r"none.pt is missing: CIFAR-10_human.pt is in .*UCSC-REAL"):
        load_cifar10n(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (HUMAN["worst"][:-1], "'worst', has 49999 labels, expected 50000"),
        (HUMAN["worst"] + 1, "'worst', has .* labels out of range, .* expected 0..9"),
        (HUMAN["worst"] / 2, "'worst', has labels of shape .* dtype float64"),
        (HUMAN["worst"].astype(object), "damaged .*Object arrays cannot be loaded"),
    ],
)
def test_human_labels_of_something_else(tmp_path, labels, message):
    np.savez(tmp_path / "labels.npz", clean=HUMAN["clean"], worst=labels)
    with pytest.raises(ValueError, match=message):
        load_cifar10n(tmp_path / "labels.npz", "worst")


def test_human_labels_in_the_order_of_another_cifar10(tmp_path):
    order = RNG.permutation(50_000)
    write_pt(tmp_path / "labels.pt", {PUBLISHED[name]: labels[order] for name, labels in HUMAN.items()})
    with pytest.raises(ValueError, match="is in another order than CIFAR-10's batches"):
        load_cifar10n(tmp_path / "labels.pt")
    np.save(tmp_path / "CIFAR-10_human_ordered.npy", {"aggre_label": HUMAN["aggregate"]}, allow_pickle=True)
    with pytest.raises(ValueError, match=r"ordered.npy is no .npz and not CIFAR-10_human.pt"):
        load_cifar10n(tmp_path / "CIFAR-10_human_ordered.npy")


def test_human_labels_that_are_damaged(tmp_path):
    path, created = tmp_path / "labels.pt", tmp_path / "created"
    write_pt(path, {PUBLISHED[name]: labels for name, labels in HUMAN.items()})
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[1000] ^= 0xFF
    for damaged in (b"", content[:-1000], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"labels.pt is no .npz and not CIFAR-10_human.pt, or damaged"):
            load_cifar10n(path)
    write_pt(path, {"aggre_label": Call(os.system, f"touch {created}")})
    with pytest.raises(ValueError, match=rf"labels.pt asks for {os.name}.system"):
        load_cifar10n(path)
    assert not created.exists()
