"""The images of an experiment, and the name of their copy, which stands beside every number.

Legend: N training and M test images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from acestimator import datasets
from acestimator.recipes import DATASETS

_COMMON = (*DATASETS, "cifar-10-batches-py", "cifar-100-python")


@dataclass(frozen=True)
class Images:
    """A data set.

    Parameters
    ----------
    X_train : ndarray of uint8, shape (N, C, H, W), or ImageFolder
    y_train : ndarray of int64, shape (N,)
    X_test : ndarray of uint8, shape (M, C, H, W), or ImageFolder
    y_test : ndarray of int64, shape (M,)
    source : str
        Name of the copy: see :func:`source_of`.
    """

    X_train: Any
    y_train: np.ndarray
    X_test: Any
    y_test: np.ndarray
    source: str

    def first(self, n_images: int | None) -> Images:
        """The first of the training images, in the data set's order; all of them for None.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        if n_images is None:
            return self
        if not isinstance(self.X_train, np.ndarray):
            raise ValueError(
                "a folder's first images are of few classes: make a smaller folder, and leave --images out."
            )
        if not 0 < n_images <= len(self.y_train):
            raise ValueError(f"{self.source} has {len(self.y_train)} training images, and {n_images} are asked for.")
        return replace(self, X_train=self.X_train[:n_images], y_train=self.y_train[:n_images])


def load(dataset: str, root: str | Path, workers: int = 0) -> Images:
    """Read a data set, in its published format.

    Parameters
    ----------
    dataset : str
        A key of ``acestimator.recipes.DATASETS``.
    root : str or Path
        Its folder, or one with folders of several data sets in it, each named like the data set.
    workers : int
        Processes that decode ImageNet's files.

    Raises
    ------
    OSError, ValueError
        If files are missing or damaged, or images and labels are none of the data set's.
    """
    folder = folder_of(dataset, root)
    loaders: dict[str, Callable[[Path], Any]] = {
        "cifar10": datasets.load_cifar10,
        "cifar100": datasets.load_cifar100,
        "svhn": datasets.load_svhn,
        "imagenet": lambda folder: _imagenet(folder, workers),
    }
    X_train, y_train, X_test, y_test = loaders[dataset](folder)
    images = Images(X_train, y_train, X_test, y_test, source_of(dataset, root))
    shape, n_classes, _ = DATASETS[dataset]
    for name, X, y in (("training", images.X_train, images.y_train), ("test", images.X_test, images.y_test)):
        found = tuple(X.shape[-3:])
        if found != shape:
            raise ValueError(f"{folder} has {name} images of shape {found}, expected {shape}, {dataset}'s.")
        if y.min() < 0 or y.max() >= n_classes:
            raise ValueError(
                f"{folder} has {name} labels from {y.min()} to {y.max()}, expected 0 to {n_classes - 1}, {dataset}'s."
            )
    return images


def folder_of(dataset: str, root: str | Path) -> Path:
    """Folder of a data set: the one of its name in ``root``, or else ``root``."""
    inner = Path(root) / dataset
    return inner if inner.is_dir() else Path(root)


def source_of(dataset: str, root: str | Path) -> str:
    """Name of a copy of a data set: copies may differ, by a compression for instance.

    It is the name of the copy's folder; or of the folder around that, if every copy's folder is called so.
    """
    folder = folder_of(dataset, root).resolve()
    while folder.name in _COMMON:
        folder = folder.parent
    return folder.name


def _imagenet(folder: Path, workers: int) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    train, test = (datasets.ImageFolder(folder / part, workers=workers) for part in ("train", "val"))
    if train.classes != test.classes:
        raise ValueError(
            f"{folder / 'train'} and {folder / 'val'} have other folders: expected the same classes in both; sort "
            "the validation images into folders as the training images are."
        )
    return train, train.labels, test, test.labels
