"""The arrays behind :class:`acestimator.AlphaTable` in a file that is mapped into memory.

Legend: N rows, C rows that there is room for.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.storage import SPARE, Spec, Storage

MAGIC = b"acestimator alpha table\n"
VERSION = 2  # of the file's layout
_PAGE = 4096


class FileStorage(Storage):
    """The same in one memory-mapped file, with a description in its first page.

    Parameters
    ----------
    path : Path
    header : dict
        ``config`` (JSON), ``specs`` and ``capacity``, as :func:`read_header` returns them or as they are to be.
    n_rows : int
    create : bool
        Make the file, which must not be there; otherwise map it as it is.

    Raises
    ------
    OSError
        If there is no room on the disk. All of the file is claimed when it is made: a map that found the disk full
        later could only kill the process.
    """

    def __init__(self, path: Path, header: dict[str, Any], n_rows: int, *, create: bool) -> None:
        self.file: Path = path
        self.config, self.specs = header["config"], header["specs"]
        self.device, self.pinned = torch.device("cpu"), False
        self.n_rows, self.capacity = n_rows, header["capacity"]
        if create:
            self._create(path, self.capacity)
        self._full = self._map(path, self.capacity)

    def __getstate__(self) -> None:
        raise TypeError(
            f"a table in a file ({self.file}) cannot be copied or pickled: two tables would write to one file. "
            "Keep its state_dict(), or a copy of the file."
        )

    def grow(self, n_rows: int) -> None:
        """Append rows of zeros, in a larger file where there is no room."""
        if n_rows > self.capacity:
            # A file of its own first, put in place at one go: a full disk or a crash leaves the old one.
            capacity = max(n_rows, int(self.capacity * SPARE))
            growing = self.file.with_name(self.file.name + ".growing")
            growing.unlink(missing_ok=True)
            self._create(growing, capacity)
            self._replace(self._map(growing, capacity), capacity)
            self.sync()
            os.replace(growing, self.file)
        self.n_rows = n_rows

    def sync(self) -> None:
        """Write to the disk what has changed."""
        self._mapped.flush()

    def describe(self, config: dict[str, Any]) -> None:
        """Keep another ``config`` in the file."""
        self.config = config
        page = self._first_page(self.capacity)
        self._mapped[: len(page)] = np.frombuffer(page, dtype=np.uint8)

    def _first_page(self, capacity: int) -> bytes:
        """Description of the file."""
        size = _offsets(self.specs, capacity)[1]
        specs = {name: [list(s.shape), str(s.dtype).split(".")[1], s.by_row] for name, s in self.specs.items()}
        header = {"version": VERSION, "size": size, "capacity": capacity, "specs": specs, "config": self.config}
        page = MAGIC + json.dumps(header).encode()
        if len(page) > _PAGE:
            raise ValueError(f"the table's description takes {len(page)} bytes, and a file has room for {_PAGE}.")
        return page.ljust(_PAGE)

    def _create(self, path: Path, capacity: int) -> None:
        first_page, size = self._first_page(capacity), _offsets(self.specs, capacity)[1]
        free = shutil.disk_usage(path.parent).free
        if size > free:
            raise _no_room(path, size, free)
        with open(path, "xb") as file:
            try:
                _claim(file.fileno(), size)
            except OSError as error:
                path.unlink()
                raise _no_room(path, size, free) from error
            file.write(first_page)

    def _map(self, path: Path, capacity: int) -> dict[str, Tensor]:
        offsets, _ = _offsets(self.specs, capacity)
        self._mapped = np.memmap(path, dtype=np.uint8, mode="r+")
        whole = torch.from_numpy(self._mapped)
        return {
            name: whole[offsets[name] : offsets[name] + spec.nbytes(capacity)]
            .view(spec.dtype)
            .view(spec.full_shape(capacity))
            for name, spec in self.specs.items()
        }


class Closed:
    """What stands where the rows of a closed table stood."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"the table in {self._file} is closed: AlphaTable.resume({str(self._file)!r}) opens it.")


def read_header(path: Path) -> dict[str, Any]:
    """Description of a table's file.

    Returns
    -------
    dict
        ``config``, ``specs`` (dict of str to Spec) and ``capacity``.

    Raises
    ------
    ValueError
        If this is no table's file, one of another version, or one whose size is not what it says.
    """
    with open(path, "rb") as file:
        page = file.read(_PAGE)
    if not page.startswith(MAGIC):
        raise ValueError(f"{path} is not a file of an alpha table: it does not begin with {MAGIC!r}.")
    try:
        header = json.loads(page[len(MAGIC) :])
        if header["version"] != VERSION:
            raise ValueError(
                f"{path} is of version {header['version']}, expected {VERSION}: "
                "read it with the version of acestimator that wrote it, and give its state_dict() to a new table."
            )
        header = {key: header[key] for key in ("size", "capacity", "specs", "config")}
        size = os.path.getsize(path)
        if size != header["size"]:
            raise ValueError(
                f"{path} has {size:,} bytes, expected {header['size']:,}: it was cut or not copied whole; "
                "copy it again from where it came."
            )
        header["specs"] = {
            name: Spec(tuple(shape), getattr(torch, dtype), by_row)
            for name, (shape, dtype, by_row) in header["specs"].items()
        }
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: the description in its first {_PAGE} bytes is damaged ({error!r}).") from error
    return header


def _offsets(specs: dict[str, Spec], capacity: int) -> tuple[dict[str, int], int]:
    """First byte of each array, and the size of the file; each begins on a page of its own."""
    offsets, position = {}, _PAGE
    for name, spec in specs.items():
        offsets[name] = position
        position += -(-spec.nbytes(capacity) // _PAGE) * _PAGE
    return offsets, position


def _claim(descriptor: int, size: int) -> None:
    """Give the file its size, with room on the disk for all of it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros, left = bytes(1 << 24), size
    while left:
        left -= os.write(descriptor, zeros[: min(left, len(zeros))])
    os.lseek(descriptor, 0, os.SEEK_SET)


def _no_room(path: Path, size: int, free: int) -> OSError:
    return OSError(
        f"{path} needs {size:,} bytes and its disk has {free:,} free: "
        "free some, choose another disk, or store less (dtype=torch.bfloat16, or rivals)."
    )
