"""Sets that are drawn from known distributions. The distribution is fixed, the rows are drawn anew by each seed.

Legend: N rows, D features, K classes.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from acestimator.comparison.tasks import Split
from suite_parts.sources import TEST_ROWS, Sources


def mixture(
    n_train: int, centers: np.ndarray, seed: int, *, spread: float = 1.0, unit: bool = False, n_test: int = TEST_ROWS
) -> Split:
    """Rows about centres, normally distributed.

    Parameters
    ----------
    n_train : int
        Rows for training, the same number of each class but for one.
    centers : ndarray of shape (K, C, D)
        C centres of each class, which are equally likely.
    seed : int
    spread : float
        Standard deviation of each feature.
    unit : bool
        Whether rows are scaled to length one.
    n_test : int

    Returns
    -------
    Split
    """
    rng = np.random.RandomState(seed)
    n_classes, n_centers, n_features = centers.shape
    parts = []
    for n in (n_train, n_test):
        y = rng.permutation(np.arange(n) % n_classes)
        X = centers[y, rng.randint(n_centers, size=n)] + spread * rng.normal(size=(n, n_features))
        if unit:
            X /= np.linalg.norm(X, axis=1, keepdims=True)
        parts += [X.astype(np.float32), y]
    return Split(*parts)


def many_classes(n_classes: int, n_train: int, scale: float, seed: int, sources: Sources) -> Split:
    """A small table of many classes, of two centres each among ten features: no line parts them."""
    centers = scale * np.random.RandomState(n_classes).normal(size=(n_classes, 2, 10))
    return mixture(n_train, centers, seed)


def embedding(n_classes: int, spread: float, seed: int, sources: Sources) -> Split:
    """Unit vectors of 384 features about random directions, 5,000 for training.

    The spread is the expected length of a row's deviation from its class's direction, whose length is one.
    """
    directions = np.random.RandomState(n_classes).normal(size=(n_classes, 1, 384))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    return mixture(5000, directions, seed, spread=spread / np.sqrt(384), unit=True)


def blobs(n_classes: int, n_train: int, seed: int, sources: Sources) -> Split:
    """Blobs of 20 features; a centre is 4 standard deviations from the next one, on average."""
    centers = np.random.RandomState(n_classes).normal(size=(n_classes, 20))
    distances = np.linalg.norm(centers[:, None] - centers, axis=2) + np.where(np.eye(n_classes), np.inf, 0.0)
    return mixture(n_train, 4.0 * centers[:, None] / distances.min(axis=1).mean(), seed)


def rare(percent: int, seed: int, sources: Sources) -> Split:
    """800 rows of two classes that can be told apart, of which class 1 has so many percent; 20,000 rows to test on."""
    X, y = make_classification(
        20_800,
        10,
        n_informative=6,
        weights=[1 - percent / 100],
        class_sep=1.5,
        flip_y=0,
        n_clusters_per_class=1,
        random_state=seed,
    )
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y.astype(np.int64), train_size=800, random_state=seed, stratify=y
    )
    return Split(X_train, y_train, X_test, y_test)


def half_plane(seed: int, sources: Sources) -> Split:
    """600 rows of 4 normal features, of class 1 where the first is positive."""
    X = np.random.RandomState(seed).normal(size=(600 + TEST_ROWS, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    return Split(X[:600], y[:600], X[600:], y[600:])
