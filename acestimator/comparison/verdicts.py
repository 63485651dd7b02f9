"""What the comparison must show, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_1samp

from acestimator.comparison.results import Comparison, Setting, gap_closed, relative_seconds
from acestimator.comparison.runs import CLEANLAB, CLEANLAB_FILTERS, DEFAULT, PLAIN
from acestimator.comparison.tasks import parse

# Means of counts over counts are compared with decimal numbers: what lies on a limit is within it.
_ROUNDING = 1e-9


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
    measured: str = "-"
    reached: bool | None = None

    @property
    def word(self) -> str:
        """``reached``, in a word."""
        return {True: "reached", False: "MISSED", None: "not measured"}[self.reached]

    def __str__(self) -> str:
        return f"{self.word:12}  {self.what}: {self.measured} (target: {self.target})"


def verdicts(comparison: Comparison) -> list[Verdict]:
    """Judge the default against the targets, on the settings that were run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of Verdict

    Notes
    -----
    Peers are compared where they have all the seeds that the default has; a best one on other seeds would be no match.
    The best peer of a setting is picked by the very runs that it is then compared on, which favours it.
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


def p_below(difference: np.ndarray) -> float:
    """One-sided paired t-test that the mean of the differences (S,) is below zero; 1 with fewer than two seeds."""
    if len(difference) < 2:
        return 1.0
    if np.ptp(difference) <= _ROUNDING:  # the same each time: t is infinite, or there is no difference
        return float(difference.mean() >= -_ROUNDING)
    return float(ttest_1samp(difference, 0.0, alternative="less").pvalue)


def _accuracy(c: Comparison) -> list[Verdict]:
    leads = {s: {peer: _complete(c, "accuracy", peer, s) for peer in c.peers} for s in c.noisy}
    leads = {s: {peer: d for peer, d in peers.items() if len(d)} for s, peers in leads.items()}
    best = {s: min(peers, key=lambda peer: peers[peer].mean()) for s, peers in leads.items() if peers}
    differences = {s: leads[s][peer] for s, peer in best.items()}
    every = [peer for peer in c.peers if best and all(peer in leads[s] for s in best)]
    if not differences:
        return [Verdict(*row) for row in _ACCURACY_TARGETS]
    significant = holm([p_below(d) for d in differences.values()])
    below = [f"{' '.join(s)} (best: {best[s]})" for s, bad in zip(differences, significant, strict=True) if bad]
    mean = {s: float(d.mean()) for s, d in differences.items()}
    near = np.mean([lead >= -0.003 - _ROUNDING for lead in mean.values()])
    worst = min(mean, key=mean.__getitem__)
    n_seeds = sorted({len(d) for d in differences.values()})
    of = f"of {len(mean)} settings of {' to '.join(map(str, n_seeds[:1] + n_seeds[1:][-1:]))} seeds"
    result = [
        Verdict(*_ACCURACY_TARGETS[0], f"{', '.join(below) or 'none'} {of}", not below),
        Verdict(
            *_ACCURACY_TARGETS[1],
            f"{near:.0%} {of} (worst: {' '.join(worst)}, {100 * mean[worst]:+.2f} against {best[worst]})",
            bool(near >= 0.8 - _ROUNDING),
        ),
    ]
    if not every:
        return [*result, Verdict(*_ACCURACY_TARGETS[2], "no peer was run in all of these settings")]
    averages = {peer: float(np.mean([leads[s][peer].mean() for s in best])) for peer in every}
    single = min(averages, key=averages.__getitem__)
    left_out = [peer for peer in c.peers if peer not in every]
    measured = f"{100 * averages[single]:+.2f} ({single}{'; not in all: ' + ', '.join(left_out) if left_out else ''})"
    return [*result, Verdict(*_ACCURACY_TARGETS[2], measured, averages[single] >= 0.005 - _ROUNDING)]


_ACCURACY_TARGETS = (
    ("settings significantly below their best peer", "none"),
    ("settings at most 0.3 points below their best peer", ">= 80 %"),
    ("average lead over the single best peer", ">= 0.5 points"),
)


def _gap(c: Comparison) -> list[Verdict]:
    result = []
    for what, kinds, target in (("symmetric and pair", ("symmetric", "pair"), 0.93), ("instance", ("instance",), 0.85)):
        shares = [gap_closed(c, DEFAULT, s) for s in c.noisy if parse(s[1])[0] in kinds]
        shares = [share for share in shares if np.isfinite(share)]
        result.append(_at_least(f"share of the gap to the oracle, {what} noise", shares, target))
    return result


