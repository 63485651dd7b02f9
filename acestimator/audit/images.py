"""Images of a folder in one array, and those that cannot be read.

Legend: N images, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from acestimator.datasets._crops import evaluation_crop, read_image
from acestimator.datasets.decoding import read_crops

_LARGEST = 64  # pixels: what small_resnet learns in minutes without a GPU
_TRIED = 50  # images whose size is looked at


def read_images(paths: Sequence[Path], side: int | None = None) -> tuple[np.ndarray, dict[int, str]]:
    """Decode images: the shorter side is resized to S, and the central square taken.

    Parameters
    ----------
    paths : sequence of Path, N of them
    side : int, optional
        S; by default the usual shorter side, and 64 at most.

    Returns
    -------
    X : ndarray of uint8, shape (N, 3, S, S)
        Zeros where an image cannot be read.
    broken : dict of int to str
        Positions of those, and why.

    Raises
    ------
    ImportError
        If Pillow is missing.
    ValueError
        If none can be read.
    """
    side = _usual_side(paths) if side is None else side
    X, errors = read_crops(paths, side, lambda image, _: evaluation_crop(image, side, side))
    broken = {i: str(error).removesuffix(".") for i, error in errors.items()}  # parts of sentences
    if len(broken) == len(paths):
        raise ValueError(f"none of the {len(paths)} images can be read; the first: {broken[0]}.")
    return X, broken


def _usual_side(paths: Sequence[Path]) -> int:
    sides = []
    for i in np.unique(np.linspace(0, len(paths) - 1, _TRIED).astype(int)).tolist():
        try:
            sides.append(min(read_image(paths[i]).size))
        except (OSError, ValueError):
            continue
    return min(_LARGEST, int(np.median(sides))) if sides else _LARGEST
