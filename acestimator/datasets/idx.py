"""Data sets in MNIST's idx format.

Legend: N samples, H and W pixels.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

# Names of the files, and the number of axes of what each holds.
_FILES = (
    *(("train-images-idx3-ubyte", 3), ("train-labels-idx1-ubyte", 1)),
    *(("t10k-images-idx3-ubyte", 3), ("t10k-labels-idx1-ubyte", 1)),
)


def load_fashion_mnist(root: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read Fashion-MNIST, or MNIST, from its four files.

    Parameters
    ----------
    root : str or Path
        Folder of ``train-images-idx3-ubyte`` and the others, with or without ``.gz``.

    Returns
    -------
    X_train : ndarray of uint8, shape (60000, 1, 28, 28)
    y_train : ndarray of int64, shape (60000,)
    X_test : ndarray of uint8, shape (10000, 1, 28, 28)
    y_test : ndarray of int64, shape (10000,)

    Raises
    ------
    FileNotFoundError
        If a file is missing: which, and where it is to be had.
    ValueError
        If a file is damaged.
    """
    X_train, y_train, X_test, y_test = (_read(Path(root), *file) for file in _FILES)
    for images, labels, part in ((X_train, y_train, "training"), (X_test, y_test, "test")):
        if len(images) != len(labels):
            raise ValueError(f"{root} holds {len(images)} {part} images and {len(labels)} labels, expected as many.")
    return X_train[:, None], y_train.astype(np.int64), X_test[:, None], y_test.astype(np.int64)


def _read(root: Path, name: str, n_axes: int) -> np.ndarray:
    found = next((path for path in (root / name, root / f"{name}.gz") if path.exists()), None)
    if found is None:
        raise FileNotFoundError(
            f"{root / name} is missing, with or without .gz: Fashion-MNIST's four files are at "
            "https://github.com/zalandoresearch/fashion-mnist."
        )
    content = found.read_bytes()
    try:
        if found.suffix == ".gz":
            content = gzip.decompress(content)
        # Two zero bytes, the type (8: unsigned byte), the number of axes, and their sizes in big-endian order.
        zeros, kind, n_found, *shape = struct.unpack_from(f">HBB{n_axes}I", content)
    except (struct.error, zlib.error, OSError, EOFError) as error:
        raise ValueError(f"{found} is damaged ({error}): fetch it again.") from error
    n_values = len(content) - 4 - 4 * n_axes
    if (zeros, kind, n_found) != (0, 8, n_axes) or n_values != math.prod(shape):
        raise ValueError(
            f"{found} is damaged: its header says type {kind}, {n_found} axes and the sizes {shape}, and {n_values} "
            f"bytes are there; expected type 8 (unsigned bytes), {n_axes} axes, and a byte for each entry. Fetch it "
            "again."
        )
    # A copy, since what is a view of the bytes cannot be written to.
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes).reshape(shape).copy()
