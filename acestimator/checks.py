"""Checks of single numbers, and their errors. Nothing of the package is imported here."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def check_count(name: str, value: Any, at_least: int = 0) -> int:
    """``value``, or ValueError if it is no integer of at least so much."""
    if type(value) is int and value >= at_least:  # most are, and an abstract class takes its time
        return value
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {at_least}.")
    return int(value)


def check_rate(name: str, value: Any) -> float:
    """``value``, or ValueError if it is no finite number >= 0."""
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    number = value.item() if getattr(value, "ndim", None) == 0 else value  # of numpy or torch
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not (is_number and 0.0 <= float(number) < math.inf):
        raise ValueError(f"{name} is {value!r}, expected a finite number >= 0.")
    return float(number)


def check_integer(name: str, value: Any) -> int:
    """``value``, or ValueError if it is no integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} is {value!r}, expected an integer.")
    return int(value)


def check_share(name: str, value: float) -> float:
    """``value``, or ValueError if it is no number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}, expected a number from 0 to 1.")
    return value
