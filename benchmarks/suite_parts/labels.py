"""Verdicts on what is said of the labels: the noise rate, its interval, probabilities, detection, suggestions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from acestimator.comparison import Comparison
from acestimator.comparison.results import Setting
from acestimator.comparison.runs import CLEANLAB, CLEANLAB_FILTERS, DEFAULT
from suite_parts.numbers import calibration_error
from suite_parts.rows import (
    ROUNDING,
    Row,
    can_be_told,
    differences,
    kind,
    lowest,
    main_settings,
    mean_of,
    means,
    number,
    told_settings,
)


def rate(c: Comparison, group: str) -> list[Row]:
    """6: the estimated noise rate, where it can be told. A sample of no class has a wrong label."""
    errors = {s: e for s in _not_own(c) if np.isfinite(e := _rate_error(c, s))}
    told = told_settings(c, errors)
    clean = [s for s in told if s[1] == "none"]
    rows = (
        ("6a error of noise_rate_, cells that can be told: mean", "<= .04"),
        ("6b the same: share of cells within .10", ">= 95 %"),
        ("6c the same, right labels: mean", "<= .02"),
    )
    if not told:
        return [Row(*row) for row in rows]
    found = {s: errors[s] for s in told}
    mean, near = mean_of(found.values()), mean_of(e <= 0.10 + ROUNDING for e in found.values())
    worst = lowest(found, number, high=True)
    others = {s: e for s, e in errors.items() if s not in found}
    notes = (f"all other cells: mean {number(mean_of(others.values()))} of {len(others)}",) if others else ()
    unknown = sorted({s[0] for s in others if can_be_told(c, s[0]) is None})
    notes += (f"no oracle has said whether it can be told of: {', '.join(unknown)}",) if unknown else ()
    result = [
        Row(*rows[0], number(mean), mean <= 0.04 + ROUNDING, len(found), worst, notes),
        Row(*rows[1], f"{near:.0%}", near >= 0.95 - ROUNDING, len(found), worst),
    ]
    if not clean:
        return [*result, Row(*rows[2])]
    right = {s: errors[s] for s in clean}
    mean = mean_of(right.values())
    return [*result, Row(*rows[2], number(mean), mean <= 0.02 + ROUNDING, len(right), lowest(right, number, high=True))]


def interval(c: Comparison, group: str) -> list[Row]:
    """7: the interval of the noise rate, where it can be told."""
    rows = (
        ("7a 90 % interval of the noise rate: share of fits whose true rate it covers", ">= 85 %"),
        ("7b the same: mean width", "<= .15"),
    )
    told = told_settings(c, _not_own(c))
    found = {s: [r for r in c.cell(DEFAULT, s).values() if "noise_rate_interval" in r] for s in told}
    found = {s: records for s, records in found.items() if records}
    if not found:
        text = "not there: the estimator has no noise_rate_interval_" if told else "-"
        return [Row(*row, text) for row in rows]
    covered = {s: mean_of(_covers(r) for r in records) for s, records in found.items()}
    width = {s: mean_of(np.diff(r["noise_rate_interval"])[0] for r in records) for s, records in found.items()}
    sizes = np.array([len(records) for records in found.values()])
    share = float(np.average(list(covered.values()), weights=sizes))
    mean = mean_of(width.values())
    return [
        Row(
            *rows[0],
            f"{share:.0%} of {sizes.sum()} fits",
            share >= 0.85 - ROUNDING,
            len(found),
            lowest(covered, number),
        ),
        Row(*rows[1], number(mean), mean <= 0.15 + ROUNDING, len(found), lowest(width, number, high=True)),
    ]


def calibration(c: Comparison, group: str) -> list[Row]:
    """8: the probabilities that labels are wrong, pooled over seeds, ten bins of equal count."""
    rows = (
        ("8a calibration error of mislabel_proba_, cells that can be told: mean", "<= .05"),
        ("8b the same: the worst cell", "<= .12"),
    )
    every = {s: calibration_error(bins) for s in _not_own(c) if (bins := _pooled(c, s))}
    found = {s: every[s] for s in told_settings(c, every)}
    if not found:
        return [Row(*row) for row in rows]
    mean, worst = mean_of(found.values()), lowest(found, number, high=True)
    notes = (f"all {len(every)} cells: mean {number(mean_of(every.values()))}",)
    highest = max(found.values())
    return [
        Row(*rows[0], number(mean), mean <= 0.05 + ROUNDING, len(found), worst, notes),
        Row(*rows[1], number(highest), highest <= 0.12 + ROUNDING, len(found), worst),
    ]


def detection(c: Comparison, group: str) -> list[Row]:
    """9: F1 of the flagged set and AUROC of the scores, against each peer where it was run."""
    settings = main_settings(c, noisy=True)
    f1 = {peer: means(differences(c, settings, peer, "f1")) for peer in c.peers}
    f1 |= {f"{CLEANLAB}, {name}": _filter_leads(c, settings, name) for name in CLEANLAB_FILTERS}
    auroc = {peer: means(differences(c, settings, peer, "auroc")) for peer in c.peers}
    rows = [
        _above_best("9a F1 of the flagged set: mean lead over the best peer", f1),
        _above_best("9b AUROC of the scores: mean lead over the best peer", auroc),
    ]
    what, target, leads = "9c AUROC less cleanlab's: the worst cell", ">= -0.01", auroc.get(CLEANLAB, {})
    if not leads:
        return [*rows, Row(what, target)]
    worst = min(leads.values())
    return [*rows, Row(what, target, _signed(worst), worst >= -0.01 - ROUNDING, len(leads), lowest(leads, _signed))]


def suggestions(c: Comparison, group: str) -> list[Row]:
    """10: suggested labels that are right, beside given ones, where at least a twentieth is wrong."""
    what, target = "10 suggested labels right less given labels right, noise of 5 % or more: the worst cell", ">= 0"
    gains = {}
    for s in main_settings(c, noisy=True):
        records = [r for r in c.cell(DEFAULT, s).values() if "suggested_right" in r]
        if records and mean_of(r["true_rate"] for r in records) >= 0.05 - ROUNDING:
            gains[s] = mean_of(r["suggested_right"] - r["given_right"] for r in records)
    if not gains:
        return [Row(what, target)]
    worst = min(gains.values())
    n_below = sum(g < -ROUNDING for g in gains.values())
    notes = (f"fewer are right in {n_below} cells; mean {_signed(mean_of(gains.values()))}",)
    return [Row(what, target, _signed(worst), worst >= -ROUNDING, len(gains), lowest(gains, _signed), notes)]


def _not_own(c: Comparison) -> list[Setting]:
    """All settings but those of a user's own networks: the estimate of a network that cannot learn tells nothing."""
    return [s for s in c.settings if kind(s) != "setting"]


