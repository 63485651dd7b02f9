"""Checks of single numbers, and their errors. Nothing of the package is imported here."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any


def check_count(name: str, value: Any, at_least: int = 0) -> int:
    """``value``, or ValueError if it is no integer of at least so much."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least {at_least}.")
    return int(value)


def check_rate(name: str, value: float) -> float:
    """``value``, or ValueError if it is no finite number >= 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value!r}, expected a finite number >= 0.")
    return value


def check_share(name: str, value: float) -> float:
    """``value``, or ValueError if it is no number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}, expected a number from 0 to 1.")
    return value
