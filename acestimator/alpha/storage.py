"""Where the arrays behind :class:`acestimator.AlphaTable` lie: on a device, or in the host's memory.

Legend: N rows, C rows that there is room for.
"""

from __future__ import annotations

import math
import mmap
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_HUGE = 1 << 26  # bytes from which an array is worth huge pages
_NOTHING = nullcontext()
SPARE = 1.25  # room that a growing table takes, over what it needs


@dataclass(frozen=True)
class Spec:
    """Shape and type of an array.

    ``by_row``: the shape is that of one row's entry, and there are N of them. ``on_host``: on the CPU wherever the rest
    lies.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    by_row: bool = True
    on_host: bool = False

    def full_shape(self, capacity: int) -> tuple[int, ...]:
        """Shape with room for so many rows."""
        return (capacity, *self.shape) if self.by_row else self.shape

    def nbytes(self, capacity: int) -> int:
        """Bytes with room for so many rows."""
        return math.prod(self.full_shape(capacity)) * self.dtype.itemsize


class Storage:
    """Named arrays of zeros in memory, some with a row per sample.

    Parameters
    ----------
    specs : dict of str to Spec
    n_rows : int
    device : torch.device
    pinned : bool
        In the host's page-locked memory, from where a GPU copies while it computes.
    """

    file: Path | None = None  # where they lie in one
    at_once: float = math.inf  # rows that may be written at one go

    def __init__(self, specs: dict[str, Spec], n_rows: int, device: torch.device, pinned: bool = False) -> None:
        self.specs, self.device, self.pinned = specs, device, pinned
        self.n_rows = self.capacity = n_rows
        self._full = self._allocate(n_rows)

    def __getitem__(self, name: str) -> Tensor:
        """An array, cut to the rows in use."""
        array = self._full[name]
        return array[: self.n_rows] if self.specs[name].by_row else array

    def grow(self, n_rows: int) -> None:
        """Append rows of zeros. If there is no room for them, nothing changes."""
        if n_rows > self.capacity:
            self.capacity = max(n_rows, int(self.capacity * SPARE))
            old, self._full = self._full, self._allocate(self.capacity)
            for name, spec in self.specs.items():
                self[name].copy_(old[name][: self.n_rows] if spec.by_row else old[name])
        self.n_rows = n_rows

    # What only a file needs, which outlives a process that is killed

    def writing(self, at: Tensor | slice) -> AbstractContextManager[None]:
        """While these rows are written, until the clock has turned: what ends in between leaves them as they were."""
        return _NOTHING

    def rewriting(self) -> AbstractContextManager[None]:
        """While all of the table is written: what ends in between leaves no table."""
        return _NOTHING

    def touch(self) -> None:
        """Say that something will be written."""

    def sync(self) -> None:
        """Write to disk what is in a file."""

    def release(self) -> None:
        """Let others open the file."""

    def describe(self, config: dict[str, Any]) -> None:
        """Keep the table's hyperparameters with the arrays, where that is a file."""

    def _allocate(self, capacity: int) -> dict[str, Tensor]:
        host = torch.device("cpu")
        return {
            name: _zeros(spec.full_shape(capacity), spec.dtype, host if spec.on_host else self.device, self.pinned)
            for name, spec in self.specs.items()
        }


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, pinned: bool) -> Tensor:
    """Zeros that take no memory before they are written to; in huge pages where that may pay.

    Rows lie far apart. In pages of 4 KiB most looks at a row of a large table miss the processor's address cache.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or pinned or nbytes < _HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape, dtype=dtype, device=device, pin_memory=pinned)
    memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def to_numpy(array: Tensor) -> np.ndarray:
    """The same memory as an array; numpy has no bfloat16."""
    return (array.view(torch.int16) if array.dtype == torch.bfloat16 else array).numpy()
