"""Fits under attack: what a caller has set in torch, other outputs in training, odd numbers and labels."""

import copy
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from attack_tools import SETTINGS, X, Y
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import cross_entropy

from acestimator import AlphaTable, AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.backbones import make
from acestimator.inputs.ranges import unit_factor
from acestimator.inputs.samples import TensorSamples
from acestimator.objectives import Objective
from acestimator.peers import METHODS, Method
from acestimator.training.surroundings import own_surroundings

IMAGES = np.random.RandomState(0).randint(0, 256, (60, 3, 8, 8)).astype(np.uint8)


# ---------------------------------------------------------------- what a caller has set in torch


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "meta as default": lambda: default_device("meta"),
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
}
FITS = {
    "default": (lambda: AutoCleansingClassifier(**SETTINGS), X, Y),
    "images": (lambda: AutoCleansingClassifier(**SETTINGS | {"max_epochs": 2}), IMAGES, np.arange(60) % 2),
    "own module": (lambda: AutoCleansingClassifier(lambda s, n: nn.Linear(5, n), **SETTINGS), X, Y),
    "elr": (lambda: BaselineClassifier("elr", **SETTINGS), X, Y),
    "sop": (lambda: BaselineClassifier("sop", **SETTINGS), X, Y),
}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_fit_does_not_depend_on_what_is_set_in_torch(name, fit):
    make_it, data, labels = FITS[fit]
    plain = make_it().fit(data, labels)
    with SURROUNDINGS[name]():
        found = make_it().fit(data, labels)
        asked = found.predict_proba(data)
    for key, tensor in plain.module_.state_dict().items():
        assert torch.equal(tensor, found.module_.state_dict()[key]), key
    np.testing.assert_array_equal(asked, plain.predict_proba(data))
    np.testing.assert_array_equal(found.mislabel_proba_, plain.mislabel_proba_)


def test_what_a_caller_has_set_is_there_afterwards():
    def broken(shape, n):
        raise RuntimeError("broken")

    with default_dtype(torch.float64), torch.device("meta"), torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError, match="broken"):
            AutoCleansingClassifier(broken, **SETTINGS).fit(X, Y)
        assert torch.get_default_dtype() == torch.float64
        assert torch.empty(1).device.type == "meta"
        assert torch.is_autocast_enabled("cpu")


FORKED = """
import os, sys, time, warnings
import numpy as np, torch
from acestimator import AutoCleansingClassifier
warnings.simplefilter("ignore")
torch.set_num_threads(2)
X = np.random.RandomState(0).randn(2000, 200).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
model = AutoCleansingClassifier(max_epochs=1, batch_size=512, random_state=0, device="cpu").fit(X, y)
pid = os.fork()
if pid == 0:
    model.predict(X)
    model.fit(X, y)
    os._exit(7)
end = time.monotonic() + 30
while time.monotonic() < end:
    found, status = os.waitpid(pid, os.WNOHANG)
    if found:
        sys.exit(0 if os.waitstatus_to_exitcode(status) == 7 else 1)
    time.sleep(0.05)
os.kill(pid, 9)
sys.exit(2)
"""


