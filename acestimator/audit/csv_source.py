"""CSV and its like: of a corrected copy, every byte but the changed labels and the dropped records is as it was.

Legend: N rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from acestimator.audit.contents import GAPS, as_labels, check_ids, find_columns, import_pandas
from acestimator.audit.decisions import SourceInfo, row_digest
from acestimator.audit.records import MalformedError, Records, find_separator, read_records, requote, unquote
from acestimator.audit.source import DROP, Drop, TableSource, suffix
from acestimator.audit.text import read_text

_COMMA_NUMBER = re.compile(r"[+-]?\d+(,\d+)?")


class CsvSource(TableSource):
    """A text with a header, separated by commas, semicolons, tabs or bars.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv``, which may end in ``.gz``. The separator is found by what the file holds.
    label : str
        Column of the labels.
    id : str, optional
        Column that names the rows.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it holds something else: what, and in which line.
    """

    def __init__(self, path: Path, label: str | None, id: str | None = None) -> None:
        self.file = read_text(path)
        first = "\t" if suffix(path).startswith(".tsv") else ","
        self.records = self._read(path, find_separator(self.file.text, label, first))
        # Names as pandas gives them to columns without one
        self.columns = [name or f"Unnamed: {j}" for j, name in enumerate(self.records.header)]
        self._at, at_id = find_columns(path, label, id, self.columns)
        self._spans = self.records.spans(self._at)
        ids, id_name = None, None
        if at_id is not None:
            id_name = self.columns[at_id]
            ids = check_ids(path, id_name, self._texts(self.records.spans(at_id)), self._line_of)
        labels = as_labels(self._texts(self._spans))
        n_rows = len(labels)
        info = SourceInfo(path.name, "table", self.file.fingerprint, self.columns[self._at], id_name, n_rows)
        super().__init__(path, info, labels, ids)

    def _read(self, path: Path, separator: str) -> Records:
        try:
            return read_records(self.file.text, separator)
        except MalformedError as error:
            shown = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}[separator]
            raise ValueError(
                f"{path}, line {self.file.line(error.position)}, {error.what} (separated by {shown}): correct it."
            ) from None

    def _texts(self, spans: list[tuple[int, int]]) -> list[str]:
        return [unquote(self.file.text[start:stop]) for start, stop in spans]

    def _line_of(self, row: int) -> str:
        return f"line {self.file.line(self.records.starts[row])}"

    def name(self, row: int) -> str:
        return self._line_of(row) if self.ids is None else self.ids[row]

    def digests(self) -> list[str]:
        return self._digests

    @cached_property
    def _digests(self) -> list[str]:
        found = []
        for cells in self.records.cells():
            del cells[self._at]
            found.append(row_digest([cell.encode("utf-8", "surrogatepass") for cell in cells]))
        return found

    def frame(self) -> object:
        pd = import_pandas()
        # Written anew, so that pandas finds the records that are here, whatever it thinks of the original's blank lines
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self.columns[: self._at] + self.columns[self._at + 1 :])
        for cells in self.records.cells():
            del cells[self._at]
            writer.writerow([cell.strip() for cell in cells])
        text.seek(0)
        frame = pd.read_csv(text, index_col=False, na_values=sorted(GAPS), skip_blank_lines=False, low_memory=False)
        if self.records.separator != ",":
            _read_commas(frame)
        return frame

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        self.file.save(self.changed(changes), temporary, compress=target.name.lower().endswith(".gz"))
        return []

    def changed(self, changes: Mapping[int, str | Drop]) -> str:
        """The text with other labels, and without the dropped records."""
        text, records, pieces, done = self.file.text, self.records, [], 0
        for row, label in sorted(changes.items()):
            is_drop = label is DROP
            start, stop = (records.starts[row], records.ends[row]) if is_drop else self._spans[row]
            pieces.append(text[done:start])
            if isinstance(label, str) and label != self.labels[row]:
                pieces.append(requote(text[start:stop], label, records.separator))
            elif not is_drop:
                pieces.append(text[start:stop])
            done = stop
        return "".join([*pieces, text[done:]])


def _read_commas(frame: Any) -> None:
    """Make numbers of columns in which all values have a decimal comma or none, in place."""
    import pandas as pd

    for name in frame.columns:
        known = frame[name].dropna()
        if pd.api.types.is_numeric_dtype(known) or not len(known) or not all(isinstance(v, str) for v in known):
            continue
        if known.str.fullmatch(_COMMA_NUMBER).all():
            frame[name] = pd.to_numeric(frame[name].str.replace(",", "."))
