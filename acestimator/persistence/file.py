"""The file of a model: safetensors, with a JSON document in its metadata and a checksum over both.

What is read here may come from anybody. Nothing in it is run, and what it makes us allocate is bounded by its size.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FORMAT, VERSION = "acestimator", 1
# JSON takes some thirty times its size in memory once it is read, so its size has a limit.
LARGEST_HEADER = 8 << 20  # bytes
_MIB = 1 << 20


def write(path: str | os.PathLike[str], document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model's file, in place of another one when it is whole.

    Parameters
    ----------
    path : path
    document : dict
        For JSON.
    tensors : dict of str to Tensor
        On the CPU and contiguous.

    Raises
    ------
    ValueError
        If the document is too large for a header.
    OSError
        If the file cannot be written. Nothing is left of it then, and a file that was there is as it was.
    """
    text = json.dumps(document, allow_nan=False)
    if len(text) > LARGEST_HEADER // 2:  # the tensors' names and places take their part
        raise ValueError(
            f"the model's parameters and history take {len(text) / _MIB:.1f} MiB of JSON, and at most "
            f"{LARGEST_HEADER / _MIB / 2:.0f} are written: shorten history_ or params."
        )
    metadata = {"format": FORMAT, "version": str(VERSION), "document": text}
    metadata["checksum"] = checksum(metadata, tensors)
    need = len(text) + sum(tensor.nbytes for tensor in tensors.values())
    write_whole(path, need, lambda part: save_file(dict(tensors), part, metadata=metadata))


def write_whole(path: str | os.PathLike[str], need: int, save: Callable[[Path], None]) -> None:
    """Let a function write a file beside its place, and put it there once it is whole and on the disk.

    Parameters
    ----------
    path : path
    need : int
        Bytes, about, for the error.
    save : callable
        Writes the file whose path it is given.

    Raises
    ------
    OSError
        If the file cannot be written: which, and what it needs. Nothing is left of it.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the path of a file to write.")
    part = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
        part = Path(name)
        with os.fdopen(descriptor, "wb"):
            pass
        save(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(part, _mode_of_new_files(path))
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        code = error.errno if isinstance(error, OSError) else None
        text = f"{path} could not be written ({error}). It needs {need / _MIB:.1f} MiB{_free(path)}; nothing was left."
        raise (OSError(text) if code is None else OSError(code, text)) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what :func:`write` has written.

    Returns
    -------
    document : dict
    tensors : dict of str to Tensor
        In memory of their own.

    Raises
    ------
    ValueError
        If the file is another kind of file, is damaged, or is of a later version of the format.
    OSError
        If it is not there or cannot be read.
    """
    path = Path(path)
    _check_size(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            _check_version(path, metadata)
            # Copies: what lies in the file would change with it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 -- no dictionary
    except SafetensorError as error:
        raise ValueError(f"{_no_model(path)} ({error}).") from error
    if checksum(metadata, tensors) != metadata.get("checksum"):
        raise ValueError(f"{path} is damaged: its checksum is another than that of its content. Use a copy.")
    try:
        document = json.loads(metadata["document"])
    except (KeyError, RecursionError, ValueError) as error:
        raise ValueError(f"{_no_model(path)} (its document: {error}).") from error
    if not isinstance(document, dict):
        raise ValueError(f"{_no_model(path)} (its document is {type(document).__name__}).")
    return document, tensors


def checksum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2b over the metadata, but the checksum itself, and the names, types, shapes and bytes of all tensors."""
    digest = hashlib.blake2b(digest_size=32)
    for key in sorted(metadata.keys() - {"checksum"}):
        digest.update(json.dumps([key, metadata[key]]).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_size(path: Path) -> None:
    """Raise for what is no regular file (a pipe would hang), and for a header that cannot be one of ours."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{path} is a folder, expected a file that save() has written.")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is no regular file, expected one that save() has written.")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if found.st_size < 8 or length > found.st_size - 8:
        raise ValueError(
            f"{_no_model(path)} (it has {found.st_size:,} bytes, and says that its header alone has {length:,})."
        )
    if length > LARGEST_HEADER:
        raise ValueError(f"{_no_model(path)} (its header has {length:,} bytes, at most {LARGEST_HEADER:,} are read).")


def _check_version(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} is a file of safetensors, but not one that save() has written: it holds no model.")
    version = metadata.get("version", "")
    # ASCII digits alone, and few: int() takes others, too, and time for many.
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 9 and int(version) > 0):
        raise ValueError(f"{_no_model(path)} (the version of its format is {version[:20]!r}).")
    if int(version) > VERSION:
        raise ValueError(
            f"{path} has version {version} of the format, and this acestimator reads up to {VERSION}: update "
            "acestimator, or save the model again with this one."
        )


def _no_model(path: Path) -> str:
    return f"{path} is no model that save() has written, or a damaged one"


def _mode_of_new_files(path: Path) -> int:
    """Permissions of the file in this place, or of a new one; those of temporary files are tighter."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _free(path: Path) -> str:
    try:
        return f", and {shutil.disk_usage(path.parent).free / _MIB:.1f} are free"
    except OSError:
        return ""
