"""The suite's report: coverage, the table of verdicts of each group, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from acestimator.comparison import Comparison, failures, not_possible
from acestimator.comparison.results import Setting
from acestimator.comparison.tables import as_text
from suite_parts import accuracy, costs, labels
from suite_parts.plan import group_of
from suite_parts.rows import Row
from suite_parts.sets import CHOOSING, HELD_OUT, SETS

_JUDGES = (
    *(accuracy.harm, accuracy.right_labels, accuracy.lead, accuracy.gap),
    *(labels.rate, labels.interval, labels.calibration, labels.detection, labels.suggestions),
    *(accuracy.rare, accuracy.own_settings, accuracy.human, costs.time, costs.warned),
)


def judge(c: Comparison, group: str, before: Sequence[dict[str, Any]] | None = None) -> list[Row]:
    """All rows of a group, in the order of their numbers."""
    rows = [row for judge in _JUDGES for row in judge(c, group)]
    rows += accuracy.earlier(c, group, before)
    return sorted(rows, key=lambda row: int("".join(ch for ch in row.what.split()[0] if ch.isdigit())))


def report(records: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]] | None = None) -> str:
    """What was measured, as text.

    Parameters
    ----------
    records : sequence of dict
        Of sets that the suite has; others are left out.
    before : sequence of dict, optional
        Of an earlier version.

    Returns
    -------
    str
    """
    blocks = []
    for group in (CHOOSING, HELD_OUT):
        found = [r for r in records if r["dataset"] in SETS and group_of(r["dataset"]) == group]
        if not found:
            continue
        c = Comparison(found)
        rows = judge(c, group, before)
        title = {CHOOSING: "Sets that the default was chosen on", HELD_OUT: "Held-out sets"}[group]
        blocks += [f"{title}: fits", coverage(c), not_run(c, group), f"{title}: verdicts", table(rows), details(rows)]
        blocks += [f"failed: {line}" for line in failures(c)]
        blocks += [f"not possible: {line}" for line in not_possible(c)]
    versions = sorted({record["versions"] for record in records if "versions" in record})
    blocks.append("\n".join(f"Measured with {line}." for line in versions))
    blocks.append("Times are of the processor, one thread a fit; those of parallel runs are rough.")
    return "\n\n".join(block for block in blocks if block)


def table(rows: Sequence[Row]) -> str:
    """A line for each verdict."""
    lines = [[row.what, row.target, row.measured, row.word, str(row.n_cells)] for row in rows]
    return as_text([("", [["what", "must reach", "measured", "", "cells"], *lines])]).lstrip("\n")


def details(rows: Sequence[Row]) -> str:
    """The worst cells of each verdict, and its notes."""
    lines = []
    for row in rows:
        short = row.what.split(":")[0]
        lines += [f"{short}: worst: {', '.join(row.worst)}"] if row.worst else []
        lines += [f"{short}: {note}" for note in row.notes]
    return "\n".join(lines)


def coverage(c: Comparison) -> str:
    """How many fits each set has, by method."""
    counts = [
        [name, *(str(sum(_n_fits(c, m, s) for s in c.settings if s[0] == name)) for m in c.methods)]
        for name in c.datasets
    ]
    return as_text([("", [["set", *c.methods], *counts])]).lstrip("\n")


def not_run(c: Comparison, group: str) -> str:
    """A line of the group's sets that have no record; settings of one set by their number."""
    missing = [data for data in SETS.values() if data.group == group and data.name not in c.datasets]
    settings = Counter(data.name.partition(":")[0] for data in missing if data.setting)
    named = [data.name for data in missing if not data.setting]
    named += [f"{n} settings of {name}" for name, n in settings.items()]
    return f"not run: {', '.join(named)}" if named else ""


def _n_fits(c: Comparison, method: str, setting: Setting) -> int:
    return sum(not {"error", "not_possible"} & record.keys() for record in c.cell(method, setting).values())
