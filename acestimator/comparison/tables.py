"""Tables of a comparison: as text, as Markdown, and as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acestimator.comparison.results import Comparison, Setting, failures, gap_closed, relative_seconds
from acestimator.comparison.runs import CLEANLAB_FILTERS, DEFAULT
from acestimator.comparison.verdicts import Verdict

Rows = list[list[str]]


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is printed.

    Parameters
    ----------
    name : str
        Key of the records, or one that is made of them: "gap closed", "rate error".
    title : str
    scale : float, default=100.0
        Factor of what is printed.
    digits : int, default=1
    """

    name: str
    title: str
    scale: float = 100.0
    digits: int = 1


METRICS = (
    Metric("accuracy", "Test accuracy after the last epoch, %"),
    Metric("gap closed", "Share of the gap between plain cross-entropy and the oracle", 1.0, 2),
    Metric("auroc", "Detection: AUROC, %"),
    Metric("average_precision", "Detection: average precision, %"),
    Metric("f1", "F1 of the flagged set (probability above one half), %"),
    Metric("noise_rate", "Estimated noise rate, %"),
    Metric("rate error", "Error of the estimated noise rate, absolute, points"),
    Metric("ece", "Expected calibration error of the probabilities, points"),
    Metric("seconds", "Seconds of a fit", 1.0, 2),
)


def sections(comparison: Comparison, metrics: Sequence[Metric] = METRICS) -> list[tuple[str, Rows]]:
    """Titled tables: what was run, a table for each metric and data set, and the times.

    Parameters
    ----------
    comparison : Comparison
    metrics : sequence of Metric

    Returns
    -------
    list of (str, list of list of str)
        The first row is the header. Entries are means over seeds and their standard errors, or say why there are none.
        They are "-" where a method or a cell has no such metric.
    """
    c = comparison
    result = [("Runs", coverage(c))]
    for metric in metrics:
        for dataset in c.datasets:
            settings, methods = [s for s in c.settings if s[0] == dataset], c.methods
            if metric.name != "accuracy":  # that one shows what failed or cannot be, too
                settings = [s for s in settings if any(len(_values(c, metric, m, s)) for m in methods)]
                methods = [m for m in methods if any(len(_values(c, metric, m, s)) for s in settings)]
            if settings:
                rows = [[m, *(_entry(c, metric, m, s) for s in settings)] for m in methods]
                result.append((f"{metric.title}: {dataset}", [["method", *(s[1] for s in settings)], *rows]))
    filters = _filters(c)
    if filters:
        result.append(filters)
    times = [[m, f"{relative_seconds(c, m):.2f}"] for m in c.methods if np.isfinite(relative_seconds(c, m))]
    if times:
        result.append(("Seconds against plain cross-entropy, median", [["method", "ratio"], *times]))
    return result


def coverage(comparison: Comparison, datasets: Sequence[str] = (), processes: Sequence[str] = ()) -> Rows:
    """How many runs there are of each setting, out of all methods times all seeds.

    Parameters
    ----------
    comparison : Comparison
    datasets, processes : sequence of str
        To list these, too, though they were not run.
    """
    c = comparison
    datasets = list(dict.fromkeys([*datasets, *c.datasets]))
    processes = list(dict.fromkeys([*processes, *(p for _, p in c.settings)]))

    def entry(setting: Setting) -> str:
        states = {c.state(method, setting) for method in c.methods}
        if states <= {"not run", "not possible"}:
            return "not possible" if "not possible" in states else "not run"
        n_runs = sum(len(c.values("accuracy", m, setting)) for m in c.methods)
        n_errors = sum("error" in record for m in c.methods for record in c.cell(m, setting).values())
        failed = f", {n_errors} failed" if n_errors else ""
        return f"{n_runs} of {len(c.methods) * len(c.seeds)}{failed}"

    return [["process", *datasets], *([p, *(entry((d, p)) for d in datasets)] for p in processes)]


def as_text(tables: Sequence[tuple[str, Rows]]) -> str:
    """Aligned columns, for a screen."""
    return "\n\n".join(f"{title}\n{_aligned(rows)}" for title, rows in tables)