def test_a_child_that_is_forked_after_a_fit_in_two_threads_does_not_hang():
    """GNU's OpenMP waits in a child for threads that its parent alone has: ours compute in one."""
    env = os.environ | {"OMP_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], env=env, timeout=120).returncode == 0


def test_a_fit_in_one_thread_leaves_children_as_they_are(monkeypatch):
    monkeypatch.setattr(os, "register_at_fork", lambda **_: pytest.fail("registered"))
    assert torch.get_num_threads() == 1
    with own_surroundings():
        pass


# ---------------------------------------------------------------- networks


class Otherwise(nn.Module):
    """Has other outputs in training, from its first batch on or from a later one."""

    def __init__(self, change, first=0):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.change, self.first = nn.Linear(5, 3), change, first
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        logits = self.layer(x)
        if not self.training:
            return logits
        self.seen += 1
        return self.change(logits) if self.seen > self.first else logits


OUTPUTS = {
    "tuple": lambda o: (o, o),
    "dict": lambda o: {"out": o},
    "list": lambda o: [o, o],
    "None": lambda o: None,
    "fewer classes": lambda o: o[:, :2],
    "more classes": lambda o: torch.cat([o, o], 1),
    "fewer samples": lambda o: o[:1],
    "integers": lambda o: o.long(),
}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("classifier", [AutoCleansingClassifier, BaselineClassifier])
def test_other_outputs_in_training_are_found_before_it(kind, classifier, monkeypatch):
    monkeypatch.delattr(TensorSamples, "training")
    with pytest.raises(ValueError, match=r"in training mode the backbone maps \(2, 5\) to .*expected \(2, 3\)"):
        classifier(backbone=Otherwise(OUTPUTS[kind]), **SETTINGS).fit(X, Y)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_other_outputs_in_a_later_step_are_found_there(kind):
    with pytest.raises(TypeError, match=r"in training the network gave .* samples, expected a tensor of logits"):
        BaselineClassifier(backbone=Otherwise(OUTPUTS[kind], first=8), **SETTINGS).fit(X, Y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_another_type_are_taken(dtype):
    clf = AutoCleansingClassifier(Otherwise(lambda o: o.to(dtype)), **SETTINGS).fit(X, Y)
    assert np.isfinite(clf.predict_proba(X)).all()
    assert clf.score(X, Y) > 0.5


def test_the_trial_leaves_weights_statistics_and_random_numbers():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    before = copy.deepcopy(backbone.state_dict())
    state = torch.get_rng_state()
    made = make(backbone, torch.randn(2, 5, generator=torch.Generator().manual_seed(0)), 3)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in made.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class CannotBeCopied(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("not copied")


def test_what_cannot_be_copied_is_trained_all_the_same():
    clf = BaselineClassifier(backbone=lambda shape, n: CannotBeCopied(5, n), **SETTINGS).fit(X, Y)
    assert clf.score(X, Y) > 0.5


@pytest.mark.parametrize("layers", [(nn.LazyBatchNorm1d,), (lambda: nn.LazyLinear(8), nn.LazyBatchNorm1d, nn.ReLU)])
def test_lazy_layers_are_made(layers, tmp_path):
    backbone = nn.Sequential(*(layer() for layer in layers), nn.LazyLinear(3))
    clf = AutoCleansingClassifier(backbone, **SETTINGS).fit(X, Y)
    assert clf.score(X, Y) > 0.5
    by_function = AutoCleansingClassifier(
        lambda shape, n: nn.Sequential(*(layer() for layer in layers), nn.LazyLinear(n)), **SETTINGS
    ).fit(X, Y)
    np.testing.assert_array_equal(by_function.predict_proba(X), clf.predict_proba(X))
    assert backbone[0].has_uninitialized_params()  # the user's own


class MeanLoss(Objective):
    def loss(self, logits, labels, index):
        return cross_entropy(logits, labels)


class Own(Method):
    def objective(self, generator):
        return MeanLoss()


def test_a_mean_in_place_of_losses_is_told(monkeypatch):
    monkeypatch.setitem(METHODS, "own", Own)
    with pytest.raises(TypeError, match=r"MeanLoss.loss gave shape \(\), expected \(16,\): return one loss for each"):
        BaselineClassifier("own", **SETTINGS).fit(X, Y)


@pytest.mark.parametrize("given", [Own, Own()])
def test_a_method_without_a_name_is_told_how_to_have_one(given):
    with pytest.raises(ValueError, match=r"expected a name: give your method one, .*METHODS\['own'\] = Own, and then"):
        BaselineClassifier(given, **SETTINGS).fit(X, Y)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(("weight", "ordinary"), [(1e-310, 1e-9), (5e-324, 1e-9), (1e-308, 1e-9), (1e300, 1e9)])
def test_weights_are_of_any_size(weight, ordinary):
    """Those of far less than a sample, or of far more, act as each other: weights count as copies."""
    ours, theirs = (AutoCleansingClassifier(**SETTINGS).fit(X, Y, np.full(len(Y), size)) for size in (weight, ordinary))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.mislabel_proba_, theirs.mislabel_proba_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", [None, *sorted(METHODS)])
@pytest.mark.parametrize("weight", [5e-324, 1e-310])
def test_a_sample_of_next_to_no_weight_is_none(method, weight):
    settings = SETTINGS | {"max_epochs": 2}
    weights = np.ones(len(Y))
    weights[::9] = weight
    clf = AutoCleansingClassifier(**settings) if method is None else BaselineClassifier(method, **settings)
    clf.fit(X, Y, weights)
    for name in ("mislabel_scores_", "mislabel_proba_"):
        assert np.isfinite(getattr(clf, name)).all(), name
    assert np.isfinite(clf.noise_rate_)
    assert np.isfinite(clf.predict_proba(X)).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_numbers_of_numpy_are_numbers(kind):
    """In tuples, too."""
    still = {"alpha_momentum": 0.0, "alpha_weight_decay": 0.0}
    ours = AutoCleansingClassifier(penalty=("l2", kind(1)), schedule=(kind(2), kind(4)), **still, **SETTINGS)
    theirs = AutoCleansingClassifier(penalty=("l2", 1.0), schedule=(2.0, 4.0), **still, **SETTINGS)
    np.testing.assert_array_equal(ours.fit(X, Y).predict_proba(X), theirs.fit(X, Y).predict_proba(X))
    table, other = (AlphaTable(4, 3, lr=1.0, penalty=penalty) for penalty in ((np.str_("l2"), kind(1)), ("l2", 1)))
    for one in (table, other):
        one.step(torch.tensor([0]), torch.ones(1, 3))
    assert torch.equal(table.dense(), other.dense())


@pytest.mark.parametrize("schedule", [(np.float64("nan"),), (np.float32(3), np.float32(2)), ("a",), ((1,),), (True,)])
def test_no_schedules_are_told(schedule):
    with pytest.raises(ValueError, match="schedule is"):
        AutoCleansingClassifier(schedule=schedule, **SETTINGS).fit(X, Y)


def test_tensors_with_a_gradient_are_data():
    plain = AutoCleansingClassifier(**SETTINGS).fit(X, Y, np.ones(len(Y)))
    y = torch.tensor(Y, dtype=torch.float64, requires_grad=True)
    x, weight = torch.tensor(X, requires_grad=True), torch.ones(len(Y), requires_grad=True)
    clf = AutoCleansingClassifier(**SETTINGS).fit(x, y, weight)
    np.testing.assert_array_equal(clf.predict_proba(x), plain.predict_proba(X))
    assert x.grad is None
    assert x.requires_grad
    cleaned = CleanedClassifier(LogisticRegression(), cleanser=AutoCleansingClassifier(**SETTINGS)).fit(x, y, weight)
    assert cleaned.score(X, Y) > 0.5


@pytest.mark.parametrize("names", [list("aabcd"), [0, 0, 1, 2, 3], ["a", "b", "b", "a", "c"]])
def test_names_that_are_there_twice_are_told(names):
    frame = pd.DataFrame(X, columns=names)
    with pytest.raises(ValueError, match=r"X has 5 columns, and some have the same name: '[a0]' \(2 times\)"):
        AutoCleansingClassifier(**SETTINGS).fit(frame, Y)
    with pytest.raises(ValueError, match="some have the same name"):
        AutoCleansingClassifier(**SETTINGS).fit(pd.DataFrame(X, columns=list("abcde")), Y).predict(frame)


# ---------------------------------------------------------------- another unit at the prediction


@pytest.mark.parametrize(
    ("fitted_on", "asked", "direction"),
    [(255.0, 1.0, "times smaller than is usual"), (1.0, 255.0, "times larger than is usual")],
)
@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_another_unit_is_told(kind, fitted_on, asked, direction):
    pixels = np.random.RandomState(0).uniform(size=(60, 3, 8, 8)).astype(np.float32)
    pixels = pixels.reshape(60, -1) if kind == "vectors" else pixels
    clf = AutoCleansingClassifier(**SETTINGS | {"max_epochs": 1}).fit(fitted_on * pixels, np.arange(60) % 2)
    with pytest.warns(UserWarning, match=direction) as told:
        clf.predict(asked * pixels)
    assert told[0].filename == __file__
    for part in (pixels, pixels[:1], 1.5 * pixels, 0.3 * pixels):
        clf.predict(fitted_on * part)  # without a warning, which would be an error here


ORDINARY = {
    "iris": load_iris().data,
    "wine": load_wine().data,
    "breast cancer": load_breast_cancer().data,
    "digits": load_digits().data,
    "normal": np.random.RandomState(0).normal(size=(500, 20)),
    "with an offset": 1e6 + np.random.RandomState(0).normal(size=(500, 20)),
    "log-normal": np.exp(2.0 * np.random.RandomState(0).normal(size=(2000, 20))),
    "counts of words": np.random.RandomState(0).poisson(0.02, size=(500, 300)).astype(float),
    "one-hot": np.eye(40)[np.random.RandomState(0).randint(0, 40, 500)],
    "outliers": np.random.RandomState(0).standard_cauchy(size=(500, 20)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_samples_are_in_no_other_unit(name):
    """Any part of them, single ones, too, and the other half of those that the statistics are of."""
    data = ORDINARY[name]
    order = np.random.RandomState(1).permutation(len(data))
    scaler = StandardScaler().fit(data[order[: len(data) // 2]])
    parts = [data, data[:0], data[np.argsort(data[:, 0])[:20]], *(data[[i]] for i in range(len(data)))]
    assert [unit_factor(part, scaler) for part in parts] == [None] * len(parts)


def test_nothing_is_in_another_unit():
    scaler = StandardScaler().fit(ORDINARY["digits"])
    assert unit_factor(np.zeros((3, 64)), scaler) is None
    assert unit_factor(ORDINARY["digits"] / 1000, scaler) < 1 / 50
