"""A fit that is stopped and goes on gives what a fit in one go gives; the file of another training is refused."""

import hashlib
import json
import os
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from same_fit import assert_same_fit
from sklearn.base import clone
from sklearn.datasets import make_blobs
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier, augment
from acestimator.estimators.network import NetworkClassifier
from acestimator.inputs.samples import TensorSamples
from acestimator.objectives import CrossEntropy
from acestimator.peers import METHODS, Method
from acestimator.training import state_file
from acestimator.training.checkpoint import Checkpoint, plain

X, Y = make_blobs(90, centers=3, n_features=5, random_state=0, cluster_std=2.0)
SETTINGS = {"max_epochs": 7, "batch_size": 16, "random_state": 0, "device": "cpu"}


def fit_in_two(monkeypatch, make, n_epochs, data=X):
    """Fit that is stopped once so many epochs are written, and made again; and how many epochs the latter trained."""
    save, n_saved = Checkpoint.save, 0

    def save_and_stop(self, phase, state):
        nonlocal n_saved
        save(self, phase, state)
        n_saved += state is not None
        if n_saved == n_epochs:
            raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)
        with monkeypatch.context() as stopping:
            stopping.setattr(Checkpoint, "save", save_and_stop)
            with trained_epochs(monkeypatch) as trained, pytest.raises(KeyboardInterrupt):
                make().fit(data, Y)
        assert len(trained) == n_epochs
        with trained_epochs(monkeypatch) as trained:
            fitted = make().fit(data, Y)
        return fitted, len(trained)


@contextmanager
def trained_epochs(monkeypatch):
    """List of the epochs that are trained, of all phases."""
    training, trained = TensorSamples.training, []

    def training_and_count(self, epoch, n_all, blocks):
        trained.append(epoch)
        return training(self, epoch, n_all, blocks)

    with monkeypatch.context() as patches:
        patches.setattr(TensorSamples, "training", training_and_count)
        yield trained


