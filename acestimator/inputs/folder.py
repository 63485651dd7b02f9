"""Images that lie on disk, in the places of an array: decoded when they are asked for.

Legend: N images, M images of a block, S their side in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acestimator.datasets.image_folder import ImageFolder
from acestimator.inputs.samples import Samples, Views

_CHUNK = 64  # images that are decoded at one go where all are read in order


class FolderImages:
    """What the estimators ask of an array of images, of a folder: its shape, a part of it, or an index into it.

    Parameters
    ----------
    folder : ImageFolder
    index : ndarray of int64, shape (N,), optional
        The images meant; all by default.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, folder: ImageFolder, index: np.ndarray | None = None) -> None:
        self.folder = folder
        self.index = np.arange(len(folder)) if index is None else index
        self.shape = (len(self.index), *folder.shape)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: np.ndarray) -> FolderImages:
        """Those at these positions."""
        return FolderImages(self.folder, self.index[part])

    def read(self, part: Any) -> np.ndarray:
        """Evaluation views, (n, 3, S, S)."""
        return self.folder.read(self.index[part]).numpy()

    def __repr__(self) -> str:
        return f"images of {self.folder!r}, {self.folder.digest(self.index)}"

    def seeded(self, seed: int) -> FolderImages:
        """The same, with training views of that seed."""
        return FolderImages(self.folder.seeded(seed), self.index)

    def some(self, n_images: int) -> np.ndarray:
        """Positions of so many images, evenly spaced; of all, if there are fewer."""
        return np.unique(np.linspace(0, len(self) - 1, min(n_images, len(self))).round().astype(np.int64))


class FolderSamples(Samples):
    """Training samples in a folder: training views of it at every visit, and evaluation views at the end.

    Parameters
    ----------
    images : FolderImages
    views : Views
        That standardise.
    """

    dtype = torch.float32

    def __init__(self, images: FolderImages, views: Views) -> None:
        self.images, self.views = images, views
        self.shape = images.shape[1:]

    def training(self, epoch: int, n_epochs: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Training views of the epoch, augmented."""
        self.views.begin_epoch(epoch, n_epochs)
        wanted = (self.images.index[block.cpu().numpy()] for block in blocks)
        for views in self.images.folder.stream(wanted, epoch):
            yield self.views.training(self._move(views))

    def evaluation(self) -> Iterator[Tensor]:
        """Evaluation views."""
        starts = range(0, len(self.images), _CHUNK)
        for views in self.images.folder.stream(self.images.index[start : start + _CHUNK] for start in starts):
            yield self.views.evaluation(self._move(views))

    def subset(self, keep: Tensor) -> FolderSamples:
        """Those at the positions ``keep``."""
        return FolderSamples(self.images[keep.cpu().numpy()], self.views)

    def _move(self, views: Tensor) -> Tensor:
        device = self.views.device
        if device.type == "cuda":
            return views.pin_memory().to(device, non_blocking=True)
        return views.to(device)
