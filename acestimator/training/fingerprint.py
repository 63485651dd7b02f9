"""Parameters and data as texts, to compare and to record.

A text is the same in every process, and another one for what may act otherwise. Functions are told apart by their code
and all that it refers to, modules by their class, attributes and tensors, objects by their class and attributes.
Functions and classes of installed libraries are told apart by their names alone.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NOT_OF_A_CLASS = {"__module__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate_func__"} | {
    *("__firstlineno__", "__static_attributes__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl")
}
_OF_TYPES = types.MethodDescriptorType | types.WrapperDescriptorType
_HOOKS = [name for name in vars(nn.Module()) if name.endswith("_hooks")]


def describe(value: Any, name: str = "value") -> str:
    """Text of a parameter or of data.

    Parameters
    ----------
    value : Any
    name : str
        Of the parameter, for the error.

    Raises
    ------
    ValueError
        If a part of it cannot be told from others of its kind, naming the part.
    """
    return _Describer().text(value, name)


class _Describer:
    """Describes a value, with all that it is made of."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, str]] = {}  # by identity, with the value, which must live as long
        self._within: list[int] = []  # what is being described, from the outside in
        self._tensors: dict[int, int] = {}  # numbers of a module's tensors, so that shared ones are seen

    def text(self, value: Any, name: str) -> str:
        if (plain := _plain(value)) is not None:
            return plain
        if id(value) in self._done:
            return self._done[id(value)][1]
        if id(value) in self._within:
            return f"<{self._within.index(id(value))}>"
        self._within.append(id(value))
        try:
            text = self._compound(value, name)
        finally:
            self._within.pop()
        self._done[id(value)] = value, text
        return text

    def _compound(self, value: Any, name: str) -> str:
        if isinstance(value, np.ndarray | torch.Tensor):
            return self._array(value, name)
        if isinstance(value, list | tuple | set | frozenset | Mapping):
            return self._container(value, name)
        if isinstance(value, nn.Module):
            return f"{type(value).__qualname__}, digest {_digest(*self._module(value, name))}"
        if isinstance(value, type):
            return self._class(value, name)
        if isinstance(value, types.FunctionType):
            return self._function(value, name)
        if isinstance(value, types.MethodType):
            return f"{self.text(value.__func__, name)} of {self.text(value.__self__, name)}"
        if isinstance(value, functools.partial):
            parts = {"func": value.func, "args": value.args, "keywords": value.keywords}
            return f"partial({', '.join(self.text(part, f'{name}.{key}') for key, part in parts.items())})"
        if isinstance(value, _OF_TYPES | types.BuiltinFunctionType | types.MethodWrapperType):
            return self._builtin(value, name)
        return self._object(value, name)

    def _array(self, value: np.ndarray | torch.Tensor, name: str) -> str:
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            content = np.ascontiguousarray(value).data
        elif isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized:
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        elif isinstance(value, np.ndarray):
            return f"{value.dtype} of shape {value.shape}, {self.text(value.tolist(), name)}"
        else:
            raise _cannot_tell(value, name)
        return f"{value.dtype} of shape {tuple(value.shape)}, digest {_digest(content)}"

    def _container(self, value: Any, name: str) -> str:
        kind = type(value)
        if isinstance(value, Mapping):
            items = [(self.text(key, name), self.text(part, f"{name}[{key!r}]")) for key, part in value.items()]
            inner = "{" + ", ".join(f"{key}: {part}" for key, part in sorted(items)) + "}"
            return inner if kind is dict else f"{kind.__qualname__}({inner})"
        parts = [self.text(part, f"{name}[{number}]") for number, part in enumerate(value)]
        if isinstance(value, set | frozenset):
            return f"{kind.__qualname__}({{{', '.join(sorted(parts))}}})"
        inner = f"[{', '.join(parts)}]" if isinstance(value, list) else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        return inner if kind in (list, tuple) else f"{kind.__qualname__}{inner}"

    def _module(self, module: nn.Module, name: str) -> Iterator[str]:
        yield self.text(type(module), name)
        ours = not _of_library(type(module).__module__)
        for key, part in sorted(vars(module).items()):
            if key in _HOOKS:
                yield f"{key} {self.text(list(part.values()), f'{name}.{key}')}"  # the keys count up in a process
            elif key not in vars(_EMPTY) and (ours or not key.startswith("_")):
                yield f"{key} {self.text(part, f'{name}.{key}')}"
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            number = self._tensors.setdefault(id(tensor), len(self._tensors))
            learned = tensor is not None and tensor.requires_grad
            yield f"{key} {number} {learned} {self.text(tensor, f'{name}.{key}')}"
        for key, child in module._modules.items():
            yield f"{key} {self.text(child, f'{name}.{key}')}"

    def _class(self, value: type, name: str) -> str:
        full = f"{value.__module__}.{value.__qualname__}"
        if _of_library(value.__module__):
            return full
        parts = [full]
        for kind in value.__mro__:
            if _of_library(kind.__module__):
                parts.append(f"{kind.__module__}.{kind.__qualname__}")
                continue
            for key, part in sorted(vars(kind).items()):
                if not _added(key, part, kind):
                    parts.append(f"{key} {self._if_told(_unwrapped(part), f'{name}.{key}')}")
        return f"class {value.__qualname__}, digest {_digest(*parts)}"

    def _function(self, value: types.FunctionType, name: str) -> str:
        cells = {
            key: cell.cell_contents
            for key, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
            if cell != _NOTHING
        }
        known = value.__globals__
        if _of_library(known.get("__name__", "")):  # its own, or what decorates a function of ours
            own = [self.text(part, f"{name}.{key}") for key, cell in cells.items() for part in _ours(cell)]
            return f"function {known['__name__']}.{value.__qualname__}" + "".join(f" of {part}" for part in own)
        parts = [self._code(value.__code__, name)]
        for key, part in {"defaults": value.__defaults__, "kwdefaults": value.__kwdefaults__, **cells}.items():
            parts.append(f"{key} {self.text(part, f'{name}.{key}')}")
        codes = list(_codes(value.__code__))
        attributes = {attribute for code in codes for attribute in code.co_names}
        for key in sorted({loaded for code in codes for loaded in _globals_of(code)} & known.keys()):
            part = known[key]
            parts.append(f"{key} {self._if_told(part, f'{name}.{key}')}")
            if isinstance(part, types.ModuleType) and not _of_library(part.__name__):
                used = sorted(attributes & vars(part).keys())
                parts += [f"{key}.{one} {self._if_told(vars(part)[one], f'{name}.{key}.{one}')}" for one in used]
        return f"function {value.__qualname__}, digest {_digest(*parts)}"

    def _code(self, code: types.CodeType, name: str) -> str:
        consts = [
            self._code(const, name) if isinstance(const, types.CodeType) else self.text(const, name)
            for const in code.co_consts
        ]
        arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        names = code.co_names, code.co_freevars, code.co_cellvars, code.co_varnames[: sum(arguments[:3:2])]
        return _digest(code.co_code, code.co_exceptiontable, *consts, repr(arguments), repr(names))

    def _builtin(self, value: Any, name: str) -> str:
        if isinstance(value, _OF_TYPES):
            return f"{value.__objclass__.__qualname__}.{value.__name__}"
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return f"function {value.__module__}.{value.__qualname__}"
        return f"{value.__name__} of {self.text(owner, name)}"

    def _object(self, value: Any, name: str) -> str:
        kind = type(value)
        if isinstance(value, enum.Enum):
            return f"{kind.__qualname__}.{value.name}"
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            inner = ", ".join(f"{key}={self.text(part, f'{name}.{key}')}" for key, part in fields.items())
            return f"{kind.__qualname__}({inner})" + self._code_of(kind, name)
        if not _of_library(kind.__module__):
            slots = {key for base in kind.__mro__ for key in vars(base).get("__slots__", ()) if hasattr(value, key)}
            parts = getattr(value, "__dict__", {}) | {key: getattr(value, key) for key in slots - {"__dict__"}}
            inner = self.text(parts, name)
            return f"{kind.__qualname__}, digest {_digest(self.text(kind, name), inner)}"
        if isinstance(transforms := getattr(value, "transforms", None), list):
            return f"{kind.__qualname__}({self.text(transforms, f'{name}.transforms')})"
        if not _has_own_repr(kind) or _ADDRESS.search(shown := repr(value)):
            raise _cannot_tell(value, name)
        # A library's representation may leave out a function that it was given.
        own = [self.text(part, name) for part in _ours(getattr(value, "__dict__", {}))]
        return shown + "".join(f" of {part}" for part in own)

    def _code_of(self, kind: type, name: str) -> str:
        return "" if _of_library(kind.__module__) else f" of {self.text(kind, name)}"

    def _if_told(self, value: Any, name: str) -> str:
        """Text of what a function or class refers to, or the kind alone of a library's object such as a logger."""
        try:
            return self.text(value, name)
        except ValueError:
            if _is_ours(value):
                raise
            return f"a {type(value).__qualname__}"


