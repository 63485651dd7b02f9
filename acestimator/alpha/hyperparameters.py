"""What :class:`acestimator.AlphaTable` can be told, and the errors for what it cannot.

Legend: N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.ids import has_repeats
from acestimator.checks import check_count, check_integer, check_rate

Variant = Literal["AC1", "AC2"]
Penalty = tuple[str, float]

PENALTIES = ("l2", "l1", "group")
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Hyperparameters:
    """What describes a table and its optimiser, beside its rows. Checked when it is made."""

    n_classes: int
    lr: float
    variant: Variant = "AC1"
    rivals: int | None = None
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    penalty: Penalty | None = None
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        self._set("n_classes", check_count("n_classes", self.n_classes, at_least=1))
        if self.variant not in ("AC1", "AC2"):
            raise ValueError(f"variant is {self.variant!r}, expected 'AC1' or 'AC2'.")
        for name in ("lr", "momentum", "weight_decay"):
            self._set(name, check_rate(name, getattr(self, name)))
        if self.momentum >= 1.0:
            raise ValueError(
                f"momentum is {self.momentum!r}, expected a number from 0 to below 1: from there it grows."
            )
        if not isinstance(self.nesterov, bool | np.bool_):
            raise ValueError(f"nesterov is {self.nesterov!r}, expected True or False.")
        self._set("nesterov", bool(self.nesterov))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum, and momentum is 0.")
        self._set("penalty", check_penalty(self.penalty))
        if self.penalty is not None and self.penalty[1] and (self.momentum or self.weight_decay):
            raise ValueError(
                f"penalty {self.penalty[0]!r} was given with momentum {self.momentum} and weight_decay "
                f"{self.weight_decay}: set both to 0."
            )
        if self.rivals is not None:
            if self.variant != "AC1":
                raise ValueError(f"rivals is {self.rivals!r} with variant 'AC2', which has none: leave it at None.")
            self._set("rivals", check_count("rivals", self.rivals, at_least=1))
            if self.rivals >= self.n_classes:
                raise ValueError(f"rivals is {self.rivals!r}, expected an integer from 1 to {self.n_classes - 1}.")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is torch.{self.dtype}, expected one of torch.{', torch.'.join(DTYPES)}.")
        self._set("seed", check_integer("seed", self.seed))

    def _set(self, name: str, value: Any) -> None:
        """Keep a value as one of Python's own types, which a file can hold."""
        object.__setattr__(self, name, value)

    def largest_gradient(self, lr: float) -> float:
        """Size of a gradient from which a row could overflow in steps of this rate: a 2^-24th of the largest number.

        So many steps of it would, one after the other. The gradient of a cross-entropy has no entry above 1.
        """
        largest = torch.finfo(self.compute_dtype).max
        grows_by = max(lr, 1.0) / (1.0 - self.momentum) if self.momentum else lr  # the velocity must fit, too
        return min(largest, largest * 2.0**-24 / max(grows_by, 2.0**-24))

    @property
    def storage_dtype(self) -> torch.dtype:
        """Of the stored constants."""
        return DTYPES[self.dtype]

    @property
    def compute_dtype(self) -> torch.dtype:
        """Of the rows that the network sees: 16 bits are for storage only."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    @property
    def needs_labels(self) -> bool:
        """Whether a row's place depends on the observed label."""
        return self.variant == "AC2" or self.rivals is not None

    def check_same(self, other: dict[str, Any], what: str) -> None:
        """Raise ValueError if ``other`` describes another table; the rate may differ, and the seed."""
        for name, ours in vars(self).items():
            theirs = other.get(name)
            theirs = tuple(theirs) if isinstance(theirs, list) else theirs
            if name not in ("lr", "seed") and theirs != ours:
                raise ValueError(f"{what} has {name} {theirs!r} and this table {ours!r}: make the table like it.")


def check_penalty(penalty: Penalty | None) -> Penalty | None:
    """``penalty``, or ValueError if it is neither None nor a pair of a known name and a strength."""
    if penalty is None:
        return None
    if not isinstance(penalty, tuple | list) or len(penalty) != 2:
        raise ValueError(f"penalty is {penalty!r}, expected a pair (name, strength) such as ('group', 0.1).")
    name, strength = penalty
    if not isinstance(name, str) or name not in PENALTIES:
        raise ValueError(f"penalty is {name!r}, expected one of {', '.join(map(repr, PENALTIES))}.")
    return name, check_rate(f"the strength of penalty {name!r}", strength)


def announcement(
    at: Tensor, sizes: Sequence[int], rates: Sequence[float], most_steps: float
) -> tuple[list[int], list[float]]:
    """Sizes and rates of steps over the positions (M,), or ValueError if they cannot be announced."""
    sizes = [check_count("a size", size, at_least=1) for size in sizes]
    rates = [check_rate("a rate", rate) for rate in rates]
    if not sizes:
        raise ValueError("sizes is empty, expected that of at least one step: take no steps without announcing them.")
    if sum(sizes) != len(at):
        raise ValueError(f"sizes add up to {sum(sizes)} and index has {len(at)} samples: give a size per step.")
    if len(rates) != len(sizes):
        raise ValueError(f"there are {len(rates)} rates and {len(sizes)} sizes: give one of each per step.")
    if len(sizes) > most_steps:
        raise ValueError(f"{len(sizes)} steps were announced, expected at most {most_steps}: announce fewer at a time.")
    if has_repeats(at):
        raise ValueError("a sample stands twice in index, expected all different: announce fewer steps at a time.")
    return sizes, rates
