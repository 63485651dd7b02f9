"""What a reviewer knows of the labels of a fit, in the two forms that a user may give it.

Legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

from acestimator.inputs.missing import missing


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
        A mask of dtype bool: where it is true, y is right; what holds nothing but truth values is one where y holds
        them, too. Or labels, with None, NaN, NaT or pandas.NA where nobody has looked.
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
    # As objects, or numpy would make texts of a list with texts in it, and NaN would be the text "nan".
    values = np.array(reviewed, dtype=object) if isinstance(reviewed, list | tuple) else np.asarray(reviewed)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != y.shape:
        raise ValueError(
            f"reviewed has shape {values.shape}, expected {y.shape}: give an entry for each label of y, None where "
            "nobody has looked."
        )
    known = ~missing(reviewed)
    if known.all() and _is_mask(reviewed):
        values = values.astype(bool)
        return Reviewed(y, y, values, are_pairs=False) if values.any() else None
    if not known.any():
        return None
    _check_kind(values[known], y, is_all=bool(known.all()))
    facts = _as_in(values[known], y)
    labels = y.astype(np.result_type(y, facts)) if y.dtype != object else y.copy()
    labels[known] = facts
    return Reviewed(labels, y, known, are_pairs=True)


def _is_mask(reviewed: Any) -> bool:
    """Whether these are truth values: of numpy's type, of one of pandas', which may hold gaps, or in a list."""
    if isinstance(reviewed, list | tuple):
        return all(isinstance(value, bool | np.bool_) for value in reviewed)
    return getattr(getattr(reviewed, "dtype", None), "kind", "") == "b" or np.asarray(reviewed).dtype == bool


def _check_kind(facts: np.ndarray, y: np.ndarray, *, is_all: bool) -> None:
    """Raise ValueError for labels that are not like those of y, as a mask of numbers is."""
    found, expected = ({_kind(value): value for value in labels.tolist()} for labels in (facts, y))
    numbers = all(value in (0, 1) for value in facts.tolist())
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
            same, whole = plain.astype(y.dtype), plain.astype(np.int64)
        if np.array_equal(same, plain):
            return same
        return whole if y.dtype.kind in "iu" and np.array_equal(whole, plain) else plain
    return plain
