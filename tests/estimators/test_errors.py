"""Bad input: a message that states what was given, what was expected and the cure; and nothing is lost."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from acestimator import AutoCleansingClassifier


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 2, "random_state": 0, **parameters})


def test_nan_and_infinity_are_counted_and_their_columns_named(small):
    X, y = small
    X = X.copy()
    X[[0, 5], 1] = np.nan
    X[3, 2] = -np.inf
    with pytest.raises(ValueError, match=r"2 NaN and 1 infinity entries, in 2 of 4 columns: 1, 2.*SimpleImputer"):
        quick().fit(X, y)
    frame = pd.DataFrame(X, columns=["age", "height", "width", "weight"])
    with pytest.raises(ValueError, match="columns: height, width"):
        quick().fit(frame, y)
    clf = quick().fit(small[0], y)
    with pytest.raises(ValueError, match="2 NaN and 1 infinity"):
        clf.predict(X)


def test_nan_in_images_names_the_images():
    X = np.zeros((6, 1, 4, 4))
    X[4, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="1 NaN and 0 infinity entries, in 1 of 6 images: 4"):
        quick().fit(X, np.arange(6) % 2)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 2)), np.zeros(3), r"inconsistent numbers of samples: \[4, 3\]"),
        (np.zeros((4, 2)), None, "requires y to be passed"),
        (np.zeros((4, 28, 28)), np.arange(4) % 2, r"\(4, 28, 28\).*channel axis, X\[:, None\] of shape \(4, 1, 28"),
        (np.zeros((4, 2, 2)).tolist(), np.arange(4) % 2, r"\(4, 2, 2\), expected \(N, D\) or"),
        (np.zeros(4), np.arange(4) % 2, "Reshape your data"),
        (np.zeros((0, 2)), np.zeros(0), "0 sample"),
        (np.zeros((4, 2)), np.ones(4), r"the one class .*1.*at least 2 classes"),
        (np.zeros((4, 2)), np.array([0.1, 0.2, 0.3, 0.4]), "Unknown label type"),
        (np.zeros((4, 2)), np.array([0, 1, np.nan, 1]), "NaN"),
        (np.array([[1e300, 1], [-1e300, 2]] * 2), np.arange(4) % 2, r"variance overflows in columns \[0\]: rescale X"),
    ],
)
def test_data_that_cannot_be_used(X, y, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


def test_images_with_their_channels_last_draw_a_warning():
    message = r"\(6, 8, 8, 3\) .* images of 8 channels: .*X.transpose\(0, 3, 1, 2\)"
    with pytest.warns(UserWarning, match=message) as caught:
        quick().fit(np.zeros((6, 8, 8, 3)), np.arange(6) % 2)
    assert caught[0].filename == __file__  # it points to the line that called fit


def test_values_beyond_float32_without_standardisation():
    X = np.array([[1e300], [2.0], [3.0], [4.0]] * 20)
    with pytest.raises(ValueError, match=r"overflow torch\.float32 without standardisation: rescale X"):
        quick(standardize=False).fit(X, np.arange(80) % 2)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.array([1.0, -1.0, 1.0, 1.0]), "[Nn]egative"),
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(4,\)"),
        (np.array([1.0, 0.0, 1.0, 0.0]), "the one class 0 once the 2 samples of weight 0 are left out"),
        (np.zeros(4), "no class at all once the 4 samples of weight 0|at least one non-zero"),
        (np.array([1.0, np.nan, 1.0, 1.0]), "NaN"),
        (np.full(4, 1e308), r"up to 1e\+308, whose sum overflows: scale it down"),
    ],
)
def test_weights_that_cannot_be_used(weight, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(np.eye(4), [0, 1, 0, 1], sample_weight=weight)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "resnet9000"}, "'resnet9000', expected one of 'auto', 'mlp', "),
        ({"backbone": "small_resnet"}, "takes images"),
        ({"backbone": 3}, "'backbone' parameter"),
        ({"backbone": nn.Linear(4, 7)}, r"maps \(2, 4\) to \(2, 7\), expected \(2, 3\).*each of the 3 classes"),
        ({"backbone": lambda shape, k: "net"}, "returned str, expected a torch.nn.Module"),
        ({"backbone": nn.LSTM(4, 3)}, "maps .* to tuple, expected"),
        ({"backbone": nn.Linear(5, 3)}, r"failed on samples of shape \(2, 4\) .*expected \(2, 3\): one logit"),
        ({"alpha_lr": 0, "penalty": ("l3", 1.0)}, "penalty is 'l3'"),
        ({"variant": "AC3"}, "'variant' parameter.*'AC1'"),
        ({"preset": "best"}, "'preset' parameter"),
        ({"alpha_lr": -0.1}, "'alpha_lr' parameter"),
        ({"alpha_lr": "fast"}, "'alpha_lr' parameter"),
        ({"learning_rate": 0}, "'learning_rate' parameter"),
        ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ({"max_epochs": 0}, "'max_epochs' parameter"),
        ({"batch_size": 1.5}, "'batch_size' parameter"),
        ({"penalty": ("l3", 1.0)}, "penalty is 'l3'"),
        ({"penalty": "l2"}, "'penalty' parameter"),
        ({"penalty": ("l2",)}, r"penalty is \('l2',\), expected a pair \(name, strength\)"),
        ({"penalty": ("l2", "strong")}, "strength of penalty 'l2' is 'strong'"),
        ({"penalty": ("l2", 0.1), "alpha_momentum": 0.9}, "set both to 0"),
        ({"device": "tpu9"}, "device is 'tpu9'.*take 'auto', 'cpu'"),
    ],
)
def test_parameters_that_cannot_be_used(small, parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(**parameters).fit(*small)


def test_predicting_with_the_wrong_samples(small):
    clf = quick().fit(*small)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4 features"):
        clf.predict(small[0][:, :3])
    with pytest.raises(ValueError, match=r"shape \(4, 2, 2\), expected \(4,\)"):
        clf.predict(np.zeros((2, 4, 2, 2)))


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function", "find_mislabeled"]
)
def test_use_before_fit(method):
    with pytest.raises(NotFittedError):
        getattr(quick(), method)(np.zeros((2, 4)))


def frozen(input_shape, n_classes):
    return nn.Linear(*input_shape, n_classes).requires_grad_(False)


class Exploding(nn.Module):
    """Finite in the trial, NaN from the third training step on."""

    def __init__(self):
        super().__init__()
        self.linear, self.steps = nn.Linear(4, 3), 0

    def forward(self, x):
        self.steps += self.training
        return self.linear(x) * (float("nan") if self.steps > 2 else 1.0)


def test_a_loss_that_is_not_finite_stops_the_fit_and_leaves_it_unfitted(small):
    clf = quick(backbone=Exploding(), batch_size=100)
    with pytest.raises(FloatingPointError, match=r"epoch 2, at step 3 of 4, with learning rate 0.0005"):
        clf.fit(*small)
    with pytest.raises(NotFittedError):
        clf.predict(small[0])
    assert not hasattr(clf, "n_features_in_")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_last_step_that_diverges_is_noticed(small, optimizer):
    """No loss is taken after it, so the logits are looked at."""
    X, y = small
    with pytest.raises(FloatingPointError, match="the trained network gives NaN or infinite logits"):
        quick(max_epochs=1, learning_rate=1e200, optimizer=optimizer).fit(X[:30], y[:30])


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha_lr": 1e200},
        {"alpha_lr": 1e39},  # finite in float64, of which the one batch is
        {"alpha_lr": 1e200, "batch_size": 32},
        {"alpha_lr": 1e200, "batch_size": 32, "variant": "AC2"},
        {"alpha_lr": "paper", "learning_rate": 1e200, "alpha_weight_decay": 0.0, "backbone": frozen},
    ],
)
def test_constants_that_overflow_are_an_error_and_change_nothing(small, parameters):
    """No loss is taken after the last visit, so the constants are looked at."""
    clf = quick(max_epochs=1, batch_size=200).fit(*small)
    before = dict(vars(clf))
    clf.set_params(**parameters)
    with pytest.raises(FloatingPointError, match=r"the constants.* became NaN or infinite.*: lower alpha_lr, or"):
        clf.fit(*small)
    for name in before.keys() - parameters.keys():
        assert vars(clf)[name] is before[name]


class Interrupting(nn.Module):
    """Ctrl-C in the middle of the second epoch."""

    def __init__(self):
        super().__init__()
        self.linear, self.steps = nn.Linear(4, 3), 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 2:
            raise KeyboardInterrupt
        return self.linear(x)


@pytest.mark.parametrize(
    ("parameters", "X", "error"),
    [
        ({"backbone": Interrupting(), "batch_size": 100}, None, KeyboardInterrupt),
        ({"backbone": Exploding(), "batch_size": 100}, None, FloatingPointError),
        ({"alpha_lr": -1}, None, ValueError),
        ({}, np.full((150, 2), np.nan), ValueError),
    ],
)
def test_a_failed_fit_keeps_the_fitted_model(small, parameters, X, error):
    clf = quick().fit(*small)
    before = clf.predict_proba(small[0]), dict(vars(clf))
    clf.set_params(**parameters)
    with pytest.raises(error):
        clf.fit(small[0] if X is None else X, small[1])
    assert {name for name in vars(clf) if name.endswith("_")} == {name for name in before[1] if name.endswith("_")}
    np.testing.assert_array_equal(clf.predict_proba(small[0]), before[0])
    assert torch.is_grad_enabled()
