"""Values of parameters and attributes as JSON and tensors, and back.

What has no place in JSON is a dictionary with the key "$", which says what it is; dictionaries are lists of pairs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from acestimator.persistence.arrays import from_tensor, to_tensor

_LONGEST = 200  # characters of a description


class Described:
    """What stands for a value that a file holds by its description alone.

    Parameters
    ----------
    text : str
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<only described in the file: {self.text}>"

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Raise ValueError: it can do nothing."""
        raise ValueError(
            f"a parameter is {self!r}: the model was loaded, and a file holds plain values alone. Give it again with "
            "set_params() before you fit; to predict it is not needed."
        )

    def __sklearn_tags__(self) -> Any:
        """Those of any estimator, for it may stand for one."""
        return BaseEstimator().__sklearn_tags__()


class Writer:
    """Encodes values, and keeps the tensors that they hold.

    Parameters
    ----------
    other : callable, optional
        Encodes what is no plain value: is given it and its name, and returns a dictionary for JSON, or None for what
        it does not know either.

    Attributes
    ----------
    tensors : dict of str to Tensor
        By the names of the values.
    described : list of str
        Names of values of which there is a description alone.
    """

    def __init__(self, other: Callable[[Any, str], dict[str, Any] | None] | None = None, prefix: str = "") -> None:
        self.tensors: dict[str, Tensor] = {}
        self.described: list[str] = []
        self._other, self._prefix = other, prefix

    def value(self, value: Any, name: str) -> Any:
        """A value for JSON.

        Raises
        ------
        ValueError
            If it is an array of a type that cannot be kept.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$": "float", "value": repr(value)}
        if isinstance(value, np.ndarray | np.generic):
            return self.array(value, name)
        if type(value) is list:
            return [self.value(part, f"{name}.{number}") for number, part in enumerate(value)]
        if type(value) is tuple:
            return {"$": "tuple", "items": self.value(list(value), name)}
        if type(value) is dict:
            pairs = enumerate(value.items())
            return {"$": "dict", "items": self.value([list(pair) for _, pair in pairs], name)}
        if isinstance(value, os.PathLike):
            return {"$": "path", "value": os.fsdecode(value)}
        if isinstance(value, torch.device):
            return {"$": "device", "value": str(value)}
        if type(value) is Tensor:
            return {"$": "tensor", "name": self.tensor(value, name)}
        found = None if self._other is None else self._other(value, name)
        return self._description(value, name) if found is None else found

    def array(self, value: Any, name: str) -> dict[str, Any]:
        """An array, or a number of numpy, for JSON."""
        tensor, kind = to_tensor(np.asarray(value), name)
        return {"$": "scalar" if isinstance(value, np.generic) else "array", "name": self.tensor(tensor, name), **kind}

    def tensor(self, value: Tensor, name: str) -> str:
        """Keep a tensor, and return its name."""
        name = self._prefix + name
        self.tensors[name] = value.detach().cpu().contiguous().clone()
        return name

    def _description(self, value: Any, name: str) -> dict[str, Any]:
        self.described.append(self._prefix + name)
        return {"$": "described", "text": description(value)}


class Reader:
    """Decodes what a :class:`Writer` has encoded.

    Parameters
    ----------
    tensors : dict of str to Tensor
    others : dict of str to callable, optional
        Make values of dictionaries by what these are said to be.
    """

    def __init__(
        self, tensors: dict[str, Tensor], others: dict[str, Callable[[dict[str, Any]], Any]] | None = None
    ) -> None:
        self._tensors = tensors
        self._makes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "float": lambda node: float(node["value"]),
            "tuple": lambda node: tuple(self.value(node["items"])),
            "dict": lambda node: dict(self.value(node["items"])),
            "path": lambda node: Path(node["value"]),
            "device": lambda node: torch.device(node["value"]),
            "tensor": lambda node: self._tensors[node["name"]],
            "array": lambda node: from_tensor(self._tensors[node["name"]], node),
            "scalar": lambda node: from_tensor(self._tensors[node["name"]], node)[()],
            "described": lambda node: Described(str(node["text"])),
            **(others or {}),
        }

    def value(self, node: Any) -> Any:
        """The value that was encoded.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        if isinstance(node, list):
            return [self.value(part) for part in node]
        if isinstance(node, dict):
            return self._makes[node["$"]](node)
        return node


def description(value: Any) -> str:
    """What a value is, in some words: a function or a class by its name, others by their type and text."""
    if isinstance(value, Described):
        return value.text
    named = value if hasattr(value, "__qualname__") else type(value)
    name = f"{named.__module__}.{named.__qualname__}"
    if named is value or isinstance(value, torch.nn.Module):
        return name
    text = repr(value)
    return f"{name}, {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"
