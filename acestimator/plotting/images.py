"""Samples as pictures.

Legend: M samples, D features, H and W pixels.
"""

from __future__ import annotations

import numpy as np


def as_images(samples: np.ndarray, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Samples as matplotlib shows them.

    Parameters
    ----------
    samples : ndarray of shape (M, D), (M, H, W), (M, H, W, 3) or (M, C, H, W)
        C is 1 or 3.
    image_shape : tuple of int, optional
        Shape of the pictures that flattened samples are of.

    Returns
    -------
    ndarray of shape (M, H, W) or (M, H, W, 3)
        Colours are uint8, or from 0 to 1. Rows of a table (M, D) stay what they are.

    Raises
    ------
    ValueError
        If a sample has not as many numbers as such a picture, or is neither a row nor a picture, or C is another.
    """
    if image_shape is not None:
        if int(np.prod(samples.shape[1:])) != int(np.prod(image_shape)):
            raise ValueError(
                f"one sample has shape {samples.shape[1:]}, which is no image of shape {image_shape}: give the height "
                "and width that its numbers fill."
            )
        return samples.reshape(len(samples), *image_shape)
    if samples.ndim in (2, 3):
        return samples
    if samples.ndim != 4:
        raise ValueError(f"samples have shape {samples.shape}, expected rows of a table (M, D) or images (M, C, H, W).")
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.shape[1] != 3:
        raise ValueError(f"images have {samples.shape[1]} channels, expected 1 or 3 to be shown: choose some of them.")
    colored = samples.transpose(0, 2, 3, 1)
    if colored.dtype == np.uint8 or not colored.size:
        return colored
    low, high = colored.min(), colored.max()  # any scale, brought to the 0 to 1 that pictures have
    return (colored - low) / (high - low or 1.0)
