"""Rows on their way from where they are stored to where the network is, and back.

Legend: N rows, B of them, W width of a stored row.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.motion import Rows
from acestimator.alpha.rounding import stochastic_round
from acestimator.alpha.storage import Storage

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
        self._scratch: dict[str, Tensor] = {}
        self.bind()

    def bind(self) -> None:
        """Take the arrays from the storage."""
        arrays, specs = self.storage, self.storage.specs
        self.alpha = arrays["alpha"]  # (N, W)
        self.velocity = arrays["velocity"] if "velocity" in specs else None  # (N, W)
        self.place = arrays["place"] if "place" in specs else None  # (N, W) classes
        self.mark = arrays["mark"] if "mark" in specs else None  # (N,) time that a row was moved to

    def rows(self, at: Tensor | slice, use_scratch: bool = False) -> Rows:
        """Rows as they are stored, of the network's device and type; ``use_scratch``: until the next such call."""
        alpha = self.fetch(self.alpha, at, "alpha" if use_scratch else None)
        velocity = None
        if self.velocity is not None:
            velocity = self.fetch(self.velocity, at, "velocity" if use_scratch else None)
        if self.rounds:
            alpha = alpha.to(self._compute_dtype)
            velocity = None if velocity is None else velocity.to(self._compute_dtype)
        return Rows(alpha, velocity)

    def places(self, at: Tensor | slice) -> Tensor | None:
        """Classes (B, W) of rows, where they are stored."""
        return None if self.place is None else self.fetch(self.place, at).long()

    def fetch(self, array: Tensor, at: Tensor | slice, scratch: str | None = None) -> Tensor:
        """(B, W) on the network's device."""
        if isinstance(at, slice):
            staged = array[at]
        elif self.local:
            scratched = None if scratch is None else self.scratch_for(scratch, array, at.shape[0])
            return torch.index_select(array, 0, at, out=scratched)
        elif self.storage.pinned:  # so that the copy to the GPU need not wait for the host
            staged = torch.empty(len(at), array.shape[1], dtype=array.dtype, pin_memory=True)
            torch.index_select(array, 0, at, out=staged)
        else:
            staged = array.index_select(0, at)
        return staged.to(self.device, non_blocking=True)

    def scratch_for(self, name: str, like: Tensor, n_rows: int) -> Tensor:
        """Memory for (n_rows, W): of a new megabyte the zeroing of its pages takes longer than a copy."""
        scratch = self._scratch.get(name)
        if scratch is None or scratch.shape[0] < n_rows:
            with torch.inference_mode(False):  # it will be written to outside, too
                scratch = self._scratch[name] = like.new_empty(n_rows, like.shape[1])
        return scratch[:n_rows]

    def write(self, at: Tensor | slice, rows: Rows, place: Tensor | None, mark: float | Tensor, seed: int) -> None:
        """Write rows back, of the time ``mark``: one, or one a row. No row twice.

        ``place`` is None where it has not changed; ``seed`` is that of the rounding.
        """
        device = self.storage.device
        if isinstance(at, Tensor) and not self.local:
            at = at.to(device)
        if self.rounds:
            self._generator.manual_seed(seed)
        for array, values in ((self.alpha, rows.alpha), (self.velocity, rows.velocity)):
            if array is not None and values is not None:
                values = values if self.local else values.to(device)
                if self.rounds:
                    values = stochastic_round(values, array.dtype, self._generator)
                _write(array, at, values)
        if self.place is not None and place is not None:
            _write(self.place, at, place.to(device, self.place.dtype))
        if self.mark is not None:
            self.mark[at] = mark.to(device, self.mark.dtype) if isinstance(mark, Tensor) else mark


def _write(array: Tensor, at: Tensor | slice, values: Tensor) -> None:
    if isinstance(at, slice):
        array[at] = values
    elif array.device.type == "cpu" and array[0:1].numel() >= _LONG:  # numpy copies a row in one piece
        _to_numpy(array)[at.numpy()] = _to_numpy(values)
    else:
        array.index_copy_(0, at, values)


def _to_numpy(array: Tensor) -> np.ndarray:
    """The same memory as an array; numpy has no bfloat16."""
    return (array.view(torch.int16) if array.dtype == torch.bfloat16 else array).numpy()
