"""Checks that the readers share."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X_train, y_train, X_test, y_test


def existing(path: Path, cure: str) -> Path:
    """Return the path, if a file is there.

    Raises
    ------
    FileNotFoundError
        If not; the message ends with the cure.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {cure}")
    return path


def check_regular(path: Path) -> None:
    """Raise ValueError if this is no regular file: to read a named pipe or a device may never end.

    Raises
    ------
    OSError
        If there is none.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((kind for is_it, kind in _KINDS if is_it(mode)), "something else")
        raise ValueError(f"{path} is {kind}, expected a regular file: give one, or delete it.")


_KINDS = [
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
]


def check_labels(labels: Any, classes: range, name: str, cure: str) -> np.ndarray:
    """Return labels (N,) as int64, if they are integers of that range.

    Raises
    ------
    ValueError
        If not; the message ends with the cure.
    """
    try:
        array = np.asarray(labels)
    except ValueError:  # nested lists of several lengths
        array = np.asarray(None)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has labels of shape {array.shape} and dtype {array.dtype}, expected integers (N,). {cure}"
        )
    outside = (array < classes.start) | (array >= classes.stop)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(
            f"{name} has {outside.sum()} labels out of range, the first {array[at]} at {at}: expected "
            f"{classes.start}..{classes.stop - 1}. {cure}"
        )
    return array.astype(np.int64)
