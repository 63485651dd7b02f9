"""Columns that hold no numbers: found before they are converted, and named all at once.

Legend: N samples, D columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Any

import numpy as np

_SHOWN = 10  # columns that an error names, at most
_LONGEST = 40  # characters of an example


def check_numbers(X: Any, estimator: str) -> None:
    """Raise ValueError if columns hold text, categories or dates: which, with an example each, and what to do.

    Or if two columns of a frame have one name: scikit-learn could not tell them apart at a prediction.

    Texts and categories that are numbers ("1.5") are taken for these. Dates are none, though numpy would count days.

    Parameters
    ----------
    X : array-like of shape (N, D)
        What else cannot be used is left to scikit-learn.
    estimator : str
        Name of the class, for the message.
    """
    n_columns, found = 0, []
    for name, column in _columns(X):
        n_columns += 1
        if (held := _held(column)) is not None:
            kind, value = held
            text = str(value)
            text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
            found.append(f"{name!r} ({kind}, such as {text!r})")
    if not found:
        _check_different(X)
        return
    more = ", ..." if len(found) > _SHOWN else ""
    raise ValueError(
        f"X has {len(found)} of {n_columns} columns that hold no numbers: {', '.join(found[:_SHOWN])}{more}. Expected "
        "numbers alone; let skrub make them:\n"
        "    from sklearn.pipeline import make_pipeline; from skrub import TableVectorizer\n"
        f"    model = make_pipeline(TableVectorizer(), {estimator}())\n"
        "with sklearn.impute.SimpleImputer() between these two if there are gaps. Or look at the file itself:\n"
        "    acestimator audit FILE --label COLUMN"
    )


def _check_different(X: Any) -> None:
    names = list(X.columns) if hasattr(X, "iloc") and X.ndim == 2 else getattr(X, "column_names", [])
    counts = Counter(map(str, names))
    if repeated := [f"{name!r} ({n} times)" for name, n in counts.items() if n > 1]:
        more = ", ..." if len(repeated) > _SHOWN else ""
        raise ValueError(
            f"X has {len(names)} columns, and some have the same name: {', '.join(repeated[:_SHOWN])}{more}. Rename "
            "them, drop those that are there twice (X.loc[:, ~X.columns.duplicated()]), or give X.to_numpy()."
        )


def _columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Names and columns of a frame; of an array, or a list, those that may hold texts or dates."""
    if hasattr(X, "iloc") and X.ndim == 2:  # of pandas, where two columns may have one name
        yield from ((name, X.iloc[:, j]) for j, name in enumerate(X.columns))
    elif hasattr(X, "get_columns"):  # of polars
        yield from zip(X.columns, X.get_columns(), strict=True)
    elif hasattr(X, "column_names"):  # of pyarrow
        yield from zip(X.column_names, map(np.asarray, X.columns), strict=True)
    elif isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype.kind in "OSUTmM"):
        array = np.asarray(X)
        if array.ndim == 2:
            yield from enumerate(array.T)


def _held(column: Any) -> tuple[str, Any] | None:
    """What a column (N,) holds that is no number, and the first such value."""
    if getattr(column.dtype, "kind", "O") in "biufc":
        return None
    values = np.asarray(column)
    if values.dtype.kind in "biufc":
        return None
    if values.dtype.kind in "mM":
        known: Any = values[~np.isnat(values)]
        if values.dtype.kind == "m":
            return "durations", known[0] if len(known) else "NaT"
        return "dates", np.datetime_as_string(known[0], unit="auto") if len(known) else "NaT"
    kind = "categories" if str(column.dtype).startswith(("category", "Categorical", "Enum")) else None
    for value in values:
        try:
            float(value)
        except (OverflowError, TypeError, ValueError):
            of_value = kind or _kind(value)
            if of_value is not None and value is not None:
                return of_value, value
    return None


def _kind(value: Any) -> str | None:
    if isinstance(value, str | bytes):
        return "text"
    is_time = isinstance(value, date | time | timedelta) or hasattr(value, "year")  # as pandas' periods have
    return "dates" if is_time else None
