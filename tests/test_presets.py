"""What parameters left at None stand for, and which values are counts."""

import numpy as np
import pytest

from acestimator.presets import PRESETS, resolve


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