def _rate_error(c: Comparison, setting: Setting) -> float:
    estimated, true = (c.values(metric, DEFAULT, setting) for metric in ("noise_rate", "true_rate"))
    return mean_of(abs(estimated[seed] - true[seed]) for seed in estimated.keys() & true.keys())


def _covers(record: dict[str, Any]) -> bool:
    low, high = record["noise_rate_interval"]
    return bool(low - ROUNDING <= record["true_rate"] <= high + ROUNDING)


def _pooled(c: Comparison, setting: Setting) -> list[list[float]]:
    return [row for record in c.cell(DEFAULT, setting).values() for row in record.get("bins", [])]


def _filter_leads(c: Comparison, settings: list[Setting], filter_name: str) -> dict[Setting, float]:
    leads = {}
    for s in settings:
        own, peer = c.values("f1", DEFAULT, s), c.values(f"f1 {filter_name}", CLEANLAB, s)
        if shared := own.keys() & peer.keys():
            leads[s] = mean_of(own[seed] - peer[seed] for seed in shared)
    return leads


def _above_best(what: str, found: dict[str, dict[Setting, float]]) -> Row:
    target = "> 0"
    mean = {peer: mean_of(leads.values()) for peer, leads in found.items() if leads}
    if not mean:
        return Row(what, target)
    best = min(mean, key=mean.__getitem__)
    notes = tuple(
        f"against {peer}: {_signed(mean[peer])} in {len(found[peer])} cells"
        for peer in sorted(mean, key=mean.__getitem__)
    )
    measured = f"{_signed(mean[best])} ({best})"
    return Row(what, target, measured, mean[best] > 0, len(found[best]), lowest(found[best], _signed), notes)


_signed: Callable[[float], str] = "{:+.3f}".format
