"""Entries of an object of JSON, each checked as it is taken."""

from __future__ import annotations

import math
from typing import Any


class Entries:
    """An object of JSON.

    Parameters
    ----------
    content : object
        What should be one.
    where : str
        Where it was found, for errors.

    Raises
    ------
    ValueError
        If it is none; and from all methods, if an entry is missing or is something else: what, and where.
    """

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise ValueError(f"{where} is {_shown(content)}, expected an object.")
        self.content = content
        self.where = where

    def get(self, name: str) -> Any:
        """Entry of that name, whatever it is."""
        if name not in self.content:
            raise ValueError(f"{self.where} has no {name!r}.")
        return self.content[name]

    def text(self, name: str) -> str:
        """A text."""
        value = self.get(name)
        self.expect(name, isinstance(value, str), "a text")
        return str(value)

    def text_or_none(self, name: str) -> str | None:
        """A text, or null."""
        return None if self.get(name) is None else self.text(name)

    def list(self, name: str) -> list[Any]:
        """A list."""
        value = self.get(name)
        self.expect(name, isinstance(value, list), "a list")
        return list(value)

    def count(self, name: str) -> int:
        """A whole number, 0 or more."""
        value = self.get(name)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        self.expect(name, is_count, "a whole number, 0 or more")
        return int(value)

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        value = self.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        self.expect(name, is_number and 0 <= value <= 1, "a number from 0 to 1")
        return float(value)

    def expect(self, name: str, holds: Any, expected: str) -> None:
        """Raise that an entry is not what is expected, unless it holds."""
        if not holds:
            raise ValueError(f"{self.where} has {name} {_shown(self.content[name])}, expected {expected}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
