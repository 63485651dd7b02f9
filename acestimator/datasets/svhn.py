"""Street View House Numbers, cropped digits.

Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.datasets._checks import Split, check_labels, existing

_CURE = (
    "SVHN's train_32x32.mat, test_32x32.mat and extra_32x32.mat (format 2) are at "
    "http://ufldl.stanford.edu/housenumbers."
)


def load_svhn(root: str | Path, extra: bool = True) -> Split:
    """Read the cropped digits of SVHN from their MATLAB files.

    Memory holds one file's images at a time beside those that are returned, 1.9 GB with the extra ones.

    Parameters
    ----------
    root : str or Path
        Folder of ``train_32x32.mat``, ``test_32x32.mat`` and, for ``extra``, ``extra_32x32.mat``.
    extra : bool, default=True
        Append the 531,131 extra images to the 73,257 of the training set.

    Returns
    -------
    X_train : ndarray of uint8, shape (604388, 3, 32, 32), or (73257, 3, 32, 32)
    y_train : ndarray of int64, shape (604388,) or (73257,)
        Digits: 0 is what the files call 10.
    X_test : ndarray of uint8, shape (26032, 3, 32, 32)
    y_test : ndarray of int64, shape (26032,)

    Raises
    ------
    FileNotFoundError
        If a file is missing: which, and where it is to be had.
    ValueError
        If a file is damaged.
    """
    parts = ["train", "extra"] if extra else ["train"]
    paths = [existing(Path(root) / f"{part}_32x32.mat", _CURE) for part in [*parts, "test"]]
    return *_read(paths[:-1]), *_read(paths[-1:])


def _read(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,) of several files, one after another."""
    ends = np.cumsum([_n_images(path) for path in paths])
    X, y = np.empty((ends[-1], 3, 32, 32), dtype=np.uint8), np.empty(ends[-1], dtype=np.int64)
    for path, X_part, y_part in zip(paths, np.split(X, ends[:-1]), np.split(y, ends[:-1]), strict=True):
        _fill(path, X_part, y_part)
    return X, y


def _fill(path: Path, X: np.ndarray, y: np.ndarray) -> None:
    """Read one file into X and y. A function of its own, so that its images are gone before the next ones are read."""
    from scipy.io import loadmat

    content = _of_matlab(loadmat, path, variable_names=["X", "y"])
    images, labels = content["X"], check_labels(content["y"].ravel(), range(1, 11), str(path), _CURE)
    if len(labels) != len(y) or images.dtype != np.uint8:
        raise ValueError(
            f"{path} has {len(y)} images of dtype {images.dtype} and {len(labels)} labels, expected uint8 and as many. "
            f"{_CURE}"
        )
    X[:] = images.transpose(3, 2, 0, 1)  # (H, W, C, N)
    y[:] = labels % 10


def _n_images(path: Path) -> int:
    """Number of images, by the file's header."""
    from scipy.io import whosmat

    shapes = {name: shape for name, shape, _ in _of_matlab(whosmat, path)}
    shape = shapes.get("X", ())
    if "y" not in shapes or len(shape) != 4 or shape[:3] != (32, 32, 3):
        raise ValueError(f"{path} holds arrays of the shapes {shapes}, expected X (32, 32, 3, N) and y (N, 1). {_CURE}")
    return int(shape[3])


def _of_matlab(function: Any, path: Path, **keywords: Any) -> Any:
    try:
        return function(path, **keywords)
    except Exception as error:  # whatever damaged bytes happen to mean
        raise ValueError(f"{path} is damaged, or no MATLAB file ({error}). {_CURE}") from error
