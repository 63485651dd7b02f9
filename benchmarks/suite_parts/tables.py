"""Tables: CSV files with numbers and categories, and those that scikit-learn ships.

Legend: N rows, D features.
"""

from __future__ import annotations

import csv

import numpy as np
from sklearn.impute import SimpleImputer

from acestimator.comparison import load
from acestimator.comparison.tasks import Split
from suite_parts.sources import Sources, draw, single

TRAIN_ROWS = 1000  # at most
GAPS = 0.05  # share of the entries that are lost, where a set is to have gaps


def table(name: str, seed: int, sources: Sources, *, gaps: bool = False) -> Split:
    """A file of ``tables/``: text columns one column per category, all others as the numbers that they are.

    Parameters
    ----------
    name : str
    seed : int
        Of the split, and of the gaps.
    sources : Sources
    gaps : bool, default=False
        Whether entries are lost at random, and each is filled with the median of its column's training rows.

    Returns
    -------
    Split
    """
    X, y = read(sources.find(f"tables/{name}.csv").read_text(encoding="utf-8"))
    train, test = draw(y, seed, TRAIN_ROWS)
    if gaps:
        X[np.random.RandomState(seed).uniform(size=X.shape) < GAPS] = np.nan
        imputer = SimpleImputer(strategy="median").fit(X[train])
        X = imputer.transform(X)
    return single(Split(X[train], y[train], X[test], y[test]))


def read(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) of float64 and labels 0..K-1 (N,) of a CSV text, whose last column is the label."""
    _, *rows = csv.reader(text.splitlines())
    *columns, labels = zip(*rows, strict=True)
    y = np.unique(labels, return_inverse=True)[1]
    return np.column_stack([_numbers(column) for column in columns]), y.astype(np.int64)


def _numbers(column: tuple[str, ...]) -> np.ndarray:
    """A column as numbers (N, 1), or as indicators of its categories (N, C)."""
    try:
        return np.array(column, dtype=np.float64)[:, None]
    except ValueError:
        categories, place = np.unique(column, return_inverse=True)
        return np.eye(len(categories))[place]


def shipped(name: str, seed: int, sources: Sources) -> Split:
    """A table of scikit-learn's: the split of the comparison, 30 % for testing."""
    return single(load(name, seed))
