"""Data sets in MNIST's idx format.

Legend: N samples, H and W pixels.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


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
    X_train, y_train, X_test, y_test = (_read(Path(root), name) for name in _FILES)
    for images, labels, part in ((X_train, y_train, "training"), (X_test, y_test, "test")):
        if len(images) != len(labels):
            raise ValueError(f"{root} holds {len(images)} {part} images and {len(labels)} labels, expected as many.")
    return X_train[:, None], y_train.astype(np.int64), X_test[:, None], y_test.astype(np.int64)


def _read(root: Path, name: str) -> np.ndarray:
    found = next((path for path in (root / name, root / f"{name}.gz") if path.exists()), None)
    if found is None:
        raise FileNotFoundError(
            f"{root / name} is missing, with or without .gz: Fashion-MNIST's four files are at "
            "https://github.com/zalandoresearch/fashion-mnist."
        )
    try:
        content = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
        # Two zero bytes, the type (8: unsigned byte), the number of axes, and their sizes in big-endian order.
        zeros, kind, n_axes = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{n_axes}I", content[4 : 4 + 4 * n_axes])
        values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes)
    except (struct.error, OSError, EOFError, ValueError) as error:
        raise ValueError(f"{found} is damaged ({error}): fetch it again.") from error
    if zeros != 0 or kind != 8 or values.size != np.prod(shape):
        raise ValueError(
            f"{found} is damaged: its header says {shape} bytes of type {kind}, and {values.size} are there, "
            "expected unsigned bytes (type 8) of that shape. Fetch it again."
        )
    return values.reshape(shape)
