"""Pages to be shown, in a browser or not: their rows, and what data as people have them may hold."""

from dataclasses import replace

from acestimator.audit.decisions import SourceInfo, Stratum
from acestimator.audit.items import Item, Page

# What ends a script, calls for one, runs the other way, has no letters, or is half a character.
HOSTILE = (
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title = 'taken'\">",
    "<!-- <script>",
    "'\"`&amp;\\${1}{{ 1 }}",
    "مرحبا <b> 12",
    "a\u202egnp.exe",
    "👩‍👩‍👧‍👦" * 30,
    "x" * 10_000,
    "line\r\nline\ttab\u2028\u2029\x00\x7f\ufeff",
    "\udc80 of a file's name",
    "__proto__",
    "",
    "  ",
)

STRATA = (Stratum(0.0, 0.025, 600, 2), Stratum(0.025, 0.5, 300, 2))


def page_of(
    items, *, classes=("cat", "dog", "horse"), name="pets.csv", kind="table", label="animal", digit="a", **fields
):
    """A page with these items; another digit is another file."""
    source = SourceInfo(name, kind, f"sha256:{digit * 64}", label, None, 1000)
    confusions = {}
    for item in items:
        if item.group == "suspect" and item.given is not None and item.given != item.suggested:
            pair = item.given, item.suggested
            confusions[pair] = confusions.get(pair, 0) + 1
    ranked = tuple((*pair, n) for pair, n in sorted(confusions.items(), key=lambda each: -each[1]))
    return Page(source, tuple(classes), tuple(items), **{"strata": STRATA, "confusions": ranked} | fields)


def item_of(row, *, given=0, suggested=1, probability=0.9, likeliest=(1, 0, 2), **fields):
    """A suspect, unless its fields say another thing."""
    shown = {"id": None, "digest": f"{row:016x}", "name": f"line {row + 2}", "cells": (("age", str(row), False),)}
    return Item(
        row=row, given=given, suggested=suggested, probability=probability, likeliest=likeliest, **shown | fields
    )


def drawn_of(row, **fields):
    """A row that was drawn at random: its label is probably right."""
    return item_of(row, **{"suggested": 0, "probability": 0.01, "group": "random", "stratum": 0} | fields)


def hostile_page(digit="e"):
    """Whatever can be a text is hostile."""
    n = len(HOSTILE)
    items = [
        item_of(
            i,
            given=i % n,
            suggested=(i + 1) % n,
            likeliest=tuple((i + k) % n for k in range(9)),
            id=HOSTILE[i % n],
            name=HOSTILE[i % n],
            cells=tuple((HOSTILE[(i + k) % n], HOSTILE[(i + 2 * k) % n], k % 3 == 0) for k in range(15)),
            text=tuple((HOSTILE[(i + k) % n], k - 1) for k in range(3)) if i % 2 else (),
        )
        for i in range(2 * n)
    ]
    page = page_of(items, classes=HOSTILE, name=HOSTILE[0], label=HOSTILE[1], digit=digit, summary=HOSTILE)
    return replace(page, source=replace(page.source, id=HOSTILE[2]))


def contrast(*colours):
    """Of two colours, red, green and blue from 0 to 1: 1 to 21, by WCAG 2."""
    low, high = sorted(map(_luminance, colours))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