class Noisy(nn.Sequential):
    """Draws from torch's global generator in training."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        super().__init__(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 0.95])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"preset": "paper", "max_epochs": 7, "learning_rate": 0.01}, {"variant": "AC2"}, {"optimizer": "sgd"}],
    ids=["default", "paper", "AC2", "sgd"],
)
def test_a_fit_in_two_parts_equals_one_bit_for_bit(monkeypatch, tmp_path, parameters, share):
    """The default has judges first: it is stopped in their phases, and in that of the network that predicts."""
    settings = SETTINGS | parameters
    with trained_epochs(monkeypatch) as trained:
        whole = AutoCleansingClassifier(Noisy(), **settings).fit(X, Y)
    total = len(trained)
    assert (total > whole.n_iter_) == (parameters.get("preset") != "paper")
    n_epochs = min(1 + int(share * total), total - 1)
    resumed, n_trained = fit_in_two(
        monkeypatch,
        lambda: AutoCleansingClassifier(Noisy(), **settings, checkpoint=tmp_path / "fit.pt"),
        n_epochs,
    )
    assert n_trained == total - n_epochs
    np.testing.assert_array_equal(resumed.alpha_, whole.alpha_)
    assert_same_fit(resumed, whole)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_peer_goes_on_in_whichever_phase_it_was_stopped(monkeypatch, tmp_path, method):
    whole = BaselineClassifier(method, **SETTINGS).fit(X, Y)
    total = len(whole.history_)
    for n_epochs in sorted({2, total // 2 + 1, total - 1}):
        clf = BaselineClassifier(method, **SETTINGS, checkpoint=tmp_path / str(n_epochs))
        resumed, n_trained = fit_in_two(monkeypatch, lambda clf=clf: clone(clf), n_epochs)
        assert n_trained == total - n_epochs
        assert_same_fit(resumed, whole)


def test_a_finished_checkpoint_gives_the_fit_again(tmp_path):
    clf = AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "fit.pt")
    first = clf.fit(X, Y).decision_function(X)
    np.testing.assert_array_equal(clf.fit(X, Y).decision_function(X), first)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learning_rate": 0.5}, "learning_rate is 0.5 here and 0.001 there"),
        ({"random_state": 1}, "random_state is 1 here and 0 there"),
        ({"backbone": Noisy(1)}, "backbone is Noisy, digest .* here and 'auto' there"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_and_kept(tmp_path, changed, named):
    path = tmp_path / "fit.pt"
    clf = AutoCleansingClassifier(**SETTINGS, checkpoint=path).fit(X, Y)
    content, before = path.read_bytes(), clf.decision_function(X)
    with pytest.raises(ValueError, match=f"another training.*{named}"):
        clf.set_params(**changed).fit(X, Y)
    assert path.read_bytes() == content
    np.testing.assert_array_equal(clf.decision_function(X), before)


def made_of(width, rate=0.0, act=torch.relu):
    """Backbone as a function, whose code is always the same."""

    def make(shape, n):
        return nn.Sequential(nn.Linear(shape[0], width), Acting(act, rate), nn.Linear(width, n))

    return make


class Acting(nn.Module):
    def __init__(self, act, rate):
        super().__init__()
        self.act, self.rate = act, rate

    def forward(self, x):
        return self.act(x) * (1.0 - self.rate)


def a_module(rate):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 3), Acting(torch.relu, rate))


@pytest.mark.parametrize(
    ("backbone", "other"),
    [
        (lambda shape, n: nn.Linear(shape[0], n), lambda shape, n: nn.Linear(shape[0], n, bias=False)),
        (made_of(8, 0.1), made_of(8, 0.2)),
        (made_of(8, act=lambda x: x), made_of(8, act=lambda x: -x)),
        (a_module(0.1), a_module(0.2)),
    ],
    ids=["lambda", "closure", "function in a closure", "attribute of a module"],
)
def test_another_backbone_of_the_same_name_is_refused(tmp_path, backbone, other):
    """Weights of one would fit into the other."""
    clf = AutoCleansingClassifier(backbone, **SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)
    clf.fit(X, Y)
    with pytest.raises(ValueError, match=r"another training: backbone is .* here and .* there"):
        clf.set_params(backbone=other).fit(X, Y)


def test_another_augmentation_of_the_same_name_is_refused(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, size=(90, 3, 8, 8)).astype(np.uint8)
    settings = SETTINGS | {"max_epochs": 1, "checkpoint": tmp_path / "fit.pt"}
    clf = AutoCleansingClassifier(lambda s, n: nn.Sequential(nn.Flatten(), nn.Linear(192, n)), **settings)
    clf.set_params(augment=lambda images: images).fit(images, Y)
    with pytest.raises(ValueError, match="another training: augment is function"):
        clf.set_params(augment=lambda images: images.flip(3)).fit(images, Y)


def test_what_cannot_be_told_apart_is_refused_before_a_file_is_written(tmp_path):
    rng = np.random.default_rng(0)
    clf = AutoCleansingClassifier(lambda shape, n: nn.Linear(5, int(rng.integers(3, 4))), **SETTINGS)
    clf.fit(X, Y)
    with pytest.raises(ValueError, match=r"backbone\.rng is Generator\(PCG64\) at .*, which cannot be told"):
        clf.set_params(checkpoint=tmp_path / "fit.pt").fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_settings_are_compared_as_they_were_resolved(tmp_path):
    """What the preset stands for may be given, too; and another preset is another training."""
    clf = AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)
    given = clone(clf).set_params(learning_rate=1e-3, alpha_momentum=0.0, optimizer="adamw", schedule="cosine")
    np.testing.assert_array_equal(given.fit(X, Y).decision_function(X), clf.decision_function(X))
    with pytest.raises(ValueError, match=r"alpha_lr is 'paper' here and .* there; .*optimizer is 'sgd' here"):
        clone(clf).set_params(preset="paper").fit(X, Y)
    likened = {"alpha_lr": 0.3 * 6 / 8, "learning_rate": 1e-3, "weight_decay": 1e-2, "optimizer": "adamw"}
    with pytest.raises(
        ValueError, match=r": early_learning is 0.0 here and 0.75 there; judges is False here and True there"
    ):
        clone(clf).set_params(preset="paper", alpha_momentum=0.0, alpha_weight_decay=0.0, **likened).fit(X, Y)


def test_a_peers_parameters_are_compared_as_they_were_resolved(tmp_path, monkeypatch):
    clf = BaselineClassifier("elr", **SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)
    clone(clf).set_params(params={"lam": 3.0}).fit(X, Y)
    with pytest.raises(ValueError, match=r"params is {'beta': 0.7, 'lam': 2.0} here and {'beta': 0.7, 'lam': 3.0}"):
        clone(clf).set_params(params={"lam": 2.0}).fit(X, Y)
    monkeypatch.setitem(METHODS, "elr", type("ELR", (METHODS["elr"],), {}))
    with pytest.raises(ValueError, match=r"method is class ELR, digest .* here and acestimator"):
        clf.fit(X, Y)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    clf = AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)
    with pytest.raises(ValueError, match=r"another training: X is float64 of shape \(90, 5\)"):
        clf.fit(X + 1e-9, Y)
    with pytest.raises(ValueError, match="another training: y is int64"):
        clf.fit(X, (Y + 1) % 3)


def test_a_file_that_is_no_checkpoint_is_refused_and_kept(tmp_path):
    path = tmp_path / "fit.pt"
    path.write_bytes(b"a thesis")
    with pytest.raises(ValueError, match="is no checkpoint, or a damaged one"):
        AutoCleansingClassifier(**SETTINGS, checkpoint=path).fit(X, Y)
    assert path.read_bytes() == b"a thesis"


class Kept:
    """What older versions pickled."""


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("state", [None, {"objective": {"table": Kept()}}], ids=["empty", "pickled"])
def test_a_file_of_a_version_that_was_pickled_is_refused_and_kept(tmp_path, state, version):
    path = tmp_path / "fit.pt"
    torch.save({"version": version, "configuration": {"version": "2"}, "state": state}, path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"is a checkpoint of version {version}, expected 4: take another path"):
        AutoCleansingClassifier(**SETTINGS, checkpoint=path).fit(X, Y)
    assert path.read_bytes() == content


def test_a_file_that_holds_code_is_not_executed(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    path = tmp_path / "fit.pt"
    torch.save({"version": 3, "configuration": {}, "state": Harmful()}, path)
    with pytest.raises(ValueError, match="is a checkpoint of version 3, expected 4"):
        AutoCleansingClassifier(**SETTINGS, checkpoint=path).fit(X, Y)
    assert not (tmp_path / "harm").exists()


def test_numbers_of_numpy_are_written_as_pythons():
    written = plain({"a": np.float64(0.5), "b": (np.int32(3), np.bool_(True), [np.float32(0.25)]), 1: None})
    assert written == {"a": 0.5, "b": (3, True, [0.25]), 1: None}
    kinds = (type(written["a"]), *map(type, written["b"]), type(written["b"][2][0]))
    assert kinds == (float, int, bool, list, float)


def written_and_read(path, state):
    with path.open("wb") as file:
        state_file.write(file, {}, plain(state))
    return state_file.read(path)[1]


def test_the_versions_in_a_modules_state_are_written(tmp_path):
    assert written_and_read(tmp_path / "state", nn.BatchNorm1d(2).state_dict())._metadata == {"": {"version": 2}}


def test_what_is_read_is_what_was_written(tmp_path):
    """Shapes, strides, types and numbers; and what shared its memory does so again."""
    whole, count = torch.arange(24.0).reshape(2, 3, 2, 2), torch.tensor(3.0)
    state = {
        "images": whole.contiguous(memory_format=torch.channels_last),
        "whole": whole,
        "part": whole[1, :, ::2],
        "counts": [count, count],
        "kinds": [torch.zeros(3, dtype=d) for d in (torch.bfloat16, torch.bool, torch.int64, torch.complex64)],
        "empty": torch.empty(0, 4),
        ("a", 1): (1.5, float("inf"), -0.0, 2**200, None, True, "\u00fc\ud800"),
    }
    read = written_and_read(tmp_path / "state", state)
    assert read.keys() == state.keys()
    assert repr(read["a", 1]) == repr(state["a", 1])
    for name in ("images", "whole", "part", "empty"):
        assert torch.equal(read[name], state[name])
        assert read[name].stride() == state[name].stride()
    assert [kind.dtype for kind in read["kinds"]] == [kind.dtype for kind in state["kinds"]]
    assert read["counts"][0] is read["counts"][1]
    read["whole"].zero_()
    assert not read["part"].any()
    assert torch.equal(read["images"], state["images"])


def test_other_tools_can_look_into_it(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    weight = torch.randn(3, 4)
    written_and_read(tmp_path / "state", {"weight": weight})
    with safetensors.safe_open(tmp_path / "state", "pt") as file:
        assert file.metadata()["acestimator checkpoint"] == "4"
        assert torch.equal(file.get_tensor("0").view(torch.float32).reshape(3, 4), weight)


def forged(path, change):
    """Change the header, and give the file a checksum that is right."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    header["__metadata__"]["digest"] = "0" * 32
    text = json.dumps(header, separators=(",", ":")).encode()
    unsigned = len(text).to_bytes(8, "little") + text + content[8 + length :]
    digest = hashlib.blake2b(unsigned, digest_size=16).hexdigest().encode()
    path.write_bytes(unsigned.replace(b"0" * 32, digest, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header["0"].update(data_offsets=[0, 1 << 47]), "claims a tensor from 0 to 140,737,488,355,328"),
        (lambda header: header["__metadata__"].update({"acestimator checkpoint": "5"}), "of version 5, expected 4"),
        (lambda header: header["__metadata__"].pop("state"), "damaged one .KeyError"),
        (lambda header: header["__metadata__"].update(state="[" * 10_000), "damaged one .RecursionError"),
        (lambda header: header.pop("__metadata__") and header.update(__metadata__={}), "does not begin|KeyError"),
    ],
)
def test_a_file_with_a_right_checksum_is_not_trusted_either(tmp_path, change, message):
    """Who can write there can write a checksum, too: nothing is run, and no memory taken for what is not there."""
    path = tmp_path / "fit.pt"
    clf = BaselineClassifier(**SETTINGS, checkpoint=path).fit(X, Y)
    forged(path, change)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y)


