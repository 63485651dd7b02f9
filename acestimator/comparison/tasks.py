"""Data sets and labelling processes to compare methods on.

Legend: N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split

from acestimator import noise
from acestimator.datasets import load_cifar10, load_cifar10n, load_fashion_mnist

TABLES = ("digits", "breast_cancer", "wine", "iris")


class NotPossibleError(ValueError):
    """A data set cannot have this process: two classes, say, cannot spare one. Another try would not help."""


@dataclass(frozen=True)
class Task:
    """A training set whose labels are partly wrong, and a test set.

    Parameters
    ----------
    X_train : ndarray of shape (N, D) or (N, C, H, W), or csr_array or csr_matrix of shape (N, D)
    observed : ndarray of int64, shape (N,)
    is_wrong : ndarray of bool, shape (N,), or None
        None where nobody knows.
    X_test : of the same kind, shape (M, ...)
    y_test : ndarray of int64, shape (M,)
    right : ndarray of int64, shape (N,), optional
        The right labels, -1 for samples of no class that there is. None where nobody knows.
    """

    X_train: Any
    observed: np.ndarray
    is_wrong: np.ndarray | None
    X_test: Any
    y_test: np.ndarray
    right: np.ndarray | None = None


class Split(NamedTuple):
    """A data set in two parts, with right labels.

    Parameters
    ----------
    X_train : ndarray of shape (N, D) or (N, C, H, W), or csr_array or csr_matrix of shape (N, D)
    y_train : ndarray of int64, shape (N,)
    X_test : of the same kind, shape (M, ...)
    y_test : ndarray of int64, shape (M,)
    human : dict of str to ndarray of int64, shape (N,), optional
        Labels that people gave to the training samples, by the name of their process.
    """

    X_train: Any
    y_train: np.ndarray
    X_test: Any
    y_test: np.ndarray
    human: dict[str, np.ndarray] | None = None


def load(name: str, seed: int, folder: str | Path | None = None) -> Split:
    """Load a data set and split it; labels are 0..K-1.

    Parameters
    ----------
    name : {"digits", "breast_cancer", "wine", "iris"}, "fashion_mnist_N" or "cifar10_N"
        N images of Fashion-MNIST's or CIFAR-10's training set, drawn by the seed; the test set is the published one.
        The former as vectors, the latter as uint8 images.
    seed : int
        Of the split: 30 % for testing, stratified.
    folder : str or Path, optional
        Of Fashion-MNIST's or CIFAR-10's files. CIFAR-10N's, ``CIFAR-10_human.pt`` or ``cifar10n.npz``, are taken from
        there if they are there, or from the folder above.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If there is no such data set, or its folder is not given.
    """
    kind, _, size = name.rpartition("_")
    if kind in _IMAGES and size.isdecimal():
        if folder is None:
            raise ValueError(f"{name} is read from disk: give the folder of its files with --data.")
        return _IMAGES[kind](int(size), seed, Path(folder))
    if name not in TABLES:
        raise ValueError(
            f"data set is {name!r}, expected {', '.join(map(repr, TABLES))}, or {' or '.join(map(repr, _IMAGES))} with "
            "a number of training images, such as 'cifar10_10000'."
        )
    X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return split(X, y, seed)


def _fashion_mnist(n_samples: int, seed: int, folder: Path) -> Split:
    X_train, y_train, X_test, y_test = load_fashion_mnist(folder)
    chosen = _chosen("Fashion-MNIST", len(X_train), n_samples, seed)
    train, test = (X.reshape(len(X), -1).astype(np.float32) for X in (X_train[chosen], X_test))
    return Split(train, y_train[chosen], test, y_test)


def _cifar10(n_samples: int, seed: int, folder: Path) -> Split:
    X_train, y_train, X_test, y_test = load_cifar10(folder)
    chosen = _chosen("CIFAR-10", len(X_train), n_samples, seed)
    places = (parent / name for parent in (folder, folder.parent) for name in ("CIFAR-10_human.pt", "cifar10n.npz"))
    path = next((path for path in places if path.exists()), None)
    human = None
    if path is not None:
        human = {process: load_cifar10n(path, process.removeprefix(_HUMAN))[chosen] for process in HUMAN}
    return Split(X_train[chosen], y_train[chosen], X_test, y_test, human)


def _chosen(name: str, n_all: int, n_samples: int, seed: int) -> np.ndarray:
    """Positions of the samples to take."""
    if not 0 < n_samples <= n_all:
        raise ValueError(f"{name} has {n_all} training images, and {n_samples} are asked for.")
    return np.random.RandomState(seed).permutation(n_all)[:n_samples]


def split(X: Any, y: np.ndarray, seed: int) -> Split:
    """70 % of the samples for training, 30 % for testing, stratified."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
    return Split(X_train, y_train, X_test, y_test)