def as_markdown(tables: Sequence[tuple[str, Rows]], judged: Sequence[Verdict] = (), heading: str = "##") -> str:
    """Pipe tables under headings, the verdicts first."""
    if judged:
        rows = [[v.what, v.target, v.measured, v.word] for v in judged]
        tables = [("Verdicts", [["what", "target", "measured", "verdict"], *rows]), *tables]
    blocks = []
    for title, (header, *rows) in tables:
        lines = [
            header,
            ["---"] * len(header),
            *([f"**{row[0]}**", *row[1:]] if row[0] == DEFAULT else row for row in rows),
        ]
        text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        blocks.append(f"{heading} {title}\n\n{text}\n")
    return "\n".join(blocks)


def as_numbers(comparison: Comparison, judged: Sequence[Verdict] = ()) -> dict[str, Any]:
    """What the tables show, for a program: to be written as JSON."""
    c = comparison
    rows = []
    for method in c.methods:
        for setting in c.settings:
            row: dict[str, Any] = {"method": method, "dataset": setting[0], "process": setting[1]}
            row["state"] = c.state(method, setting)
            for metric in METRICS:
                values = _values(c, metric, method, setting)
                if len(values):
                    row[metric.name] = {"mean": float(values.mean()), "n": len(values)}
                    if len(values) > 1:
                        row[metric.name]["standard_error"] = _standard_error(values)
            rows.append(row)
    ratios = {m: relative_seconds(c, m) for m in c.methods}
    return {
        "seeds": c.seeds,
        "versions": sorted({record["versions"] for record in c.records if "versions" in record}),
        "verdicts": [{"what": v.what, "target": v.target, "measured": v.measured, "verdict": v.word} for v in judged],
        "relative_seconds": {m: ratio for m, ratio in ratios.items() if np.isfinite(ratio)},
        "cells": rows,
        "failures": failures(c),
    }


def _values(c: Comparison, metric: Metric, method: str, setting: Setting) -> np.ndarray:
    """By seed, (S,); of the gap, one value."""
    if metric.name == "gap closed":
        share = gap_closed(c, method, setting) if setting in c.noisy else np.nan
        return np.array([share] if np.isfinite(share) else [])
    if metric.name == "rate error":
        rate, true = c.values("noise_rate", method, setting), c.values("true_rate", method, setting)
        return np.array([abs(rate[seed] - true[seed]) for seed in sorted(rate.keys() & true.keys())])
    return np.array(list(c.values(metric.name, method, setting).values()))


def _entry(c: Comparison, metric: Metric, method: str, setting: Setting) -> str:
    state = c.state(method, setting)
    if state != "run":
        return state
    return _mean(_values(c, metric, method, setting), metric, len(c.seeds) if metric.name != "gap closed" else 1)


def _mean(values: np.ndarray, metric: Metric, n_seeds: int) -> str:
    """Mean, its standard error, and the number of seeds if there are fewer than of others."""
    if not len(values):
        return "-"
    text = f"{values.mean() * metric.scale:.{metric.digits}f}"
    if len(values) > 1:
        text += f" ({_standard_error(values) * metric.scale:.{metric.digits}f})"
    return text if len(values) == n_seeds else f"{text}, n = {len(values)}"


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _filters(c: Comparison) -> tuple[str, Rows] | None:
    """F1 of cleanlab's filters, averaged over the settings in which they and our default were run."""
    columns: list[tuple[str, Callable[[Setting], float]]] = [(f"{DEFAULT}", lambda s: c.mean("f1", DEFAULT, s))]
    columns += [(name, lambda s, name=name: c.mean(f"f1 {name}", "cleanlab", s)) for name in CLEANLAB_FILTERS]  # type: ignore[misc]
    both = [s for s in c.noisy if np.isfinite([mean(s) for _, mean in columns]).all()]
    if not both:
        return None
    rows = [[name, f"{100 * np.mean([mean(s) for s in both]):.1f}"] for name, mean in columns]
    return f"F1 of cleanlab's filters, %, mean of {len(both)} settings", [["flagged by", "F1"], *rows]


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