_EMPTY = nn.Module()
_NOTHING = types.CellType()


def _plain(value: Any) -> str | None:
    """Text of numbers, strings and their like; None for others."""
    if value is None or value is ... or isinstance(value, str | bytes | bool):
        return repr(value)
    if isinstance(value, np.bool_):
        return repr(bool(value))
    if isinstance(value, Integral):
        return repr(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    return repr(value) if isinstance(value, complex | torch.dtype | torch.device | Path) else None


def _has_own_repr(kind: type) -> bool:
    return next(base for base in kind.__mro__ if "__repr__" in vars(base)) is not object


def _unwrapped(part: Any) -> Any:
    """Functions of a class's method or property."""
    if isinstance(part, staticmethod | classmethod):
        return part.__func__
    if isinstance(part, functools.cached_property):
        return part.func
    return (part.fget, part.fset, part.fdel) if isinstance(part, property) else part


def _added(key: str, part: Any, kind: type) -> bool:
    """Whether Python, and not who wrote the class, has put this into it."""
    if isinstance(part, types.FunctionType) and dataclasses.is_dataclass(kind):
        return key.startswith("__") and part.__code__.co_filename == "<string>"
    return key in _NOT_OF_A_CLASS or isinstance(part, types.MemberDescriptorType | types.GetSetDescriptorType)


def _ours(value: Any) -> Iterator[Any]:
    """Functions, classes and objects that are no library's, in containers and in what libraries make to be called."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _ours(part)
    elif _is_ours(value):
        yield value
    elif isinstance(value, types.FunctionType):
        if any(True for cell in value.__closure__ or () if cell != _NOTHING for _ in _ours(cell.cell_contents)):
            yield value
    elif callable(value) and not isinstance(value, type):
        yield from _ours(getattr(value, "__dict__", {}))


def _is_ours(value: Any) -> bool:
    if isinstance(value, types.MethodType):
        value = value.__func__
    if isinstance(value, types.FunctionType):
        return not _of_library(value.__globals__.get("__name__", ""))
    return not _of_library((value if isinstance(value, type) else type(value)).__module__)


@functools.cache
def _of_library(module: str) -> bool:
    """Whether a module is of Python, of this package, or installed."""
    top = module.partition(".")[0]
    if top == "acestimator" or top in sys.stdlib_module_names:
        return True
    files = [getattr(sys.modules.get(name), "__file__", None) for name in (module, top)]
    return any(file is not None and {"site-packages", "dist-packages"} & set(Path(file).parts) for file in files)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code, and that of the functions within it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


def _globals_of(code: types.CodeType) -> set[str]:
    loads = (operation for operation in dis.get_instructions(code) if operation.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    return {operation.argval for operation in loads}


def _digest(*parts: str | bytes | memoryview) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(b"%d " % len(content))  # so that no two series of parts are alike
        digest.update(content)
    return digest.hexdigest()


def _cannot_tell(value: Any, name: str) -> ValueError:
    return ValueError(
        f"{name} is {value!r}, which cannot be told from others of its kind: a checkpoint could be taken for that of "
        "another training. Make it within the function or method that uses it, or leave checkpoint at None."
    )
