"""Tables and verdicts of a comparison, from its records.

Legend: a setting is a data set with a process; S seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import ttest_1samp

from acestimator.comparison.runs import CLEANLAB_FILTERS, DEFAULT

NOT_PEERS = frozenset({DEFAULT, "AutoCleansing AC2", "oracle"})
PLAIN, ORACLE = "cross_entropy", "oracle"
Setting = tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """Records by method and setting.

    Parameters
    ----------
    records : sequence of dict
        As :func:`acestimator.comparison.run_grid` returns them.
    """

    records: Sequence[dict[str, Any]]

    @cached_property
    def methods(self) -> list[str]:
        """In the order of the records."""
        return list(dict.fromkeys(record["method"] for record in self.records))

    @cached_property
    def settings(self) -> list[Setting]:
        """In the order of the records."""
        return list(dict.fromkeys((record["dataset"], record["process"]) for record in self.records))

    @cached_property
    def noisy(self) -> list[Setting]:
        """Settings with wrong labels."""
        return [setting for setting in self.settings if setting[1] != "none"]

    @cached_property
    def peers(self) -> list[str]:
        """Methods that are not ours and are told nothing."""
        return [method for method in self.methods if method not in NOT_PEERS]

    def values(self, metric: str, method: str, setting: Setting) -> dict[int, float]:
        """The metric by seed, where it was measured."""
        return {
            record["seed"]: record[metric]
            for record in self.records
            if record["method"] == method
            and (record["dataset"], record["process"]) == setting
            and np.isfinite(record.get(metric, np.nan))
        }

    def mean(self, metric: str, method: str, setting: Setting) -> float:
        """Over seeds; NaN where it was not measured."""
        values = list(self.values(metric, method, setting).values())
        return float(np.mean(values)) if values else float("nan")

    def average(self, metric: str, method: str, settings: Sequence[Setting]) -> float:
        """Of the means over settings; NaN if one is missing."""
        return float(np.mean([self.mean(metric, method, setting) for setting in settings])) if settings else np.nan

    def difference(self, metric: str, first: str, second: str, setting: Setting) -> np.ndarray:
        """First less second, seed by seed, (S,)."""
        a, b = self.values(metric, first, setting), self.values(metric, second, setting)
        return np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])

    def gap_closed(self, method: str, setting: Setting) -> float:
        """Share of the gap between plain cross-entropy and the oracle that a method closes, of the means over seeds."""
        plain, oracle = (self.mean("accuracy", name, setting) for name in (PLAIN, ORACLE))
        return (self.mean("accuracy", method, setting) - plain) / (oracle - plain)

    def relative_seconds(self, method: str) -> float:
        """Median over settings and seeds of the time of a fit against plain cross-entropy's."""
        ratios: list[float] = []
        for setting in self.settings:
            own, plain = (self.values("seconds", name, setting) for name in (method, PLAIN))
            ratios += [own[seed] / plain[seed] for seed in own.keys() & plain.keys()]
        return float(np.median(ratios)) if ratios else float("nan")

    def table(self, metric: str, scale: float = 100.0) -> str:
        """Means over seeds and their standard errors, as text: a row per method, a column per setting.

        Parameters
        ----------
        metric : str
            A key of the records, or "gap closed".
        scale : float, default=100.0
            Factor of what is printed.
        """

        def cell(method: str, setting: Setting) -> str:
            if metric == "gap closed":
                share = self.gap_closed(method, setting) if setting in self.noisy else np.nan
                return "-" if np.isnan(share) else f"{share:.2f}"
            values = np.array(list(self.values(metric, method, setting).values())) * scale
            if not len(values):
                return "-"
            error = f" ({values.std(ddof=1) / np.sqrt(len(values)):.1f})" if len(values) > 1 else ""
            return f"{values.mean():.1f}{error}"

        rows = [[method, *(cell(method, setting) for setting in self.settings)] for method in self.methods]
        return _aligned([["", *(f"{dataset} {process}" for dataset, process in self.settings)], *rows])


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured.

    Parameters
    ----------
    what, target, measured : str
    reached : bool or None
        None where it was not measured.
    """

    what: str
    target: str
    measured: str
    reached: bool | None

    def __str__(self) -> str:
        word = {True: "reached", False: "MISSED", None: "not measured"}[self.reached]
        return f"{word:12}  {self.what}: {self.measured} (target: {self.target})"


def verdicts(comparison: Comparison) -> list[Verdict]:
    """Judge the default against the targets, on the settings that were run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of Verdict
    """
    return [verdict for judge in _JUDGES for verdict in judge(comparison)]


def holm(p_values: Sequence[float], level: float = 0.05) -> np.ndarray:
    """Holm's step-down procedure: which hypotheses are rejected at a family-wise level.

    Parameters
    ----------
    p_values : sequence of float, length T
    level : float, default=0.05

    Returns
    -------
    ndarray of bool, shape (T,)
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


