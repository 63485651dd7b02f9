"""The time of a table, where it is kept: in two records, of which one counts while the other is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from acestimator.alpha.storage import Spec, Storage

TIME_SPECS = {
    "times": Spec((2, 4), torch.int64, by_row=False, on_host=True),  # in each record: clock, oldest, n_rows, live
    "paths": Spec((2,), torch.float64, by_row=False, on_host=True),
    "turn": Spec((1,), torch.int64, by_row=False, on_host=True),  # grows by one a record; even: the first one counts
}


class Time(NamedTuple):
    """All of a table's time."""

    clock: int  # steps taken
    oldest: int  # no row has an older mark
    n_rows: int  # in use
    live: int  # which of the two live products of the window counts
    path: float  # length of a penalty's

    def is_possible(self, capacity: int) -> bool:
        """Whether a table with room for so many rows may have this time."""
        known = 0 <= self.oldest <= self.clock and 0 <= self.n_rows <= capacity
        return known and self.live in (0, 1) and 0 <= self.path < math.inf


class Clock:
    """Reads and writes the time that lies among arrays."""

    def __init__(self, arrays: Storage | Mapping[str, Tensor]) -> None:
        # Numpy's views: writing a number to a tensor takes ten times as long.
        self._times, self._paths, self._turns = (arrays[name].numpy() for name in TIME_SPECS)
        self._turn = int(self._turns[0])

    def read(self) -> Time:
        """The record that counts."""
        record = self._turn & 1
        clock, oldest, n_rows, live = map(int, self._times[record])
        return Time(clock, oldest, n_rows, live, float(self._paths[record]))

    def write(self, clock: int, oldest: int, n_rows: int, live: int, path: float) -> None:
        """Make this time the one that counts, by one store of eight bytes: a kill leaves one or the other."""
        self._turn += 1
        self._times[self._turn & 1] = clock, oldest, n_rows, live
        self._paths[self._turn & 1] = path
        self._turns[0] = self._turn
