"""The paper's tables beside what was measured: text for a terminal, markdown for the documentation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acestimator.experiments.tables import Entry, Run, Table

NOT_RUN = "not run"
# What trainings must agree in to be averaged, and to stand in one table.
SETTING = ("source", "n_train", "n_test", "epochs", "recipe_epochs", "images", "precision")


@dataclass(frozen=True)
class Setting:
    """On which images, for how long and in what precision networks were trained.

    Parameters
    ----------
    source : str
        Folder of the images.
    n_train, n_test : int
        How many; of the training images before any suspects were dropped.
    epochs, recipe_epochs : int
        Trained, and in the paper.
    images : int or None
        Where not all training images were taken.
    precision : str
    """

    source: str
    n_train: int
    n_test: int
    epochs: int
    recipe_epochs: int
    images: int | None
    precision: str

    def __str__(self) -> str:
        shortened = self.epochs < self.recipe_epochs or self.images is not None
        return (
            f"Images of {self.source!r}: {'the first ' if self.images else ''}{self.n_train:,} for training, "
            f"{self.n_test:,} for testing. {self.epochs} of the paper's {self.recipe_epochs} epochs, {self.precision}"
            + (". SHORTENED: not to be compared with the paper." if shortened else ".")
        )


def settings(records: Iterable[dict[str, Any]], dataset: str, network: str) -> list[Setting]:
    """Settings in which that network was trained on that data set."""
    found: dict[Setting, None] = {}
    for record in _measured(records):
        if (record["dataset"], record["network"]) == (dataset, network) and record["method"] != "trimmed":
            found.setdefault(Setting(**{name: record[name] for name in SETTING}))
    return list(found)


def measured(records: Iterable[dict[str, Any]], run: Run, setting: Setting, what: str = "test_accuracy") -> np.ndarray:
    """Values of a kind of training in a setting, one a seed."""
    names = [name for name in SETTING if name != "n_train"]  # trimmed ones have fewer
    return np.array(
        [
            record[what]
            for record in _measured(records)
            if all(record[name] == value for name, value in vars(run).items())
            and all(record[name] == getattr(setting, name) for name in names)
            and what in record
        ]
    )


def mean_and_error(values: np.ndarray) -> str:
    """Mean, standard error and number of the values: "92.71 ± 0.06 (5)"; without an error for one."""
    if not len(values):
        return NOT_RUN
    if len(values) == 1:
        return f"{values[0]:.2f} (1)"
    return f"{values.mean():.2f} ± {values.std(ddof=1) / math.sqrt(len(values)):.2f} ({len(values)})"


def rows(table: Table, records: Sequence[dict[str, Any]]) -> list[tuple[str, list[list[str]]]]:
    """The table, setting by setting, and at last what was not run.

    Parameters
    ----------
    table : Table
    records : sequence of dict

    Returns
    -------
    list of tuple (heading, lines)
        The first line has the columns' names. Each row of the table has a line with what was measured, and below it one
        with the paper's numbers.
    """
    header = ["", *table.columns]
    ours: dict[Setting, list[list[str]]] = {}
    missing = []
    for row in table.rows:
        run = next(entry.run for entry in table.entries if entry.row == row)
        paper = ["  paper", *_cells(table, row, _papers)]
        found = settings(records, run.dataset, run.network)
        for setting in found:
            cells = _cells(table, row, lambda entry, setting=setting: _ours(entry, setting, records))
            ours.setdefault(setting, []).extend([[row, *cells], paper])
        if not found:
            missing += [[row, *[NOT_RUN] * len(table.columns)], paper]
    parts = [
        (f"{table.title}. {setting} Mean, standard error, number of seeds:", [header, *lines])
        for setting, lines in ours.items()
    ]
    if missing:
        parts.append((f"{table.title}. Not run:", [header, *missing]))
    return parts


def as_text(table: Table, records: Sequence[dict[str, Any]]) -> str:
    """Tables for a terminal."""
    parts = []
    for heading, lines in rows(table, records):
        widths = [max(len(line[j]) for line in lines) for j in range(len(lines[0]))]
        body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        parts.append("\n".join([heading, *(line.rstrip() for line in body)]))
    return "\n\n".join(parts)


def as_markdown(table: Table, records: Sequence[dict[str, Any]]) -> str:
    """Tables for the documentation."""
    parts = []
    for heading, lines in rows(table, records):
        body = [f"| {' | '.join(line)} |" for line in lines]
        body.insert(1, "|" + "---|" * len(lines[0]))
        parts.append("\n".join([heading, "", *body]))
    return "\n\n".join(parts)


def _measured(records: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return (record for record in records if "error" not in record)


def _cells(table: Table, row: str, text: Any) -> list[str]:
    by_column = {entry.column: entry for entry in table.entries if entry.row == row}
    return [text(by_column[column]) if column in by_column else "-" for column in table.columns]


def _papers(entry: Entry) -> str:
    if entry.paper is None:
        return "a curve"
    values = " / ".join(f"{value:.2f}" for value in entry.paper)
    return values if entry.error is None else f"{values} ± {entry.error:.2f}"


def _ours(entry: Entry, setting: Setting, records: Sequence[dict[str, Any]]) -> str:
    text = mean_and_error(measured(records, entry.run, setting))
    if entry.paper is not None and len(entry.paper) > 1 and text != NOT_RUN:
        return f"{text} / {mean_and_error(measured(records, entry.run, setting, 'top5'))}"
    return text
