"""New files and folders that are there as a whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_new(target: Path) -> None:
    """Raise an OSError if there is something at a path already, or no folder that it could be in."""
    if os.path.lexists(target):
        raise FileExistsError(f"{target} is there already and is not written over: give another name by --out.")
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"{target} cannot be written, since there is no folder {target.parent}: make it first.")


@contextmanager
def new_path(target: Path) -> Iterator[Path]:
    """A path beside the target, to write a file or a folder to; it becomes the target when all went well.

    Whatever happens before, an interrupt or a full disk, nothing is left at either path.

    Raises
    ------
    OSError
        If something is there, or could not be written.
    """
    check_new(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        _sync(temporary)
        check_new(target)  # made meanwhile by somebody else
        os.rename(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        is_other = error.filename is not None and not str(error.filename).startswith(str(temporary))
        why = str(error) if is_other or not error.strerror else error.strerror
        raise type(error)(f"{target} could not be written ({why}). Nothing is left of it.") from error
    finally:
        _remove(temporary)


def _sync(path: Path) -> None:
    """Have a file on the disk before it gets its name, or a crash could leave an empty one of that name."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
