"""What a source holds: labels, columns and ids, each as it should be, or an error that says what to do.

Legend: N rows.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Texts that stand for nothing: those of pandas.read_csv, and the question mark of older collections.
GAPS = frozenset(
    (
        *("", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
        *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
SHOWN = 10  # rows that an error names


def is_gap(text: str) -> bool:
    """Whether a text stands for nothing."""
    return text.strip() in GAPS


def as_labels(texts: Iterable[str | None]) -> np.ndarray:
    """Labels (N,) of what cells hold: no spaces around them, and None for gaps."""
    stripped = [None if text is None else text.strip() for text in texts]
    labels = np.empty(len(stripped), dtype=object)
    labels[:] = [None if text is None or text in GAPS else text for text in stripped]
    return labels


def check_classes(path: Path, column: str, labels: np.ndarray) -> list[str]:
    """The classes, sorted, or ValueError if there are not two."""
    classes = sorted({label for label in labels if label is not None})
    what = f"{path}, column {column!r}," if column else f"{path}"
    if not len(labels):
        raise ValueError(f"{path} has 0 rows, expected some with labels.")
    cure = "name the column of the labels by --label" if column else "a folder for each class is needed"
    if not classes:
        raise ValueError(f"{what} has no labels, in any of {len(labels)} rows: {cure}.")
    if len(classes) == 1:
        raise ValueError(f"{what} has the one label {classes[0]!r}, expected two or more: {cure}.")
    return classes


def check_unicode(path: Path, texts: Iterable[str]) -> None:
    """Raise ValueError if a text is no Unicode: half a character, or a file's name in another encoding."""
    for text in texts:
        if not is_unicode(text):
            raise ValueError(f"{path} has a label or a name {text!r} that is no Unicode: change it.")


def is_unicode(text: str) -> bool:
    """Whether a text can be written: it has no half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_column(path: Path, name: str | None, columns: Sequence[str], option: str) -> int:
    """Position of a column by its name, or ValueError with the names that are most like it."""
    if name is None:
        raise ValueError(f"{path}: say which column has the labels, by {option}; there are {listed(columns)}.")
    if name in columns:
        return list(columns).index(name)
    if [column.strip() for column in columns].count(name.strip()) == 1:  # ", label" after a comma and a space
        return [column.strip() for column in columns].index(name.strip())
    folded = {column.casefold(): column for column in columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    meant = f"did you mean {listed([folded[one] for one in close])}?" if close else f"there are {listed(columns)}."
    raise ValueError(f"{path} has no column {name!r}, given by {option}; {meant}")


def find_columns(path: Path, label: str | None, id: str | None, columns: Sequence[str]) -> tuple[int, int | None]:
    """Positions of the columns of labels and of ids; ValueError if one is not there, or two columns have one name."""
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise ValueError(f"{path} has more than one column {listed(twice)}: give each a name of its own.")
    if len(columns) < 2:
        raise ValueError(f"{path} has the columns {listed(columns)}, expected two or more: a label, and what it is of.")
    at = find_column(path, label, columns, "--label")
    at_id = None if id is None else find_column(path, id, columns, "--id")
    if at == at_id:
        raise ValueError(f"{path}: column {id!r} is given as label and as id, expected two columns.")
    return at, at_id


def import_pandas() -> Any:
    """Pandas, or ImportError with what to install."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(f'{error}: tables are read by pandas, pip install "acestimator[audit]".') from error
    return pd


def check_ids(path: Path, column: str, ids: Sequence[str | None], name: Callable[[int], str]) -> list[str]:
    """The ids, or ValueError if some are missing or occur twice: which, and where."""
    missing = [row for row, id in enumerate(ids) if id is None or is_gap(id)]
    if missing:
        raise ValueError(
            f"{path} has {len(missing)} rows without an id in column {column!r}: {some(missing, name)}; fill them, or "
            "name another column by --id."
        )
    known = [id.strip() for id in ids if id is not None]
    counts = Counter(known)
    if twice := [id for id, count in counts.items() if count > 1]:
        of_first = [row for row, id in enumerate(known) if id == twice[0]]
        raise ValueError(
            f"{path} has {len(twice)} ids more than once in column {column!r}: {listed(twice)}; the first is of "
            f"{some(of_first, name)}. Make them unique, or name another column by --id."
        )
    return known


def some(rows: Sequence[int], name: Callable[[int], str]) -> str:
    """Names of the first rows, and how many more there are."""
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return ", ".join(name(row) for row in rows[:SHOWN]) + more


def listed(names: Sequence[str]) -> str:
    """The first names in quotes, and how many more there are."""
    more = f" and {len(names) - 2 * SHOWN} more" if len(names) > 2 * SHOWN else ""
    return (", ".join(repr(name) for name in names[: 2 * SHOWN]) or "none") + more
