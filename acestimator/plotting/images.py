"""Samples as pictures.

Legend: M samples, D features, H and W pixels.
"""

from __future__ import annotations

import numpy as np


def as_images(samples: np.ndarray, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Bring samples to (M, H, W), (M, H, W, 3), or leave table rows (M, D)."""
    if image_shape is not None:
        if int(np.prod(samples.shape[1:])) != int(np.prod(image_shape)):
            raise ValueError(f"one sample has shape {samples.shape[1:]}, which is no image of shape {image_shape}.")
        return samples.reshape(len(samples), *image_shape)
    if samples.ndim != 4:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.shape[1] != 3:
        raise ValueError(f"images have {samples.shape[1]} channels, expected 1 or 3 to be shown: choose some of them.")
    colored = samples.transpose(0, 2, 3, 1)
    if colored.dtype == np.uint8:
        return colored
    low, high = colored.min(), colored.max()  # any scale, brought to the 0 to 1 that pictures have
    return (colored - low) / (high - low or 1.0)
