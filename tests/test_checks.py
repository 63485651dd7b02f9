"""Checks of single numbers."""

import math

import numpy as np
import pytest
import torch

from acestimator.checks import check_count, check_integer, check_rate, check_share

INTEGERS = [3, np.int8(3), np.uint16(3), np.int32(3), np.int64(3), np.uint64(3)]
NUMBERS = [0.5, np.float16(0.5), np.float32(0.5), np.float64(0.5), torch.tensor(0.5)]


@pytest.mark.parametrize("value", INTEGERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("check", [check_count, check_integer])
def test_integers_of_any_kind_are_pythons(check, value):
    assert check("it", value) == 3
    assert type(check("it", value)) is int


@pytest.mark.parametrize("value", [*NUMBERS, np.array(0.5)], ids=lambda value: type(value).__name__)
def test_rates_of_any_kind_are_pythons(value):
    assert check_rate("it", value) == 0.5
    assert type(check_rate("it", value)) is float
    assert [check_rate("it", integer) for integer in INTEGERS] == [3.0] * len(INTEGERS)


@pytest.mark.parametrize("value", [True, np.bool_(True), 3.0, np.float64(3.0), "3", None, torch.tensor(3)])
def test_what_is_no_integer(value):
    with pytest.raises(ValueError, match=r"it is .*, expected an integer"):
        check_integer("it", value)
    with pytest.raises(ValueError, match=r"it is .*, expected an integer of at least 0"):
        check_count("it", value)


def test_counts_have_a_least_one():
    assert check_integer("it", -2) == -2
    with pytest.raises(ValueError, match="it is 1, expected an integer of at least 2"):
        check_count("it", 1, at_least=2)


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), "0.5", None, [0.5], np.ones(2), math.nan, math.inf, -0.1, np.float32(-1), 1j]
)
def test_what_is_no_rate(value):
    with pytest.raises(ValueError, match=r"it is .*, expected a finite number >= 0"):
        check_rate("it", value)


def test_shares_are_from_0_to_1():
    assert [check_share("it", value) for value in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"it is .*, expected a number from 0 to 1"):
            check_share("it", value)
