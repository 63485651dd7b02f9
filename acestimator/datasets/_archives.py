"""Archives of arrays (.npz), looked at before numpy makes room for what they claim to hold."""

from __future__ import annotations

import os
import zipfile
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_RATIO = 1040  # bytes that a byte of a deflated file stands for, at most (1,032 by the format)


def check_archive(file: Path | BinaryIO) -> None:
    """Raise ValueError if an .npz claims arrays that it cannot hold: numpy would take memory for them first.

    Parameters
    ----------
    file : Path or file object
        A zip archive; of an object the position is put back to the beginning.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If it is no such archive.
    """
    size = os.path.getsize(file) if isinstance(file, Path) else os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.file_size > _RATIO * min(member.compress_size, size):
                raise ValueError(
                    f"it claims {member.file_size:,} bytes of {member.filename!r}, and has {size:,} in all"
                )
            if member.filename.endswith(".npy"):
                _check_member(archive, member)
    if not isinstance(file, Path):
        file.seek(0)


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with archive.open(member) as opened:
        shape, dtype = header_of(opened)
        claimed, there = prod(shape) * dtype.itemsize, member.file_size - opened.tell()
    if claimed > there and not dtype.hasobject:  # objects are pickled, and refused by who reads them
        raise ValueError(
            f"its array {member.filename.removesuffix('.npy')!r} claims shape {shape} of {dtype}, {claimed:,} bytes, "
            f"and has {there:,}"
        )


def header_of(opened: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that the header of an opened .npy says; ValueError if it has none."""
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened)
    return shape, dtype
