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
from sklearn.utils.extmath import row_norms
from torch import Tensor

from acestimator.folds import sparse_row_keys
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import Samples
from acestimator.inputs.standardize import check_variances, overflow
from acestimator.rows import Rows, SparseRows

ONE_OF = 1 / 64  # share of samples in which a feature must be for a batch to have it
_ROUNDING = 1e-5  # of a sum of squares in single precision
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
        return _stored_of_a_row(self.matrix) if self.sparse else self.shape[0]

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

    def density(self) -> float:
        """Share of the numbers that are not zero."""
        return float(np.count_nonzero(self.matrix.data)) / (self.matrix.shape[0] * self.matrix.shape[1])

    def keys(self) -> Tensor:
        """Those of the numbers of each sample, as if the zeros were there."""
        rows = SparseRows.of(self.matrix)
        keys = sparse_row_keys(rows.columns, rows.values, rows.starts, rows.n_columns)
        return keys.to(self.preprocessing.device)

    def _rows(self, part: Any) -> Rows:
        rows = SparseRows.of(part).to(self.preprocessing.device)
        return rows if self.sparse else rows.dense()


def canonical(X: Any) -> Any:
    """The same CSR matrix with index arrays of one type; or a copy in which no number is stored in parts."""
    X = csr_array((X.data, X.indices, X.indptr), shape=X.shape)
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def row_chunks(X: Any, n_numbers: int | None = None) -> Iterator[Any]:
    """Parts of a CSR matrix of a bounded number of rows, each of which is so many numbers, or those stored of it."""
    n_numbers = _stored_of_a_row(X) if n_numbers is None else n_numbers
    step = max(1, min(_CHUNK_ROWS, _CHUNK_ELEMENTS // n_numbers))
    for start in range(0, X.shape[0], step):
        yield X[start : start + step]


def _stored_of_a_row(X: Any) -> int:
    """Numbers that are stored of a row, on average; at least 1."""
    return max(1, -(-X.nnz // max(1, X.shape[0])))


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
    r"""Scale of every feature over the weighted training set, for samples that are not centred.

    With the (weighted) share :math:`f_j` of samples in which feature j is not zero, and its mean square over these
    :math:`q_j`,

    .. math:: s_j = c \sqrt{q_j} \sqrt{1 + \frac{1}{B f_j}}, \qquad B = 64,

    where c makes the mean square of all numbers that are not zero one. So the unit of a feature is of no matter, as
    with the standard deviation. That, however, is :math:`\sqrt{q_j f_j}` of a rare feature: a word of one text alone
    would be a hundred times as large as a common one. Here it is smaller. AdamW divides a weight's gradients by their
    root mean square, and so moves one that has a gradient in every n-th batch alone :math:`\sqrt n` times as far when
    it has one. The last factor evens that for batches of 64.

    Where all rows have the same length, as those of TF-IDF have, their features share a unit, and have been weighed
    against each other: :math:`q_j = 1` then.

    Parameters
    ----------
    X : csr_array or csr_matrix of shape (N, D)
    sample_weight : ndarray of shape (N,), optional

    Returns
    -------
    StandardScaler
        That does not centre; ``scale_`` is s, and one for features that are zero in all samples.

    Raises
    ------
    ValueError
        If a variance overflows float64.
    """
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight / sample_weight.mean()
    scaler = StandardScaler(with_mean=False)
    with np.errstate(over="ignore", invalid="ignore"):
        scaler.fit(X, sample_weight=None if sample_weight is None else weight)
    check_variances(scaler, X.data)
    share, square = np.zeros((2, X.shape[1]))  # of the samples that have it, and mean over all
    for part in row_chunks(X):
        of_rows, weight = np.split(weight, [part.shape[0]])
        of_numbers = np.repeat(of_rows, np.diff(part.indptr)) / X.shape[0]
        share += np.bincount(part.indices, weights=of_numbers * (part.data != 0), minlength=X.shape[1])
        square += np.bincount(
            part.indices, weights=of_numbers * part.data.astype(np.float64) ** 2, minlength=X.shape[1]
        )
    seen = (share > 0) & (square > 0)
    share, square = share[seen], square[seen]
    scaler.scale_ = np.ones(X.shape[1])
    if len(share):
        unit = np.ones(len(share)) if _rows_have_one_length(X, sample_weight) else np.sqrt(square / share)
        scale = unit * np.sqrt(1.0 + ONE_OF / share)
        # The mean square is taken of numbers that are near one, so that it does not overflow.
        scaler.scale_[seen] = scale * np.sqrt((square / scale**2).sum() / share.sum())
    return scaler


def _rows_have_one_length(X: Any, sample_weight: np.ndarray | None) -> bool:
    """Whether the rows that are not empty have the same sum of squares, to rounding in single precision."""
    squares = row_norms(X, squared=True)
    if sample_weight is not None:
        squares = squares[sample_weight > 0]
    squares = squares[squares > 0]
    return len(squares) > 0 and bool(np.ptp(squares) <= _ROUNDING * squares.max())
