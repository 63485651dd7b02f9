"""Records of a comparison by method and setting, and their means and differences.

Legend: a setting is a data set with a process; S seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from acestimator.comparison.runs import AC2, DEFAULT, ORACLE, PLAIN, available
from acestimator.comparison.tasks import HUMAN, PROCESSES, TABLES, UNCHANGED, parse

Setting = tuple[str, str]
NOT_PEERS = frozenset({DEFAULT, AC2, ORACLE})


@dataclass(frozen=True)
class Comparison:
    """Records by method and setting.

    Parameters
    ----------
    records : sequence of dict
        As :func:`acestimator.comparison.run_grid` returns them: of a cell that failed or cannot be, too.
    """

    records: Sequence[dict[str, Any]]

    @cached_property
    def methods(self) -> list[str]:
        """Ours first, then the oracle, then the peers."""
        return _in_order((record["method"] for record in self.records), available())

    @cached_property
    def datasets(self) -> list[str]:
        """Tables first."""
        return _in_order((record["dataset"] for record in self.records), TABLES)

    @cached_property
    def settings(self) -> list[Setting]:
        """By data set, kind of the process, and rate."""
        kinds = [*UNCHANGED, *HUMAN, *PROCESSES]
        found = {(record["dataset"], record["process"]) for record in self.records}
        order = {(d, p): (self.datasets.index(d), kinds.index(parse(p)[0]), parse(p)[1]) for d, p in found}
        return sorted(found, key=order.__getitem__)

    @cached_property
    def noisy(self) -> list[Setting]:
        """Settings with wrong labels that are known."""
        return [setting for setting in self.settings if setting[1] not in UNCHANGED]

    @cached_property
    def peers(self) -> list[str]:
        """Methods that are not ours, and are not told which labels are wrong."""
        return [method for method in self.methods if method not in NOT_PEERS]

    @cached_property
    def seeds(self) -> list[int]:
        """Of all records."""
        return sorted({record["seed"] for record in self.records})

    @cached_property
    def _cells(self) -> dict[tuple[str, Setting], dict[int, dict[str, Any]]]:
        cells: dict[tuple[str, Setting], dict[int, dict[str, Any]]] = {}
        for record in self.records:
            setting = record["dataset"], record["process"]
            cells.setdefault((record["method"], setting), {})[record["seed"]] = record
        return cells

    def cell(self, method: str, setting: Setting) -> dict[int, dict[str, Any]]:
        """Records by seed."""
        return self._cells.get((method, setting), {})

    def state(self, method: str, setting: Setting) -> str:
        """Either "run", or "failed" if no seed gave a result, "not possible", or "not run"."""
        records = self.cell(method, setting).values()
        if any("accuracy" in record for record in records):
            return "run"
        if any("error" in record for record in records):
            return "failed"
        return "not possible" if records else "not run"

    def values(self, metric: str, method: str, setting: Setting) -> dict[int, float]:
        """The metric by seed, where it was measured."""
        return {
            seed: record[metric]
            for seed, record in self.cell(method, setting).items()
            if np.isfinite(record.get(metric, np.nan))
        }

    def mean(self, metric: str, method: str, setting: Setting) -> float:
        """Over seeds; NaN where it was not measured."""
        values = list(self.values(metric, method, setting).values())
        return float(np.mean(values)) if values else float("nan")

    def standard_error(self, metric: str, method: str, setting: Setting) -> float:
        """Of the mean over seeds; NaN with fewer than two."""
        values = list(self.values(metric, method, setting).values())
        return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")

    def difference(self, metric: str, first: str, second: str, setting: Setting) -> np.ndarray:
        """First less second, on the seeds that both have, (S,)."""
        a, b = self.values(metric, first, setting), self.values(metric, second, setting)
        return np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])


def gap_closed(comparison: Comparison, method: str, setting: Setting) -> float:
    """Share of the gap between plain cross-entropy and the oracle that a method closes, of the means over seeds.

    The seeds are those that all three have. NaN where there are none, or the oracle is no better than plain.
    """
    own, plain, oracle = shared_accuracies(comparison, (method, PLAIN, ORACLE), setting)
    return (own - plain) / (oracle - plain) if oracle > plain else float("nan")


def shared_accuracies(comparison: Comparison, methods: Sequence[str], setting: Setting) -> list[float]:
    """Mean accuracy of each method, on the seeds that all of them have; NaN where there are none."""
    values = [comparison.values("accuracy", name, setting) for name in methods]
    shared = set.intersection(*(set(v) for v in values))
    return [float(np.mean([v[seed] for seed in shared])) if shared else float("nan") for v in values]


def relative_seconds(comparison: Comparison, method: str) -> float:
    """Median over settings and seeds of the time of a fit against plain cross-entropy's."""
    ratios: list[float] = []
    for setting in comparison.settings:
        own, plain = (comparison.values("seconds", name, setting) for name in (method, PLAIN))
        ratios += [own[seed] / plain[seed] for seed in own.keys() & plain.keys()]
    return float(np.median(ratios)) if ratios else float("nan")


def failures(comparison: Comparison) -> list[str]:
    """A line for each error, with the cells that it cost."""
    return _by_reason(comparison.records, "error")


def not_possible(comparison: Comparison) -> list[str]:
    """A line for each reason why cells cannot be, with the cells."""
    return _by_reason(comparison.records, "not_possible")


def _by_reason(records: Iterable[dict[str, Any]], key: str) -> list[str]:
    where: dict[str, list[str]] = {}
    for record in records:
        if key in record:
            name = f"{record['method']} on {record['dataset']} {record['process']}, seed {record['seed']}"
            where.setdefault(record[key], []).append(name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in where.items()
    ]


def _in_order(found: Iterable[str], known: Sequence[str]) -> list[str]:
    """Distinct names, the known ones first and in their order: that of the records is by chance."""
    place = {name: i for i, name in enumerate(known)}
    return sorted(set(found), key=lambda name: (place.get(name, len(place)), name))
