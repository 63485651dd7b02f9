"""Columns of a table that matter most in a row: those in which it departs from its class.

Legend: N rows, M rows that are shown, D columns, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from acestimator.naive_bayes import (
    class_normals,
    class_shares,
    is_far,
    is_rare,
    log_normal,
    log_share,
    sparse_class_normals,
)

_BLOCK = 1 << 22  # numbers of a table that are looked at together


class Cell(NamedTuple):
    """One value of a row.

    Parameters
    ----------
    column, value : str
    usual : str
        What the row's class has: mean and standard deviation, or the share of it that has this value.
    departs : bool
        Whether the value is far from that.
    """

    column: str
    value: str
    usual: str
    departs: bool


@dataclass(frozen=True)
class Against:
    """Classes of all rows, and those of the shown rows that are weighed against each other.

    Parameters
    ----------
    codes : ndarray of int64, shape (N,)
        Given labels.
    trusted : ndarray of bool, shape (N,)
        Rows that are not suspected: what a class is like is read off these.
    n_classes : int
    rows : ndarray of int64, shape (M,)
        Rows that are shown.
    other : ndarray of int64, shape (M,)
        Label that the given one is weighed against. Where it is the same, the likeliest value of the class is.
    """

    codes: np.ndarray
    trusted: np.ndarray
    n_classes: int
    rows: np.ndarray
    other: np.ndarray


def telling_cells(X: Any, names: Sequence[str], against: Against, n_cells: int) -> list[list[Cell]]:
    """The cells that matter most of each row that is shown, the first one most.

    Parameters
    ----------
    X : array, sparse matrix, or frame of pandas or polars; N rows and D columns
        Numbers, dates, categories and texts, with gaps.
    names : sequence of str, D of them
    against : Against
    n_cells : int
        How many of each row, at most.

    Returns
    -------
    list of list of Cell, M of them
    """
    parts = [*_parts(X, against)]
    weight = np.concatenate([part.weight for part in parts], axis=1)  # (M, D)
    owner = [(part, j) for part in parts for j in range(part.weight.shape[1])]
    order = np.argsort(-weight, axis=1, kind="stable")[:, :n_cells]
    cells = []
    for i, best in enumerate(order.tolist()):
        found = []
        for column in best:
            part, j = owner[column]
            found.append(Cell(names[column], part.value(i, j), part.usual(i, j), bool(part.departs[i, j])))
        cells.append(found)
    return cells


class _Numbers:
    """Columns of numbers (N, d), perhaps sparse: their weights (M, d), and which of the shown values depart."""

    def __init__(self, values: Any, against: Against) -> None:
        known, given = np.flatnonzero(against.trusted), against.codes[against.rows]
        normals = sparse_class_normals if issparse(values) else class_normals
        mean, std = normals(values[known], against.codes[known], against.n_classes)
        shown = values[against.rows]
        self._shown = shown.toarray() if issparse(shown) else shown
        self._mean, self._std = mean[given], std[given]
        own = log_normal(self._shown, self._mean, self._std)
        there = log_normal(self._shown, mean[against.other], std[against.other])
        itself = (against.other == given)[:, None] & np.isfinite(self._shown)
        self.weight = np.where(itself, -np.log(self._std), there) - own
        self.departs = (self.weight > 0) & is_far(self._shown, self._mean, self._std)

    def value(self, i: int, j: int) -> str:
        return self._text(self._shown[i, j], 4)

    def usual(self, i: int, j: int) -> str:
        return f"{self._text(self._mean[i, j], 3)} ± {self._text(self._std[i, j], 2)}"

    @staticmethod
    def _text(number: float, n_digits: int) -> str:
        if not np.isfinite(number):
            return "missing"
        is_plain = abs(number) < 1e7 and (float(number).is_integer() or abs(number) >= 10**n_digits)
        return f"{number:.0f}" if is_plain else f"{number:.{n_digits}g}"


class _Dates(_Numbers):
    """A column of dates (N,), by days."""

    def __init__(self, values: np.ndarray, against: Against) -> None:
        days = (values - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
        super().__init__(days[:, None], against)

    def usual(self, i: int, j: int) -> str:
        return f"{self._text(self._mean[i, j], 3)} ± {self._std[i, j]:.0f} days"

    @staticmethod
    def _text(number: float, n_digits: int) -> str:
        return str(np.datetime64(int(number), "D")) if np.isfinite(number) else "missing"


class _Categories:
    """A column of categories or texts (N,). Of texts that hardly ever come again, none departs."""

    def __init__(self, values: np.ndarray, against: Against) -> None:
        has = np.array([not _is_gap(value) for value in values])
        self._texts = [str(values[row]) if has[row] else "missing" for row in against.rows.tolist()]
        codes = np.full(len(values), -1, dtype=np.int64)
        found, codes[has] = np.unique(np.array([str(value) for value in values[has]]), return_inverse=True)
        known = against.trusted
        shares = class_shares(codes[known], against.codes[known], against.n_classes, len(found))
        given, shown = against.codes[against.rows], codes[against.rows]
        own = log_share(shown, shares[given])
        itself = (against.other == given) & (shown >= 0)
        weight = np.where(itself, np.log(shares[given].max(axis=1)), log_share(shown, shares[against.other])) - own
        comes_again = len(found) <= has.sum() / 2
        self.weight = (weight * comes_again)[:, None]
        self.departs = (self.weight > 0) & is_rare(shown, shares[given])[:, None]
        self._share = np.where(shown >= 0, np.exp(own), np.nan)

    def value(self, i: int, j: int) -> str:
        return self._texts[i]

    def usual(self, i: int, j: int) -> str:
        share = 100 * self._share[i]
        return "" if np.isnan(share) else "in < 1 %" if share < 1 else f"in {share:.0f} %"


def _parts(X: Any, against: Against) -> Iterator[_Numbers | _Categories]:
    """Columns in their order, numbers of an array many at a time."""
    if hasattr(X, "iloc"):  # of pandas, where two columns may have one name
        yield from (_part(X.iloc[:, j], against) for j in range(X.shape[1]))
    elif hasattr(X, "get_columns"):  # of polars
        yield from (_part(column, against) for column in X.get_columns())
    else:
        table = X.tocsr() if issparse(X) else np.asarray(X)
        if issparse(X):
            yield _Numbers(table.astype(np.float64), against)
        elif table.dtype.kind not in "iuf":
            yield from (_part(column, against) for column in table.T)
        else:
            step = max(1, _BLOCK // max(1, table.shape[0]))
            for start in range(0, table.shape[1], step):
                yield _Numbers(table[:, start : start + step].astype(np.float64), against)


def _part(column: Any, against: Against) -> _Numbers | _Categories:
    if hasattr(column, "isna") and getattr(column.dtype, "kind", "O") in "iuf":  # pandas' numbers, perhaps with NA
        return _Numbers(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None], against)
    is_zoned = getattr(getattr(column, "dtype", None), "tz", None) is not None  # of pandas: objects, to numpy
    values = np.asarray(column.dt.tz_convert(None) if is_zoned else column)
    if values.dtype.kind == "M":
        return _Dates(values, against)
    if values.dtype.kind == "m":
        values = values / np.timedelta64(1, "s")
    if values.dtype.kind != "b":
        try:
            return _Numbers(values.astype(np.float64)[:, None], against)
        except (TypeError, ValueError):
            pass
    return _Categories(values, against)


def _is_gap(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # of pandas' NA
        return True
