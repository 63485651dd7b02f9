"""From samples as they are stored to what the network sees.

Legend: M samples of a block, C channels, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acestimator.inputs.standardize import Standardization


@dataclass(frozen=True)
class Preprocessing:
    """From samples as they are stored to what the network sees.

    Parameters
    ----------
    device : torch.device
        Of the training.
    augment : callable, optional
        An :class:`acestimator.augment.Augmentation`, or any function of uint8 images; needs ``standardization``.
    standardization : Standardization, optional
        On ``device``.
    seed : int
        Of the augmentation.
    channels_last : bool
        Whether images are handed out in that layout.
    """

    device: torch.device
    augment: Any = None
    standardization: Standardization | None = None
    seed: int = 0
    channels_last: bool = False

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Tell the augmentation which epoch it is, if it wants to know."""
        if hasattr(self.augment, "begin_epoch"):
            self.augment.begin_epoch(epoch, n_epochs, self.seed)

    def training(self, samples: Tensor) -> Tensor:
        """Samples on the device, augmented.

        Raises
        ------
        ValueError
            If the augmentation makes something else of them.
        """
        if self.augment is None:
            return self.evaluation(samples)
        augmented = self.augment(samples)
        got = (tuple(augmented.shape), augmented.dtype) if isinstance(augmented, Tensor) else type(augmented).__name__
        if got != (tuple(samples.shape), torch.uint8):
            raise ValueError(
                f"augment made {got} of images of shape {tuple(samples.shape)}, expected uint8 images of that shape: "
                "the network is given all images in one size, and standardises them itself."
            )
        return self.evaluation(augmented)

    def evaluation(self, samples: Tensor) -> Tensor:
        """Samples on the device, as they are at prediction."""
        if self.standardization is not None:
            samples = self.standardization(samples)
        return samples.contiguous(memory_format=torch.channels_last) if self.channels_last else samples
