"""Records as JSON lines: a file that is read whole, and appended to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def read(path: Path, key: Sequence[str], what: str) -> list[dict[str, Any]]:
    """Records of a file of JSON lines, the last of each key; empty if it is not there.

    A last line that was cut off does not count.

    Parameters
    ----------
    path : Path
    key : sequence of str
        Names of the entries that every record must have, and that tell it from others.
    what : str
        A record's name in the error: "record of a cell".

    Raises
    ------
    ValueError
        If the file holds anything else.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} holds no JSON lines ({error}): take another file.") from None
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            records[tuple(record[name] for name in key)] = record
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError) and _is_cut_off(line, key[0]):
                break
            raise ValueError(
                f"{path}, line {number}, is no {what} ({type(error).__name__}: {error}): mend it, or take another file."
            ) from None
    return list(records.values())


def append(path: Path, results: Iterable[dict[str, Any]], *, n_done: int, n_all: int) -> Iterator[dict[str, Any]]:
    """Write results to a file as they come, with a progress bar, and hand them on.

    Parameters
    ----------
    path : Path
        Made if it is missing.
    results : iterable of dict
    n_done, n_all : int
        What there was before, and what there will be.
    """
    from tqdm.auto import tqdm

    path.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(path)
    with path.open("a", encoding="utf-8") as lines, tqdm(total=n_all, initial=n_done, unit="run") as bar:
        for record in results:
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            bar.update()
            yield record


def _is_cut_off(line: str, first: str) -> bool:
    """Whether a line that is no JSON is the beginning of a record: any other is somebody's, and not ours to drop."""
    beginning = f'{{"{first}": '
    return not line.endswith("\n") and beginning.startswith(line[: len(beginning)])


def _end_last_line(path: Path) -> None:
    """Take a cut-off last line out of a file that :func:`read` can read, or give it its end if that is missing."""
    if not path.exists():
        return
    content = path.read_bytes()
    last = content[content.rfind(b"\n") + 1 :]
    if not last:
        return
    with path.open("r+b") as file:
        try:
            json.loads(last)
        except ValueError:
            file.truncate(len(content) - len(last))
        else:
            file.seek(0, 2)
            file.write(b"\n")
