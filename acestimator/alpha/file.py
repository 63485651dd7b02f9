"""The arrays behind :class:`acestimator.AlphaTable` in a file that is mapped into memory.

Legend: N rows, C rows that there is room for.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.clock import Clock
from acestimator.alpha.header import PAGE, all_specs, create_file, first_page, offsets, read_header
from acestimator.alpha.journal import JOURNAL, Journal
from acestimator.alpha.storage import SPARE, Spec, Storage
from acestimator.locks import FileLock, lock_of_process

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
    lock : FileLock, optional
        Of the file, if it is locked already.

    Raises
    ------
    BlockingIOError
        If another process has the file open.
    """

    def __init__(self, path: Path, header: dict[str, Any], lock: FileLock | None = None) -> None:
        self.file: Path = path
        self.config, self.specs, self._journal_bytes = header["config"], header["specs"], header["journal"]
        self.device, self.pinned = torch.device("cpu"), False
        self._sealed = False
        self._lock: FileLock | None = lock_table(path) if lock is None else lock
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
        create_file(path, header)
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
        BlockingIOError
            If another process has it open.
        """
        read_header(path)  # what is no table's file is not even locked
        lock = lock_table(path)
        storage = cls(path, read_header(path), lock)
        if storage._flags[_WHOLE] != 1:
            raise ValueError(
                f"{path} is not whole: its process ended while it was made, or while load_state_dict() filled it. "
                "Make it anew."
            )
        if verify:
            storage._verify()
        time = Clock(storage).read()
        if not time.is_possible(storage.capacity):
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
        self._journal.forget()  # the clock may be put back to the turn of what it keeps
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
            self._lock = larger._lock  # the other is of a file that has no name any more
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

    def release(self) -> None:
        self._lock = None

    def describe(self, config: dict[str, Any]) -> None:
        """Keep another ``config`` in the file."""
        self.config = config
        self._mapped[:PAGE] = np.frombuffer(first_page(self._header), dtype=np.uint8)

    @property
    def _header(self) -> dict[str, Any]:
        """What :func:`read_header` returns."""
        names = {"config": self.config, "specs": self.specs}
        return names | {"capacity": self.capacity, "journal": self._journal_bytes}

    def _map(self, path: Path, capacity: int) -> None:
        self.capacity = capacity
        specs = all_specs(self._header)
        firsts, _ = offsets(specs, capacity)
        self._mapped = np.memmap(path, dtype=np.uint8, mode="r+")
        whole = torch.from_numpy(self._mapped)
        arrays = {
            name: whole[firsts[name] : firsts[name] + spec.nbytes(capacity)]
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
        return zlib.crc32(self._mapped[PAGE + 8 * (_CHECKSUM + 1) :].data)

    def _verify(self) -> None:
        if self._flags[_SEALED] != 1:
            raise ValueError(
                f"{self.file} has no checksum: its table has moved since the last sync() or close(). "
                "Without verify=True it can be opened."
            )
        if self._flags[_CHECKSUM] != self._checksum():
            raise ValueError(f"{self.file} is damaged: its checksum is another. Use a copy.")


def lock_table(path: Path) -> FileLock:
    """Lock a table's file for this process, as long as somebody keeps what is returned.

    Raises
    ------
    BlockingIOError
        If another process has it open.
    """
    cure = "Close it there first, or work on a copy: two would write to one file."
    return lock_of_process(path, f"the table in {path}", cure)


class Closed:
    """What stands where the rows of a closed table stood."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"the table in {self._file} is closed: AlphaTable.resume({str(self._file)!r}) opens it.")
