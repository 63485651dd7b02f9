"""A file or folder with labels: what all kinds have in common.

Legend: N rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np

from acestimator.audit.contents import GAPS, check_classes, check_unicode, is_unicode
from acestimator.audit.decisions import Decision, SourceInfo
from acestimator.audit.targets import check_new, new_path


class Drop(Enum):
    """What stands in place of a new label where a row is left out."""

    DROP = "drop"


DROP = Drop.DROP


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

    def write(self, changes: Mapping[int, str | Drop], target: str | Path, *, move: bool = False) -> list[str]:
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
