"""Texts of users, such as names of classes and files, brought to the size of a picture's cell."""

from __future__ import annotations

import textwrap

_LINES = 3  # that one name may take


def percent(proba: float) -> str:
    """A probability in percent, which is neither 0 nor 100 where it only comes near."""
    if proba > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if proba < 0.001 else f"{100 * proba:.1f} %"


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, three at most; the last one ends in "…" where there is more."""
    return textwrap.wrap(text, width, max_lines=_LINES, placeholder="…") or [repr(text)]


def start_of(text: str, width: int) -> str:
    """The first ``width`` characters on one line, with "…" where there are more."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def end_of(text: str, width: int) -> str:
    """The last ``width`` characters, which tell files apart, with "…" where there are more."""
    line = " ".join(text.split())
    return line if len(line) <= width else "…" + line[1 - width :]
