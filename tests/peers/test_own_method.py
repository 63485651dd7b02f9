"""The tutorial's method, from outside of the package: its loss and gradient, its fit, and a fit that is stopped."""

import importlib.util
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from by_hand import a_block
from sklearn.base import clone

from acestimator import BaselineClassifier
from acestimator.estimators.network import NetworkClassifier
from acestimator.peers import METHODS
from acestimator.training.checkpoint import Checkpoint

PAGE = Path(__file__).parents[2] / "docs/tutorials/plot_symmetric_cross_entropy.py"
NAME = "symmetric_cross_entropy"


@pytest.fixture(scope="module")
def page():
    """All that the tutorial defines, run once; its method has a name until the end of these tests."""
    pytest.importorskip("pandas")  # in which the page sorts the labels
    spec = importlib.util.spec_from_file_location(PAGE.stem, PAGE)
    module = importlib.util.module_from_spec(spec)
    with patch.dict(METHODS):
        spec.loader.exec_module(module)
        yield module
    plt.close(module.figure)


@pytest.mark.parametrize("parameters", [(0.1, 1.0, -4.0), (6.0, 0.1, -4.0), (0.0, 2.0, -6.0), (1.0, 0.0, -1.0)])
def test_the_loss_is_the_papers_and_the_gradient_its_differences(page, parameters):
    a, b, A = parameters
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (20,), generator=generator)

    def by_formula(logits):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        q = np.eye(5)[labels]
        log_q = np.where(q == 1, 0.0, A)
        return a * -(q * np.log(p)).sum(axis=1) + b * -(p * log_q).sum(axis=1)

    (step,) = a_block(labels).steps()
    grad, losses = page.SymmetricCrossEntropyLoss(a, b, A).gradient(logits, step)
    np.testing.assert_allclose(losses, by_formula(logits.numpy()), rtol=1e-12)
    for k in range(5):
        up, down = (by_formula(logits.numpy() + h * np.eye(5)[k]) for h in (1e-5, -1e-5))
        np.testing.assert_allclose(grad[:, k], (up - down) / 2e-5, rtol=1e-6, atol=1e-8)


def test_the_tutorials_checks_hold_and_wrong_labels_are_held_off(page):
    """What the page prints and says of it."""
    torch.testing.assert_close(page.ours, page.by_formula, rtol=1e-12, atol=0)
    torch.testing.assert_close(page.by_autograd, page.closed_form, rtol=1e-12, atol=1e-14)
    accuracies = [model.score(page.X_test, page.y_test) for model in page.models.values()]
    aurocs = [page.roc_auc_score(page.is_wrong, model.mislabel_scores_) for model in page.models.values()]
    assert accuracies[0] + 0.03 < accuracies[1] < accuracies[2] - 0.03
    assert aurocs[0] + 0.03 < aurocs[1] < aurocs[2]
    assert page.is_wrong[page.issues.index[:100]].mean() > 0.95


def test_weight_two_is_the_sample_twice(page, small):
    """In one batch, to rounding: the loss leaves the mean and the weights to the loop."""
    X, y = small
    X, y = X[::5], y[::5]
    weight = np.where(np.arange(len(y)) < 10, 2.0, 1.0)
    clf = BaselineClassifier(NAME, max_epochs=20, random_state=0, device="cpu")
    weighted = clone(clf).fit(X, y, sample_weight=weight)
    repeated = clf.fit(np.repeat(X, weight.astype(int), axis=0), np.repeat(y, weight.astype(int)))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("params", [{"a": -0.1}, {"b": float("nan")}, {"A": 4.0}])
def test_a_parameter_out_of_range_stops_the_fit_before_any_training(page, small, params, monkeypatch):
    monkeypatch.setattr("acestimator.phases.train", None)
    with pytest.raises(ValueError, match="expected a and b of at least 0, and A below 0"):
        BaselineClassifier(NAME, params=params).fit(*small)


def test_a_stopped_fit_goes_on_to_the_same_result(page, small, tmp_path, monkeypatch):
    monkeypatch.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)
    settings = {"params": {"a": 0.2}, "max_epochs": 6, "batch_size": 16, "random_state": 0, "device": "cpu"}
    whole = BaselineClassifier(NAME, **settings).fit(*small)
    clf = BaselineClassifier(NAME, checkpoint=tmp_path / "fit.pt", **settings)
    save, before = Checkpoint.save, []

    def save_and_stop(self, phase, state):
        save(self, phase, state)
        if state is not None and len(state["history"]) == 3:
            before.extend(state["history"])
            raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr(Checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(*small)
    clf.fit(*small)
    assert [record["seconds"] for record in clf.history_[:3]] == [record["seconds"] for record in before]
    assert [record["loss"] for record in clf.history_] == [record["loss"] for record in whole.history_]
    np.testing.assert_array_equal(clf.mislabel_scores_, whole.mislabel_scores_)