def test_what_is_not_dense_cannot_be_written():
    with pytest.raises(TypeError, match=r"state\['a'\] is a tensor of layout torch.sparse_coo"):
        plain({"a": torch.eye(2).to_sparse()})


def use(monkeypatch, objective):
    """Have BaselineClassifier train by it."""
    monkeypatch.setitem(METHODS, "own", type("Own", (Method,), {"objective": lambda self, generator: objective}))


def test_a_state_that_cannot_be_written_fails_before_the_training(tmp_path, monkeypatch):
    class Listing(CrossEntropy):
        state = ("seen",)

        def start(self, training):
            super().start(training)
            self.seen = {"a": [set()]}

    use(monkeypatch, Listing())
    monkeypatch.delattr(TensorSamples, "training")
    with pytest.raises(TypeError, match=r"state\['objective'\]\['seen'\]\['a'\]\[0\] is set, and a checkpoint holds"):
        BaselineClassifier("own", **SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)


def test_an_objective_that_does_not_name_its_state_is_refused(tmp_path, monkeypatch):
    """The first epoch shows it: before, a fit that went on had silently lost it."""

    class Forgetful(CrossEntropy):
        def start(self, training):
            super().start(training)
            self.visits = torch.zeros(len(training.labels))

        def end_block(self, block, outputs, records, grads):
            self.visits[block.index] += 1
            return super().end_block(block, outputs, records, grads)

    use(monkeypatch, Forgetful())
    clf = BaselineClassifier("own", **SETTINGS)
    clone(clf).fit(X, Y)
    with pytest.raises(TypeError, match=r"Forgetful\.visits changes while the network is trained, and is not in"):
        clf.set_params(checkpoint=tmp_path / "fit.pt").fit(X, Y)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_a_checkpoint_needs_a_seed(tmp_path, random_state):
    clf = AutoCleansingClassifier(random_state=random_state, checkpoint=tmp_path / "fit.pt")
    with pytest.raises(ValueError, match="give random_state an integer"):
        clf.fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_fails_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "file" / "fit.pt").fit(X, Y)


