"""Files that are damaged, foreign or malicious are refused; disks that are full leave nothing."""

import errno
import json
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from saved import Narrow, fitted, header_of, with_header

from acestimator import load
from acestimator.persistence import file

FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
DAMAGED = "no model that save|is damaged|not one that save"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Bytes of a model's file of some KB, what it predicts, and a place for others."""
    rng = np.random.RandomState(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4)) + 4.0 * np.eye(3, 4)[y]
    clf = fitted(X, np.array(["a", "b", "c"])[y], backbone=Narrow())
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    clf.save(path)
    return path.read_bytes(), (X, clf.predict_proba(X), clf.alpha_), path.with_name("other.safetensors")


def signed(header, data, path):
    """Write a file with a header of ours and a checksum that holds."""
    path.write_bytes(with_header(header, data))
    with file.safe_open(path, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    metadata = header["__metadata__"]
    metadata["checksum"] = file.checksum(metadata, tensors)
    path.write_bytes(with_header(header, data))


def with_document(model, change):
    """The model, with another document whose checksum holds: what an attacker writes."""
    content, _, path = model
    header, data = header_of(content)
    document = json.loads(header["__metadata__"]["document"])
    header["__metadata__"]["document"] = json.dumps(change(document) or document)
    signed(header, data, path)
    return path


def refused(path, match=DAMAGED):
    with pytest.raises(ValueError, match=match) as caught:
        load(path, Narrow())
    assert str(path) in str(caught.value)


# ---------------------------------------------------------------- damage


def assert_refused_or_right(model, damaged):
    _, (X, proba, alpha), path = model
    path.write_bytes(damaged)
    try:
        found = load(path, Narrow())
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017 -- either this, or the same result
        return False
    np.testing.assert_array_equal(found.predict_proba(X), proba)
    np.testing.assert_array_equal(found.alpha_, alpha)
    return True


def test_200_flipped_bits_are_found(model):
    content = model[0]
    rng = np.random.default_rng(0)
    passed = []
    for position in rng.integers(0, 8 * len(content), 200).tolist():
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        if assert_refused_or_right(model, damaged):
            around = slice(max(0, position // 8 - 20), position // 8 + 20)
            passed.append((position, content[around], bytes(damaged[around])))
    assert passed == []


def test_40_blocks_of_zeros_are_found(model):
    content = model[0]
    rng = np.random.default_rng(1)
    for start in rng.integers(0, len(content) - 64, 40).tolist():
        damaged = content[:start] + bytes(64) + content[start + 64 :]
        assert assert_refused_or_right(model, damaged) == (damaged == content)


def test_a_file_that_ends_too_early_or_too_late_is_refused(model):
    content, _, path = model
    for length in [*range(17), 100, len(content) // 2, len(content) - 64, len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path)
    path.write_bytes(content + b"\0")
    refused(path)


@FIXTURE
@given(data=st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda b: struct.pack("<Q", len(b)) + b)))
def test_any_bytes_are_refused(model, data):
    model[2].write_bytes(data)
    refused(model[2])


def test_tensors_that_are_exchanged_are_found(model):
    content, _, path = model
    header, data = header_of(content)
    first, second = "mislabel_scores_", "mislabel_proba_"
    header[first], header[second] = header[second], header[first]
    path.write_bytes(with_header(header, data))
    refused(path, "checksum")


# ---------------------------------------------------------------- files of others


class Boom:
    """Its pickle makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_files_of_others_are_refused_and_run_nothing(model, tmp_path):
    path, trap = tmp_path / "model", tmp_path / "trap"
    path.write_bytes(pickle.dumps(Boom(trap)))
    refused(path)
    torch.save({"a": Boom(trap)}, path)
    refused(path)
    assert not trap.exists()
    save_file({"weight": torch.zeros(3)}, path)
    refused(path, "a file of safetensors, but not one that save")
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    refused(path, "holds no model")
    np.save(path, np.zeros(3))
    refused(tmp_path / "model.npy")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "model")
    refused(tmp_path / "model", "is no regular file")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 1 << 40, file.LARGEST_HEADER + 1])
def test_a_header_that_claims_too_much_is_refused_before_it_is_read(tmp_path, length):
    path = tmp_path / "model"
    with path.open("wb") as sparse:
        sparse.write(struct.pack("<Q", length) + b"{")
        if length < 1 << 30:
            sparse.truncate(length + 8)  # takes no room on the disk
    refused(path)


@pytest.mark.parametrize("version", ["2", "99999999", "0", "-1", "", "1.0", "one", "²", "9" * 5000])
def test_other_versions_are_refused(model, version):
    content, _, path = model
    header, data = header_of(content)
    header["__metadata__"]["version"] = version
    signed(header, data, path)
    refused(path, "update acestimator" if version in ("2", "99999999") else "the version of its format is")


# ---------------------------------------------------------------- documents that lie, with a checksum that holds


def changed(*keys, to):
    def change(document):
        place = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda document: [1],
        lambda document: document.clear(),
        changed("estimator", to="Pipeline"),
        changed("estimator", to="load"),
        changed("estimator", to=["CleanedClassifier"]),
        changed("parameters", "backbone", to={"$": "eval", "text": "1"}),
        changed("parameters", "__class__", to="int"),
        changed("parameters", to={"$": "dict", "items": []}),
        changed("fitted", "predict", to=3),
        changed("fitted", "__class__", to="int"),
        changed("fitted", "module_", to=3),
        changed("fitted", "classes_", to=[1, 2]),
        changed("fitted", "classes_", "dtype", to="<U1000000000"),
        changed("fitted", "classes_", "dtype", to="|V8"),
        changed("fitted", "classes_", "dtype", to="|O"),
        changed("fitted", "alpha_", "name", to="none"),
        changed("fitted", "input_shape_", to=[4]),
        changed("fitted", "input_shape_", to={"$": "tuple", "items": [10**15]}),
        changed("fitted", "input_shape_", to={"$": "tuple", "items": [10**5, 10**5, 10**5, 10**5]}),
        changed("fitted", "input_shape_", to={"$": "tuple", "items": [-4]}),
        changed("scaler", "transform", to=3),
        changed("network", "backbone", to={"name": "os.system"}),
        changed("network", "backbone", to={"name": "mlp"}),
        changed("network", "backbone", to={"name": "resnet32"}),
        changed("network", "backbone", to={"dataset": "cifar10", "network": "resnet32"}),
        changed("network", "n_outputs", to=10**12),
        changed("network", "n_outputs", to=4),
        changed("network", "without_last", to=True),
        changed("network", "tensors", to={}),
        changed("network", "tensors", "hidden.bias", to="network.last.bias"),
        changed("network", "strides", to={"hidden.weight": [1 << 40, 1]}),
        changed("network", "strides", to={"hidden.weight": [0, 0]}),
        changed("network", "strides", to={"hidden.weight": [-1, 1]}),
        changed("network", "strides", to={"hidden.weight": "ab"}),
        changed("network", "trial", to="network.last.bias"),
        changed("fitted", "mislabel_scores_", "name", to="network.last.bias"),
    ],
)
def test_documents_that_lie_are_refused(model, change):
    path = with_document(model, change)
    with pytest.raises(ValueError, match=r"other\.safetensors") as caught:
        load(path, Narrow())
    assert "\n\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "null", "[" * 100_000, "1" * 10_000, '{"a": NaN'])
def test_documents_that_are_none_are_refused(model, text):
    content, _, path = model
    header, data = header_of(content)
    header["__metadata__"]["document"] = text
    signed(header, data, path)
    refused(path)


LARGE = """
import resource, sys
import numpy as np
from acestimator import load
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) << 20,) * 2)
try:
    load(sys.argv[1])