def make_task(data: Split, process: str, seed: int) -> Task:
    """Corrupt the training labels of a data set.

    Parameters
    ----------
    data : Split, or tuple of its first four
        The labels are 0..K-1.
    process : str
        The name of a process and its rate in percent: "symmetric_20", see ``PROCESSES``. "none" leaves the labels,
        which are right; "given" leaves them, and nobody knows which are wrong; "human_aggregate" and "human_random1"
        are those that people gave to CIFAR-10 (Wei et al., ICLR 2022).
    seed : int
        Of the corruption.

    Returns
    -------
    Task

    Raises
    ------
    NotPossibleError
        If K is too small for the process, or no human labels are there.
    ValueError
        If there is no such process.
    """
    kind, percent = parse(process)
    data = Split(*data)
    X_train, y_train, X_test, y_test, human = data
    if kind in HUMAN:
        if human is None:
            raise NotPossibleError("nobody has labelled this data set anew, or the file of CIFAR-10N is missing.")
        return Task(X_train, human[kind], human[kind] != y_train, X_test, y_test, y_train)
    if kind == "given":
        return Task(X_train, y_train, None, X_test, y_test)
    if kind == "none":
        return Task(X_train, y_train, np.zeros(len(y_train), dtype=bool), X_test, y_test, y_train)
    return PROCESSES[kind](data, percent / 100, seed)


def parse(process: str) -> tuple[str, int]:
    """Kind and rate in percent of a process.

    Raises
    ------
    ValueError
        If there is no such process.
    """
    if process in (*UNCHANGED, *HUMAN):
        return process, 0
    kind, _, percent = process.rpartition("_")
    if kind not in PROCESSES or not (percent.isascii() and percent.isdigit() and 0 < int(percent) < 100):
        raise ValueError(
            f"process is {process!r}, expected {', '.join(map(repr, (*UNCHANGED, *HUMAN)))}, or one of "
            f"{', '.join(PROCESSES)} with its rate, a whole number of percent from 1 to 99, such as 'symmetric_20'."
        )
    return kind, int(percent)


def _with_matrix(make: Callable[[Split, float, int], np.ndarray]) -> Callable[[Split, float, int], Task]:
    def process(data: Split, rate: float, seed: int) -> Task:
        X_train, y_train, X_test, y_test, _ = data
        observed = noise.corrupt(y_train, make(data, rate, seed), random_state=seed)
        return Task(X_train, observed, observed != y_train, X_test, y_test, y_train)

    return process


def _outside(data: Split, rate: float, seed: int) -> Task:
    """Samples of held-out classes, the last ones, make up a share ``rate`` of the training set, labelled at random."""
    X_train, y_train, X_test, y_test, _ = data
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
    right = np.where(y == n_kept, -1, y)
    return Task(X_train[chosen], observed, y == n_kept, X_test[tested], y_test[tested], right)


def _n_classes(data: Split) -> int:
    return int(data[1].max()) + 1


def _vectors(X: Any) -> Any:
    return X if issparse(X) else X.reshape(len(X), -1)


UNCHANGED = ("none", "given")
_HUMAN = "human_"
HUMAN = (f"{_HUMAN}aggregate", f"{_HUMAN}random1")
_IMAGES: dict[str, Callable[[int, int, Path], Split]] = {"fashion_mnist": _fashion_mnist, "cifar10": _cifar10}
PROCESSES: dict[str, Callable[[Split, float, int], Task]] = {
    "symmetric": _with_matrix(lambda data, rate, seed: noise.symmetric(_n_classes(data), rate)),
    "pair": _with_matrix(lambda data, rate, seed: noise.pair_flip(_n_classes(data), rate)),
    "class": _with_matrix(lambda data, rate, seed: noise.class_dependent(_n_classes(data), rate, seed)),
    "instance": _with_matrix(lambda data, rate, seed: noise.instance_dependent(_vectors(data[0]), data[1], rate, seed)),
    "outside": _outside,
}
