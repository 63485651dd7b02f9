"""Figures 3 to 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acestimator.experiments.images import Images
from acestimator.experiments.report import measured, settings
from acestimator.experiments.runs import Job, constants
from acestimator.experiments.tables import DROPPED, TABLES
from acestimator.plotting.constants import ConstantsDisplay

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_dropped(records: Sequence[dict[str, Any]]) -> Figure:
    """Figure 3: accuracy without the first suspects, by the percentage that is dropped, and AutoCleansing's.

    Parameters
    ----------
    records : sequence of dict

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each data set and setting; bars are standard errors.

    Raises
    ------
    ValueError
        If no record is of the figure.
    """
    import matplotlib.pyplot as plt

    table = TABLES["figure3"]
    panels = [
        (row, entries, setting)
        for row in table.rows
        if (entries := [entry for entry in table.entries if entry.row == row])
        for setting in settings(records, entries[0].run.dataset, entries[0].run.network)
    ]
    if not panels:
        raise ValueError(f"there is no record of {' or '.join(table.rows)}: run `acestimator experiment figure3`.")
    figure, axes = plt.subplots(1, len(panels), figsize=(5.0 * len(panels), 3.6), squeeze=False, layout="constrained")
    for ax, (row, entries, setting) in zip(axes.flat, panels, strict=True):
        *dropped, cleansed = (measured(records, entry.run, setting) for entry in entries)
        there = [j for j, values in enumerate(dropped) if len(values)]
        ax.errorbar(
            [DROPPED[j] for j in there],
            [dropped[j].mean() for j in there],
            yerr=[_error(dropped[j]) for j in there],
            marker="o",
            markersize=4,
            capsize=2,
            label="suspects dropped",
        )
        if len(cleansed):
            mean, error = cleansed.mean(), _error(cleansed)
            ax.axhline(mean, color="C3", label="AutoCleansing")
            ax.axhspan(mean - error, mean + error, color="C3", alpha=0.15, linewidth=0)
        ax.set_title(
            f"{row}, {setting.source}\n{setting.n_train:,} images, {setting.n_test:,} for testing, {setting.epochs} of "
            f"{setting.recipe_epochs} epochs",
            fontsize=9,
        )
        ax.set_xlabel("dropped (%)")
        ax.set_ylabel("test accuracy (%)")
        ax.legend(frameon=False, fontsize=8)
    return figure


def draw_suspects(
    job: Job, images: Images, *, n_suspects: int = 8, positions: Sequence[int] | None = None, names: Any = None
) -> Figure:
    """Figures 4 to 6: suspects of a finished AC1 training, with their constants, MaxRank and MinRank.

    Parameters
    ----------
    job : Job
        Of method "AC1".
    images : Images
        Its images.
    n_suspects : int, default=8
        In the order of Algorithm 2.
    positions : sequence of int, optional
        In place of these, the training images at these places.
    names : sequence of str, optional
        Of the categories; by default their numbers.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FileNotFoundError
        If the training's constants are missing.
    """
    alpha, labels = constants(job)
    display = ConstantsDisplay.from_constants(
        alpha,
        images.first(len(labels)).X_train,
        labels,
        n_suspects=n_suspects,
        positions=positions,
        names=range(alpha.shape[1]) if names is None else names,
    )
    return display.figure_


def _error(values: np.ndarray) -> float:
    """Standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
