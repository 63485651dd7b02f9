"""What parameters left at None stand for, and which values are counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator import AutoCleansingClassifier
from acestimator.presets import PRESETS, resolve
from acestimator.training import batch_sizes


def test_settings_come_from_the_preset_unless_they_are_given(small):
    paper = resolve("paper", {"learning_rate": 0.02, "alpha_momentum": None}, 10_000)
    assert (paper.optimizer, paper.learning_rate, paper.batch_size, paper.alpha_lr) == ("sgd", 0.02, 128, "paper")
    assert (paper.alpha_momentum, paper.alpha_weight_decay) == (0.9, 5e-5)
    regime = resolve("default", {"alpha_lr": "paper"}, 10_000)
    named = resolve("default", {"optimizer": "sgd"}, 10_000)
    assert (named.learning_rate, named.weight_decay) == (0.03, 1e-3)
    assert resolve("default", {"optimizer": "sgd", "learning_rate": 0.2}, 10_000).learning_rate == 0.2
    assert resolve("paper", {"optimizer": "sgd"}, 10_000).learning_rate == 0.1
    assert (regime.alpha_momentum, regime.alpha_weight_decay) == (0.9, 5e-5)
    assert (regime.judges, regime.early_learning) == (paper.judges, paper.early_learning) == (False, 0.0)
    assert resolve("default", {}, 10_000).judges
    assert resolve("default", {"alpha_lr": "paper", "alpha_weight_decay": 1e-5}, 100).alpha_weight_decay == 1e-5
    clf = AutoCleansingClassifier(preset="paper", learning_rate=0.01, max_epochs=3, random_state=0).fit(*small)
    assert clf.history_[0]["alpha_norm"] > 0
    assert "noise_rate" not in clf.history_[-1]  # no judges, so nothing is known before the end


def epochs_and_steps(n_samples, batch_size=64):
    """Epochs of the default, and the steps of one of them."""
    settings = resolve("default", {"batch_size": batch_size}, n_samples)
    return settings.max_epochs, len(batch_sizes(n_samples, batch_size))


@given(st.integers(2, 5000), st.integers(1, 200))
def test_small_sets_get_more_epochs_and_slower_constants(n_samples, batch_size):
    settings = resolve("default", {"batch_size": batch_size}, n_samples)
    steps = len(batch_sizes(n_samples, batch_size))
    assert settings.max_epochs * steps >= 300
    assert settings.max_epochs <= 60 or (settings.max_epochs - 1) * steps < 300
    assert settings.alpha_lr == pytest.approx(0.3 * min(1.0, steps / 8))
    assert settings.early_learning == pytest.approx(PRESETS["default"].early_learning * min(1.0, steps / 8))
    given = resolve("default", {"batch_size": batch_size, "max_epochs": 7, "alpha_lr": 0.2}, n_samples)
    assert (given.max_epochs, given.alpha_lr) == (7, 0.2)


@pytest.mark.parametrize("kind", [int, np.uint8, np.int16, np.int64])
def test_counts_of_any_kind_are_the_same(kind):
    given = {"max_epochs": kind(7), "batch_size": kind(32)}
    assert resolve("default", given, 1000) == resolve("default", {"max_epochs": 7, "batch_size": 32}, 1000)
    assert type(resolve("default", given, 1000).batch_size) is int


@pytest.mark.parametrize("name", ["max_epochs", "batch_size"])
@pytest.mark.parametrize("value", [True, np.bool_(True), 0, 2.5, "3"])
def test_what_is_no_count_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*, expected an integer of at least 1"):
        resolve("default", {name: value}, 1000)


def test_small_sets_have_more_epochs_unless_they_are_given():
    assert resolve("default", {}, 64 * 5).max_epochs == 60
    assert resolve("default", {}, 64 * 3).max_epochs == 100
    assert resolve("default", {"max_epochs": 60}, 64 * 3).max_epochs == 60
    assert resolve("paper", {}, 64).max_epochs == PRESETS["paper"].max_epochs


@given(st.integers(320, 22_400))
def test_60_epochs_of_few_steps_stay_60(n_samples):
    assert resolve("default", {}, n_samples).max_epochs == 60


@given(st.integers(2, 10**8), st.integers(1, 1024))
def test_epochs_are_as_many_as_make_the_steps_but_for_the_least(n_samples, batch_size):
    epochs, steps = epochs_and_steps(n_samples, batch_size)
    assert epochs >= 6
    assert epochs * steps >= min(60 * steps, 21_000)  # never fewer steps than the bound allows
    assert epochs * steps <= 21_000 or epochs == 6 or (epochs - 1) * steps < 21_000  # nor an epoch too many


@given(st.integers(2, 10**7), st.integers(0, 10**7), st.integers(1, 1024))
def test_more_samples_never_get_an_epoch_fewer_in_steps(n_samples, n_more, batch_size):
    """Only whole epochs are trained: what rounding up to one has added may be lost with the next sample."""
    (epochs, steps), (later_epochs, later_steps) = (
        epochs_and_steps(n, batch_size) for n in (n_samples, n_samples + n_more)
    )
    assert later_epochs <= epochs
    assert later_epochs * later_steps > (epochs - 1) * steps


def test_large_sets_have_fewer_epochs_unless_they_are_given():
    assert [resolve("default", {}, n).max_epochs for n in (50_000, 200_000, 1_000_000)] == [27, 7, 6]
    assert resolve("default", {"max_epochs": 60}, 1_000_000).max_epochs == 60
    assert resolve("paper", {}, 1_000_000).max_epochs == PRESETS["paper"].max_epochs
