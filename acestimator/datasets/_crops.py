"""Images of any size, as uint8 arrays of one size: what networks for ImageNet are shown.

Legend: H and W pixels; boxes are (left, upper, right, lower).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from acestimator.datasets._checks import check_regular

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]

_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)  # width to height
_TRIALS = 10
_STRIP = 16  # times the shorter side: what lies outside as much of the middle is cut off before the rest is resized


def read_image(path: Path) -> Image:
    """Decode an image of 8 bits a channel as RGB, as it is stored: a camera's note on its orientation is not followed.

    Raises
    ------
    ImportError
        If Pillow is missing.
    OSError
        If there is no such file.
    ValueError
        If it cannot be decoded, has more pixels than Pillow allows, or is no regular file, as a named pipe is none.
    """
    try:
        import PIL.Image
    except ImportError as error:
        raise ImportError("images are decoded by Pillow, which is missing: pip install pillow.") from error
    check_regular(path)
    with path.open("rb") as file:
        try:
            image: Image = PIL.Image.open(file)
            if image.mode[0] in "IF":
                raise ValueError(f"it has more than 8 bits a channel, mode {image.mode}")
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # to RGB at once, Pillow warns of a palette with transparent colours
            return image.convert("RGB")
        except Exception as error:  # whatever damaged bytes make a decoder raise
            raise ValueError(
                f"{path} cannot be decoded ({error}): replace it by an image of 8 bits a channel, or delete it."
            ) from error


def evaluation_crop(image: Image, size: int, resize: int) -> np.ndarray:
    """Shorter side to ``resize``, then the central square.

    Returns
    -------
    ndarray of uint8, shape (3, size, size)
    """
    from PIL.Image import Resampling

    shorter = min(image.size)
    if max(image.size) > _STRIP * shorter:  # resized as a whole, a line of a million pixels would be gigabytes
        left, upper = (max(0, side - _STRIP * shorter) // 2 for side in image.size)
        image = image.crop((left, upper, image.width - left, image.height - upper))
    width, height = (round(side * resize / shorter) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Resampling.BILINEAR)
    left, upper = (width - size) // 2, (height - size) // 2
    return _channels_first(image.crop((left, upper, left + size, upper + size)))


def training_crop(image: Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random part of the image, resized, and flipped left to right half of the time.

    Returns
    -------
    ndarray of uint8, shape (3, size, size)
    """
    from PIL.Image import Resampling

    draws = rng.random((_TRIALS, 4))
    flip = rng.random() < 0.5
    box = random_box(*image.size, draws)
    # Cut out first: resize(box=...) would mix in pixels from beyond the box
    crop = _channels_first(image.crop(box).resize((size, size), Resampling.BILINEAR))
    return crop[:, :, ::-1] if flip else crop


def random_box(width: int, height: int, draws: np.ndarray) -> Box:
    r"""Part of an image that covers 8 to 100 % of it, of a ratio of width to height between 3/4 and 4/3.

    C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6. The area is even on its range, and so is
    the logarithm of the ratio, which makes upright and lying boxes alike; the place is even too. The first trial whose
    box fits is taken; if none does, the largest central box of a ratio in the range.

    Parameters
    ----------
    width, height : int
        Of the image.
    draws : ndarray of shape (trials, 4)
        Even on [0, 1): area, ratio, and place from the left and from above.

    Returns
    -------
    tuple of int
        Left, upper, right and lower: columns from left to right - 1, rows from upper to lower - 1.
    """
    area, log_ratio, x, y = draws.T
    area = width * height * (_AREA[0] + (_AREA[1] - _AREA[0]) * area)
    ratio = np.exp(math.log(_RATIO[0]) + (math.log(_RATIO[1]) - math.log(_RATIO[0])) * log_ratio)
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = np.flatnonzero((widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height))
    if len(fits):
        i = fits[0]
        w, h = int(widths[i]), int(heights[i])
        left, upper = int(x[i] * (width - w + 1)), int(y[i] * (height - h + 1))
    else:
        w, h = min(width, round(height * _RATIO[1])), min(height, round(width / _RATIO[0]))
        left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def _channels_first(image: Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1)
