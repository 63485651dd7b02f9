"""Verdicts on accuracy: harm, right labels, the lead over the others, the gap to the oracle, and an earlier version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acestimator.comparison import Comparison, gap_closed
from acestimator.comparison.results import Setting, shared_accuracies
from acestimator.comparison.runs import DEFAULT, ORACLE, PLAIN
from acestimator.comparison.tasks import parse
from suite_parts.numbers import standard_error
from suite_parts.rows import (
    ROUNDING,
    Row,
    differences,
    kind,
    lowest,
    main_settings,
    mean_of,
    means,
    name,
    number,
    points,
    significantly_below,
    undecided,
    untested,
    verdict,
)
from suite_parts.sets import HELD_OUT

CORE_SETS = ("digits", "breast_cancer", "fashion_10000")
CORE_PROCESSES = ("none", "symmetric_20", "symmetric_40", "pair_30", "instance_40", "outside_20")
LEAST_GAP = 0.03


def harm(c: Comparison, group: str) -> list[Row]:
    """1: cells whose accuracy is significantly more than a point below plain training's."""
    found = differences(c, c.settings)
    what = "1 harm: cells significantly more than 1 point below plain"
    target = "none" if group != HELD_OUT else "<= 3 % of cells, none by more than 2.5 points"
    if not found:
        return [Row(what, target)]
    below, mean = significantly_below(c, found, 0.01), means(found)
    missed = bool(below)
    if group == HELD_OUT:
        missed = len(below) > 0.03 * len(found) + ROUNDING or min(mean.values()) < -0.025 - ROUNDING
    open_ones = undecided(found, below, 0.01)
    n_lower = sum(v < -0.01 - ROUNDING for v in mean.values())
    measured = f"{len(below)}; the mean is in {n_lower}, worst {points(min(mean.values()))}"
    notes = tuple(f"significant: {name(s)} {points(mean[s])}" for s in below) + untested(found, open_ones)
    return [Row(what, target, measured, verdict(missed, open_ones), len(found), lowest(mean, points), notes)]


def right_labels(c: Comparison, group: str) -> list[Row]:
    """2: what the default costs where no label is wrong."""
    found = differences(c, main_settings(c, noisy=False))
    rows = (
        ("2a right labels: sets significantly more than .5 points below plain", "none"),
        ("2b right labels: mean difference over sets", ">= minus its standard error"),
    )
    if not found:
        return [Row(*row) for row in rows]
    below, mean = significantly_below(c, found, 0.005), means(found)
    average, error = mean_of(mean.values()), standard_error(np.array(list(mean.values())))
    worst, open_ones = lowest(mean, points), undecided(found, below, 0.005)
    second = None if np.isnan(error) else bool(average >= -error - ROUNDING)
    first = verdict(bool(below), open_ones)
    return [
        Row(*rows[0], f"{len(below)}", first, len(found), worst, untested(found, open_ones)),
        Row(*rows[1], f"{points(average)} (error {100 * error:.2f})", second, len(found), worst),
    ]


def lead(c: Comparison, group: str) -> list[Row]:
    """3: the mean lead over each peer where it was run, on the seeds that both have; the smallest one is judged.

    The peer is picked by the very cells that it is judged on, which favours it.
    """
    what, target = "3 noise: mean lead over the best single peer", ">= +1 point"
    found = {peer: means(differences(c, main_settings(c, noisy=True), peer)) for peer in c.peers}
    found = {peer: leads for peer, leads in found.items() if leads}
    if not set(found) - {PLAIN}:
        return [Row(what, target)]
    mean = {peer: mean_of(leads.values()) for peer, leads in found.items()}
    best = min(mean, key=mean.__getitem__)
    notes = tuple(
        f"against {peer}: {points(mean[peer])} in {len(found[peer])} cells, below it in "
        f"{sum(v < -ROUNDING for v in found[peer].values())}; worst {lowest(found[peer], points)[0]}"
        for peer in sorted(mean, key=mean.__getitem__)
    )
    measured = f"{points(mean[best])} ({best})"
    reached = mean[best] >= 0.01 - ROUNDING
    return [Row(what, target, measured, reached, len(found[best]), lowest(found[best], points), notes)]


def gap(c: Comparison, group: str) -> list[Row]:
    """4: the share of the gap between plain training and the oracle that is closed."""
    settings = main_settings(c, noisy=True)
    wide = [s for s in settings if gap_width(c, s) > LEAST_GAP]
    shares = {s: v for s in wide if np.isfinite(v := gap_closed(c, DEFAULT, s))}
    what, target = "4 share of the gap to the oracle, where over 3 points: mean over cells", ">= .85"
    rows = [Row(what, target)]
    if shares:
        widths = {s: gap_width(c, s) for s in shares}
        whole = sum(shares[s] * widths[s] for s in shares) / sum(widths.values())
        mean = mean_of(shares.values())
        notes = (f"ratio of the sums over cells: {number(whole)}",)
        reached = mean >= 0.85 - ROUNDING
        rows = [Row(what, target, number(mean), reached, len(shares), lowest(shares, number), notes)]
    if group == HELD_OUT:  # the old grid has no such set
        return rows
    for letter, kinds, limit in (("a", ("symmetric", "pair"), 0.93), ("b", ("instance",), 0.86)):
        old = [s for s in settings if s[0] in CORE_SETS and s[1] in CORE_PROCESSES and parse(s[1])[0] in kinds]
        closed = {s: v for s in old if np.isfinite(v := gap_closed(c, DEFAULT, s))}
        row = (f"4{letter} the same, old grid, {' and '.join(kinds)} noise", f">= {limit:.2f}")
        mean = mean_of(closed.values())
        judged = (number(mean), mean >= limit - ROUNDING, len(closed), lowest(closed, number)) if closed else ()
        rows.append(Row(*row, *judged))
    return rows


