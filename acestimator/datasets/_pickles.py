"""Pickles of published data sets, read without doing what they ask for.

A pickle names functions and has them called with arguments of its choice; even numpy's own can be given a state that
points anywhere in memory. Here each name that such files hold stands for a function of this module, and any other name
ends the reading: nothing outside of this module is called.
"""

from __future__ import annotations

import pickle
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
        content = _Unpickler(file, encoding="bytes").load()
    except _RefusedError as error:
        raise ValueError(
            f"{name} asks for {error}, which the published file does not, and nothing of it was run or loaded. {cure}"
        ) from None
    except Exception as error:  # whatever damaged bytes happen to mean
        raise ValueError(f"{name} is damaged ({type(error).__name__}: {error}). {cure}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds a {type(content).__name__}, expected a dictionary. {cure}")
    return {_text(key): value.value if isinstance(value, _Array) else value for key, value in content.items()}


class _RefusedError(Exception):
    """What the pickle asked for."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        make = _STAND_INS.get((module, name))
        if make is None:
            raise _RefusedError(f"{module}.{name}")
        return lambda *args: make(*args)  # a new one each time: a pickle can set attributes of what it finds


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
