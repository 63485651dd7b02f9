"""Rows of a file as they were before they are written: what is put back after a kill in the middle.

Legend: J rows that are kept at most.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.storage import Spec, to_numpy

JOURNAL = 1 << 22  # bytes
_NAMES = ("alpha", "velocity", "classes", "marks")  # what a step writes of a row


def journal_specs(specs: dict[str, Spec], capacity: int, n_bytes: int) -> dict[str, Spec]:
    """Arrays of a journal of so many bytes, for the rows of these arrays."""
    rows = {name: specs[name] for name in _NAMES if name in specs}
    size = max(1, min(capacity, n_bytes // (8 + sum(spec.nbytes(1) for spec in rows.values()))))  # J
    return {
        "kept at": Spec((size,), torch.int64, by_row=False),
        "kept turn": Spec((2,), torch.int64, by_row=False),  # the turn of the clock, and the number of rows
        **{f"kept {name}": Spec((size, *spec.shape), spec.dtype, by_row=False) for name, spec in rows.items()},
    }


class Journal:
    """Keeps rows until the clock's next turn.

    Parameters
    ----------
    arrays : dict of str to Tensor
        Of the table, the clock and the journal.
    """

    def __init__(self, arrays: dict[str, Tensor]) -> None:
        numpys = {name: to_numpy(array) for name, array in arrays.items()}
        self._pairs = [(numpys[name], numpys[f"kept {name}"]) for name in _NAMES if name in arrays]
        self._at, self._kept, self._turns = numpys["kept at"], numpys["kept turn"], numpys["turn"]

    @property
    def capacity(self) -> int:
        """J."""
        return len(self._at)

    def keep(self, at: Tensor | slice) -> None:
        """Keep at most J rows: if the clock does not turn any more, :meth:`put_back` writes them."""
        rows = np.arange(at.start, at.stop) if isinstance(at, slice) else at.numpy()
        for array, kept in self._pairs:
            array.take(rows, axis=0, out=kept[: len(rows)], mode="clip")  # the mode that needs no buffer
        self._at[: len(rows)] = rows
        self._kept[1] = len(rows)
        self._kept[0] = self._turns[0]

    def put_back(self) -> None:
        """Write the rows that were kept, if they were being written when the process ended."""
        if self._kept[0] != self._turns[0]:  # the clock has turned: they are whole
            return
        rows = self._at[: self._kept[1]]
        for array, kept in self._pairs:
            array[rows] = kept[: len(rows)]
        self.forget()

    def forget(self) -> None:
        """Keep no rows: the clock has no such turn."""
        self._kept[0] = -1
