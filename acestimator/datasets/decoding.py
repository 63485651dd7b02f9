"""Many images at once, and those of them that cannot be decoded.

Legend: n images, S the crops' side in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from acestimator.datasets._crops import read_image

if TYPE_CHECKING:
    from PIL.Image import Image

Broken = dict[int, Exception]  # by position, with the reason as its text; FileNotFoundError of a file that is gone

_ADDRESS = re.compile(r" <_io\..*>$")  # of the open file, in Pillow's messages
_SKIP = "on_error='skip'"


def read_crops(paths: Sequence[Path], size: int, crop: Callable[[Image, int], np.ndarray]) -> tuple[np.ndarray, Broken]:
    """Decode images, and take a crop of each.

    Parameters
    ----------
    paths : sequence of Path, n of them
    size : int
        S.
    crop : callable
        Takes an image and its position among the paths, and gives an ndarray of uint8, shape (3, S, S).

    Returns
    -------
    crops : ndarray of uint8, shape (n, 3, S, S)
        Zeros where an image cannot be decoded.
    broken : dict of int to Exception
        Positions of those, and why.

    Raises
    ------
    ImportError
        If Pillow is missing.
    """
    crops = np.zeros((len(paths), 3, size, size), dtype=np.uint8)
    broken: Broken = {}
    for i, path in enumerate(paths):
        try:
            crops[i] = crop(read_image(path), i)
        except FileNotFoundError as error:
            broken[i] = FileNotFoundError(error.strerror)
        except OSError as error:
            broken[i] = ValueError(error.strerror or str(error))
        except ValueError as error:
            broken[i] = ValueError(_ADDRESS.sub("", str(error.__cause__ or error)))
    return crops, broken


def failure(broken: Mapping[Path, Exception]) -> Exception:
    """What to raise for broken images: an error that names all of them.

    Parameters
    ----------
    broken : dict of Path to Exception
        As of :func:`read_crops`.

    Returns
    -------
    FileNotFoundError or ValueError
        The first if all of these files are gone.
    """
    named = [f"{path} cannot be decoded ({error})" for path, error in broken.items()]
    if len(named) == 1:
        text = f"{named[0]}: replace it by an image of 8 bits a channel, delete it, or pass over it with {_SKIP}."
    else:
        all_named = "\n".join(named)
        text = (
            f"{len(named)} images cannot be decoded: replace them by images of 8 bits a channel, delete them, or pass "
            f"over them with {_SKIP}:\n{all_named}"
        )
    gone = all(isinstance(error, FileNotFoundError) for error in broken.values())
    return (FileNotFoundError if gone else ValueError)(text)


def listed(skipped: Sequence[tuple[Path, str]], most: int) -> str:
    """Images that were left out, one a line, and how many more there are."""
    lines = [f"{path} ({reason})" for path, reason in skipped[:most]]
    return "\n".join(lines + [f"and {len(skipped) - most} more"] * (len(skipped) > most))
