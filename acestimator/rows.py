"""Rows of a sparse matrix as torch takes them, block by block.

Torch's own sparse tensors are in beta, warn, and cannot be split by rows; what a layer needs is three vectors.

Legend: M rows, D columns, E numbers that are stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Some rows (M, D).

    Parameters
    ----------
    columns : Tensor of int64, shape (E,)
        Of each number that is stored, row by row.
    values : Tensor, shape (E,)
    starts : Tensor of int64, shape (M + 1,)
        Row i has the numbers from ``starts[i]`` to before ``starts[i + 1]``.
    n_columns : int
        D.
    """

    columns: Tensor
    values: Tensor
    starts: Tensor
    n_columns: int

    @classmethod
    def of(cls, matrix: Any) -> SparseRows:
        """Rows of a CSR matrix of scipy, of index arrays of any width."""
        # Copies, for torch warns of arrays that must not be written to, as those of joblib's processes.
        columns, starts = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indices, matrix.indptr))
        return cls(columns, torch.from_numpy(matrix.data), starts, matrix.shape[1])

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, part: slice) -> SparseRows:
        start, stop, _ = part.indices(len(self))
        return self.split([start, stop - start, len(self) - stop])[1]

    def split(self, sizes: Sequence[int]) -> list[SparseRows]:
        """Parts of so many rows, one after the other; they share memory with these."""
        firsts = list(itertools.accumulate(sizes, initial=0))  # rows
        ends = self.starts[firsts].tolist()  # numbers
        return [
            SparseRows(
                self.columns[start:stop], self.values[start:stop], self.starts[i : j + 1] - start, self.n_columns
            )
            for (i, j), (start, stop) in zip(itertools.pairwise(firsts), itertools.pairwise(ends), strict=True)
        ]

    def to(self, device: torch.device) -> SparseRows:
        """The same on a device."""
        return SparseRows(self.columns.to(device), self.values.to(device), self.starts.to(device), self.n_columns)

    def dense(self) -> Tensor:
        """All numbers, (M, D)."""
        result = self.values.new_zeros(len(self), self.n_columns)
        rows = torch.repeat_interleave(torch.arange(len(self), device=self.starts.device), self.starts.diff())
        return result.index_put_((rows, self.columns), self.values, accumulate=True)


Rows = Tensor | SparseRows


def split_rows(rows: Rows, sizes: int | Sequence[int]) -> Sequence[Any]:
    """Split rows of either kind into parts of these sizes, or all of one size but for the last."""
    if isinstance(rows, Tensor):
        return torch.split(rows, sizes if isinstance(sizes, int) else list(sizes))
    if isinstance(sizes, int):
        sizes = [min(sizes, len(rows) - start) for start in range(0, len(rows), sizes)]
    return rows.split(sizes)


def numbers_of_a_row(rows: Rows) -> int:
    """Numbers that a network takes of one row: all, or of sparse ones as many as are stored on average; at least 1."""
    if isinstance(rows, Tensor):
        return max(1, rows[0].numel())
    return max(1, -(-len(rows.values) // max(1, len(rows))))
