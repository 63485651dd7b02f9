"""Training samples that are the rows of a sparse matrix.

Legend: N samples, M samples of a block, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from acestimator.folds import sparse_row_keys
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import Samples
from acestimator.inputs.standardize import overflow
from acestimator.rows import Rows, SparseRows, numbers_of_a_row

_CHUNK_ELEMENTS, _CHUNK_ROWS = 1 << 22, 1 << 16  # that are handed out at one go, at most


class SparseSamples(Samples):
    """Rows of a sparse matrix, handed out as they are, or dense, a block of them at a time.

    Parameters
    ----------
    matrix : csr_array of shape (N, D)
        Of the numbers that the network sees, none of them stored twice.
    preprocessing : Preprocessing
        On whose device they are wanted.
    sparse : bool
        Whether the network takes sparse rows.
    """

    def __init__(self, matrix: Any, preprocessing: Preprocessing, *, sparse: bool) -> None:
        self.matrix, self.preprocessing, self.sparse = matrix, preprocessing, sparse
        self.shape = (matrix.shape[1],)
        self.dtype = torch.from_numpy(matrix.data).dtype

    @property
    def numel(self) -> int:
        """Numbers of one sample that the network is given, on average."""
        return numbers_of_a_row(SparseRows.of(self.matrix)) if self.sparse else self.shape[0]

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Rows]:
        """The blocks' rows."""
        for block in blocks:
            yield self._rows(self.matrix[block.cpu().numpy()])

    def evaluation(self) -> Iterator[Rows]:
        """All rows, a bounded number of numbers at a time."""
        return map(self._rows, row_chunks(self.matrix, self.numel))

    def subset(self, keep: Tensor) -> SparseSamples:
        """Copies of the rows at the positions ``keep``."""
        return SparseSamples(self.matrix[keep.cpu().numpy()], self.preprocessing, sparse=self.sparse)

    def keys(self) -> Tensor:
        """Those of the numbers of each sample, as if the zeros were there."""
        rows = SparseRows.of(self.matrix)
        keys = sparse_row_keys(rows.columns, rows.values, rows.starts, rows.n_columns)
        return keys.to(self.preprocessing.device)

    def _rows(self, part: Any) -> Rows:
        rows = SparseRows.of(part).to(self.preprocessing.device)
        return rows if self.sparse else rows.dense()


def canonical(X: Any) -> Any:
    """The same CSR matrix, or a copy in which no number is stored in parts."""
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def row_chunks(X: Any, n_numbers: int) -> Iterator[Any]:
    """Parts of a CSR matrix of a bounded number of rows, each of which is so many numbers."""
    step = max(1, min(_CHUNK_ROWS, _CHUNK_ELEMENTS // max(1, n_numbers)))
    for start in range(0, X.shape[0], step):
        yield X[start : start + step]


def scaled(X: Any, scaler: StandardScaler | None, dtype: torch.dtype) -> Any:
    """A CSR matrix over the scales of its columns, in another type of numbers.

    Raises
    ------
    ValueError
        If a number overflows it.
    """
    values = torch.empty(len(X.data), dtype=dtype)
    for start in range(0, len(X.data), _CHUNK_ELEMENTS):
        part = slice(start, start + _CHUNK_ELEMENTS)
        numbers = X.data[part].astype(np.float64)
        if scaler is not None:
            numbers /= scaler.scale_[X.indices[part]]
        values[part] = torch.from_numpy(numbers)
        if not torch.isfinite(values[part]).all():
            raise overflow(float(np.abs(X.data[part]).max()), scaler, dtype)
    return csr_array((values.numpy(), X.indices, X.indptr), shape=X.shape)


def fit_sparse_scaler(X: Any, sample_weight: np.ndarray | None) -> StandardScaler:
    """TODO"""
    scaler = StandardScaler(with_mean=False)
    if sample_weight is not None:
        sample_weight = sample_weight / sample_weight.mean()
    scaler.fit(X, sample_weight=sample_weight)
    scaler.scale_ = np.full(X.shape[1], np.sqrt(scaler.var_.mean()))
    return scaler
