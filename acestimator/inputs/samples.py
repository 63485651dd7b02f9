"""Training samples as the loop takes them: block by block, as the network sees them.

Legend: N samples, M samples of a block, C channels, H and W pixels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from acestimator.folds import row_keys
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.rows import Rows

_CHUNK_ELEMENTS = 1 << 22  # of images that are standardised at one go


class Samples(ABC):
    """A training set.

    Attributes
    ----------
    shape : tuple of int
        Of one sample as the network sees it.
    dtype : torch.dtype
        Of the numbers that the network sees.
    sparse : bool
        Whether the network is given sparse rows.
    preprocessing : Preprocessing
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    sparse: bool = False
    preprocessing: Preprocessing

    @property
    def numel(self) -> int:
        """Numbers of one sample as the network sees it."""
        return math.prod(self.shape)

    @abstractmethod
    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Rows]:
        """Samples to train on, (M, ...), for each of an epoch's blocks of positions (M,)."""

    @abstractmethod
    def evaluation(self) -> Iterator[Rows]:
        """All samples in order, as they are at prediction, a number of them at a time."""

    @abstractmethod
    def subset(self, keep: Tensor) -> Samples:
        """Those at the positions ``keep`` (N',)."""

    def density(self) -> float:
        """Share of the numbers that are not zero; one where nobody has counted."""
        return 1.0

    def keys(self) -> Tensor | None:
        """Number of each sample, int64 (N,), the same for equal ones; None where no two are looked for."""
        return None


class TensorSamples(Samples):
    """Samples in one tensor.

    Parameters
    ----------
    features : Tensor, shape (N, ...)
        On the device of the training, or pinned on the host. Standardised, unless the preprocessing does that; of dtype
        uint8 if it augments.
    preprocessing : Preprocessing
    """

    def __init__(self, features: Tensor, preprocessing: Preprocessing) -> None:
        self.features, self.preprocessing = features, preprocessing
        self.shape = tuple(features.shape[1:])
        self.dtype = features.dtype if preprocessing.standardization is None else torch.float32

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Augmented, if there is an augmentation, with the draws of this epoch."""
        self.preprocessing.begin_epoch(epoch, n_epochs)
        for block in blocks:
            yield self.preprocessing.training(_gather(self.features, block))

    def evaluation(self) -> Iterator[Tensor]:
        """All at once, or chunks of what has to be standardised first."""
        if self.preprocessing.standardization is None:
            yield self.features
            return
        n_at_once = max(1, _CHUNK_ELEMENTS // max(1, self.features[0].numel()))
        for chunk in torch.split(self.features, n_at_once):
            yield self.preprocessing.evaluation(chunk.to(self.preprocessing.device))

    def subset(self, keep: Tensor) -> TensorSamples:
        """Those at the positions ``keep``, where all of them lie."""
        return TensorSamples(self.features[keep.to(self.features.device)], self.preprocessing)

    def density(self) -> float:
        """Of vectors."""
        return 1.0 if len(self.shape) > 1 else float(torch.count_nonzero(self.features)) / self.features.numel()

    def keys(self) -> Tensor:
        """Those of the numbers of each sample."""
        return row_keys(self.features).to(self.preprocessing.device)


def _gather(features: Tensor, index: Tensor) -> Tensor:
    """Samples at these positions, where the positions lie."""
    if features.device == index.device:
        return features.index_select(0, index)
    return features.index_select(0, index.to(features.device)).pin_memory().to(index.device, non_blocking=True)
