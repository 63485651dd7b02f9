"""JSON lines: of a corrected copy, only the lines of changed labels differ, and these only in the label's value.

Legend: N rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from acestimator.audit.contents import as_labels, check_ids, find_columns, import_pandas
from acestimator.audit.decisions import SourceInfo, row_digest
from acestimator.audit.source import DROP, Drop, TableSource
from acestimator.audit.text import read_text
from acestimator.audit.values import by_label, flat, text_of, typed

_LINE = re.compile("[^\r\n]*+(?:\r\n|\r|\n|\\Z)")
_SPACES = re.compile(r"[ \t]*+")


class JsonLines(TableSource):
    """A text with an object of JSON in each line; keys that a line does not have are gaps.

    Parameters
    ----------
    path : Path
        ``.jsonl`` or ``.ndjson``, which may end in ``.gz``.
    label, id
        As of :class:`acestimator.audit.csv_source.CsvSource`: names of keys.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it holds something else: what, and in which line.
    """

    def __init__(self, path: Path, label: str | None, id: str | None = None) -> None:
        self.file = read_text(path)
        text = self.file.text
        self._spans = [one.span() for one in _LINE.finditer(text) if one[0].strip()]
        self._rows = [self._object(path, start, stop) for start, stop in self._spans]
        self._columns = columns = list(dict.fromkeys(key for row in self._rows for key in row))
        at, at_id = find_columns(path, label, id, columns)
        self._label = columns[at]
        self._values = [row.get(self._label) for row in self._rows]
        labels = as_labels([self._text(path, row, value, self._label) for row, value in enumerate(self._values)])
        ids, id_name = None, None
        if at_id is not None:
            id_name = columns[at_id]
            texts = [self._text(path, row, one.get(id_name), id_name) for row, one in enumerate(self._rows)]
            ids = check_ids(path, id_name, texts, self._line_of)
        info = SourceInfo(path.name, "table", self.file.fingerprint, self._label, id_name, len(labels))
        super().__init__(path, info, labels, ids)

    def _object(self, path: Path, start: int, stop: int) -> dict[str, Any]:
        where = f"{path}, line {self.file.line(start)},"
        try:
            content = json.loads(self.file.text[start:stop])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is no JSON ({error}), expected an object in each line.") from error
        if not isinstance(content, dict):
            raise ValueError(f"{where} holds a {type(content).__name__}, expected an object in each line.")
        return content

    def _text(self, path: Path, row: int, value: Any, key: str) -> str | None:
        if isinstance(value, list | dict):
            raise ValueError(f"{path}, {self._line_of(row)}, has a {type(value).__name__} as {key!r}, expected a text.")
        return text_of(value)

    def _line_of(self, row: int) -> str:
        return f"line {self.file.line(self._spans[row][0])}"

    def name(self, row: int) -> str:
        return self._line_of(row) if self.ids is None else self.ids[row]

    def digests(self) -> list[str]:
        return self._digests

    @cached_property
    def _digests(self) -> list[str]:
        # By key, so that their order and the spaces between them do not count
        rest = [{key: value for key, value in row.items() if key != self._label} for row in self._rows]
        return [row_digest([json.dumps(row, sort_keys=True).encode()]) for row in rest]

    def frame(self) -> object:
        columns = [key for key in self._columns if key != self._label]
        rows = [[flat(row.get(key)) for key in columns] for row in self._rows]
        return import_pandas().DataFrame(rows, columns=columns)

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        text, pieces, done = self.file.text, [], 0
        known = by_label(value for value, label in zip(self._values, self.labels, strict=True) if label is not None)
        for row, label in changes.items():
            start, stop = self._spans[row]
            pieces.append(text[done:start])
            if label is not DROP:
                value = self._values[row]
                if label != self.labels[row]:
                    value = typed(str(label), known, self.path)
                    new = json.dumps(value, ensure_ascii=text.isascii())
                    pieces.append(replace_value(text[start:stop], self._label, new))
                else:
                    pieces.append(text[start:stop])
            done = stop
        compress = target.name.lower().endswith(".gz")
        self.file.save("".join([*pieces, text[done:]]), temporary, compress=compress)
        return []


def replace_value(line: str, key: str, value: str) -> str:
    """A line with another value of a key, in JSON, or with that key added at the end; all else stays as it is."""
    decode = json.JSONDecoder().raw_decode
    span, position = None, line.index("{") + 1
    is_empty = True
    while line[position := _skip(line, position)] != "}":
        position = _skip(line, position + 1) if line[position] == "," else position
        name, position = decode(line, position)
        start = _skip(line, _skip(line, position) + 1)  # after the colon
        position = decode(line, start)[1]
        span = (start, position) if name == key else span  # of several, readers take the last
        is_empty = False
    if span is not None:
        return line[: span[0]] + value + line[span[1] :]
    end = len(line[:position].rstrip())
    added = f"{json.dumps(key, ensure_ascii=line.isascii())}: {value}"
    return line[:end] + ("" if is_empty else ", ") + added + line[end:]


def _skip(line: str, position: int) -> int:
    found = _SPACES.match(line, position)
    return position if found is None else found.end()
