"""A row of the verdicts, and what the judges share.

Legend: S seeds. A setting is a data set with a process; a difference is the default's accuracy less another method's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acestimator.comparison import Comparison
from acestimator.comparison.results import Setting
from acestimator.comparison.runs import DEFAULT, ORACLE, PLAIN
from acestimator.comparison.verdicts import Verdict, holm
from suite_parts.numbers import p_below
from suite_parts.sets import SETS

ROUNDING = 1e-9  # what lies on a limit is within it
_SHOWN = 3
APART = ("setting", "rare")  # kinds that are judged by rows of their own


@dataclass(frozen=True)
class Row(Verdict):
    """A target, what was measured, and of how many cells.

    Parameters
    ----------
    n_cells : int
    worst : tuple of str
        The cells that come out worst.
    notes : tuple of str
        What is printed below.
    """

    n_cells: int = 0
    worst: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """``reached``, in a word; what has no target is only told, and what cannot be decided yet is open."""
        if not self.n_cells:
            return "not run"
        if self.reached is None:
            return "told" if self.target == "-" else "open"
        return "ok" if self.reached else "MISSED"


def kind(setting: Setting) -> str:
    """Kind of the setting's data set."""
    return SETS[setting[0]].kind


def main_settings(c: Comparison, *, noisy: bool | None = None) -> list[Setting]:
    """Settings of the sets that are not judged apart; with wrong labels, or with right ones alone."""
    return [s for s in c.settings if kind(s) not in APART and noisy in (None, s[1] != "none")]


def name(setting: Setting) -> str:
    """As it is printed."""
    return " ".join(setting)


def lowest(values: Mapping[Setting, float], form: Callable[[float], str], *, high: bool = False) -> tuple[str, ...]:
    """The first few cells in the order of their values."""
    order = sorted(values, key=values.__getitem__, reverse=high)
    return tuple(f"{name(s)} {form(values[s])}" for s in order[:_SHOWN])


def points(value: float) -> str:
    """A difference of accuracies, in points."""
    return f"{100 * value:+.2f}"


def number(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}"


def differences(
    c: Comparison, settings: Iterable[Setting], other: str = PLAIN, metric: str = "accuracy"
) -> dict[Setting, np.ndarray]:
    """The default's less another method's by setting (S,), where there are any."""
    found = {s: c.difference(metric, DEFAULT, other, s) for s in settings}
    return {s: d for s, d in found.items() if len(d)}


def means(values: Mapping[Setting, np.ndarray]) -> dict[Setting, float]:
    """Over seeds."""
    return {s: float(np.mean(v)) for s, v in values.items()}


def significantly_below(c: Comparison, found: Mapping[Setting, np.ndarray], margin: float) -> list[Setting]:
    """Settings whose difference is below minus the margin: paired t-tests, one-sided, Holm's procedure at 5 %."""
    rejected = holm([p_below(d, margin, n_test(c, s)) for s, d in found.items()])
    return [s for s, bad in zip(found, rejected, strict=True) if bad]


def n_test(c: Comparison, setting: Setting) -> int:
    """Test samples of a seed, 0 if they were not counted."""
    return max((record.get("n_test", 0) for record in c.cell(DEFAULT, setting).values()), default=0)


def undecided(found: Mapping[Setting, np.ndarray], below: Sequence[Setting], margin: float) -> list[Setting]:
    """Settings whose mean is below minus the margin, not significantly so, and that may have more seeds yet."""
    return [s for s, d in found.items() if s not in below and d.mean() < -margin and len(d) < SETS[s[0]].most_seeds]


def untested(found: Mapping[Setting, np.ndarray], open_ones: Sequence[Setting]) -> tuple[str, ...]:
    """Notes on settings that the tests cannot judge, or not yet."""
    n = sum(len(d) < 2 for d in found.values())
    notes = (f"{n} of {len(found)} cells have one seed, which no test can judge",) if n else ()
    if open_ones:
        named = ", ".join(f"{name(s)} {points(found[s].mean())}" for s in open_ones)
        notes += (f"open, for want of seeds (--settle adds them): {named}",)
    return notes


def verdict(missed: bool, open_ones: Sequence[Setting]) -> bool | None:
    """Missed, or not decided, or reached."""
    return False if missed else None if open_ones else True


def can_be_told(c: Comparison, dataset: str) -> bool | None:
    """Whether a set's noise rate can be told, by most of its oracle's records; None if there are none."""
    said = [r["can_be_told"] for r in c.cell(ORACLE, (dataset, "none")).values() if "can_be_told" in r]
    return bool(np.mean(said) >= 0.5) if said else None


def told_settings(c: Comparison, settings: Iterable[Setting]) -> list[Setting]:
    """Those whose noise rate can be told."""
    return [s for s in settings if can_be_told(c, s[0])]


def mean_of(values: Iterable[float]) -> float:
    """NaN of nothing."""
    found: Sequence[float] = list(values)
    return float(np.mean(found)) if found else float("nan")
