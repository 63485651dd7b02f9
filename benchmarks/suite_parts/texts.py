"""Texts: descriptions of Debian packages by section, and docstrings of Python's standard library by package.

Words are weighted by TF-IDF, which the training texts alone decide.
"""

from __future__ import annotations

import ast
import csv
import gzip
import sysconfig
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from acestimator.comparison.tasks import Split
from suite_parts.sources import MissingError, Sources, draw

_LEAST = 60  # texts of a section
# Packages of the standard library that Python has had for long and keeps; some systems leave one or two out.
_PACKAGES = (
    *("asyncio", "email", "encodings", "http", "idlelib", "importlib", "logging", "multiprocessing", "tkinter"),
    *("unittest", "urllib", "xml"),
)
_LEAST_DOCSTRINGS = 100  # of a package
_LEAST_PACKAGES = 8


def debian_topics(seed: int, sources: Sources) -> Split:
    """3,000 texts, TF-IDF turned into 100 dimensions by the SVD."""
    return _vectors(*debian(sources), seed, 3000, n_topics=100)


def debian_words(seed: int, sources: Sources) -> Split:
    """1,500 texts, TF-IDF of the 2,000 most frequent words."""
    return _vectors(*debian(sources), seed, 1500, n_words=2000)


def docstrings_topics(seed: int, sources: Sources) -> Split:
    """1,500 docstrings, TF-IDF turned into 100 dimensions by the SVD; the class is the package."""
    return _vectors(*docstrings(), seed, 1500, n_topics=100)


def _vectors(
    texts: np.ndarray, y: np.ndarray, seed: int, n_train: int, *, n_topics: int = 0, n_words: int | None = None
) -> Split:
    train, test = draw(y, seed, n_train)
    words = TfidfVectorizer(sublinear_tf=True, max_features=n_words)
    X, X_test = words.fit_transform(texts[train]), words.transform(texts[test])
    if n_topics:
        svd = TruncatedSVD(n_topics, random_state=seed).fit(X)
        X, X_test = svd.transform(X), svd.transform(X_test)
    else:
        X, X_test = X.toarray(), X_test.toarray()
    return Split(X.astype(np.float32), y[train], X_test.astype(np.float32), y[test])


def debian(sources: Sources) -> tuple[np.ndarray, np.ndarray]:
    """Texts of the sections that have enough of them, and the sections' numbers."""
    path = sources.find("text/debian_packages.csv.gz")
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        rows = [(row["text"], row["section"]) for row in csv.DictReader(file)]
    return _frequent(rows, _LEAST)


@lru_cache(maxsize=1)
def docstrings() -> tuple[np.ndarray, np.ndarray]:
    """Docstrings of the standard library, of at least four words, each once; and the numbers of their packages.

    Raises
    ------
    MissingError
        If too few packages are there: some systems have the library without its sources.
    """
    found: dict[str, str] = {}
    for package in _PACKAGES:
        for path in sorted(Path(sysconfig.get_paths()["stdlib"], package).rglob("*.py")):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError):  # a file that is meant to be broken, for tests
                continue
            nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            for text in (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, nodes)):
                if text and len(text.split()) >= 4:
                    found.setdefault(text, package)
    texts, y = _frequent(list(found.items()), _LEAST_DOCSTRINGS)
    if not len(y) or y.max() + 1 < _LEAST_PACKAGES:
        raise MissingError("Python's standard library is here without most of its sources.")
    return texts, y


def _frequent(rows: list[tuple[str, str]], least: int) -> tuple[np.ndarray, np.ndarray]:
    counts = Counter(label for _, label in rows)
    kept = [(text, label) for text, label in rows if counts[label] >= least]
    texts = np.array([text for text, _ in kept], dtype=object)
    return texts, np.unique([label for _, label in kept], return_inverse=True)[1].astype(np.int64)
