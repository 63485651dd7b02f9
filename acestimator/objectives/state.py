"""What a checkpoint keeps of an object: its attributes by name, as tensors, plain numbers and strings."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

import numpy as np
import torch


class Stateful:
    """An object that says what its state is, so that a training can go on from a file.

    Attributes
    ----------
    state : tuple of str
        Names of the attributes that change while a network is trained. Each holds a tensor, a number, a string, None,
        a list, tuple or dictionary of these, a torch or numpy generator, or an object that has ``state_dict`` and
        ``load_state_dict`` itself. A subclass names its own; those of its bases are added to them.
    """

    state: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """Values of the attributes in ``state``; the tensors themselves, not copies."""
        return {name: _taken(getattr(self, name)) for name in self.state_names()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, of an object that was made and started alike."""
        for name in self.state_names():
            if not _given_back(getattr(self, name), state[name]):
                setattr(self, name, state[name])

    def state_names(self) -> list[str]:
        """Names in ``state``, those of the bases first."""
        return [name for kind in reversed(type(self).__mro__) for name in vars(kind).get("state", ())]


def _taken(value: Any) -> Any:
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value.bit_generator.state if isinstance(value, np.random.Generator) else value


def _given_back(value: Any, state: Any) -> bool:
    """Give an object its state back; False for what is the state itself."""
    if hasattr(value, "load_state_dict"):
        value.load_state_dict(state)
    elif isinstance(value, torch.Generator):
        value.set_state(state)
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = state
    else:
        return False
    return True


class Watch:
    """Notices what changes of an object, and is not in its state: a fit that goes on from a file would lose it.

    Parameters
    ----------
    watched : Stateful
        As it is before the training.
    """

    def __init__(self, watched: Stateful) -> None:
        self._watched, self._before = watched, _marks(watched)
        self._parts = [Watch(value) for value in vars(watched).values() if isinstance(value, Stateful)]

    def check(self) -> None:
        """Raise TypeError if an attribute that is not in the state has changed."""
        for part in self._parts:
            part.check()
        for name, mark in _marks(self._watched).items():
            if name not in self._before or [mark] != [self._before[name]]:  # in lists, nan is the same as itself
                kind = type(self._watched).__name__
                raise TypeError(
                    f"{kind}.{name} changes while the network is trained, and is not in {kind}.state: a fit that goes "
                    f"on from a checkpoint would not have it. Add {name!r} to state; or, if it is only needed in a "
                    "block, set it at the start and set it back at the end of the block."
                )


def _marks(watched: Stateful) -> dict[str, Any]:
    kept = {"training", *watched.state_dict()}
    return {name: _mark(value) for name, value in vars(watched).items() if name not in kept}


class _TensorMark:
    """Equal for the same tensor with the same number of changes in place; keeps none of its memory."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor, self._changes = weakref.ref(tensor), None if tensor.is_inference() else tensor._version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _TensorMark) or self._tensor() is None:
            return False
        return self._tensor() is other._tensor() and self._changes == other._changes

    __hash__ = None  # type: ignore[assignment]


def _mark(value: Any) -> Any:
    """What is equal as long as a value has not changed."""
    if isinstance(value, torch.Tensor):
        return _TensorMark(value)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, torch.nn.Module):
        return [_mark(tensor) for tensor in (*value.parameters(), *value.buffers())]
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if hasattr(value, "state_dict") or isinstance(value, np.random.Generator):
        return _mark(_taken(value))
    if isinstance(value, dict):
        return {key: _mark(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_mark(part) for part in value]
    return value
