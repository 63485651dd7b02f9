"""Where the records of a text with separators begin and end, and where a field of each lies, without changing anything.

What a field is, Python's csv module and pandas say: quotes count at the beginning of a field, two of them in quotes are
one, lines may end within quotes; records end with CR LF, CR or LF, or with the text. Lines of nothing are no records.

Legend: N records, n fields of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 50  # records that tell the separator
_END = "(?:\r\n|\r|\n|\\Z)"
_QUOTED = re.compile('"((?:[^"]|"")*+)"(.*)', re.DOTALL)


class MalformedError(Exception):
    """A record is not as the header: where it begins, and what is wrong."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(what)
        self.position, self.what = position, what


@dataclass(frozen=True)
class Records:
    """What a text holds.

    Parameters
    ----------
    text, separator : str
    header : list of str
        Names of the n columns.
    starts, stops, ends : list of int, length N
        Of each record: its first character, the one after its last field, and the one after its line end.
    """

    text: str
    separator: str
    header: list[str]
    starts: list[int]
    stops: list[int]
    ends: list[int]

    def cells(self) -> Iterator[list[str]]:
        """Values of each record's n fields, without their quotes."""
        for start, stop in zip(self.starts, self.stops, strict=True):
            record = self.text[start:stop]
            yield record.split(self.separator) if '"' not in record else split(record, self.separator)

    def spans(self, column: int) -> list[tuple[int, int]]:
        """Where the field of a column lies in each record, with its quotes."""
        find = _record(self.separator, len(self.header), column).match
        found = [find(self.text, start) for start in self.starts]
        return [one.span(1) for one in found if one is not None]  # all: they were found before


def read_records(text: str, separator: str) -> Records:
    """Find the records.

    Raises
    ------
    MalformedError
        At the first that has not as many fields as the header, or whose quotes do not end.
    """
    blank = _blank(separator)
    header, position = split_first(text, _after(blank, text, 0), separator)
    find = _record(separator, len(header), 0).match
    starts, stops, ends = [], [], []
    while (position := _after(blank, text, position)) < len(text):
        found = find(text, position)
        if found is None:
            n_found = len(split_first(text, position, separator)[0])
            raise MalformedError(position, f"has {n_found} fields, expected {len(header)} as in the header")
        starts.append(position)
        stops.append(found.start(2))
        position = found.end()
        ends.append(position)
    return Records(text, separator, header, starts, stops, ends)


def find_separator(text: str, label: str | None, first: str = ",") -> str:
    """The separator that most of a text speaks for.

    One by which the header has the label's name; then one by which the first records have as many fields as the header;
    then one of most fields; then ``first``.
    """

    def speaks(separator: str) -> tuple[bool, bool, int, bool]:
        header, is_even = _sample(text, separator)
        named = label is not None and len(header) > 1 and label.strip() in [name.strip() for name in header]
        return named, is_even and len(header) > 1, len(header), separator == first

    return max(SEPARATORS, key=speaks)


def _sample(text: str, separator: str) -> tuple[list[str], bool]:
    """Header, and whether the records after it have as many fields."""
    try:
        header, position = split_first(text, _after(_blank(separator), text, 0), separator)
        find = _record(separator, len(header), 0).match
        for _ in range(_SAMPLE):
            if (position := _after(_blank(separator), text, position)) >= len(text):
                break
            if (found := find(text, position)) is None:
                return header, False
            position = found.end()
    except MalformedError:
        return [], False
    return header, True


def split(record: str, separator: str) -> list[str]:
    """Values of a record's fields, without their quotes."""
    fields = re.compile(f"({_field(separator)})(?:{re.escape(separator)}|(\\Z))")
    found = []
    for one in fields.finditer(record):
        found.append(unquote(one[1]))
        if one[2] is not None:  # at the end; the next match would be an empty one
            break
    return found


def unquote(field: str) -> str:
    """Value of a field."""
    quoted = _QUOTED.match(field)
    return field if quoted is None else quoted[1].replace('""', '"') + quoted[2]


def requote(old: str, value: str, separator: str) -> str:
    """Field of a new value: quoted as the old one was or if it must be, with the spaces around the old one."""
    quoted = _QUOTED.match(old)
    inner = old if quoted is None else quoted[1]
    if inner.strip() and not (quoted and quoted[2]):
        before, after = (inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :])
    else:
        before = after = ""
    if quoted is None and not any(mark in value for mark in (separator, '"', "\r", "\n")):
        return before + value + after
    if quoted is None:
        before = after = ""  # a quote counts at the beginning of a field
    return '"' + before + value.replace('"', '""') + after + '"'


def split_first(text: str, position: int, separator: str) -> tuple[list[str], int]:
    """Values of the record that begins at a position, however many, and the position after its line end.

    Raises
    ------
    MalformedError
        If a quote opens and never closes.
    """
    found = _any_record(separator).match(text, position)
    if found is None:
        raise MalformedError(position, "has a quote that opens a field and no other that closes it")
    return split(text[position : found.start(1)], separator), found.end()


def _after(blank: re.Pattern[str], text: str, position: int) -> int:
    """Position after lines of nothing."""
    found = blank.match(text, position)
    return position if found is None else found.end()


def _field(separator: str) -> str:
    """A field with its quotes. Never tried in another way once it was found: a long text takes one pass."""
    others = f"[^{re.escape(separator)}\r\n]*+"
    return f'(?>"[^"]*+(?:""[^"]*+)*+"{others}|[^{re.escape(separator)}\r\n"]{others}|)'


@lru_cache
def _blank(separator: str) -> re.Pattern[str]:
    spaces = " " if separator == "\t" else " \t"
    return re.compile(f"(?>[{spaces}]*+(?:\r\n|\r|\n))*+(?:[{spaces}]*+\\Z)?")


@lru_cache
def _record(separator: str, n: int, column: int) -> re.Pattern[str]:
    """A record of n fields, its groups the field of a column and the line end."""
    field, mark = _field(separator), re.escape(separator)
    return re.compile(f"(?:{field}{mark}){{{column}}}({field})(?:{mark}{field}){{{n - column - 1}}}({_END})")


@lru_cache
def _any_record(separator: str) -> re.Pattern[str]:
    return re.compile(f"{_field(separator)}(?:{re.escape(separator)}{_field(separator)})*+({_END})")
