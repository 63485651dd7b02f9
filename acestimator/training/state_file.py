"""A training's state in a file: tensors and JSON, a checksum over all of it, and no code.

The file has safetensors' layout, so that other tools can look into it: the length of the header in eight bytes, the
header (JSON), and the bytes of the tensors. Here a tensor of the file is one storage, in bytes. What the state is made
of, with each tensor as a view of a storage, is JSON in the header. So tensors that share memory do so again, and no
pickle is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

VERSION = 4
_BEGIN = b'{"__metadata__":{"digest":"'
_NO_DIGEST = b"0" * 32
_CHUNK = 1 << 22  # bytes read at a time


def write(file: BinaryIO, configuration: dict[str, str], state: Any) -> None:
    """Write a state of tensors, numbers and strings, in dictionaries, lists and tuples of these.

    Parameters
    ----------
    file : file object
        Opened for writing bytes, at its beginning.
    configuration : dict of str to str
    state : Any
        As :func:`acestimator.training.checkpoint.plain` gives it.
    """
    storages = _Storages()
    metadata = {
        "digest": _NO_DIGEST.decode(),
        "acestimator checkpoint": str(VERSION),
        "configuration": json.dumps(configuration),
        "state": json.dumps(storages.encoded(state)),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    position = 0
    for number, storage in enumerate(storages.found):
        end = position + storage.nbytes()
        header[str(number)] = {"dtype": "U8", "shape": [storage.nbytes()], "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.blake2b(digest_size=16)
    for part in (len(text).to_bytes(8, "little"), text):
        digest.update(part)
        file.write(part)
    for storage in storages.found:
        content = _bytes_of(storage)
        digest.update(content)
        file.write(content)
    file.seek(8 + len(_BEGIN))
    file.write(digest.hexdigest().encode())


def size_of(state: Any) -> int:
    """Bytes that the tensors of a state take in a file."""
    storages = _Storages()
    storages.encoded(state)
    return sum(storage.nbytes() for storage in storages.found)


def read(path: Path, *, only_configuration: bool = False) -> tuple[dict[str, str], Any]:
    """Configuration and state of a file, its tensors where they were; None for the state if it is not wanted.

    Raises
    ------
    ValueError
        If a byte is another than was written, or it is no such file.
    """
    with path.open("rb") as file:
        text = _verified_header(file, os.fstat(file.fileno()).st_size)
        header = json.loads(text)
        metadata = header.pop("__metadata__")
        if metadata.get("acestimator checkpoint") != str(VERSION):
            raise ValueError(f"its format is {metadata.get('acestimator checkpoint')}")
        configuration = json.loads(metadata["configuration"])
        if only_configuration:
            return configuration, None
        begin = 8 + len(text)
        return configuration, _Decoder(file, begin, header).decoded(json.loads(metadata["state"]))


def version_of(path: Path) -> int | None:
    """Version that a file of this layout says it is of; None if it says none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > os.fstat(file.fileno()).st_size:
                return None
            return int(json.loads(file.read(length))["__metadata__"]["acestimator checkpoint"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _verified_header(file: BinaryIO, size: int) -> bytes:
    """Header of a file all of which is as it was written."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if not len(_BEGIN) + 32 < length <= size - 8:
        raise ValueError(f"its header takes {length:,} of {size:,} bytes")
    text = file.read(length)
    if not text.startswith(_BEGIN):
        raise ValueError("it does not begin as a checkpoint does")
    place = len(_BEGIN)
    digest = hashlib.blake2b(start, digest_size=16)
    digest.update(text[:place] + _NO_DIGEST + text[place + 32 :])
    while part := file.read(_CHUNK):
        digest.update(part)
    if digest.hexdigest().encode() != text[place : place + 32]:
        raise ValueError("its checksum is another")
    return text


class _Storages:
    """Storages of the tensors of a state, in the order in which they are met."""

    def __init__(self) -> None:
        self.found: list[torch.UntypedStorage] = []
        self._numbers: dict[tuple[str, int], int] = {}

    def encoded(self, value: Any) -> Any:
        """What JSON can hold in place of a part of the state."""
        if isinstance(value, Tensor):
            return {"tensor": self._view(value)}
        if isinstance(value, Mapping):
            parts = [[self.encoded(key), self.encoded(part)] for key, part in value.items()]
            if not hasattr(value, "_metadata"):
                return {"dict": parts}
            return {"state_dict": parts, "metadata": self.encoded(value._metadata)}
        if isinstance(value, tuple):
            return {"tuple": [self.encoded(part) for part in value]}
        return [self.encoded(part) for part in value] if isinstance(value, list) else value

    def _view(self, tensor: Tensor) -> dict[str, Any]:
        tensor = tensor.resolve_conj().resolve_neg()
        storage = tensor.untyped_storage()
        key = (str(tensor.device), storage.data_ptr())
        if storage.nbytes() == 0 or key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(storage)
        return {
            "storage": self._numbers[key],
            "dtype": str(tensor.dtype).split(".")[-1],
            "shape": list(tensor.shape),
            "stride": list(tensor.stride()),
            "offset": tensor.storage_offset(),
            "device": str(tensor.device),
        } | ({"requires_grad": True} if tensor.requires_grad else {})


def _bytes_of(storage: torch.UntypedStorage) -> Any:
    """Its bytes (n,), as an array of numpy, which lies where they are if that is the CPU."""
    return torch.tensor([], dtype=torch.uint8, device=storage.device).set_(storage).cpu().numpy()


class _Decoder:
    """Makes a state of what :class:`_Storages` made of it, and of the storages in the file."""

    def __init__(self, file: BinaryIO, begin: int, header: dict[str, Any]) -> None:
        self._file, self._begin, self._header = file, begin, header
        self._size = os.fstat(file.fileno()).st_size - begin
        self._storages: dict[tuple[int, str], Tensor] = {}
        self._tensors: dict[str, Tensor] = {}

    def decoded(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decoded(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            return self._tensor(value["tensor"])
        if "tuple" in value:
            return tuple(map(self.decoded, value["tuple"]))
        if "dict" in value:
            return dict(self._pairs(value["dict"]))
        ordered = OrderedDict(self._pairs(value["state_dict"]))
        ordered._metadata = self.decoded(value["metadata"])  # type: ignore[attr-defined]
        return ordered

    def _pairs(self, pairs: list[list[Any]]) -> Iterator[tuple[Any, Any]]:
        for key, part in pairs:
            yield self.decoded(key), self.decoded(part)

    def _tensor(self, view: dict[str, Any]) -> Tensor:
        name = json.dumps(view)
        if name not in self._tensors:  # the same one twice, as a count of steps that all parameters share
            numbers = self._storage(view["storage"], view["device"]).view(getattr(torch, view["dtype"]))
            tensor = numbers.as_strided(view["shape"], view["stride"], view["offset"])
            self._tensors[name] = tensor.requires_grad_() if view.get("requires_grad") else tensor
        return self._tensors[name]

    def _storage(self, number: int, device: str) -> Tensor:
        if (number, device) not in self._storages:
            first, end = self._header[str(number)]["data_offsets"]
            if not 0 <= first <= end <= self._size:
                raise ValueError(f"it claims a tensor from {first:,} to {end:,}, and has {self._size:,} bytes of them")
            content = torch.empty(end - first, dtype=torch.uint8, device="cpu")
            self._file.seek(self._begin + first)
            if self._file.readinto(content.numpy()) != len(content):  # type: ignore[attr-defined]
                raise ValueError("it ends within a tensor")
            self._storages[number, device] = content.to(device)
        return self._storages[number, device]
