"""What a reviewer knows of the labels of a fit, in the two forms that a user may give it.

Legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d


@dataclass(frozen=True)
class Reviewed:
    """Labels of which some are facts.

    Parameters
    ----------
    labels : ndarray of shape (N,)
        Those in use: the reviewer's where there is one, else the observed one.
    observed : ndarray of shape (N,)
        As y was given.
    known : ndarray of bool, shape (N,)
        Facts; one at least.
    are_pairs : bool
        Whether ``observed`` is what facts were labelled as before anybody looked.
    """

    labels: np.ndarray
    observed: np.ndarray
    known: np.ndarray
    are_pairs: bool


def read_reviewed(reviewed: Any, y: np.ndarray) -> Reviewed | None:
    """Facts of ``fit(..., reviewed=...)``.

    Parameters
    ----------
    reviewed : array-like of shape (N,), or None
        A mask of dtype bool: where it is true, y is right. Or labels, with None, NaN, NaT or pandas.NA where nobody has
        looked.
    y : ndarray of shape (N,)

    Returns
    -------
    Reviewed or None
        None where nothing was reviewed.

    Raises
    ------
    ValueError
        If there is not one entry for each label, if labels are of another kind than y, or if a mask is of another dtype
        than bool.
    """
    if reviewed is None:
        return None
    is_mask = str(getattr(reviewed, "dtype", "")) == "boolean"  # pandas's, which may hold gaps
    values = np.asarray(reviewed)
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        values = column_or_1d(values)
    if values.shape != y.shape:
        raise ValueError(
            f"reviewed has shape {values.shape}, expected {y.shape}: give an entry for each label of y, None where "
            "nobody has looked."
        )
    known = np.array([not _is_missing(value) for value in values.tolist()], dtype=bool)
    if is_mask and known.all():
        values = values.astype(bool)
    if values.dtype == bool:
        return Reviewed(y, y, values, are_pairs=False) if values.any() else None
    if not known.any():
        return None
    _check_kind(values[known], y, is_all=bool(known.all()))
    facts = _as_in(values[known], y)
    labels = y.astype(np.result_type(y, facts)) if y.dtype != object else y.copy()
    labels[known] = facts
    return Reviewed(labels, y, known, are_pairs=True)


def _is_missing(value: Any) -> bool:
    """Whether an entry stands for nothing: None, NaN, NaT, or pandas.NA."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return bool(value != value)


def _check_kind(facts: np.ndarray, y: np.ndarray, *, is_all: bool) -> None:
    """Raise ValueError for labels that are not like those of y, as a mask of numbers is."""
    found, expected = ({_kind(value): value for value in labels.tolist()} for labels in (facts, y))
    numbers = set(facts.tolist()) <= {0, 1}
    cure = "give labels as they are in y, and None where nobody has looked"
    mask = "; or a mask of dtype bool, such as np.asarray(reviewed, dtype=bool)"
    if unlike := found.keys() - expected.keys():
        kind = sorted(unlike)[0]
        others = ", ".join(f"{name} such as {value!r}" for name, value in sorted(expected.items()))
        raise ValueError(
            f"reviewed holds {kind} such as {found[kind]!r}, expected {others} as in y: "
            f"{cure}{mask if numbers else ''}."
        )
    if is_all and numbers and not set(y.tolist()) <= {0, 1}:
        raise ValueError(
            f"reviewed holds nothing but 0 and 1, of dtype {facts.dtype}, and y other labels, too: it looks like a "
            f"mask, which must have dtype bool: {cure}{mask}."
        )


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "truth values"
    if isinstance(value, Number):
        return "numbers"
    return "texts" if isinstance(value, str) else f"objects of type {type(value).__name__}"


def _as_in(facts: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Facts in the dtype of y where that holds them: gaps make floats of whole numbers, and objects of all."""
    if y.dtype == object:
        return facts.astype(object)
    plain = np.array(facts.tolist())
    if y.dtype.kind in "iuf" and plain.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            same = plain.astype(y.dtype)
        if np.array_equal(same, plain):
            return same
        whole = plain.astype(np.int64)
        return whole if y.dtype.kind in "iu" and np.array_equal(whole, plain) else plain
    return plain
