"""Training samples that lie on disk: decoded at every visit.

Legend: N images, M images of a block, S their side in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from acestimator.datasets.image_folder import ImageFolder
from acestimator.inputs.preprocessing import Views
from acestimator.inputs.samples import Samples

_CHUNK = 64  # images that are decoded at one go where all are read in order


class FolderSamples(Samples):
    """Training samples in a folder: training views of it at every visit, and evaluation views at the end.

    Parameters
    ----------
    folder : ImageFolder
        Its seed is that of the training views.
    index : ndarray of int64, shape (N,)
        The images meant.
    views : Views
        That standardise.
    """

    dtype = torch.float32

    def __init__(self, folder: ImageFolder, index: np.ndarray, views: Views) -> None:
        self.folder, self.index, self.views = folder, index, views
        self.shape = folder.shape

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Training views of the epoch, augmented."""
        self.views.begin_epoch(epoch, n_epochs)
        batches = (self.index[block.cpu().numpy()] for block in blocks)
        for views in self.folder.stream(batches, epoch):
            yield self.views.training(self._move(views))

    def evaluation(self) -> Iterator[Tensor]:
        """Evaluation views."""
        starts = range(0, len(self.index), _CHUNK)
        for views in self.folder.stream(self.index[start : start + _CHUNK] for start in starts):
            yield self.views.evaluation(self._move(views))

    def subset(self, keep: Tensor) -> FolderSamples:
        """Those at the positions ``keep``."""
        return FolderSamples(self.folder, self.index[keep.cpu().numpy()], self.views)

    def _move(self, views: Tensor) -> Tensor:
        device = self.views.device
        if device.type == "cuda":
            return views.pin_memory().to(device, non_blocking=True)
        return views.to(device)