def _accuracy(c: Comparison) -> list[Verdict]:
    settings = [s for s in c.noisy if any(len(c.values("accuracy", p, s)) for p in c.peers)]
    if not settings:
        return []
    best = {s: _largest({peer: c.mean("accuracy", peer, s) for peer in c.peers}) for s in settings}
    differences = {s: c.difference("accuracy", DEFAULT, best[s], s) for s in settings}
    p_values = [_p_below(d) for d in differences.values()]
    below = [f"{' '.join(s)} (best: {best[s]})" for s, bad in zip(settings, holm(p_values), strict=True) if bad]
    near = np.mean([d.mean() >= -0.003 for d in differences.values()])
    averages = {peer: c.average("accuracy", peer, settings) for peer in c.peers}
    single = _largest(averages)
    lead = c.average("accuracy", DEFAULT, settings) - averages[single]
    worst = min(differences, key=lambda s: differences[s].mean())
    return [
        Verdict("settings significantly below their best peer", "none", ", ".join(below) or "none", not below),
        Verdict(
            "settings at most 0.3 points below their best peer",
            ">= 80 %",
            f"{near:.0%} (worst: {' '.join(worst)}, {100 * differences[worst].mean():+.1f} against {best[worst]})",
            bool(near >= 0.8),
        ),
        Verdict(
            "average lead over the single best peer", ">= 0.5 points", f"{100 * lead:+.2f} ({single})", lead >= 0.005
        ),
    ]


def _p_below(difference: np.ndarray) -> float:
    """One-sided paired t-test that the mean is below zero; 1 with fewer than two seeds."""
    if len(difference) < 2 or not difference.std() > 0:
        return 1.0
    return float(ttest_1samp(difference, 0.0, alternative="less").pvalue)


def _gap(c: Comparison) -> list[Verdict]:
    result = []
    for what, kinds, target in (("symmetric and pair", ("symmetric", "pair"), 0.93), ("instance", ("instance",), 0.85)):
        shares = [c.gap_closed(DEFAULT, s) for s in c.noisy if s[1].rpartition("_")[0] in kinds]
        mean = float(np.nanmean(shares)) if np.isfinite(shares).any() else np.nan
        result.append(_at_least(f"share of the gap to the oracle, {what} noise", mean, target))
    return result


def _clean(c: Comparison) -> list[Verdict]:
    result = []
    for setting in c.settings:
        if setting[1] == "none":
            lead = 100 * float(np.mean(c.difference("accuracy", DEFAULT, PLAIN, setting)))
            result.append(Verdict(f"{setting[0]}, clean, less plain", ">= -0.3 points", f"{lead:+.2f}", lead >= -0.3))
    return result


def _detection(c: Comparison) -> list[Verdict]:
    result = []
    for peer in ("cleanlab", "aum"):
        leads = {s: float(np.mean(d)) for s in c.noisy if len(d := c.difference("auroc", DEFAULT, peer, s))}
        if leads:
            worst = min(leads, key=lambda s: leads[s])
            mean = float(np.mean(list(leads.values())))
            measured = f"{leads[worst]:+.4f} at worst ({' '.join(worst)}), {mean:+.4f} on average"
            reached = leads[worst] >= -0.003 and mean > 0
            result.append(
                Verdict(f"AUROC less {peer}'s", ">= -.003 in all settings, > 0 on average", measured, reached)
            )
    result.append(_at_least("AUROC, digits pair 30 %", c.mean("auroc", DEFAULT, ("digits", "pair_30")), 0.99))
    ours = c.average("f1", DEFAULT, c.noisy)
    filters = {name: c.average(f"f1 {name}", "cleanlab", c.noisy) for name in CLEANLAB_FILTERS}
    best = _largest(filters)
    known = np.isfinite(ours) and np.isfinite(filters[best])
    measured = f"{ours:.3f} against {filters[best]:.3f} ({best})"
    result.append(
        Verdict(
            "F1 of the flagged set", "above cleanlab's best filter", measured, ours > filters[best] if known else None
        )
    )
    return result


def _calibration(c: Comparison) -> list[Verdict]:
    errors = []
    for s in c.settings:
        estimated, true = c.values("noise_rate", DEFAULT, s), c.values("true_rate", DEFAULT, s)
        errors.append(np.mean([abs(estimated[seed] - true[seed]) for seed in estimated]) if estimated else np.nan)
    share = float(np.mean(np.array(errors) <= 0.03))
    ece = c.average("ece", DEFAULT, c.settings)
    return [
        _at_least("share of settings whose noise rate is within 3 points", share, 0.8),
        Verdict("calibration error of mislabel_proba_", "<= 0.05 on average", f"{ece:.3f}", _known(ece, ece <= 0.05)),
    ]


def _time(c: Comparison) -> list[Verdict]:
    ratio = c.relative_seconds(DEFAULT)
    return [Verdict("time against plain cross-entropy", "<= 1.10", f"{ratio:.2f}", _known(ratio, ratio <= 1.10))]


def _largest(values: dict[str, float]) -> str:
    """Name of the largest value; NaN is less than all."""
    return max(values, key=lambda name: -np.inf if np.isnan(values[name]) else values[name])


def _known(value: float, reached: bool) -> bool | None:
    return bool(reached) if np.isfinite(value) else None


def _at_least(what: str, value: float, target: float) -> Verdict:
    return Verdict(what, f">= {target:.2f}", f"{value:.3f}", _known(value, value >= target))


_JUDGES: tuple[Callable[[Comparison], list[Verdict]], ...] = (_accuracy, _gap, _clean, _detection, _calibration, _time)


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
