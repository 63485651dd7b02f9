"""Pickles of published data sets, read without doing what they ask for.

A pickle names functions and has them called with arguments of its choice; even numpy's own can be given a state that
points anywhere in memory. Here each name that such files hold stands for a function of this module, and any other name
ends the reading: nothing outside of this module is called. Nor may a pickle build more than its own size allows: a
place in the memo, a length or a list of lists of the same list would take gigabytes from a few bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np


def read_pickle(file: BinaryIO, name: object, cure: str) -> dict[str, Any]:
    """Read a pickled dictionary of arrays, strings, numbers and containers, written by Python 2 or 3.

    Parameters
    ----------
    file : file object
        Opened for reading bytes.
    name : object
        What the errors call the file.
    cure : str
        Where to have it from: the end of the errors.

    Returns
    -------
    dict
        Keys are text. Arrays among the values are views that cannot be written to.

    Raises
    ------
    ValueError
        If the pickle asks for anything else (what), is damaged, or is no dictionary.
    """
    try:
        pickled = file.read()
        _check_operations(pickled)
        content = _Unpickler(pickled).load()
        _check_extent(content, len(pickled))
    except _RefusedError as error:
        raise ValueError(
            f"{name} asks for {error}, which the published file does not, and nothing of it was run or loaded. {cure}"
        ) from None
    except Exception as error:  # whatever damaged bytes happen to mean
        raise ValueError(f"{name} is damaged ({type(error).__name__}: {error}). {cure}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds a {type(content).__name__}, expected a dictionary. {cure}")
    return {_text(key): value.value if isinstance(value, _Array) else value for key, value in content.items()}


_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}


class _RefusedError(Exception):
    """What the pickle asked for."""


def _check_operations(pickled: bytes) -> None:
    """Raise _RefusedError for operations that build more than there are bytes; ValueError if it is no pickle."""
    previous, tuples, n_kept = "", set[int](), 0
    for operation, argument, position in pickletools.genops(pickled):  # it looks at lengths itself
        name = operation.name
        if name == "DUP" or (name in _GETS and argument in tuples):
            raise _RefusedError("the same tuple twice")  # as a key, it takes twice the time at each level
        if name in _PUTS or name == "MEMOIZE":
            place = n_kept if argument is None else int(argument)
            if position is None or place > position:
                raise _RefusedError(f"place {place:,} of its memo")
            if previous in _TUPLES:
                tuples.add(place)
            n_kept += 1
        previous = name


def _check_extent(content: Any, n_bytes: int) -> None:
    """Raise _RefusedError if a structure has many more parts, those that it has twice counted twice, than bytes."""
    most = (1 << 20) + 16 * n_bytes
    n_parts, left = 0, [content]
    while left:
        part = left.pop()
        n_parts += 1
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            left += part
        if n_parts + len(left) > most:
            raise _RefusedError(f"more than {most:,} parts, of {n_bytes:,} bytes")


class _Unpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled), encoding="bytes")
        self._left = len(pickled)  # bytes that may be made of text

    def find_class(self, module: str, name: str) -> Any:
        make = _STAND_INS.get((module, name))
        if make is None:
            raise _RefusedError(f"{module}.{name}")
        if make is _encode:
            make = self._encode
        return lambda *args: make(*args)  # a new one each time: a pickle can set attributes of what it finds

    def _encode(self, text: str, encoding: str) -> bytes:
        self._left -= len(text)
        if self._left < 0:
            raise _RefusedError("more bytes than it has")
        return _encode(text, encoding)


class _Dtype:
    """In place of numpy.dtype: numbers and booleans alone."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        code = _text(code)
        if not re.fullmatch("[biuf][1248]", code):
            raise _RefusedError(f"an array of dtype {code!r}")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.value = self.value.newbyteorder(_text(state[1]))  # type: ignore[arg-type]


class _Array:
    """In place of numpy.ndarray: made empty, then given its contents."""

    def __init__(self, *_: Any) -> None:
        self.value = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *_, shape, dtype, is_fortran, data = state
        self.value = _from_buffer(data, dtype, shape, "F" if is_fortran else "C").value


def _from_buffer(data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Any) -> _Array:
    array = _Array()
    array.value = np.frombuffer(data, dtype.value).reshape(shape, order=order)
    return array


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode(encoding)


def _text(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    # numpy.core until numpy 1, numpy._core since numpy 2; the second pair from protocol 5 on
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}
