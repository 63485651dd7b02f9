"""One process at a time at a file: locks that end with their process, however it ends."""

from __future__ import annotations

import errno
import os
import weakref
from contextlib import suppress
from pathlib import Path
from types import ModuleType

try:
    import fcntl as _fcntl
except ImportError:  # on Windows
    fcntl: ModuleType | None = None
else:
    fcntl = _fcntl

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # of file systems that know none


class FileLock:
    """Lock of a file, held until :meth:`release`, until nobody refers to it, or until the process ends.

    A second opener is told so at once, in this process, too. Where the system or the disk knows no locks, none is held.

    Parameters
    ----------
    path : Path
        The file that is locked; it is there, unless ``create``. Whoever replaces it locks the new one first.
    what : str
        What the error calls it.
    cure : str
        What to do if another holds it: the end of the error.
    create : bool, default=False
        Make the file, and write the number of this process into it; :meth:`release` removes it.

    Raises
    ------
    BlockingIOError
        If it is locked.
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, what: str, cure: str, *, create: bool = False) -> None:
        self.held = False
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        while True:
            descriptor = os.open(path, flags, 0o666)
            try:
                self.held = _lock(descriptor, what, cure, names_holder=create)
                same = _is_still(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if same:
                break
            os.close(descriptor)  # it was replaced, or removed by who held it, after it was opened
        if create and self.held:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        made = path if create and self.held else None
        self._finalizer = weakref.finalize(self, _release, descriptor, made, os.getpid())

    def release(self) -> None:
        """Let go of the file; once more does nothing."""
        self._finalizer()


def lock_of_process(path: Path, what: str, cure: str) -> FileLock:
    """Lock of a file that objects of one process share, and no other process: it ends with the last of them.

    Parameters and errors are those of :class:`FileLock`. A child that was forked is another process.
    """
    stat = os.stat(path)
    key = os.getpid(), stat.st_dev, stat.st_ino
    lock = _OF_PROCESS.get(key)
    if lock is None:
        lock = _OF_PROCESS[key] = FileLock(path, what, cure)
    return lock


_OF_PROCESS: weakref.WeakValueDictionary[tuple[int, int, int], FileLock] = weakref.WeakValueDictionary()


def _lock(descriptor: int, what: str, cure: str, *, names_holder: bool) -> bool:
    """Lock a file; False where there are no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() if names_holder else ""
        who = f"process {written}" if written.isdigit() else "another process"
        raise BlockingIOError(errno.EWOULDBLOCK, f"{what} is in use: {who} has it open. {cure}") from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(descriptor: int, made: Path | None, process: int) -> None:
    # A child that was forked shares the lock: it closes its own descriptor, and leaves the lock to its parent.
    if os.getpid() == process and fcntl is not None:
        if made is not None:
            made.unlink(missing_ok=True)  # before others may lock it
        with suppress(OSError):  # where the disk knows no locks
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
