"""What an audit reads and a corrected copy is made of: one function for all kinds of files."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from acestimator.audit.arrays import ArraySource, NpySource, NpzSource
from acestimator.audit.arrow_source import ArrowSource
from acestimator.audit.csv_source import CsvSource
from acestimator.audit.decisions import SourceInfo
from acestimator.audit.folders import ImageSource, open_folder
from acestimator.audit.json_lines import JsonLines
from acestimator.audit.source import DROP, Drop, Source, TableSource, suffix
from acestimator.datasets._checks import check_regular

__all__ = ["DROP", "ArraySource", "Drop", "ImageSource", "Source", "TableSource", "open_source", "reopen"]

_KINDS: dict[str, Callable[[Path, str | None, str | None], Source]] = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), CsvSource),
    **dict.fromkeys((".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), JsonLines),
    **dict.fromkeys((".parquet", ".feather"), ArrowSource),
    ".npz": NpzSource,
    ".npy": NpySource,
}


def reopen(path: str | Path, info: SourceInfo, *, by_id: str | None = None) -> Source:
    """Read a file or folder again, as it was read for decisions or for an audit: with their columns of labels and ids.

    Parameters
    ----------
    path : str or Path
    info : SourceInfo
        ``decisions.source``, or what :func:`acestimator.audit.issues.audited` returns.
    by_id : str, optional
        Column of the ids, if rows are to be matched by them.

    Raises
    ------
    ImportError, OSError, ValueError
        As :func:`open_source`.
    """
    return open_source(path, label=info.label or None, id=info.id if by_id is None else by_id)


def open_source(path: str | Path, *, label: str | None = None, id: str | None = None) -> Source:
    """Read a file or folder with labels.

    Parameters
    ----------
    path : str or Path
        - ``.csv`` or ``.tsv``: a header and records, separated by commas, semicolons, tabs or bars, whichever it holds,
          in UTF-8, UTF-16 with a byte order mark, or Latin.
        - ``.jsonl`` or ``.ndjson``: an object in each line. These and the former may be compressed, ``.csv.gz``.
        - ``.parquet`` or ``.feather``.
        - ``.npz``: an array X of samples and one of labels, y.
        - ``.npy``: samples, with an X in the file's name; labels lie beside it, with y in its place.
        - A folder with a ``labels.csv``, whose columns file and label name images and their labels.
        - Another folder: images in a folder for each class.
    label : str, optional
        Column of the labels: of tables, needed; the array of an ``.npz`` or the file beside an ``.npy``, by default by
        the names above; the column of a ``labels.csv``, by default "label"; of class folders, none.
    id : str, optional
        Column that names the rows, each by another text. Images are named by their paths.

    Returns
    -------
    Source
        A :class:`TableSource`, :class:`ArraySource` or :class:`ImageSource`; ``info.kind`` says which.

    Raises
    ------
    ImportError
        If a package of the extra ``audit`` is missing that this kind is read by.
    OSError
        If it cannot be read.
    ValueError
        If it holds something else: what, and where.
    """
    path = Path(path)
    if path.is_dir():
        return open_folder(path, label, id)
    if not path.exists():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, beside, n=3)
        meant = f" Did you mean {', '.join(str(path.with_name(name)) for name in close)}?" if close else ""
        raise FileNotFoundError(f"there is no file {path}.{meant}")
    kind = _KINDS.get(suffix(path))
    if kind is None:
        raise ValueError(
            f"{path} is of no kind that is known by its name: expected a name that ends in {', '.join(_KINDS)}, or a "
            "folder of images."
        )
    check_regular(path)
    return kind(path, label, id)