def test_what_cannot_be_written_fails_before_the_training(tmp_path, monkeypatch):
    (tmp_path / f"fit.pt.{os.getpid()}.part").mkdir()
    monkeypatch.delattr(TensorSamples, "training")
    with pytest.raises(OSError, match=r"fit\.pt\.\d+\.part"):
        AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)


def test_a_later_phase_of_another_training_is_refused_before_the_first(tmp_path, monkeypatch):
    path = tmp_path / "fit.pt"
    clf = BaselineClassifier("trimmed", **SETTINGS, checkpoint=path).fit(X, Y)
    content = (tmp_path / "fit.pt.2").read_bytes()
    path.unlink()
    monkeypatch.delattr(TensorSamples, "training")
    with pytest.raises(ValueError, match=r"fit\.pt\.2 is a checkpoint of another training: batch_size"):
        clf.set_params(batch_size=8).fit(X, Y)
    assert (tmp_path / "fit.pt.2").read_bytes() == content
    assert not path.exists()


def test_the_device_is_the_one_that_is_used(tmp_path, monkeypatch):
    """A training of "auto" on a GPU does not go on without one."""
    path = tmp_path / "fit.pt"
    AutoCleansingClassifier(**(SETTINGS | {"device": "cpu"}), checkpoint=path).fit(X, Y)
    configuration, state = state_file.read(path)
    with path.open("wb") as file:
        state_file.write(file, configuration | {"device": "'cuda'"}, state)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cpu' here and 'cuda' there"):
        AutoCleansingClassifier(**(SETTINGS | {"device": "auto"}), checkpoint=path).fit(X, Y)


def test_the_global_generator_is_left_alone(tmp_path):
    clf = AutoCleansingClassifier(**SETTINGS, checkpoint=tmp_path / "fit.pt").fit(X, Y)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    clf.fit(X, Y)
    assert torch.rand(1) == expected


def test_augmented_images_are_the_same_after_a_stop(monkeypatch, tmp_path):
    images = np.random.RandomState(0).randint(0, 256, size=(90, 3, 8, 8)).astype(np.uint8)
    clf = AutoCleansingClassifier(
        **(SETTINGS | {"preset": "paper", "batch_size": 32, "max_epochs": 4, "learning_rate": 0.01}),
        augment=augment.Compose([augment.Baseline(padding=2), augment.PopulationBasedAugment(), augment.Cutout(4)]),
    )
    whole = clone(clf).fit(images, Y)
    clf.set_params(checkpoint=tmp_path / "fit.pt")
    resumed, n_trained = fit_in_two(monkeypatch, lambda: clone(clf), 3, images)
    assert n_trained == 1
    assert_same_fit(resumed, whole)
