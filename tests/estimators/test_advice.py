"""Fits warn of what a user can mend, say what was seen and the cure, and are silent on healthy data."""

import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from torch import nn

from acestimator import AutoCleansingClassifier, AutoCleansingWarning, BaselineClassifier, CleanedClassifier
from acestimator.noise import corrupt, symmetric
from acestimator.training.checkpoint import Checkpoint

BOTH = [AutoCleansingClassifier, BaselineClassifier]
X, Y = (part[:600] for part in load_digits(return_X_y=True))


def texts(estimator, X, y, sample_weight=None):
    """Texts of a fit's warnings."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        estimator.fit(X, y, sample_weight)
    assert {each.category for each in found} <= {AutoCleansingWarning}
    return [str(each.message) for each in found]


def network(*end):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), *end)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_no_warning_on_healthy_data(kind, rate):
    for data, labels in ((X, Y), load_iris(return_X_y=True)):
        given = corrupt(labels, symmetric(labels.max() + 1, rate), random_state=0) if rate else labels
        assert texts(kind(random_state=0), data, given) == []


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("end", "seen"),
    [
        (nn.Softmax(1), r"ends in probabilities: its outputs are from 0 to 1 and each row sums to 1.* above 0\.23"),
        (nn.Sigmoid(), r"outputs are bounded: they go from .* to .* above 0\.23.* without Sigmoid, Tanh"),
        (nn.Tanh(), r"outputs are bounded: they go from -.* to .* above 0\.45"),
    ],
    ids=["softmax", "sigmoid", "tanh"],
)
def test_bounded_outputs(kind, end, seen):
    found = texts(kind(backbone=network(end), learning_rate=3e-3, max_epochs=20, random_state=0), X, Y)
    assert re.search(seen, found[0])


def test_log_softmax_and_a_linear_end_are_fine():
    for end in ([], [nn.LogSoftmax(1)]):
        assert texts(AutoCleansingClassifier(network(*end), learning_rate=3e-3, random_state=0), X, Y) == []


@pytest.mark.parametrize("kind", BOTH)
def test_a_network_that_starts_at_zero_and_hardly_moves_is_slow_and_not_bounded(kind):
    net = network()
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[2].bias)
    (text, *others) = texts(kind(backbone=net, learning_rate=1e-4, max_epochs=5, random_state=0), X, Y)
    assert text.startswith("the training was too short, or too slow")
    assert "learning_rate (0.0001) or max_epochs (5), or lower batch_size (64)" in text
    assert all(text.startswith("most labels") and "Heed the warning before" in text for text in others)


@pytest.mark.parametrize(
    "setting",
    [
        {"optimizer": "sgd", "learning_rate": 1e-3},
        {"learning_rate": 3e-5},
        {"batch_size": 512, "max_epochs": 20},
        {"max_epochs": 1},
    ],
    ids=str,
)
def test_slow_settings(setting):
    text, *_ = texts(AutoCleansingClassifier(random_state=0, **setting), X, Y)
    assert re.match(r"the training was too short, or too slow: after all \d+ epochs", text)


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_learnt(kind):
    given = np.random.default_rng(0).integers(0, 2, 200)
    text, *_ = texts(kind(max_epochs=5, random_state=0), np.zeros((200, 3)), given)
    assert text.startswith("the network has learnt no more than the class frequencies")


def test_a_rare_class_that_is_taken_for_wrong_is_named_with_its_numbers():
    """Samples like those of another class: five of 200 have a label of their own."""
    true = np.arange(400) % 2
    features = np.random.RandomState(0).normal(size=(400, 4)) + 4.0 * np.eye(2, 4)[true]
    names = np.array(["one", "other", "rare"])[np.where(np.arange(400) < 10, 2 - true, true)]
    names[1:10:2] = "other"
    found = texts(AutoCleansingClassifier(random_state=0), features, names)
    assert re.match(r"most labels of 1 of 3 classes are taken for wrong: 'rare' \(5 of 5\)\.", found[-1])
    plain = AutoCleansingClassifier(alpha_lr=0, random_state=0)
    assert texts(plain, features, names) == texts(BaselineClassifier(random_state=0), features, names) == []


def test_samples_of_weight_zero_say_nothing():
    weight = np.ones(len(Y))
    weight[300:] = 0.0
    assert texts(AutoCleansingClassifier(random_state=0), X, np.where(weight > 0, Y, 3), weight) == []


def test_a_warning_points_at_the_call_and_loses_nothing_where_it_is_an_error():
    slow = AutoCleansingClassifier(max_epochs=1, random_state=0)
    with pytest.warns(AutoCleansingWarning) as found:
        slow.fit(X, Y)
    assert {each.filename for each in found} == {__file__}
    strict = clone(slow)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AutoCleansingWarning)
        with pytest.raises(AutoCleansingWarning, match="too short"):
            strict.fit(X, Y)
    np.testing.assert_array_equal(strict.predict_proba(X), slow.predict_proba(X))


def test_one_filter_silences_all_of_them_and_no_others():
    assert issubclass(AutoCleansingWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=AutoCleansingWarning)
        AutoCleansingClassifier(network(nn.Softmax(1)), max_epochs=3, random_state=0).fit(X, Y)
        CleanedClassifier(BaselineClassifier(max_epochs=1), cleanser=AutoCleansingClassifier(max_epochs=1)).fit(X, Y)


def test_a_fit_that_goes_on_from_a_file_warns_alike(monkeypatch, tmp_path):
    slow = AutoCleansingClassifier(max_epochs=8, learning_rate=1e-4, random_state=0, device="cpu")
    expected = texts(slow, X, Y)
    stopped = clone(slow).set_params(checkpoint=tmp_path / "fit.pt")
    save, n_saved = Checkpoint.save, 0

    def save_and_stop(self, phase, state):
        nonlocal n_saved
        save(self, phase, state)
        n_saved += 1
        if n_saved == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(stopped), "_checkpoint_seconds", 0.0)
    with monkeypatch.context() as stopping:
        stopping.setattr(Checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(X, Y)
    assert texts(stopped, X, Y) == expected != []
