"""Training samples that lie on disk: decoded at every visit.

Legend: N images, M images of a block, S their side in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from acestimator.datasets.image_folder import ImageFolder
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import Samples

_CHUNK = 64  # images that are decoded at one go where all are read in order


class FolderSamples(Samples):
    """Training samples in a folder: training crops of it at every visit, and evaluation crops at the end.

    Parameters
    ----------
    folder : ImageFolder
        Its seed is that of the training crops.
    index : ndarray of int64, shape (N,)
        The images meant.
    preprocessing : Preprocessing
        That standardises.
    """

    dtype = torch.float32

    def __init__(self, folder: ImageFolder, index: np.ndarray, preprocessing: Preprocessing) -> None:
        self.folder, self.index, self.preprocessing = folder, index, preprocessing
        self.shape = folder.shape

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Training crops of the epoch, augmented."""
        self.preprocessing.begin_epoch(epoch, n_epochs)
        batches = (self.index[block.cpu().numpy()] for block in blocks)
        for crops in self.folder.stream(batches, epoch):
            yield self.preprocessing.training(self._move(crops))

    def evaluation(self) -> Iterator[Tensor]:
        """Evaluation crops."""
        starts = range(0, len(self.index), _CHUNK)
        for crops in self.folder.stream(self.index[start : start + _CHUNK] for start in starts):
            yield self.preprocessing.evaluation(self._move(crops))

    def subset(self, keep: Tensor) -> FolderSamples:
        """Those at the positions ``keep``."""
        return FolderSamples(self.folder, self.index[keep.cpu().numpy()], self.preprocessing)

    def _move(self, crops: Tensor) -> Tensor:
        device = self.preprocessing.device
        if device.type == "cuda":
            return crops.pin_memory().to(device, non_blocking=True)
        return crops.to(device)
