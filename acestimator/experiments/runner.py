"""The trainings of a table: those that are missing, one record each in a file that a stopped run goes on from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from acestimator.experiments.runs import KEY, Job, Options, check, run_job
from acestimator.experiments.tables import TABLES, Entry, Table
from acestimator.runs.ledger import Ledger


def select(name: str, rows: Iterable[str] = (), columns: Iterable[str] = ()) -> Table:
    """Part of a table.

    Parameters
    ----------
    name : str
        A key of ``TABLES``.
    rows, columns : iterable of str
        Names; of a row, its data set or its network does. All, if there are none.

    Raises
    ------
    ValueError
        If a name fits no row or column: which there are.
    """
    table = TABLES[name]
    rows, columns = list(rows), list(columns)
    for given in rows:
        if not any(_names(given, row) for row in table.rows):
            raise ValueError(
                f"row is {given!r}, expected one of {', '.join(map(repr, table.rows))}, or a data set or network of "
                "these."
            )
    for given in columns:
        if given not in table.columns:
            raise ValueError(f"column is {given!r}, expected one of {', '.join(map(repr, table.columns))}.")
    wanted = tuple(
        entry
        for entry in table.entries
        if (not rows or any(_names(given, entry.row) for given in rows)) and (not columns or entry.column in columns)
    )
    return Table(table.title, tuple(c for c in table.columns if not columns or c in columns), wanted)


def _names(given: str, row: str) -> bool:
    return given == row or given in row.split()


def jobs(entries: Iterable[Entry], seeds: Iterable[int], options: Options) -> list[Job]:
    """Trainings of the entries, seed by seed; each once, and after the one that it needs."""
    found: dict[Job, None] = {}
    entries = list(entries)
    for seed in seeds:
        for entry in entries:
            job = Job(entry.run, seed, options)
            needed = job.needs()
            if needed is not None:
                found.setdefault(needed)
            found.setdefault(job)
    return list(found)


def finished(path: Path) -> list[dict[str, Any]]:
    """Records of a file, the last of each training.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    return _ledger(path).records()


def run_jobs(wanted: Iterable[Job], path: Path, *, n_jobs: int = 1) -> list[dict[str, Any]]:
    """Run the trainings that the file does not have, and append them to it.

    Parameters
    ----------
    wanted : iterable of Job
    path : Path
        JSON lines; made if it is missing.
    n_jobs : int, default=1
        Processes, of one thread each, which on a GPU share it; with 1 it is this one, with all its threads.

    Returns
    -------
    list of dict
        All records of the file. A training that failed has ``error``, and is tried again by the next call.

    Raises
    ------
    ValueError, OSError
        Before anything is trained: if the file holds something else, or the data cannot be read.
    RuntimeError
        If a process died. What was finished is in the file.
    """
    return _ledger(path).complete(wanted, run_job, check=_check, stage=_stage, n_jobs=n_jobs, one_thread=False)


def _ledger(path: Path) -> Ledger:
    return Ledger(path, KEY, "record of an experiment")


def _check(missing: Iterable[Job]) -> None:
    for job in missing:
        check(job)


def _stage(job: Job) -> int:
    """Trainings that others need are of the first stage."""
    return 0 if job.needs() is None else 1
