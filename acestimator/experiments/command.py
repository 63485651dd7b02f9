"""What ``acestimator experiment`` does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acestimator.datasets import load_cifar_names
from acestimator.experiments import figures, report, runner
from acestimator.experiments.images import folder_of, load
from acestimator.experiments.runs import Job, Options
from acestimator.experiments.tables import Table
from acestimator.runs.ledger import records_of


def run_experiment(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Run what is missing, and report.

    Parameters
    ----------
    arguments : argparse.Namespace
        As :mod:`acestimator.cli` has them.

    Returns
    -------
    text : str
    failures : list of str
        Trainings that failed, and why.

    Raises
    ------
    ValueError, OSError
        If an argument, the data or the file of results cannot be used.
    """
    _check(arguments)
    table = _table(arguments)
    if arguments.report:
        if not arguments.out.exists():
            raise FileNotFoundError(f"{arguments.out} is not there: run the experiment, or name its file with --out.")
        records, wanted = runner.finished(arguments.out), []
    else:
        options = Options(
            data=arguments.data,
            files=arguments.out.with_name(f"{arguments.out.stem}-files"),
            **{name: getattr(arguments, name) for name in _OPTIONS},
        )
        wanted = runner.jobs(table.entries, range(arguments.seeds), options)
        records = runner.run_jobs(wanted, arguments.out, n_jobs=arguments.jobs)
    text, failures = report.as_text(table, records), _failures(records, wanted)
    if arguments.picture is not None and wanted and failures:
        text += "\n\nThere is no picture: a training of it failed."
    elif arguments.picture is not None:
        _draw(arguments, wanted, records)
        text += f"\n\nThe picture is in {arguments.picture}."
    return text, failures


_OPTIONS = ("epochs", "images", "precision", "device", "compile", "workers")


def _check(arguments: argparse.Namespace) -> None:
    for name in ("seeds", "epochs", "images", "jobs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} is {value}, expected at least 1.")
    if arguments.workers < 0:
        raise ValueError(f"--workers is {arguments.workers}, expected at least 0.")
    if arguments.data is None and not arguments.report:
        raise ValueError("--data is missing: give the folder of the data set, in its published format.")
    if arguments.picture is not None and arguments.name not in ("figure3", "suspects"):
        raise ValueError(f"--picture is for figure3 and suspects, and this is {arguments.name}: leave it out.")
    if arguments.picture is not None:
        _check_picture(arguments.picture)
    if arguments.positions is not None and arguments.name != "suspects":
        raise ValueError(f"--positions is for suspects, and this is {arguments.name}: leave it out.")
    if arguments.name == "suspects":
        if arguments.columns:
            raise ValueError("--columns was given with suspects, which are of AC1+AA: leave it out.")
        if arguments.report or arguments.picture is None:
            raise ValueError("suspects are drawn from their images: give --picture FILE and --data, without --report.")
        if arguments.rows not in ([], ["cifar10"], ["cifar100"]):
            raise ValueError(f"--rows is {' '.join(arguments.rows)}, expected of suspects cifar10 or cifar100.")


def _check_picture(path: Path) -> None:
    """Raise now what would be raised after the training."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"--picture is {path}, expected a file that ends in .{', .'.join(sorted(known))}.")
    if path.is_dir():
        raise ValueError(f"--picture is {path}, a folder: give a file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"--picture is {path}, which cannot be written: give a file in another folder.")


def _table(arguments: argparse.Namespace) -> Table:
    if arguments.name == "suspects":
        # Of one data set, and one training.
        arguments.seeds = 1
        (dataset,) = arguments.rows or ["cifar10"]
        return runner.select("table8", [f"{dataset} wide_resnet_40_2"], ["AC1+AA"])
    return runner.select(arguments.name, arguments.rows, arguments.columns)


def _draw(arguments: argparse.Namespace, wanted: Sequence[Job], records: list[dict[str, Any]]) -> None:
    if arguments.name == "figure3":
        figure = figures.draw_dropped(records)
    else:
        (job,) = wanted
        images = load(job.run.dataset, arguments.data)
        names = load_cifar_names(folder_of(job.run.dataset, arguments.data))
        figure = figures.draw_suspects(job, images, positions=arguments.positions, names=names)
    figure.savefig(arguments.picture, dpi=150)


def _failures(records: list[dict[str, Any]], wanted: Sequence[Job]) -> list[str]:
    """A line for each that failed of the wanted ones; of all, if none is wanted."""
    return [
        f"{record['network']} on {record['dataset']}, {record['augment']}, {record['method']}, seed {record['seed']}: "
        f"{record['error']}"
        for record in (records_of(wanted, records) if wanted else records)
        if "error" in record
    ]
