"""Exported graphs and programs compute what predict_proba does, for batches of any size."""

import json
import sys

import numpy as np
import pytest
import torch
from saved import SETTINGS, Narrow, fitted
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier, backbones
from acestimator.persistence.inference import Inference

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Small images, one epoch; those whose export takes a minute or more are slow.
SIDES = {"resnet34": 16, "resnet50": 40}
SLOW = {name for name in backbones.available() if name.startswith(("wide_resnet_28", "shake", "pyramid", "resnet50"))}


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def assert_computes(clf, X, folder, dtype="float32"):
    """Both exports give predict_proba, for one sample, for some, and for all."""
    X = X.astype(dtype)
    program = clf.export(dtype=dtype).module()
    clf.to_onnx(folder / "model.onnx", dtype=dtype)
    graph = session(folder / "model.onnx")
    for part in (X[:1], X[:3], X):
        expected = clf.predict_proba(part)
        (found,) = graph.run(None, {"x": part})
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        with torch.no_grad():
            np.testing.assert_allclose(program(torch.from_numpy(part)), expected, rtol=0, atol=1e-5)
    return graph


def shaken(module):
    """Statistics and weights that are none of those at the start, as of a network that has learnt."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)


@pytest.mark.parametrize("labels", [[3, 1, 2], ["ä", "b", "c"], [0.0, 2.0, 1.0]])
def test_a_perceptron_and_its_classes(small, tmp_path, labels):
    X, y = small
    clf = fitted(1e3 + 50 * X, np.array(labels)[y], max_epochs=5)
    graph = assert_computes(clf, 1e3 + 50 * X, tmp_path)
    metadata = graph.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == clf.classes_.tolist() == sorted(labels)
    assert metadata["estimator"] == "AutoCleansingClassifier"
    assert graph.get_inputs()[0].shape == ["batch", 4]
    assert graph.get_outputs()[0].shape == ["batch", 3]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_time_stamps_need_float64(small, tmp_path):
    X, y = small
    X = 1.7e9 + X
    clf = fitted(X, y, max_epochs=5)
    assert_computes(clf, X, tmp_path, dtype="float64")
    assert np.abs(clf.predict_proba(X.astype(np.float32)) - clf.predict_proba(X)).max() > 0.01


def test_without_standardisation_with_sparse_samples_and_with_one_more_output(small, tmp_path):
    X, y = small
    for clf in (
        fitted(X, y, standardize=False),
        fitted(csr_array(np.where(X > 1, X, 0.0)), y),
        BaselineClassifier("abstention", **SETTINGS).fit(X, y),
        fitted(X, y, backbone=Narrow()),
        CleanedClassifier(AutoCleansingClassifier(**SETTINGS), cleanser=AutoCleansingClassifier(**SETTINGS)).fit(X, y),
    ):
        assert_computes(clf, X, tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in backbones.available()]
)
def test_every_backbone(name, tmp_path):
    if name == "mlp":
        return  # above
    side = SIDES.get(name, 8)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (4, 3, side, side)).astype(np.uint8)
    clf = BaselineClassifier(**SETTINGS, backbone=name).fit(X, np.arange(4) % 2)
    shaken(clf.module_)
    assert_computes(clf, X, tmp_path)
    if name == "small_resnet":
        assert_computes(clf, X, tmp_path, dtype="uint8")


def test_the_estimator_is_as_it_was(small, tmp_path):
    X, y = small
    clf = fitted(X, y)
    before = clf.predict_proba(X)
    program = clf.export()
    for part in clf.module_.parameters():
        assert all(part is not other for other in program.parameters())
    clf.to_onnx(tmp_path / "model.onnx")
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    with torch.no_grad():
        again = torch.export.load(path).module()(torch.from_numpy(X.astype(np.float32)))
    np.testing.assert_allclose(again, before, rtol=0, atol=1e-5)


def test_what_cannot_be_exported_says_so(small, tmp_path, monkeypatch):
    class Branches(Narrow):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    X, y = small
    clf = fitted(X, y)
    with pytest.raises(ValueError, match="dtype is 'int8', expected one of 'float32', 'float64', 'uint8'"):
        clf.export(dtype="int8")
    with pytest.raises(NotFittedError):
        AutoCleansingClassifier().to_onnx(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"torch\.export cannot follow the network \(Branches\)"):
        fitted(X, y, backbone=Branches()).export()
    with pytest.raises(FileNotFoundError, match="could not be written"):
        clf.to_onnx(tmp_path / "none" / "model.onnx")
    tree = CleanedClassifier(DecisionTreeClassifier(), cleanser=AutoCleansingClassifier(**SETTINGS)).fit(X, y)
    assert not hasattr(tree, "to_onnx")
    assert not hasattr(tree, "export")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'acestimator\[onnx\]'"):
        clf.to_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_module_computes_in_the_network_s_own_precision():
    module = Inference(nn.Linear(4, 3).double(), None, 1)
    x = torch.randn(5, 4, dtype=torch.float64)
    expected = torch.softmax(module.network(x), dim=1)
    assert torch.equal(module(x), expected)
