"""Labels that are numbers in a file and texts on a page: from the one to the other, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_EXACT = 2.0**53  # above it, a float is no certain integer


def text_of(value: Any) -> str | None:
    """Text of a label's value; None of what stands for nothing. Whole floats have no point: a gap gave it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")  # which no label may have: none is taken for another
    return str(value)


def by_label(values: Iterable[Any]) -> dict[str, Any]:
    """Values by their labels: of several that differ in the spaces around them, the one without any, or the last."""
    texts = [(text_of(value), value) for value in values]
    known = {text.strip(): value for text, value in texts if text is not None}
    return known | {text: value for text, value in texts if text is not None}


def flat(value: Any) -> Any:
    """A cell of a frame: lists and objects become texts, of JSON as far as that has their parts, and so do bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


def typed(text: str, known: Mapping[str, Any], path: Path) -> Any:
    """Value of a label's text, of the kind that a file's labels have.

    Parameters
    ----------
    text : str
    known : mapping of str to object
        Values of the labels that the file has, by their texts.
    path : Path
        For errors.

    Raises
    ------
    ValueError
        If the labels are numbers or truth values, and the text is none.
    """
    if text in known:
        return known[text]
    kinds = {type(value) for value in known.values()}
    value: Any = text
    if kinds <= {int, float}:
        try:
            value = int(text) if kinds == {int} else float(text)
        except ValueError:
            value = None
    elif kinds == {bool}:
        value = None
    if text_of(value) != text:  # "007", "1e3" or "nan", too: it would not come back as it was given
        kind = " or ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"the new label {text!r} cannot be one of {path}, whose labels are of the kind {kind}.")
    return value
