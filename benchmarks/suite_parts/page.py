"""What the suite has measured, for the documentation: a picture, the answers in words, and the tables behind them.

Legend: a setting is a data set with a process of label noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acestimator.comparison import Comparison
from acestimator.comparison.results import Setting
from acestimator.comparison.runs import CLEANLAB, DEFAULT, ORACLE, PLAIN
from acestimator.comparison.tables import as_markdown
from suite_parts.report import judge
from suite_parts.rows import kind, main_settings, mean_of
from suite_parts.sets import CHOOSING, HELD_OUT, SETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What the rows of the verdicts ask, in words. Rows on earlier versions and the earlier grid are of no use to a reader.
ASKED = {
    "1": "Settings in which it is significantly more than a point less accurate than plain training",
    "2a": "Right labels: sets on which it is significantly more than half a point less accurate",
    "2b": "Right labels: accuracy less that of plain training, points, mean over sets",
    "3": "Wrong labels: accuracy less that of the other method that is best on average, points, mean over settings",
    "4": "Wrong labels: share of the way from plain training to training on the right labels alone",
    "6a": "Error of the noise rate, where the data can tell it: mean",
    "6b": "The same: share of settings in which it is at most .10",
    "6c": "The same, right labels: mean",
    "7a": "90 % interval of the noise rate: how often the true one is inside",
    "7b": "The same: mean width",
    "8a": "Calibration error of the probabilities, where the data can tell: mean",
    "8b": "The same: the worst setting",
    "9a": "F1 of the labels that are flagged, less that of the best other method: mean",
    "9b": "Area under the ROC curve of the scores, less that of the best other method: mean",
    "9c": "The same less cleanlab's: the worst setting",
    "10": "Suggested labels that are right less given labels that are right, at least 5 % wrong: the worst setting",
    "11": "Rare classes, right labels: recall less that of plain training",
    "12": "Networks and parameters of a user's own: settings more than a point below plain training",
    "13a": "CIFAR-10, labels of three people each: accuracy less that of plain training, points",
    "13b": "CIFAR-10, labels of one person each: accuracy less that of plain training, points",
    "14a": "Time over plain training, where that takes over a second: median",
    "14b": "The same, where it takes less",
    "14c": "Time over cleanlab around the same network: median",
    "15a": "Right labels: settings with a warning",
    "15b": "The same, rare classes and networks of a user's own",
}
_TITLES = {CHOOSING: "Sets that the default was chosen on", HELD_OUT: "Sets that it was not chosen on"}
_KINDS = {
    "table": "Tables",
    "image": "Images",
    "embedding": "Embeddings and features",
    "text": "Texts",
    "scaling": "Generated clusters, from few rows to many",
    "rare": "Rare classes",
    "setting": "Networks and parameters of a user's own",
}
_METRICS = {"accuracy": "test accuracy, %", "auroc": "area under the ROC curve of the scores, %"}
_SHOWN = {DEFAULT: ("o", "C0"), "elr": ("^", "C1"), CLEANLAB: ("s", "C2"), ORACLE: ("|", "0.5")}


def answers(records: Sequence[dict[str, Any]]) -> str:
    """What was asked and what was measured, a table for each group of sets, in Markdown."""
    tables = []
    for group, c in _groups(records):
        rows = {row.what.split()[0]: row for row in judge(c, group)}
        told = [(text, rows[key]) for key, text in ASKED.items() if key in rows and rows[key].n_cells]
        lines = [[text, row.measured, str(row.n_cells)] for text, row in told]
        tables.append((_TITLES[group], [["what was asked", "measured", "settings"], *lines]))
    return as_markdown(tables)


def tables(records: Sequence[dict[str, Any]]) -> str:
    """Means over seeds by setting and method, a table for each kind of data and metric, in Markdown."""
    found = []
    for metric, title in _METRICS.items():
        for group, c in _groups(records):
            for of_kind, words in _KINDS.items():
                settings = [s for s in c.settings if kind(s) == of_kind]
                if rows := _rows(c, metric, settings):
                    found.append((f"{words}, {title}. {_TITLES[group]}", rows))
    return as_markdown(found)


def draw(records: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy less plain training's by data set: with right labels, and the mean over all kinds of wrong ones.

    Sets are in the order of the default's gain where labels are wrong. Lines are standard errors over seeds, and over
    kinds of noise.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    c = Comparison(records)
    sets = list(dict.fromkeys(s[0] for s in main_settings(c, noisy=True)))
    gains = {name: _gains(c, DEFAULT, name, noisy=True) for name in sets}
    sets = sorted((name for name in sets if gains[name]), key=lambda name: mean_of(gains[name]))
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 1.6 + 0.21 * len(sets)), sharey=True, layout="constrained")
    for ax, noisy, title in zip(axes, (False, True), ("right labels", "wrong labels"), strict=True):
        for method in reversed(_SHOWN):
            _draw_method(ax, method, [_gains(c, method, name, noisy=noisy) for name in sets])
        ax.set_title(title)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(sets)), [f"{n} *" if SETS[n].group == HELD_OUT else n for n in sets], fontsize=7)
    axes[0].set_ylim(-0.7, len(sets) - 0.3)
    handles = [Line2D([], [], linestyle="", marker=marker, color=color) for marker, color in _SHOWN.values()]
    figure.legend(handles, list(_SHOWN), loc="outside upper center", ncols=len(_SHOWN), frameon=False)
    figure.supxlabel("test accuracy less that of plain training, points", fontsize="medium")
    return figure


def _draw_method(ax: Axes, method: str, gains: Sequence[Sequence[float]]) -> None:
    """A dot in the row of each set that has any gains."""
    marker, color = _SHOWN[method]
    for row, found in enumerate(gains):
        if found:
            n = len(found)
            error = np.std(found, ddof=1) / n**0.5 if n > 1 and method == DEFAULT else None
            ax.errorbar(mean_of(found), row, xerr=error, marker=marker, color=color, markersize=4, linewidth=0.8)


def _gains(c: Comparison, method: str, dataset: str, *, noisy: bool) -> list[float]:
    """In points, by seed where labels are right, by kind of noise where they are wrong."""
    settings = [s for s in main_settings(c, noisy=noisy) if s[0] == dataset]
    differences = [100 * c.difference("accuracy", method, PLAIN, s) for s in settings]
    if noisy:
        return [float(d.mean()) for d in differences if len(d)]
    return [float(x) for d in differences for x in d]


def _rows(c: Comparison, metric: str, settings: Sequence[Setting]) -> list[list[str]]:
    """A header and a row for each setting, columns of methods that have any; nothing where none has."""
    methods = [m for m in c.methods if any(c.values(metric, m, s) for s in settings)]
    if metric == "auroc":
        methods = [m for m in methods if m != ORACLE]  # it is told which labels are wrong
    rows = [[*s, *(_entry(c, metric, m, s) for m in methods)] for s in settings if c.values(metric, DEFAULT, s)]
    return [["set", "noise", *methods], *rows] if rows and methods else []


def _entry(c: Comparison, metric: str, method: str, setting: Setting) -> str:
    """Mean and its standard error."""
    values = 100 * np.array(list(c.values(metric, method, setting).values()))
    if not len(values):
        return ""
    error = f" ({values.std(ddof=1) / len(values) ** 0.5:.1f})" if len(values) > 1 else ""
    return f"{values.mean():.1f}{error}"


def _groups(records: Sequence[dict[str, Any]]) -> list[tuple[str, Comparison]]:
    """Records of each group of sets that has any."""
    found = {g: [r for r in records if r["dataset"] in SETS and SETS[r["dataset"]].group == g] for g in _TITLES}
    return [(group, Comparison(of_group)) for group, of_group in found.items() if of_group]
