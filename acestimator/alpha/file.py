"""The arrays behind :class:`acestimator.AlphaTable` in a file that is mapped into memory.

Legend: N rows, C rows that there is room for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.clock import Clock
from acestimator.alpha.journal import JOURNAL, Journal, journal_specs
from acestimator.alpha.storage import SPARE, Spec, Storage

MAGIC = b"acestimator alpha table\n"
VERSION = 2  # of the file's layout
_PAGE = 4096
_FLAGS = Spec((3,), torch.int64, by_row=False)
_SEALED, _CHECKSUM, _WHOLE = range(3)  # one where the checksum is of what is there; it; one where the table is whole


class FileStorage(Storage):
    """The same in one memory-mapped file, with a description in its first page.

    A process that is killed leaves each row whole, and the time: what is written of rows is kept beside them before,
    see :class:`acestimator.alpha.journal.Journal`, and of the time there are two records, see
    :class:`acestimator.alpha.clock.Clock`.

    Parameters
    ----------
    path : Path
    header : dict
        ``config`` (JSON), ``specs``, ``capacity`` and ``journal`` (bytes), as :func:`read_header` returns them or as
        they are to be.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.file: Path = path
        self.config, self.specs, self._journal_bytes = header["config"], header["specs"], header["journal"]
        self.device, self.pinned = torch.device("cpu"), False
        self._sealed = False
        self._map(path, header["capacity"])

    @classmethod
    def create(
        cls, path: Path, config: dict[str, Any], specs: dict[str, Spec], n_rows: int, journal: int = JOURNAL
    ) -> FileStorage:
        """Make a file, of zeros, that is not whole before it has been in :meth:`rewriting`.

        Raises
        ------
        OSError
            If there is no room on the disk. All of the file is claimed when it is made: a map that found the disk full
            later could only kill the process.
        """
        header = {"config": config, "specs": specs, "capacity": n_rows, "journal": journal}
        _create(path, header)
        storage = cls(path, header)
        storage.n_rows = n_rows
        return storage

    @classmethod
    def open(cls, path: Path, verify: bool) -> FileStorage:
        """Map a file as it is, and put back the rows that were being written when its process ended.

        Raises
        ------
        ValueError
            If it is damaged, as far as can be seen without reading all of it, or with ``verify`` at all; or if it is
            not whole, or with ``verify`` has no checksum.
        """
        storage = cls(path, read_header(path))
        if storage._flags[_WHOLE] != 1:
            raise ValueError(
                f"{path} is not whole: its process ended while it was made, or while load_state_dict() filled it. "
                "Make it anew."
            )
        if verify:
            storage._verify()
        time = Clock(storage).read()
        known = 0 <= time.oldest <= time.clock and 0 <= time.n_rows <= storage.capacity
        if not (known and time.live in (0, 1) and 0 <= time.path < math.inf):
            raise ValueError(f"{path} is damaged: its time is {time}, with room for {storage.capacity} rows.")
        storage.n_rows = time.n_rows
        storage._journal.put_back()
        return storage

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            f"a table in a file ({self.file}) cannot be copied or pickled: two tables would write to one file. "
            "Keep its state_dict(), or a copy of the file."
        )

    @contextmanager
    def writing(self, at: Tensor | slice) -> Iterator[None]:
        self.touch()
        self._journal.keep(at)
        try:
            yield
        except BaseException:
            self._journal.put_back()
            raise

    def touch(self) -> None:
        if self._sealed:
            self._flags[_SEALED] = 0
            self._sealed = False

    @contextmanager
    def rewriting(self) -> Iterator[None]:
        self.touch()
        self._flags[_WHOLE] = 0
        yield
        self._flags[_WHOLE] = 1

    def grow(self, n_rows: int) -> None:
        """Append rows of zeros, in a larger file where there is no room."""
        self.touch()
        if n_rows > self.capacity:
            # A file of its own first, put in place at one go: a full disk or a crash leaves the old one.
            capacity = max(n_rows, int(self.capacity * SPARE))
            growing = self.file.with_name(self.file.name + ".growing")
            growing.unlink(missing_ok=True)
            larger = FileStorage.create(growing, self.config, self.specs, capacity, self._journal_bytes)
            larger.n_rows = self.n_rows
            for name in self.specs:
                larger[name].copy_(self[name])
            larger._flags[_WHOLE] = 1
            larger._mapped.flush()
            os.replace(growing, self.file)
            self._map(self.file, capacity)
        self.n_rows = n_rows

    def sync(self) -> None:
        """Write to the disk what has changed, and a checksum of all."""
        self._mapped.flush()
        if not self._sealed:
            self._flags[_CHECKSUM] = self._checksum()
            self._flags[_SEALED] = 1
            self._sealed = True
            self._mapped.flush()

    def describe(self, config: dict[str, Any]) -> None:
        """Keep another ``config`` in the file."""
        self.config = config
        self._mapped[:_PAGE] = np.frombuffer(_first_page(self._header), dtype=np.uint8)

    @property
    def _header(self) -> dict[str, Any]:
        """What :func:`read_header` returns."""
        names = {"config": self.config, "specs": self.specs}
        return names | {"capacity": self.capacity, "journal": self._journal_bytes}

    def _map(self, path: Path, capacity: int) -> None:
        self.capacity = capacity
        specs = _all_specs(self._header)
        offsets, _ = _offsets(specs, capacity)
        self._mapped = np.memmap(path, dtype=np.uint8, mode="r+")
        whole = torch.from_numpy(self._mapped)
        arrays = {
            name: whole[offsets[name] : offsets[name] + spec.nbytes(capacity)]
            .view(spec.dtype)
            .view(spec.full_shape(capacity))
            for name, spec in specs.items()
        }
        self._full = arrays
        self._flags = arrays["flags"].numpy()
        self._sealed = bool(self._flags[_SEALED] != 0)
        self._journal = Journal(arrays)
        self.at_once = self._journal.capacity

    def _checksum(self) -> int:
        """Of all that lies behind it."""
        return zlib.crc32(self._mapped[_PAGE + 8 * (_CHECKSUM + 1) :].data)

    def _verify(self) -> None:
        if self._flags[_SEALED] != 1:
            raise ValueError(
                f"{self.file} has no checksum: its table has moved since the last sync() or close(). "
                "Without verify=True it can be opened."
            )
        if self._flags[_CHECKSUM] != self._checksum():
            raise ValueError(f"{self.file} is damaged: its checksum is another. Use a copy.")


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
        ``config``, ``specs`` (dict of str to Spec), ``capacity`` and ``journal``.

    Raises
    ------
    ValueError
        If this is no table's file, one of another version, one whose size is not what it says, or if a byte of the
        description is another than was written.
    """
    with open(path, "rb") as file:
        page = file.read(_PAGE)
    if not page.startswith(MAGIC):
        raise ValueError(f"{path} is not a file of an alpha table: it does not begin with {MAGIC!r}.")
    digest, _, description = page[len(MAGIC) :].partition(b"\n")
    if digest != _digest(description):
        raise ValueError(f"{path}: the description in its first {_PAGE} bytes is damaged, or of version 1. Use a copy.")
    header = json.loads(description)
    if header["version"] != VERSION:
        raise ValueError(
            f"{path} is of version {header['version']}, expected {VERSION}: "
            "read it with the version of acestimator that wrote it, and give its state_dict() to a new table."
        )
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
    return header


def _first_page(header: dict[str, Any]) -> bytes:
    """Description of a file, with a checksum of its own."""
    specs = {name: [list(s.shape), str(s.dtype).split(".")[1], s.by_row] for name, s in header["specs"].items()}
    size = _offsets(_all_specs(header), header["capacity"])[1]
    description = json.dumps({"version": VERSION, "size": size} | header | {"specs": specs}).encode()
    room = _PAGE - len(MAGIC) - len(_digest(b"")) - 1
    if len(description) > room:
        raise ValueError(f"the table's description takes {len(description)} bytes, and a file has room for {room}.")
    description = description.ljust(room)
    return MAGIC + _digest(description) + b"\n" + description


def _digest(description: bytes) -> bytes:
    return hashlib.blake2b(description, digest_size=16).hexdigest().encode()


def _all_specs(header: dict[str, Any]) -> dict[str, Spec]:
    """Arrays of a file, in their order: those of the table are in the middle."""
    specs = header["specs"]
    return {"flags": _FLAGS} | specs | journal_specs(specs, header["capacity"], header["journal"])


def _offsets(specs: dict[str, Spec], capacity: int) -> tuple[dict[str, int], int]:
    """First byte of each array, and the size of the file; each begins on a page of its own."""
    offsets, position = {}, _PAGE
    for name, spec in specs.items():
        offsets[name] = position
        position += -(-spec.nbytes(capacity) // _PAGE) * _PAGE
    return offsets, position


def _create(path: Path, header: dict[str, Any]) -> None:
    """Make the file, with room for all of it."""
    first_page, size = _first_page(header), _offsets(_all_specs(header), header["capacity"])[1]
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
