"""Where data sets come from, and how they are cut into training and test rows.

Legend: N rows, D features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from acestimator.comparison.tasks import Split

TEST_ROWS = 5000  # at most


class MissingError(OSError):
    """A file of a data set is not there."""


@dataclass(frozen=True)
class Sources:
    """Folders.

    Parameters
    ----------
    data : Path, optional
        Has ``tables/``, ``text/`` and the ``.npz`` files.
    cache : Path
        For what takes minutes to make.
    """

    data: Path | None
    cache: Path

    def find(self, name: str) -> Path:
        """Path of a file in the data folder.

        Raises
        ------
        MissingError
            If it is not there, or no folder was given.
        """
        if self.data is None:
            raise MissingError(f"{name} is read from disk: give the folder that has it with --data.")
        path = self.data / name
        if not path.exists():
            raise MissingError(f"{name} is not in the folder of --data.")
        return path


def draw(y: np.ndarray, seed: int, n_train: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of training and test rows, stratified; at most 70 % are for training.

    Parameters
    ----------
    y : ndarray of shape (N,)
    seed : int
    n_train : int
        Training rows, at most.

    Returns
    -------
    train, test : ndarray of int64
        There are at most ``TEST_ROWS`` of the latter.
    """
    n_train = min(n_train, round(0.7 * len(y)))
    n_test = min(TEST_ROWS, len(y) - n_train)
    places = np.arange(len(y))
    train, test = train_test_split(places, train_size=n_train, test_size=n_test, random_state=seed, stratify=y)
    return train, test


def cut(X: np.ndarray, y: np.ndarray, seed: int, n_train: int) -> Split:
    """A set in two parts, as :func:`draw` says."""
    train, test = draw(y, seed, n_train)
    return Split(X[train], y[train], X[test], y[test])


def single(data: Split) -> Split:
    """The same vectors in single precision."""
    return data._replace(X_train=data.X_train.astype(np.float32), X_test=data.X_test.astype(np.float32))