def _clean(c: Comparison) -> list[Verdict]:
    result = []
    for setting in c.settings:
        if setting[1] == "none":
            verdict = Verdict(f"{setting[0]}, clean, less plain", ">= -0.3 points")
            lead = c.difference("accuracy", DEFAULT, PLAIN, setting)
            if len(lead):
                points = 100 * float(lead.mean())
                verdict = Verdict(verdict.what, verdict.target, f"{points:+.2f}", points >= -0.3 - _ROUNDING)
            result.append(verdict)
    return result


def _detection(c: Comparison) -> list[Verdict]:
    result = []
    for peer in (CLEANLAB, "aum"):
        what, target = f"AUROC less {peer}'s", ">= -.003 in all settings, > 0 on average"
        leads = {s: float(d.mean()) for s in c.noisy if len(d := _complete(c, "auroc", peer, s))}
        if not leads:
            result.append(Verdict(what, target))
            continue
        worst = min(leads, key=leads.__getitem__)
        mean = float(np.mean(list(leads.values())))
        measured = f"{leads[worst]:+.4f} at worst ({' '.join(worst)}), {mean:+.4f} on average of {len(leads)}"
        result.append(Verdict(what, target, measured, leads[worst] >= -0.003 - _ROUNDING and mean > 0))
    pair = c.values("auroc", DEFAULT, ("digits", "pair_30"))
    result.append(_at_least("AUROC, digits pair 30 %", list(pair.values()), 0.99))
    what, target = "F1 of the flagged set", "above cleanlab's best filter, on average"
    ours = {s: c.mean("f1", DEFAULT, s) for s in c.noisy}
    filters = {name: {s: c.mean(f"f1 {name}", CLEANLAB, s) for s in c.noisy} for name in CLEANLAB_FILTERS}
    both = [s for s in c.noisy if np.isfinite([ours[s], *(values[s] for values in filters.values())]).all()]
    if not both:
        return [*result, Verdict(what, target)]
    own = float(np.mean([ours[s] for s in both]))
    averages = {name: float(np.mean([values[s] for s in both])) for name, values in filters.items()}
    best = max(averages, key=averages.__getitem__)
    measured = f"{own:.3f} against {averages[best]:.3f} ({best}), {len(both)} settings"
    return [*result, Verdict(what, target, measured, own > averages[best])]


def _calibration(c: Comparison) -> list[Verdict]:
    within, ece = [], []
    for s in c.settings:
        estimated, true = c.values("noise_rate", DEFAULT, s), c.values("true_rate", DEFAULT, s)
        errors = [abs(estimated[seed] - true[seed]) for seed in estimated.keys() & true.keys()]
        if errors:
            within.append(float(np.mean(errors) <= 0.03 + _ROUNDING))
            ece.append(c.mean("ece", DEFAULT, s))
    what, target = "calibration error of mislabel_proba_", "<= 0.05 on average"
    mean = float(np.mean(ece)) if ece else np.nan
    calibrated = Verdict(what, target, f"{mean:.3f}", mean <= 0.05 + _ROUNDING) if ece else Verdict(what, target)
    return [_at_least("share of settings whose noise rate is within 3 points", within, 0.8), calibrated]


def _time(c: Comparison) -> list[Verdict]:
    what, target, ratio = "time against plain cross-entropy", "<= 1.10", relative_seconds(c, DEFAULT)
    return [Verdict(what, target, f"{ratio:.2f}", ratio <= 1.10 + _ROUNDING) if ratio > 0 else Verdict(what, target)]


def _complete(c: Comparison, metric: str, peer: str, setting: Setting) -> np.ndarray:
    """Ours less the peer's, if it has all the seeds that we have; else empty."""
    ours, theirs = c.values(metric, DEFAULT, setting), c.values(metric, peer, setting)
    return c.difference(metric, DEFAULT, peer, setting) if ours.keys() <= theirs.keys() else np.empty(0)


def _at_least(what: str, values: Sequence[float], target: float) -> Verdict:
    """Judge the mean of what was measured."""
    wanted = f">= {target:.2f}"
    if not values:
        return Verdict(what, wanted)
    mean = float(np.mean(values))
    return Verdict(what, wanted, f"{mean:.3f}, mean of {len(values)}", mean >= target - _ROUNDING)


_JUDGES: tuple[Callable[[Comparison], list[Verdict]], ...] = (_accuracy, _gap, _clean, _detection, _calibration, _time)
