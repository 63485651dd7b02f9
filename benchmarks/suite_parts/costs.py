"""Verdicts on what a fit costs, and on what it warns of."""

from __future__ import annotations

from collections import Counter

import numpy as np

from acestimator.comparison import Comparison
from acestimator.comparison.results import Setting
from acestimator.comparison.runs import CLEANLAB, DEFAULT, PLAIN
from suite_parts.rows import APART, ROUNDING, Row, kind, lowest, mean_of

_SECOND = 1.0


def time(c: Comparison, group: str) -> list[Row]:
    """14: processor seconds of whole fits, against plain training's and cleanlab's in the same cell; the median."""
    of_plain, of_cleanlab = _ratios(c, PLAIN), _ratios(c, CLEANLAB)
    long = {s for s in of_plain if mean_of(c.values("cpu_seconds", PLAIN, s).values()) > _SECOND}
    return [
        _ratio(
            "14a time over plain, where that takes over a second: median",
            {s: of_plain[s] for s in of_plain if s in long},
            2.2,
        ),
        _ratio("14b the same, where it takes less", {s: of_plain[s] for s in of_plain if s not in long}, 3.2),
        _ratio("14c time over cleanlab: median", of_cleanlab, 0.5),
    ]


def warned(c: Comparison, group: str) -> list[Row]:
    """15: what was warned of where all labels are right."""
    rows = []
    for letter, what, apart in (("a", "sets", False), ("b", "rare classes, own networks and settings", True)):
        settings = [s for s in c.settings if s[1] == "none" and (kind(s) in APART) == apart]
        found = {s: [r["warnings"] for r in c.cell(DEFAULT, s).values() if "warnings" in r] for s in settings}
        found = {s: lists for s, lists in found.items() if lists}
        categories = Counter(name for lists in found.values() for names in lists for name in names)
        share = {s: mean_of(bool(names) for names in lists) for s, lists in found.items()}
        share = {s: v for s, v in share.items() if v}
        row = (f"15{letter} right labels, {what}: cells with a warning", "-")
        if found:
            names = ", ".join(f"{n} x {name}" for name, n in categories.most_common()) or "none"
            rows.append(
                Row(
                    *row, f"{len(share)} ({names})", None, len(found), lowest(share, "{:.0%} of fits".format, high=True)
                )
            )
        else:
            rows.append(Row(*row))
    return rows


def _ratios(c: Comparison, other: str) -> dict[Setting, float]:
    ratios = {}
    for s in c.settings:
        own, theirs = (c.values("cpu_seconds", method, s) for method in (DEFAULT, other))
        if shared := own.keys() & theirs.keys():
            ratios[s] = sum(own[seed] for seed in shared) / sum(theirs[seed] for seed in shared)
    return ratios


def _ratio(what: str, ratios: dict[Setting, float], limit: float) -> Row:
    target = f"<= {limit:.2f}"
    if not ratios:
        return Row(what, target)
    median, worst = float(np.median(list(ratios.values()))), max(ratios.values())
    measured = f"{median:.2f} (worst {worst:.2f})"
    return Row(
        what, target, measured, median <= limit + ROUNDING, len(ratios), lowest(ratios, "{:.2f}".format, high=True)
    )
