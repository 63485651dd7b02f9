"""Labels that are missing: found in whatever form labels come, before anything takes them for a class.

Legend: N samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_SHOWN = 10  # positions that an error names, at most


def check_known(y: Any) -> None:
    """Raise ValueError if labels are missing: how many, where the first are, and what to do.

    Parameters
    ----------
    y : array-like of shape (N,) or (N, 1)
        What else cannot be used is left to scikit-learn.
    """
    found = missing(y)
    where = np.flatnonzero(found)
    if not len(where):
        return
    labels, positions = ("label", "position") if len(where) == 1 else ("labels", "positions")
    shown = ", ".join(map(str, where[:_SHOWN].tolist())) + (", ..." if len(where) > _SHOWN else "")
    raise ValueError(
        f"y has {len(where)} missing {labels} of {len(found)} (None, NaN, NaT or NA), at {positions} {shown}; expected "
        "a label for each sample: leave these rows out (known = ~pandas.isna(y); fit(X[known], y[known])), or give the "
        "file to acestimator audit, which predicts their labels."
    )


def missing(y: Any) -> np.ndarray:
    """Whether each label is None, NaN, NaT, pandas' NA, or masked.

    Parameters
    ----------
    y : array-like of shape (N,) or (N, 1)

    Returns
    -------
    ndarray of bool, shape (N,)
        Empty if y has another shape.
    """
    if isinstance(y, np.ma.MaskedArray):
        found = np.ma.getmaskarray(y) | _in_array(y.data)
    elif hasattr(y, "isna"):  # of pandas
        found = np.asarray(y.isna(), dtype=bool)
    elif hasattr(y, "__array__"):
        found = _in_array(np.asarray(y))
    else:
        found = _in_sequence(y)
    is_column = found.ndim == 2 and found.shape[1] == 1
    return found.ravel() if is_column or found.ndim == 1 else np.zeros(0, dtype=bool)


def _in_array(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "fcmM":
        return np.asarray(array != array)  # what is no number, or no time, differs from itself
    if array.dtype.kind not in "OT":  # objects, and texts of any length, of which some may be missing
        return np.zeros(array.shape, dtype=bool)
    found = [_is_missing(value) for value in array.astype(object).ravel()]
    return np.array(found, dtype=bool).reshape(array.shape)


def _in_sequence(y: Any) -> np.ndarray:
    # numpy would make texts of a list with texts in it, and NaN would be the text "nan".
    try:
        return _in_array(np.array(y, dtype=object))
    except ValueError:  # sequences of several lengths
        return np.zeros(0, dtype=bool)


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    differs = value != value
    # pandas' NA gives NA, and a sequence within a sequence gives an array.
    return bool(differs) if isinstance(differs, bool | np.bool_) else differs is value