except ValueError as error:
    print(error)
"""


def test_a_named_network_for_huge_samples_takes_no_memory(model, tmp_path):
    """Its weights would take 400 GB."""

    def change(document):
        document["network"]["backbone"] = document["parameters"]["backbone"] = {"name": "mlp", "$": "backbone"}
        document["fitted"]["input_shape_"] = {"$": "tuple", "items": [10**9]}

    path = with_document(model, change)
    done = subprocess.run([sys.executable, "-c", LARGE, path, "8000"], capture_output=True, text=True, check=True)
    assert "the tensors are not those of the network" in done.stdout


# ---------------------------------------------------------------- writing

FULL = """
import resource, sys
import numpy as np
from acestimator import AutoCleansingClassifier
rng = np.random.default_rng(0)
clf = AutoCleansingClassifier(max_epochs=1, device="cpu").fit(rng.normal(size=(40, 4)), np.arange(40) % 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # acts as a disk that is full
try:
    clf.save(sys.argv[1])
except OSError as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"the one before")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, path], capture_output=True, text=True, check=True
    )
    assert f"{path} could not be written" in done.stdout
    assert "It needs 0.5 MiB, and" in done.stdout
    assert "nothing was left" in done.stdout
    assert path.read_bytes() == b"the one before"
    assert [*tmp_path.iterdir()] == [path]


def test_places_that_cannot_be_written_to_are_errors_and_no_folder_is_made(small, tmp_path):
    clf = fitted(*small)
    (tmp_path / "file").write_text("")
    for path, kind in ((tmp_path / "none" / "m", FileNotFoundError), (tmp_path / "file" / "m", NotADirectoryError)):
        with pytest.raises(kind, match="could not be written") as caught:
            clf.save(path)
        assert caught.value.errno in (errno.ENOENT, errno.ENOTDIR)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        clf.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_an_error(small, tmp_path):
    clf = fitted(*small)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="could not be written"):
        clf.save(tmp_path / "model")
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())


def test_a_write_that_is_interrupted_leaves_nothing(small, tmp_path, monkeypatch):
    clf = fitted(*small)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(file, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clf.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_new_file_has_the_permissions_of_new_files_and_another_keeps_its_own(small, tmp_path):
    clf = fitted(*small)
    (tmp_path / "new").touch()
    clf.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "new").stat().st_mode
    (tmp_path / "model").chmod(0o600)
    clf.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o600


def test_what_a_header_cannot_hold_is_an_error_of_the_writer(small, tmp_path):
    clf = fitted(*small)
    clf.history_ = [{"note": "x" * file.LARGEST_HEADER}]
    with pytest.raises(ValueError, match=r"MiB of JSON.*shorten history_"):
        clf.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
