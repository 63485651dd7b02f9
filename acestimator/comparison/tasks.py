"""Data sets and labelling processes to compare methods on.

Legend: N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
from sklearn.model_selection import train_test_split

from acestimator import noise
from acestimator.datasets import load_fashion_mnist

TABLES = ("digits", "breast_cancer", "wine", "iris")
_FASHION_MNIST = "fashion_mnist_"


class NotPossibleError(ValueError):
    """A cell that the data cannot have: two classes cannot spare one. Asking again would not help."""


@dataclass(frozen=True)
class Task:
    """A training set whose labels are partly wrong, and a test set.

    Parameters
    ----------
    X_train : ndarray of shape (N, D)
    observed : ndarray of int64, shape (N,)
    is_wrong : ndarray of bool, shape (N,), or None
        None where nobody knows.
    X_test : ndarray of shape (M, D)
    y_test : ndarray of int64, shape (M,)
    """

    X_train: np.ndarray
    observed: np.ndarray
    is_wrong: np.ndarray | None
    X_test: np.ndarray
    y_test: np.ndarray


Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X_train, y_train, X_test, y_test


def load(name: str, seed: int, folder: str | Path | None = None) -> Split:
    """Load a data set and split it; labels are 0..K-1.

    Parameters
    ----------
    name : {"digits", "breast_cancer", "wine", "iris"} or "fashion_mnist_N"
        N images of Fashion-MNIST's training set, drawn by the seed; the test set is the published one.
    seed : int
        Of the split: 30 % for testing, stratified.
    folder : str or Path, optional
        Of Fashion-MNIST's files.

    Returns
    -------
    tuple of ndarray
        X_train, y_train, X_test, y_test.

    Raises
    ------
    ValueError
        If there is no such data set, or its folder is not given.
    """
    size = name.removeprefix(_FASHION_MNIST)
    if size != name and size.isdecimal():
        return _fashion_mnist(int(size), seed, folder)
    if name not in TABLES:
        raise ValueError(
            f"data set is {name!r}, expected {', '.join(map(repr, TABLES))}, or '{_FASHION_MNIST}' and a number."
        )
    X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return split(X, y, seed)


def _fashion_mnist(n_samples: int, seed: int, folder: str | Path | None) -> Split:
    if folder is None:
        raise ValueError("Fashion-MNIST is read from disk: give the folder of its files with --data.")
    X_train, y_train, X_test, y_test = load_fashion_mnist(folder)
    if not 0 < n_samples <= len(X_train):
        raise ValueError(f"Fashion-MNIST has {len(X_train)} training images, and {n_samples} are asked for.")
    chosen = np.random.RandomState(seed).permutation(len(X_train))[:n_samples]
    train, test = (X.reshape(len(X), -1).astype(np.float32) for X in (X_train[chosen], X_test))
    return train, y_train[chosen], test, y_test


def split(X: np.ndarray, y: np.ndarray, seed: int) -> Split:
    """70 % of the samples for training, 30 % for testing, stratified."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    return X_train, y_train, X_test, y_test


def make_task(data: Split, process: str, seed: int) -> Task:
    """Corrupt the training labels of a data set.

    Parameters
    ----------
    data : tuple of ndarray
        X_train, y_train, X_test, y_test, the labels 0..K-1.
    process : str
        The name of a process and its rate in percent: "symmetric_20", see ``PROCESSES``. "none" leaves the labels,
        which are right; "given" leaves them, and nobody knows which are wrong.
    seed : int
        Of the corruption.

    Returns
    -------
    Task

    Raises
    ------
    NotPossibleError
        If K is too small for the process.
    ValueError
        If there is no such process.
    """
    kind, percent = parse(process)
    X_train, y_train, X_test, y_test = data
    if kind == "given":
        return Task(X_train, y_train, None, X_test, y_test)
    if kind == "none":
        return Task(X_train, y_train, np.zeros(len(y_train), dtype=bool), X_test, y_test)
    return PROCESSES[kind](data, percent / 100, seed)


def parse(process: str) -> tuple[str, int]:
    """Kind and rate in percent of a process.

    Raises
    ------
    ValueError
        If there is no such process.
    """
    if process in UNCHANGED:
        return process, 0
    kind, _, percent = process.rpartition("_")
    if kind not in PROCESSES or not (percent.isascii() and percent.isdigit() and 0 < int(percent) < 100):
        raise ValueError(
            f"process is {process!r}, expected {' or '.join(map(repr, UNCHANGED))}, or one of {', '.join(PROCESSES)} "
            "with its rate, a whole number of percent from 1 to 99, such as 'symmetric_20'."
        )
    return kind, int(percent)


def _with_matrix(make: Callable[[Split, float, int], np.ndarray]) -> Callable[[Split, float, int], Task]:
    def process(data: Split, rate: float, seed: int) -> Task:
        X_train, y_train, X_test, y_test = data
        observed = noise.corrupt(y_train, make(data, rate, seed), random_state=seed)
        return Task(X_train, observed, observed != y_train, X_test, y_test)

    return process


def _outside(data: Split, rate: float, seed: int) -> Task:
    """Samples of held-out classes, the last ones, make up a share ``rate`` of the training set, labelled at random."""
    X_train, y_train, X_test, y_test = data
    n_classes = _n_classes(data)
    rng = np.random.RandomState(seed)
    for n_kept in range(n_classes - 1, 1, -1):
        inside = np.flatnonzero(y_train < n_kept)
        outside = rng.permutation(np.flatnonzero(y_train >= n_kept))
        n_wanted = max(1, round(len(inside) * rate / (1 - rate)))
        if len(outside) >= n_wanted:
            break
    else:
        raise NotPossibleError(f"there are {n_classes} classes, too few to hold out {rate:.0%} of the training set.")
    chosen = np.sort(np.concatenate([inside, outside[:n_wanted]]))
    y = np.minimum(y_train[chosen], n_kept)
    observed = noise.corrupt(y, noise.outside(n_kept), random_state=rng)
    tested = y_test < n_kept
    return Task(X_train[chosen], observed, y == n_kept, X_test[tested], y_test[tested])


def _n_classes(data: Split) -> int:
    return int(data[1].max()) + 1


UNCHANGED = ("none", "given")
PROCESSES: dict[str, Callable[[Split, float, int], Task]] = {
    "symmetric": _with_matrix(lambda data, rate, seed: noise.symmetric(_n_classes(data), rate)),
    "pair": _with_matrix(lambda data, rate, seed: noise.pair_flip(_n_classes(data), rate)),
    "class": _with_matrix(lambda data, rate, seed: noise.class_dependent(_n_classes(data), rate, seed)),
    "instance": _with_matrix(lambda data, rate, seed: noise.instance_dependent(data[0], data[1], rate, seed)),
    "outside": _outside,
}
