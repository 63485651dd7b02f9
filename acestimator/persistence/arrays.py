"""Arrays of labels and of numbers as tensors, and back, to the same bits and of the same type.

Legend: L characters of the longest text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_NUMBERS = re.compile(r"[<>|=][biuf][1248]")
_OTHERS = re.compile(r"[<>|=]([USmM])(\d{1,9})(\[\d{0,9}\w{1,2}\])?")
_LAST_CHARACTER = 0x10FFFF
_PLAIN = (str, int, float, bool, type(None))


def to_tensor(array: np.ndarray, name: str) -> tuple[Tensor, dict[str, Any]]:
    """A tensor of an array, and what is needed to make the array of it again.

    Parameters
    ----------
    array : ndarray
        Of truth values, numbers, texts, bytes, dates, or of Python's texts, numbers and truth values.
    name : str
        For the error.

    Returns
    -------
    tensor : Tensor
        Texts are code points (..., L); objects are positions among those that differ.
    kind : dict
        For JSON: the type, and of objects those that differ.

    Raises
    ------
    ValueError
        If the array is of another type.
    """
    kind: dict[str, Any] = {"dtype": array.dtype.str}
    if array.dtype == object:
        return _of_objects(array, name)
    if _NUMBERS.fullmatch(array.dtype.str):
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True)), kind
    if array.dtype.kind in "USmM":
        native = array.astype(array.dtype.newbyteorder("="), order="C", copy=True)
        unit, bits = {"U": (4, np.uint32), "S": (1, np.uint8)}.get(array.dtype.kind, (8, np.int64))
        shape = array.shape if unit == 8 else (*array.shape, array.dtype.itemsize // unit)
        return torch.from_numpy(np.ndarray(shape, bits, buffer=native.tobytes() or b"\0").copy()), kind
    raise ValueError(f"{name} is an array of type {array.dtype}, expected truth values, numbers, texts or dates.")


def from_tensor(tensor: Tensor, kind: dict[str, Any]) -> np.ndarray:
    """The array that :func:`to_tensor` was given.

    Raises
    ------
    ValueError
        If tensor and kind do not belong together.
    """
    if kind["dtype"] == "|O":
        return _to_objects(tensor, kind["objects"])
    array = tensor.numpy()
    if _NUMBERS.fullmatch(kind["dtype"]):
        dtype = np.dtype(kind["dtype"])
        if array.dtype != dtype.newbyteorder("="):
            raise ValueError(f"an array of type {dtype} is kept as {array.dtype}")
        return array.astype(dtype, copy=False)
    parts = _OTHERS.fullmatch(kind["dtype"])
    if parts is None:
        raise ValueError(f"an array of type {kind['dtype']!r}")
    dtype, (letter, size) = np.dtype(kind["dtype"]), parts.group(1, 2)
    if letter in "mM":
        if array.dtype != np.int64:
            raise ValueError(f"an array of type {dtype} is kept as {array.dtype}")
        return array.view(dtype.newbyteorder("=")).astype(dtype, copy=False)
    if array.dtype != (np.uint32 if letter == "U" else np.uint8) or array.ndim < 1 or array.shape[-1] != int(size):
        raise ValueError(f"an array of type {dtype} is kept as {array.dtype} of shape {array.shape}")
    if letter == "U" and array.size and array.max() > _LAST_CHARACTER:
        raise ValueError("a text holds what is no character")
    native = np.ndarray(array.shape[:-1], dtype.newbyteorder("="), buffer=array.tobytes() or b"\0")
    return native.astype(dtype, copy=True)


def _of_objects(array: np.ndarray, name: str) -> tuple[Tensor, dict[str, Any]]:
    # With the type, for 1, 1.0 and True are equal; by repr, in which 0.0 and -0.0 differ and NaN is NaN.
    known: dict[tuple[type, Any], int] = {}
    values = array.reshape(-1).tolist()
    codes = np.empty(len(values), dtype=np.int64)
    for position, value in enumerate(values):
        if type(value) not in _PLAIN:
            raise ValueError(
                f"{name} holds {value!r} of type {type(value).__name__}, expected texts, numbers or truth values."
            )
        key = (type(value), repr(value) if type(value) is float else value)
        codes[position] = known.setdefault(key, len(known))
    objects = [[of.__name__, value if of is not int else str(value)] for of, value in known]
    return torch.from_numpy(codes.reshape(array.shape)), {"dtype": "|O", "objects": objects}


def _to_objects(tensor: Tensor, listed: list[list[Any]]) -> np.ndarray:
    makes: dict[str, Callable[[Any], Any]] = {
        "str": str,
        "int": int,
        "float": float,
        "bool": bool,
        "NoneType": lambda _: None,
    }
    objects = np.empty(len(listed), dtype=object)
    for position, (of, value) in enumerate(listed):
        objects[position] = makes[of](value)
    codes = tensor.numpy()
    if codes.dtype != np.int64 or (codes.size and not (codes.min() >= 0 and codes.max() < len(objects))):
        raise ValueError("an array of objects has positions of none")
    return objects[codes] if codes.ndim else np.array(objects[int(codes)], dtype=object)
