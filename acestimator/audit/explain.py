"""What in a row speaks for the suggested label, and against the given one: by each column, or word, alone.

Columns weigh as :mod:`acestimator.naive_bayes` has it, and so do words, by the smoothed share of the rows that have
them.

Legend: N rows, K classes, V words.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from scipy import sparse

from acestimator.naive_bayes import class_normals, class_shares, is_far, is_rare, log_normal, log_share

_SPEAKS = 1.0  # nats, from which on a word is marked
_LONGEST, _LONGEST_TEXT = 2_000, 10_000  # characters of a value, and of a text, that are shown
_SAMPLE = 1 << 24  # numbers of vectors that tell what classes are like
_PIECES = re.compile(r"\w+|\W+")


class ColumnEvidence:
    """Values of a row, those that matter most first.

    Parameters
    ----------
    frame : pandas.DataFrame of N rows
        The columns to weigh.
    codes : ndarray of int64, shape (N,)
        Given labels; -1 of none.
    trusted : ndarray of bool, shape (N,)
        Rows that are not suspected.
    n_classes : int
    """

    def __init__(self, frame: Any, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> None:
        trusted = trusted & (codes >= 0)
        self._columns = [
            (str(name), _column(frame.iloc[:, j], codes[trusted], trusted, n_classes))
            for j, name in enumerate(frame.columns)
        ]

    def cells(self, row: int, given: int, suggested: int) -> list[tuple[str, str, bool]]:
        """Column, value, and whether the value departs from what the given class has.

        Parameters
        ----------
        row : int
        given, suggested : int
            Classes; -1 for ``given`` if there is none, and then nothing departs.
        """
        found = []
        for name, column in self._columns:
            weight = 0.0 if given < 0 else column.log_proba(row, suggested) - column.log_proba(row, given)
            found.append((weight, name, column.text(row), weight > 0 and column.departs(row, given)))
        found.sort(key=lambda cell: -cell[0])  # stable: of equal weight in the table's order
        return [(name, text, departs) for _, name, text, departs in found]


class _Numbers:
    def __init__(self, values: np.ndarray, texts: Any, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> None:
        self._values, self._texts = values, texts
        mean, std = class_normals(values[trusted][:, None], codes, n_classes)
        self._mean, self._std = mean[:, 0], std[:, 0]

    def text(self, row: int) -> str:
        return shown(self._texts.iloc[row])

    def log_proba(self, row: int, k: int) -> float:
        return float(log_normal(self._values[row], self._mean[k], self._std[k]))

    def departs(self, row: int, k: int) -> bool:
        return bool(is_far(self._values[row], self._mean[k], self._std[k]))


class _Categories:
    def __init__(self, values: np.ndarray, texts: Any, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> None:
        self._values, self._texts = values, texts
        self._shares = class_shares(values[trusted], codes, n_classes, int(values.max(initial=-1)) + 1)

    def text(self, row: int) -> str:
        return shown(self._texts.iloc[row])

    def log_proba(self, row: int, k: int) -> float:
        return float(log_share(self._values[row : row + 1], self._shares[k : k + 1])[0])

    def departs(self, row: int, k: int) -> bool:
        return bool(is_rare(self._values[row : row + 1], self._shares[k : k + 1])[0])


def _column(values: Any, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> _Numbers | _Categories:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values):
        numbers = values.astype("int64").to_numpy(dtype=np.float64, copy=True)
        numbers[values.isna().to_numpy()] = np.nan
        return _Numbers(numbers, values, codes, trusted, n_classes)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return _Numbers(values.to_numpy(dtype=np.float64, na_value=np.nan), values, codes, trusted, n_classes)
    factors = pd.factorize(values, use_na_sentinel=True)[0]
    return _Categories(np.asarray(factors), values, codes, trusted, n_classes)


class VectorEvidence:
    """The same of vectors, whose columns have numbers for names. Of many, some tell what classes are like.

    Parameters
    ----------
    X : ndarray, shape (N, D)
        Perhaps on the disk.
    codes, trusted, n_classes
        As of :class:`ColumnEvidence`.
    """

    def __init__(self, X: np.ndarray, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> None:
        known = np.flatnonzero(trusted & (codes >= 0))
        known = known[:: 1 + len(known) * X.shape[1] // _SAMPLE]
        self._X = X
        self._mean, self._std = class_normals(X[known].astype(np.float64), codes[known], n_classes)

    def cells(self, row: int, given: int, suggested: int) -> list[tuple[str, str, bool]]:
        """As :meth:`ColumnEvidence.cells`."""
        values = self._X[row].astype(np.float64)
        own, there = (log_normal(values, self._mean[k], self._std[k]) for k in (given, suggested))
        weight = there - own if given >= 0 else np.zeros(len(values))
        departs = (weight > 0) & is_far(values, self._mean[given], self._std[given])
        return [(str(j), shown(float(values[j])), bool(departs[j])) for j in np.argsort(-weight, kind="stable")]


class WordEvidence:
    """Pieces of a text, and what they speak for.

    Parameters
    ----------
    texts : sequence of str, N of them
    codes, trusted, n_classes
        As of :class:`ColumnEvidence`.
    """

    def __init__(self, texts: Any, codes: np.ndarray, trusted: np.ndarray, n_classes: int) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._texts = texts
        self._log_share: np.ndarray | None = None
        trusted = trusted & (codes >= 0)
        vectorizer = CountVectorizer(binary=True, token_pattern=r"\w+", dtype=np.float64)
        try:
            words = vectorizer.fit_transform([texts[i] for i in np.flatnonzero(trusted)])  # (n, V)
        except ValueError:  # no word in any of them
            self._vocabulary: dict[str, int] = {}
            return
        classes = sparse.csr_array(
            (np.ones(int(trusted.sum())), (codes[trusted], np.arange(int(trusted.sum())))),
            shape=(n_classes, int(trusted.sum())),
        )
        rows_with = (classes @ words).toarray()  # (K, V)
        n_rows = np.bincount(codes[trusted], minlength=n_classes)[:, None]
        everywhere = rows_with.sum(axis=0) / max(1, n_rows.sum())
        self._log_share = np.log((rows_with + everywhere) / (n_rows + 1.0))
        self._vocabulary = vectorizer.vocabulary_

    def pieces(self, row: int, given: int, suggested: int) -> list[tuple[str, int]]:
        """Pieces of the text, one after the other; 1 speaks for ``suggested``, -1 for ``given``, 0 for neither."""
        text, rest = str(self._texts[row]), ""
        if len(text) > _LONGEST_TEXT:
            text, rest = text[:_LONGEST_TEXT], _rest(text, _LONGEST_TEXT)
        found: list[tuple[str, int]] = []
        for piece in _PIECES.findall(text):
            mark = self._mark(piece, given, suggested)
            if found and found[-1][1] == mark == 0:
                found[-1] = (found[-1][0] + piece, 0)
            else:
                found.append((piece, mark))
        return [*found, (rest, 0)] if rest else found

    def _mark(self, piece: str, given: int, suggested: int) -> int:
        word = self._vocabulary.get(piece.lower())
        if word is None or self._log_share is None or given < 0 or given == suggested:
            return 0
        weight = self._log_share[suggested, word] - self._log_share[given, word]
        return int(np.sign(weight)) if abs(weight) >= _SPEAKS else 0


def shown(value: Any) -> str:
    """Text of a value: "" of a gap, numbers to six digits and to the point at least, the beginning of a long text."""
    import pandas as pd

    if value is None or pd.isna(value) is True:  # of a list, it is an array
        return ""
    if isinstance(value, float):
        n_whole = len(f"{abs(value):.0f}")
        return f"{value:.{min(15, max(6, n_whole))}g}"
    text = str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + _rest(text, _LONGEST)


def _rest(text: str, n_shown: int) -> str:
    return f"… [{len(text) - n_shown:,} more characters]"
