"""Samples in an array that lies in a file: read block by block, standardised at every visit, never copied as a whole.

Legend: N samples, M samples of a block.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from acestimator.folds import row_keys
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import Samples
from acestimator.inputs.standardize import chunks, is_large, standardize


def stays_in_its_file(X: Any) -> bool:
    """Whether X is an array of numbers that is mapped from a file, and too large to be looked at at one go."""
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "buif" or X.dtype.itemsize > 8 or not is_large(X):
        return False
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


class Selection:
    """Some samples of an array, of which nothing is copied before it is asked for.

    Parameters
    ----------
    X : ndarray of shape (N', ...)
    index : ndarray of int64, shape (N,), optional
        Positions of the samples; all by default.
    """

    def __init__(self, X: np.ndarray, index: np.ndarray | None = None) -> None:
        self._X, self._index = X, index
        self.shape = X.shape if index is None else (len(index), *X.shape[1:])
        self.ndim, self.dtype = X.ndim, X.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice | np.ndarray) -> np.ndarray:
        return self._X[part] if self._index is None else self._X[self._index[part]]

    def subset(self, keep: np.ndarray) -> Selection:
        """Those at the positions ``keep`` among these."""
        return Selection(self._X, keep if self._index is None else self._index[keep])


class MappedSamples(Samples):
    """Training samples that stay in their file.

    Parameters
    ----------
    selection : Selection
    scaler : StandardScaler or None
        Statistics to standardise with on the host, unless the preprocessing does that on the device.
    dtype : torch.dtype
        Of the numbers that the network sees.
    preprocessing : Preprocessing
    """

    def __init__(
        self, selection: Selection, scaler: StandardScaler | None, dtype: torch.dtype, preprocessing: Preprocessing
    ) -> None:
        self.selection, self.scaler, self.dtype, self.preprocessing = selection, scaler, dtype, preprocessing
        self.shape = selection.shape[1:]

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Augmented, if there is an augmentation, with the draws of this epoch."""
        self.preprocessing.begin_epoch(epoch, n_epochs)
        for block in blocks:
            yield self.preprocessing.training(self._read(block.cpu().numpy()))

    def evaluation(self) -> Iterator[Tensor]:
        """All samples, a bounded number at a time."""
        for part in chunks(self.selection):
            yield self.preprocessing.evaluation(self._read(part))

    def subset(self, keep: Tensor) -> MappedSamples:
        """Those at the positions ``keep``, which stay where they are."""
        selection = self.selection.subset(keep.cpu().numpy())
        return MappedSamples(selection, self.scaler, self.dtype, self.preprocessing)

    def keys(self) -> Tensor:
        """Those of the numbers of each sample."""
        parts = [row_keys(self._read(part)) for part in chunks(self.selection)]
        return torch.cat(parts).to(self.preprocessing.device)

    def _read(self, part: slice | np.ndarray) -> Tensor:
        """Samples at these positions, on the device."""
        values = self.selection[part]
        if self.preprocessing.standardization is None:
            rows = standardize(values, self.scaler, self.dtype)
        else:
            rows = torch.from_numpy(np.array(values))  # torch takes no array that must not be written to
        return rows.to(self.preprocessing.device)
