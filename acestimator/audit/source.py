"""A file or folder with labels: what all kinds have in common.

Legend: N rows.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.audit.decisions import Decision, SourceInfo
from acestimator.audit.targets import check_new, new_path

# Texts that stand for nothing: those of pandas.read_csv, and the question mark of older collections.
GAPS = frozenset(
    (
        *("", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
        *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
SHOWN = 10  # rows that an error names


class Drop(Enum):
    """What stands in place of a new label where a row is left out."""

    DROP = "drop"


DROP = Drop.DROP
Changes = Mapping[int, str | Drop]


class Source(ABC):
    """A file or folder with labels, as it was when it was opened. It is never written to.

    Attributes
    ----------
    path : Path
    info : SourceInfo
    labels : ndarray of object, shape (N,)
        Texts; None where there is no label.
    classes : list of str
        The labels that occur, sorted.
    gaps : frozenset of str
        Texts that stand for no label.
    ids : list of str or None
        A name for each row, no two the same: of the id column, or an image's path. None if there are none.
    """

    gaps = GAPS

    def __init__(self, path: Path, info: SourceInfo, labels: np.ndarray, ids: list[str] | None) -> None:
        self.path, self.info, self.labels, self.ids = path, info, labels, ids
        self.classes = check_classes(path, info.label, labels)
        check_unicode(path, (info.name, *self.classes, *(ids or ())))

    @abstractmethod
    def digests(self) -> list[str]:
        """Of each row, :func:`acestimator.audit.decisions.row_digest` of what it holds beside its label."""

    def name(self, row: int) -> str:
        """What a person finds a row by: its id; or else the line that it begins in, or its position from 0."""
        return f"row {row}" if self.ids is None else self.ids[row]

    def rows_of(self, decisions: Sequence[Decision]) -> list[int | None]:
        """Row of each decision by its id, whatever was changed around it; None where there is none of that id."""
        rows = {} if self.ids is None else {id: row for row, id in enumerate(self.ids)}
        return [None if decision.id is None else rows.get(decision.id) for decision in decisions]

    def write(self, changes: Changes, target: str | Path, *, move: bool = False) -> list[str]:
        """Write a corrected copy, as a whole or not at all.

        Parameters
        ----------
        changes : mapping of int to str or DROP
            Rows, and their new labels; those with ``DROP`` are left out. All others are copied as they are.
        target : str or Path
            New file, or new folder where the source is one.
        move : bool, default=False
            Of images alone: files of the new folder are hard links, which take no space, where the disk can have them.

        Returns
        -------
        list of str
            What there is to say about the copy.

        Raises
        ------
        ValueError
            If a change is impossible, or the source was changed since it was opened.
        OSError
            If there is something already, or nothing can be written.
        """
        target = Path(target)
        for row, label in changes.items():
            if not 0 <= row < self.info.n_rows:
                raise ValueError(f"{self.path} has no row {row}: it has {self.info.n_rows}, from 0.")
            if isinstance(label, str) and label.strip() in self.gaps:
                raise ValueError(
                    f"the new label of {self.name(row)} is {label!r}, which stands for no label: give another one, or "
                    "drop the row."
                )
            if isinstance(label, str) and ("\0" in label or not is_unicode(label)):
                raise ValueError(f"the new label of {self.name(row)} is {label!r}, which is no text: give another one.")
        if move and self.info.kind != "images":
            raise ValueError(f"{self.path} is no folder of images: rows of a {self.info.kind} source cannot be moved.")
        check_new(target)
        self._check_target(target)
        changes = {row: label.strip() if isinstance(label, str) else label for row, label in sorted(changes.items())}
        with new_path(target) as temporary:
            return self._save(changes, temporary, target, move=move)

    def _check_target(self, target: Path) -> None:
        """Raise ValueError if a name does not go with the kind of the source."""
        endings = {suffix(path).removesuffix(".gz") for path in (self.path, target)}
        if len(endings) > 1:
            wanted = suffix(self.path).removesuffix(".gz")
            raise ValueError(f"{target} cannot be a copy of {self.path}: give it a name that ends in {wanted}.")

    @abstractmethod
    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        """Write the copy to a temporary path; the target's name says in which form."""


class TableSource(Source):
    """A file of rows and columns."""

    @abstractmethod
    def frame(self) -> object:
        """All columns but the label.

        Returns
        -------
        pandas.DataFrame of N rows
            Their positions are the index.

        Raises
        ------
        ImportError
            If pandas is missing.
        """


def suffix(path: Path) -> str:
    """End of a file's name in lower case, with that of what is compressed: ".csv.gz"."""
    name = path.name.lower()
    inner = Path(name.removesuffix(".gz")).suffix
    return inner + ".gz" if name.endswith(".gz") else inner


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
