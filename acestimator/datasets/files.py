"""A user's own samples and labels, from a file.

Legend: N samples, D features.
"""

from __future__ import annotations

import csv
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import load_npz

from acestimator.datasets._archives import check_archive
from acestimator.datasets._checks import check_regular

_SHOWN = 10  # missing labels that an error names, at most
_SPARSE = {"format", "shape", "data", "indices", "indptr"}  # what scipy writes of a matrix


def load_samples(path: str | Path, target: str | None = None) -> tuple[Any, np.ndarray]:
    """Read samples and their labels.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with the arrays X and y, or for sparse X with y beside the arrays that ``scipy.sparse.save_npz`` writes
        of a CSR matrix (format, shape, data, indices, indptr); or ``.csv``, separated by commas, whose first line names
        the columns.
    target : str, optional
        Column of the labels, by default the last one; of an ``.npz``, their array, by default "y". All other columns
        are features, and must be numbers. One that has no name, or is called index, and has another whole number in
        each row is left out: it numbers the rows.

    Returns
    -------
    X : ndarray of shape (N, D) or (N, C, H, W), or csr_array or csr_matrix of shape (N, D)
    y : ndarray of shape (N,)
        Text, if it comes from a ``.csv``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else: what, and where.

    Warns
    -----
    UserWarning
        If a column is left out.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".npz", ".csv"):
        check_regular(path)
    if kind == ".npz":
        X, y = _read_npz(path, target or "y")
    elif kind == ".csv":
        X, y = _read_csv(path, target)
    else:
        raise ValueError(f"{path} is neither .npz, with arrays X and y, nor .csv, with a header.")
    if X.ndim not in (2, 4) or y.shape != X.shape[:1]:
        raise ValueError(
            f"{path}: X has shape {X.shape} and y {y.shape}, expected (N, D) or (N, C, H, W), and (N,): a label for "
            "each sample."
        )
    return X, y


def _read_npz(path: Path, target: str) -> tuple[Any, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is no .npz: write it with numpy.savez(path, X=X, y=y).")
    try:
        check_archive(path)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}. Take a copy of it.") from error
    with np.load(path, allow_pickle=False) as file:
        sparse = "X" not in file and set(file.files) >= _SPARSE
        if ("X" not in file and not sparse) or target not in file:
            raise ValueError(
                f"{path} holds the arrays {', '.join(map(repr, file.files)) or 'none'}, expected 'X' and {target!r}."
            )
        try:
            X, y = load_npz(path).tocsr() if sparse else file["X"], file[target]
            if sparse:
                X.check_format()  # indices beyond the shape would be an error of each method
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path}: {error}. Save numbers, and labels as numbers or text (y.astype(str))."
            ) from error
    if X.dtype.kind not in "buif":
        raise ValueError(f"{path}: X has dtype {X.dtype}, expected numbers.")
    # What is no number, or no time, differs from itself.
    gone = np.char.str_len(np.char.strip(y)) == 0 if y.dtype.kind in "US" else y != y
    _check_known(path, target, np.flatnonzero(gone).tolist(), y.size, "position")
    for name, values in (("X", X.data if sparse else X), (target, y)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"{path}: {name} holds entries that are not finite: fill gaps, or leave the samples out.")
    return X, y


def _read_csv(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    with path.open(newline="", encoding="utf-8-sig") as file:  # a byte order mark is none of the first column's name
        reader = csv.reader(file)
        try:
            lines = [(reader.line_num, row) for row in reader if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no .csv in UTF-8 ({error}).") from error
    if len(lines) < 2:
        raise ValueError(f"{path} holds {len(lines)} lines, expected a header and samples.")
    header = lines.pop(0)[1]
    if len(header) < 2:
        raise ValueError(f"{path} has the one column {header[0]!r}, expected several, separated by commas.")
    target = header[-1] if target is None else target
    if _is_sample(header, target):
        raise ValueError(
            f"{path}: the first line, {','.join(header[:5])},..., holds numbers, expected column names: put a line "
            "of them before."
        )
    if header.count(target) != 1:
        raise ValueError(
            f"{path} has {header.count(target)} columns {target!r}, expected one; the columns are "
            f"{', '.join(map(repr, header))}."
        )
    at = header.index(target)
    gone = [number for number, row in lines if len(row) == len(header) and not row[at].strip()]
    _check_known(path, target, gone, len(lines), "line")
    X, y = np.empty((len(lines), len(header) - 1)), []
    for n, (number, row) in enumerate(lines):
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise ValueError(f"{where}, has {len(row)} fields, expected {len(header)} as in the header.")
        y.append(row[at].strip())
        values = [_number(field) for j, field in enumerate(row) if j != at]
        if None in values:
            bad = next(j for j, field in enumerate(row) if j != at and _number(field) is None)
            raise ValueError(
                f"{where}, has {row[bad]!r} in column {header[bad]!r}, expected a finite number: encode categories as "
                "numbers, fill gaps, or leave the column out."
            )
        X[n] = values
    names = [name for j, name in enumerate(header) if j != at]
    return _without_index(path, X, names), np.array(y)


def _without_index(path: Path, X: np.ndarray, names: list[str]) -> np.ndarray:
    """X (N, D) without columns that only number the rows, as pandas writes one; with a warning that names them.

    In a file that is sorted by its labels, the numbers of the rows tell the labels.
    """
    numbers = [j for j, name in enumerate(names) if _is_index(name, X[:, j])]
    if not numbers:
        return X
    if len(numbers) == len(names):
        raise ValueError(f"{path} has no features beside the numbers of its rows.")
    which = ", ".join(f"column {j + 1}, {names[j]!r}" for j in numbers)
    warnings.warn(
        f"{path}: {which}, numbers the rows, and is left out. If it is a feature, give it another name.",
        UserWarning,
        stacklevel=4,
    )
    return np.delete(X, numbers, axis=1)


def _is_index(name: str, column: np.ndarray) -> bool:
    """Whether a column (N,) has no name of its own, and another whole number in each row."""
    plain = name.strip()
    unnamed = not plain or plain.startswith("Unnamed:") or plain.lower() in ("index", "__index_level_0__")
    return unnamed and bool((column == np.rint(column)).all()) and len(np.unique(column)) == len(column)


def _check_known(path: Path, target: str, gone: list[int], n_all: int, places: str) -> None:
    """Raise ValueError if labels are missing, as a fit does: how many, where the first are, and what to do."""
    if gone:
        some = "" if len(gone) == 1 else "s"
        shown = ", ".join(map(str, gone[:_SHOWN])) + (", ..." if len(gone) > _SHOWN else "")
        raise ValueError(
            f"{path}: {target!r} has {len(gone)} missing label{some} of {n_all}, at {places}{some} {shown}; expected a "
            "label for each sample: leave these rows out, or give the file to acestimator audit, which predicts their "
            "labels."
        )


def _is_sample(header: list[str], target: str) -> bool:
    """Whether the first line is a sample: numbers that do not just count the features, as those of some headers do."""
    features = [name for name in header if name != target]
    if any(_number(name) is None for name in features):
        return False
    counts = [[str(start + j) for j in range(len(features))] for start in (0, 1)]
    return _number(target) is not None or features not in counts


def _number(field: str) -> float | None:
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
