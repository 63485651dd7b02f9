"""Values on their way from where they are stored to where the network is, and back.

Legend: N rows, B of them, W width of a stored row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.motion import Values
from acestimator.alpha.rounding import stochastic_round
from acestimator.alpha.storage import Storage, to_numpy

STEP, SWEEP, FLUSH = range(3)  # what a row is written for: each has random bits of its own
_LONG = 32  # elements of a row from which numpy writes rows faster than torch


class Transfer:
    """Fetches rows and writes them back.

    Parameters
    ----------
    own : Hyperparameters
    storage : Storage
    device : torch.device
        Where the network is.
    """

    def __init__(self, own: Hyperparameters, storage: Storage, device: torch.device) -> None:
        self.storage, self.device = storage, device
        self.local = storage.device == device
        self.rounds = own.storage_dtype != own.compute_dtype
        self._compute_dtype = own.compute_dtype
        self._generator = torch.Generator(storage.device)
        self._memory: dict[str, Tensor] = {}
        self.bind()

    def bind(self) -> None:
        """Take the arrays from the storage."""
        arrays, specs = self.storage, self.storage.specs
        self.alpha = arrays["alpha"]  # (N, W)
        self.velocity = arrays["velocity"] if "velocity" in specs else None  # (N, W)
        self.classes = arrays["classes"] if "classes" in specs else None  # (N, W) classes
        self.marks = arrays["marks"] if "marks" in specs else None  # (N,) time that a row was moved to

    def values(self, at: Tensor | slice, reuse: bool = False) -> Values:
        """Rows as they are stored, of the network's device and type; ``reuse``: until the next such call."""
        alpha = self.fetch(self.alpha, at, "alpha" if reuse else None)
        velocity = None
        if self.velocity is not None:
            velocity = self.fetch(self.velocity, at, "velocity" if reuse else None)
        if self.rounds:
            alpha = alpha.to(self._compute_dtype)
            velocity = None if velocity is None else velocity.to(self._compute_dtype)
        return Values(alpha, velocity)

    def classes_of(self, at: Tensor | slice) -> Tensor | None:
        """Classes (B, W) of rows, where they are stored."""
        return None if self.classes is None else self.fetch(self.classes, at).long()

    def marks_of(self, at: Tensor | slice) -> Tensor:
        """Marks (B,) of rows, where the table is: the products that they ask for lie there."""
        assert self.marks is not None
        return self.marks[at] if isinstance(at, slice) else self.marks.index_select(0, at)

    def fetch(self, array: Tensor, at: Tensor | slice, memory: str | None = None) -> Tensor:
        """(B, W) on the network's device; in memory of that name, where the table lies there too."""
        if isinstance(at, slice):
            staged = array[at]
        elif self.local:
            out = None if memory is None else self.memory_for(memory, array, at.shape[0])
            return torch.index_select(array, 0, at, out=out)
        elif self.storage.pinned:  # so that the copy to the GPU need not wait for the host
            staged = torch.empty(len(at), *array.shape[1:], dtype=array.dtype, pin_memory=True)
            torch.index_select(array, 0, at, out=staged)
        else:
            staged = array.index_select(0, at)
        return staged.to(self.device, non_blocking=True)

    def memory_for(self, name: str, like: Tensor, n_rows: int) -> Tensor:
        """Memory (n_rows, W), until it is asked for again: new memory takes longer to zero than to copy to."""
        memory = self._memory.get(name)
        if memory is None or memory.shape[0] < n_rows:
            with torch.inference_mode(False):  # it will be written to outside, too
                memory = self._memory[name] = like.new_empty(n_rows, like.shape[1])
        return memory[:n_rows]

    def memory_for_gradients(self, n_rows: int, n_classes: int) -> Tensor:
        """Memory (n_rows, n_classes) on the network's device, until it is asked for again."""
        like = torch.empty(0, n_classes, dtype=self._compute_dtype, device=self.device)
        return self.memory_for("gradients", like, n_rows)

    def write(
        self,
        at: Tensor | slice,
        moved: Values,
        classes: Tensor | None,
        mark: float | Tensor,
        seed: int,
        commit: Callable[[], None],
    ) -> None:
        """Write rows back, of the time ``mark``: one, or one a row. No row twice.

        ``classes`` are None where they have not changed; ``seed`` is that of the rounding. After each of the parts that
        can be written at one go, ``commit`` makes the clock turn.
        """
        if self.rounds:
            self._generator.manual_seed(seed)
        written = [(self.alpha, self._stored(moved.alpha))]
        if self.velocity is not None and moved.velocity is not None:
            written.append((self.velocity, self._stored(moved.velocity)))
        if self.classes is not None and classes is not None:
            written.append((self.classes, classes.to(self.classes.device, self.classes.dtype)))
        if self.marks is not None and isinstance(mark, Tensor):
            written.append((self.marks, mark.to(self.marks.device, self.marks.dtype)))
        for part, here in self._parts(at, moved.alpha.shape[0]):
            with self.storage.writing(here):
                for array, values in written:
                    _write(array, here, values if part is None else values[part])
                if self.marks is not None and not isinstance(mark, Tensor):
                    self.marks[here] = mark
                commit()

    def add(self, at: Tensor, values: Tensor, factor: float, commit: Callable[[], None]) -> None:
        """Add ``factor * values`` (B, W) to constants; a row that stands twice takes both."""
        for part, here in self._parts(at, at.shape[0]):
            with self.storage.writing(here):
                self.alpha.index_add_(0, here, values if part is None else values[part], alpha=factor)
                commit()

    def _stored(self, values: Tensor) -> Tensor:
        """Values (B, W) as they are stored, and where."""
        if not self.local:
            values = values.to(self.storage.device)
        return stochastic_round(values, self.alpha.dtype, self._generator) if self.rounds else values

    def _parts(self, at: Tensor | slice, n_rows: int) -> list[tuple[slice | None, Any]]:
        """Parts that can be written at one go, and the rows that they are; None for all."""
        if n_rows <= self.storage.at_once:
            return [(None, at)]
        parts = slices(n_rows, int(self.storage.at_once))
        if isinstance(at, slice):
            return [(part, slice(at.start + part.start, at.start + part.stop)) for part in parts]
        return [(part, at[part]) for part in parts]


def slices(n_rows: int, size: int) -> Iterator[slice]:
    """Parts of at most so many rows."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def _write(array: Tensor, at: Tensor | slice, values: Tensor) -> None:
    if isinstance(at, slice):
        array[at] = values
    elif array.device.type == "cpu" and array[0:1].numel() >= _LONG:  # numpy copies a row in one piece
        to_numpy(array)[at.numpy()] = to_numpy(values)
    else:
        array.index_copy_(0, at, values)