def gap_width(c: Comparison, setting: Setting) -> float:
    """The oracle's accuracy less plain training's, on the seeds that the default has, too; NaN if there are none."""
    oracle, plain, _ = shared_accuracies(c, (ORACLE, PLAIN, DEFAULT), setting)
    return oracle - plain


def earlier(c: Comparison, group: str, before: Sequence[dict[str, Any]] | None) -> list[Row]:
    """5: the default against its earlier version, on the same seeds of the old core grid."""
    rows = (
        ("5a old core grid: mean change from the earlier version", ">= -0.3 points"),
        ("5b old core grid: cells significantly more than .5 points below it", "none"),
    )
    if group == HELD_OUT:
        return []
    if before is None:
        return [Row(*row, "give its file with --before") for row in rows]
    old = Comparison(before)
    every = {}
    for s in c.settings:
        a, b = c.values("accuracy", DEFAULT, s), old.values("accuracy", DEFAULT, s)
        every[s] = np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])
    every = {s: d for s, d in every.items() if len(d)}
    core = {s: d for s, d in every.items() if s[0] in CORE_SETS and s[1] in CORE_PROCESSES}
    if not core:
        return [Row(*row) for row in rows]
    mean, below = means(core), significantly_below(c, core, 0.005)
    average = mean_of(mean.values())
    all_means = means(every)
    whole = f"all {len(every)} cells that both have: {points(mean_of(all_means.values()))}"
    best = ", ".join(lowest(all_means, points, high=True))
    notes = (f"{whole}; worst: {', '.join(lowest(all_means, points))}; best: {best}",)
    worst, open_ones = lowest(mean, points), undecided(core, below, 0.005)
    second = verdict(bool(below), open_ones)
    return [
        Row(*rows[0], points(average), average >= -0.003 - ROUNDING, len(core), worst, notes),
        Row(*rows[1], f"{len(below)}", second, len(core), worst, untested(core, open_ones)),
    ]


def own_settings(c: Comparison, group: str) -> list[Row]:
    """12: networks and parameters of a user's own, against plain training with the same."""
    what, target = "12 own networks and settings: cells more than 1 point below plain", "none"
    mean = means(differences(c, [s for s in c.settings if kind(s) == "setting"]))
    if not mean:
        return [Row(what, target)] if group != HELD_OUT else []
    below = [s for s, v in mean.items() if v < -0.01 - ROUNDING]
    notes = tuple(f"below: {name(s)} {points(mean[s])}" for s in sorted(below, key=mean.__getitem__))
    return [Row(what, target, f"{len(below)}", not below, len(mean), lowest(mean, points), notes)]


def human(c: Comparison, group: str) -> list[Row]:
    """13: labels that people gave to CIFAR-10, on fixed features."""
    if group == HELD_OUT:
        return []
    rows = []
    for letter, process, limit in (("a", "human_aggregate", 0.03), ("b", "human_random1", 0.04)):
        row = (f"13{letter} CIFAR features, {process.replace('_', ' ')}: over plain", f">= {points(limit)} points")
        found = c.difference("accuracy", DEFAULT, PLAIN, ("cifar_features", process))
        mean = mean_of(found)
        rows.append(Row(*row, points(mean), mean >= limit - ROUNDING, 1) if len(found) else Row(*row))
    return rows


def rare(c: Comparison, group: str) -> list[Row]:
    """11: how many of a rare class's test samples are recognised."""
    what, target = "11 rare classes, right labels: recall less plain's", ">= -0.05"
    if group == HELD_OUT:
        return []
    lost = {}
    for s in (s for s in c.settings if kind(s) == "rare"):
        own, plain = (
            {seed: r["recall"][1] for seed, r in c.cell(m, s).items() if "recall" in r} for m in (DEFAULT, PLAIN)
        )
        shared = own.keys() & plain.keys()
        if shared:
            lost[s] = mean_of(own[seed] - plain[seed] for seed in shared)
    if not lost:
        return [Row(what, target)]
    measured = ", ".join(f"{s[0].removeprefix('rare_')} %: {v:+.3f}" for s, v in lost.items())
    reached = min(lost.values()) >= -0.05 - ROUNDING
    return [Row(what, target, measured, reached, len(lost), lowest(lost, lambda v: f"{v:+.3f}"))]
