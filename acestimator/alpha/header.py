"""What the first page of a table's file says, and the making of the file.

Legend: N rows, C rows that there is room for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from acestimator.alpha.journal import journal_specs
from acestimator.alpha.storage import Spec

MAGIC = b"acestimator alpha table\n"
VERSION = 2  # of the file's layout
PAGE = 4096
FLAGS = Spec((3,), torch.int64, by_row=False)  # of acestimator.alpha.file


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
        page = file.read(PAGE)
    if not page.startswith(MAGIC):
        raise ValueError(f"{path} is not a file of an alpha table: it does not begin with {MAGIC!r}.")
    digest, _, description = page[len(MAGIC) :].partition(b"\n")
    if digest != _digest(description):
        raise ValueError(f"{path}: the description in its first {PAGE} bytes is damaged, or of version 1. Use a copy.")
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


def first_page(header: dict[str, Any]) -> bytes:
    """Description of a file, with a checksum of its own."""
    specs = {name: [list(s.shape), str(s.dtype).split(".")[1], s.by_row] for name, s in header["specs"].items()}
    size = offsets(all_specs(header), header["capacity"])[1]
    description = json.dumps({"version": VERSION, "size": size} | header | {"specs": specs}).encode()
    room = PAGE - len(MAGIC) - len(_digest(b"")) - 1
    if len(description) > room:
        raise ValueError(f"the table's description takes {len(description)} bytes, and a file has room for {room}.")
    description = description.ljust(room)
    return MAGIC + _digest(description) + b"\n" + description


def _digest(description: bytes) -> bytes:
    return hashlib.blake2b(description, digest_size=16).hexdigest().encode()


def all_specs(header: dict[str, Any]) -> dict[str, Spec]:
    """Arrays of a file, in their order: those of the table are in the middle."""
    specs = header["specs"]
    return {"flags": FLAGS} | specs | journal_specs(specs, header["capacity"], header["journal"])


def offsets(specs: dict[str, Spec], capacity: int) -> tuple[dict[str, int], int]:
    """First byte of each array, and the size of the file; each begins on a page of its own."""
    firsts, position = {}, PAGE
    for name, spec in specs.items():
        firsts[name] = position
        position += -(-spec.nbytes(capacity) // PAGE) * PAGE
    return firsts, position


def create_file(path: Path, header: dict[str, Any]) -> None:
    """Make the file, with room for all of it."""
    page, size = first_page(header), offsets(all_specs(header), header["capacity"])[1]
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise _no_room(path, size, free)
    with open(path, "xb") as file:
        try:
            _claim(file.fileno(), size)
        except OSError as error:
            path.unlink()
            raise _no_room(path, size, free) from error
        file.write(page)


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
