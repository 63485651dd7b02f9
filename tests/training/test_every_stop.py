"""A fit that is stopped after any epoch of any of its phases, and goes on, is the fit in one go, bit for bit."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from torch import nn

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.estimators.network import NetworkClassifier
from acestimator.peers import METHODS
from acestimator.training import state_file
from acestimator.training.checkpoint import Checkpoint

X, TRUE = make_blobs(72, centers=3, n_features=5, random_state=0, cluster_std=3.0)
Y = np.where(np.arange(72) % 5 < 2, (TRUE + 1 + np.arange(72) % 2) % 3, TRUE)  # two labels in five are wrong
SETTINGS = {"max_epochs": 6, "batch_size": 16, "learning_rate": 0.03, "random_state": 1, "device": "cpu"}
PAPER = {"preset": "paper", "variant": "AC2"}
MOMENTUM = {"alpha_momentum": 0.9, "alpha_weight_decay": 1e-2}


class Drawing(nn.Sequential):
    """Normalises by batches, and draws from torch's global generator."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(5, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))


FITS = {name: BaselineClassifier(name, **SETTINGS) for name in sorted(METHODS)} | {
    "AutoCleansing": AutoCleansingClassifier(**SETTINGS),
    "AutoCleansing, paper": AutoCleansingClassifier(**SETTINGS, **PAPER),
    "AutoCleansing, momentum": AutoCleansingClassifier(Drawing(), **{**SETTINGS, "random_state": 0}, **MOMENTUM),
}

# Files of the phases: of two halves, and of the folds of a second round, for which the first may leave no time
JUDGED = {
    "AutoCleansing": {"fit.pt", "fit.pt.2", "fit.pt.3"},
    "AutoCleansing, momentum": {"fit.pt", "fit.pt.2", "fit.pt.3", "fit.pt.4", "fit.pt.5"},
}


@pytest.fixture
def stops(monkeypatch, tmp_path):
    """Function of a classifier: the fit, and a folder with its checkpoint for each epoch after which it was written."""
    monkeypatch.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)
    save, folders = Checkpoint.save, []

    def save_and_keep(self, phase, state):
        save(self, phase, state)
        if state is not None:
            folders.append(tmp_path / f"after {len(folders) + 1}")
            shutil.copytree(self.path.parent, folders[-1])

    def fit(clf):
        with monkeypatch.context() as patches:
            patches.setattr(Checkpoint, "save", save_and_keep)
            (tmp_path / "whole").mkdir(exist_ok=True)
            whole = clone(clf).set_params(checkpoint=tmp_path / "whole" / "fit.pt").fit(X, Y)
        return whole, folders

    return fit


@pytest.mark.parametrize("name", FITS)
def test_a_fit_goes_on_from_every_epoch_of_every_phase(stops, name):
    whole, folders = stops(FITS[name])
    if name in JUDGED:
        assert len(folders) > len(whole.history_)  # those of the judges, whose phases are numbered from 1
        assert {path.name for path in folders[-1].iterdir()} >= JUDGED[name]
    else:
        assert len(folders) == len(whole.history_)
    for folder in folders:
        resumed = clone(FITS[name]).set_params(checkpoint=folder / "fit.pt").fit(X, Y)
        assert_same_fit(resumed, whole, folder.name)


def assert_same_fit(resumed, whole, when):
    ours, theirs = resumed.module_.state_dict(), whole.module_.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items()), when
    for name in ("alpha_", "mislabel_scores_", "mislabel_proba_", "suggested_labels_"):
        if hasattr(whole, name):
            np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name), err_msg=when)
    timeless = [[{**record, "seconds": 0} for record in fit.history_] for fit in (resumed, whole)]
    assert timeless[0] == timeless[1], when


@pytest.mark.cuda
@pytest.mark.parametrize("name", FITS)
def test_a_fit_on_a_gpu_goes_on_there(stops, name):
    """To rounding: not all of a GPU's operations add up in one order."""
    clf = clone(FITS[name]).set_params(device="cuda")
    whole, folders = stops(clf)
    for folder in folders:
        resumed = clone(clf).set_params(checkpoint=folder / "fit.pt").fit(X, Y)
        np.testing.assert_allclose(resumed.decision_function(X), whole.decision_function(X), atol=1e-2)


@pytest.mark.parametrize("name", ["forward", "s_model"])
def test_the_best_epoch_of_these_fits_is_not_the_last(stops, name):
    """So that there is a network to go back to, which the file has to hold."""
    _, folders = stops(FITS[name])
    for folder in folders[SETTINGS["max_epochs"] - 2 :: SETTINGS["max_epochs"]]:  # before the last epoch of a phase
        last = max(path for path in folder.iterdir() if path.suffix != ".lock")
        _, state = state_file.read(last)
        kept, network = state["objective"]["_kept"], state["network"]
        assert any(not torch.equal(tensor, network[key]) for key, tensor in kept.items())
