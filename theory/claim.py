"""What trying one claim gives: its verdict, and the numbers that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import sem


@dataclass(frozen=True)
class ClaimResult:
    """What was claimed, of how many cases, and the case that came nearest to breaking it.

    Parameters
    ----------
    claim : str
    assumptions : tuple of str
    n_cases : int
        With none, the claim holds of nothing and the worst margin is infinite.
    worst_margin : float
        By how much an inequality is met where it is met least; of an equality, minus the largest deviation.
    worst_case : tuple of int
        Where that was, in the leading axes of the samples.
    tolerance : float
        What rounding may take from the margin there.
    holds : bool
        Whether every margin is at least minus its tolerance.
    """

    claim: str
    assumptions: tuple[str, ...]
    n_cases: int
    worst_margin: float
    worst_case: tuple[int, ...]
    tolerance: float
    holds: bool

    def __str__(self) -> str:
        verdict = "holds" if self.holds else f"fails, worst at {self.worst_case}"
        assuming = "; ".join(self.assumptions)
        found = f"{self.n_cases} cases, worst margin {self.worst_margin:.3g}, {verdict}"
        return f"{self.claim}\n  assumes: {assuming}\n  {found}"


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean, and its standard error."""
    return float(values.mean()), float(sem(values))
