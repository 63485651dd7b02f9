"""CIFAR-10 and CIFAR-100, in their version for Python.

Legend: N samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from acestimator.datasets._checks import Split, check_labels, existing
from acestimator.datasets._pickles import read_pickle

_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SHAPE = (3, 32, 32)


def load_cifar10(root: str | Path) -> Split:
    """Read CIFAR-10 from its batches.

    Parameters
    ----------
    root : str or Path
        The folder ``cifar-10-batches-py``, of ``data_batch_1`` to ``data_batch_5`` and ``test_batch``, or the one that
        it lies in.

    Returns
    -------
    X_train : ndarray of uint8, shape (50000, 3, 32, 32)
        In the order of the batches. Batches of other lengths are read as they are.
    y_train : ndarray of int64, shape (50000,)
    X_test : ndarray of uint8, shape (10000, 3, 32, 32)
    y_test : ndarray of int64, shape (10000,)

    Raises
    ------
    FileNotFoundError
        If a file is missing: which, and where it is to be had.
    ValueError
        If a file is damaged, or asks for more than arrays, strings and containers: for what. None of it is run.
    """
    folder = _folder(root, "cifar-10-batches-py")
    cure = f"CIFAR-10 is at {_PAGE}; unpack cifar-10-python.tar.gz and give the folder cifar-10-batches-py."
    train = [_read(folder / f"data_batch_{i}", "labels", 10, cure) for i in range(1, 6)]
    images, labels = zip(*train, strict=True)
    test_images, test_labels = _read(folder / "test_batch", "labels", 10, cure)
    return np.concatenate(images), np.concatenate(labels), test_images.copy(), test_labels


def load_cifar100(root: str | Path, label: Literal["fine", "coarse"] = "fine") -> Split:
    """Read CIFAR-100 from its two files.

    Parameters
    ----------
    root : str or Path
        The folder ``cifar-100-python``, of ``train`` and ``test``, or the one that it lies in.
    label : {"fine", "coarse"}, default="fine"
        The 100 classes, or their 20 superclasses.

    Returns
    -------
    X_train : ndarray of uint8, shape (50000, 3, 32, 32)
    y_train : ndarray of int64, shape (50000,)
    X_test : ndarray of uint8, shape (10000, 3, 32, 32)
    y_test : ndarray of int64, shape (10000,)

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_cifar10`, or if ``label`` is something else.
    """
    n_classes = {"fine": 100, "coarse": 20}.get(label)
    if n_classes is None:
        raise ValueError(f"label is {label!r}, expected 'fine' or 'coarse'.")
    folder = _folder(root, "cifar-100-python")
    cure = f"CIFAR-100 is at {_PAGE}; unpack cifar-100-python.tar.gz and give the folder cifar-100-python."
    (X_train, y_train), (X_test, y_test) = (
        _read(folder / part, f"{label}_labels", n_classes, cure) for part in ("train", "test")
    )
    return X_train.copy(), y_train, X_test.copy(), y_test


def load_cifar_names(root: str | Path) -> list[str]:
    """Read the names of the categories, of CIFAR-10 or of CIFAR-100's fine labels, in the order of the labels.

    Parameters
    ----------
    root : str or Path
        As for :func:`load_cifar10` or :func:`load_cifar100`; with the file ``batches.meta`` or ``meta``.

    Raises
    ------
    FileNotFoundError, ValueError
        As for :func:`load_cifar10`.
    """
    places = (_folder(root, "cifar-10-batches-py") / "batches.meta", _folder(root, "cifar-100-python") / "meta")
    path = next((path for path in places if path.exists()), places[0])
    cure = f"The names of CIFAR's categories lie beside its batches, in batches.meta or meta; it is at {_PAGE}."
    with existing(path, cure).open("rb") as file:
        content = read_pickle(file, path, cure)
    names = content.get("label_names", content.get("fine_label_names"))
    if not (isinstance(names, list) and all(isinstance(name, str | bytes) for name in names)):
        raise ValueError(f"{path} holds {', '.join(map(repr, content))}, expected a list of names in it. {cure}")
    return [name.decode() if isinstance(name, bytes) else name for name in names]


def _folder(root: str | Path, name: str) -> Path:
    inner = Path(root) / name
    return inner if inner.is_dir() else Path(root)


def _read(path: Path, key: str, n_classes: int, cure: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32), a view that cannot be written to, and labels (N,)."""
    with existing(path, cure).open("rb") as file:
        batch = read_pickle(file, path, cure)
    missing = [name for name in ("data", key) if name not in batch]
    if missing:
        raise ValueError(
            f"{path} holds {', '.join(map(repr, batch))}, and lacks {', '.join(map(repr, missing))}. {cure}"
        )
    pixels, labels = batch["data"], check_labels(batch[key], range(n_classes), str(path), cure)
    shape, dtype = np.shape(pixels), getattr(pixels, "dtype", type(pixels).__name__)
    expected = (len(labels), 3 * 32 * 32)
    if shape != expected or dtype != np.uint8:
        raise ValueError(
            f"{path} has images of shape {shape} and dtype {dtype} and {len(labels)} labels, expected {expected} and "
            f"uint8. {cure}"
        )
    return pixels.reshape(len(labels), *_SHAPE), labels
