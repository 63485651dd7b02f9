"""Picture of a comparison. matplotlib is imported when something is drawn, not before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acestimator.comparison.results import Comparison
from acestimator.comparison.runs import DEFAULT, ORACLE, PLAIN
from acestimator.comparison.tasks import HUMAN, UNCHANGED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vP*X<>hp"
_LINEAR = 1.0  # points about zero that are drawn to scale; beyond, logarithms


def draw(comparison: Comparison) -> Figure:
    """Test accuracy less the oracle's, in points: a panel for each data set, a row for each method, a dot a process.

    Methods are ordered by the mean of their differences, where they were run, the best on top. Lines are standard
    errors of the paired differences over seeds; a dot is hollow where some of the seeds were not run. Without the
    oracle, it is the difference to plain cross-entropy.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    matplotlib.figure.Figure
        To be saved or closed.

    Raises
    ------
    ValueError
        If neither was run: there is nothing to compare with.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    c = comparison
    reference = next((m for m in (ORACLE, PLAIN) if any(len(c.values("accuracy", m, s)) for s in c.settings)), None)
    if reference is None:
        raise ValueError(f"neither {ORACLE!r} nor {PLAIN!r} was run, expected one of them to draw differences to.")
    points = {
        (m, s): 100 * d
        for m in c.methods
        for s in c.settings
        if m != reference and len(d := c.difference("accuracy", m, reference, s))
    }
    average = {m: np.mean([d.mean() for (name, _), d in points.items() if name == m]) for m, _ in points}
    methods = sorted(average, key=average.__getitem__)
    shown = {s for _, s in points}
    datasets = [d for d in c.datasets if any(s[0] == d for s in shown)]
    processes = list(dict.fromkeys(p for d, p in c.settings if (d, p) in shown))
    figure, axes = plt.subplots(
        1,
        max(1, len(datasets)),
        figsize=(2.2 + 3.6 * max(1, len(datasets)), 1.6 + 0.36 * len(methods)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    styles = [_style(j) for j in range(len(processes))]
    for ax, dataset in zip(axes[0], datasets, strict=False):
        for j, process in enumerate(processes):
            offset = 0.6 * (j / max(1, len(processes) - 1) - 0.5)  # side by side: dots of one row would hide each other
            for row, method in enumerate(methods):
                difference = points.get((method, (dataset, process)))
                if difference is not None:
                    _draw_dot(ax, difference, row - offset, styles[j], hollow=len(difference) < len(c.seeds))
        ax.set_title(dataset)
        _set_scale(ax)
        _shade_rows(ax, methods)
    first = axes[0, 0]
    first.set_yticks(range(len(methods)), methods)
    first.set_ylim(-0.6, len(methods) - 0.4)
    for label in first.get_yticklabels():
        if label.get_text() == DEFAULT:
            label.set_fontweight("bold")
    handles = [Line2D([], [], linestyle="", **style) for style in styles]
    figure.legend(handles, [_label(p) for p in processes], loc="outside upper center", ncols=6, frameon=False)
    figure.supxlabel(f"test accuracy less that of {reference}, points", fontsize="medium")
    return figure


def _style(j: int) -> dict[str, Any]:
    """Colour and marker of the process number j."""
    return {"color": f"C{j % 10}", "marker": _MARKERS[j % len(_MARKERS)]}


def _draw_dot(ax: Axes, difference: np.ndarray, y: float, style: dict[str, Any], *, hollow: bool) -> None:
    """Mean of differences (S,) and its standard error, where there are several."""
    n = len(difference)
    error = difference.std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
    face: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 0.6} if hollow else {}
    ax.errorbar(difference.mean(), y, xerr=error, markersize=4, linewidth=0.8, **face, **style)


def _set_scale(ax: Axes) -> None:
    """Points about zero to scale, and logarithms beyond."""
    ax.set_xscale("symlog", linthresh=_LINEAR)
    low, high = ax.get_xlim()
    ticks = [t for t in (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50) if low <= t <= high]
    ax.set_xticks(ticks, [f"{t:+d}" if t else "0" for t in ticks])
    ax.minorticks_off()
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)


def _shade_rows(ax: Axes, methods: Sequence[str]) -> None:
    """Every second row, and ours."""
    for row, method in enumerate(methods):
        if row % 2:
            ax.axhspan(row - 0.5, row + 0.5, color="0.96", zorder=0)
        if method == DEFAULT:
            ax.axhspan(row - 0.5, row + 0.5, color="#fff3c4", zorder=0)


def _label(process: str) -> str:
    if process in HUMAN:
        return process.replace("_", " ")
    return process if process in UNCHANGED else f"{process.replace('_', ' ')} %"
