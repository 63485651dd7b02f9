"""The baseline's flip, padding and crop, and Cutout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from acestimator.augment import _operations, _pixels
from acestimator.augment._base import Augmentation, Fill
from acestimator.checks import check_count


class Moves(NamedTuple):
    """What :class:`Baseline` draws for B images."""

    flipped: np.ndarray  # (B,), bool
    offsets: np.ndarray  # (B, 2), int64: where the crop begins in the padded image


class Baseline(Augmentation):
    """Flip from left to right with probability 1/2, pad on all sides, and crop back at a uniform offset.

    Parameters
    ----------
    padding : int, default=4
        Pixels on each side.
    flip : bool, default=True
        Whether to flip; not for digits.
    fill, random_state
        See :class:`Augmentation`.

    Raises
    ------
    ValueError
        If the padding is negative.
    """

    def __init__(
        self,
        padding: int = 4,
        flip: bool = True,
        *,
        fill: Fill | None = None,
        random_state: int | torch.Generator | None = None,
    ) -> None:
        super().__init__(fill=fill, random_state=random_state)
        self.padding = check_count("padding", padding)
        self.flip = flip

    def _draw(self, n: int, height: int, width: int) -> Moves:
        draw = self._rand(n, 3)
        return Moves((draw[:, 0] < 0.5) & self.flip, (draw[:, 1:] * (2 * self.padding + 1)).astype(np.int64))

    def _apply(self, images: Tensor, decisions: Moves) -> Tensor:
        height, width = images.shape[2:]
        rows = np.arange(height) + decisions.offsets[:, :1] - self.padding  # (B, H)
        columns = np.arange(width) + decisions.offsets[:, 1:] - self.padding  # (B, W)
        columns = np.where(decisions.flipped[:, None], width - 1 - columns, columns)
        arrays = [self._fill_for(images.shape[1]), columns[:, None], rows[:, :, None]]
        fill, source_x, source_y = _operations.send(arrays, images.device)
        return _pixels.fetch(images, source_x, source_y, fill)

    def _arguments(self) -> list[str]:
        return [f"padding={self.padding}", f"flip={self.flip}"]


class Cutout(Augmentation):
    """Paint a square whose centre is uniform over the image, clipped at the border.

    Parameters
    ----------
    size : int, default=16
        Side in pixels: 16 for CIFAR-10, 8 for CIFAR-100, 20 for SVHN in the source.
    fill, random_state
        See :class:`Augmentation`.

    Raises
    ------
    ValueError
        If the size is not positive.

    References
    ----------
    DeVries and Taylor, Improved regularization of convolutional neural networks with Cutout, 2017.
    """

    def __init__(
        self, size: int = 16, *, fill: Fill | None = None, random_state: int | torch.Generator | None = None
    ) -> None:
        super().__init__(fill=fill, random_state=random_state)
        self.size = check_count("size", size, 1)

    def _draw(self, n: int, height: int, width: int) -> np.ndarray:
        return _operations.boxes(self._rand(n, 2), self.size, (height, width))

    def _apply(self, images: Tensor, decisions: np.ndarray) -> Tensor:
        fill, boxes = _operations.send([self._fill_for(images.shape[1]), decisions], images.device)
        return _pixels.cut(images, boxes, fill)

    def _arguments(self) -> list[str]:
        return [f"size={self.size}"]
