"""A grid of cells, data set by process by seed by method: run in parallel, a JSON line each, resumed where it stopped.

No method sees another one's result. All methods of a seed share the split, the corruption and ``random_state``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from acestimator.comparison.runs import check_method, run_method
from acestimator.comparison.tasks import NotPossibleError, Split, load, make_task, parse
from acestimator.runs.ledger import Ledger, attempt

Load = Callable[[str, int], Split]


@dataclass(frozen=True)
class Cell:
    """One run.

    Parameters
    ----------
    dataset, process : str
        As :func:`acestimator.comparison.tasks.load` and ``make_task`` take them.
    seed : int
        Of the split, the corruption, and the fit.
    method : str
        As :func:`acestimator.comparison.runs.run_method` takes it.
    """

    dataset: str
    process: str
    seed: int
    method: str

    def key(self) -> dict[str, Any]:
        """What tells its record from others: all of it."""
        return asdict(self)


def cells(
    datasets: Iterable[str], processes: Iterable[str], seeds: Iterable[int], methods: Sequence[str]
) -> Iterator[Cell]:
    """All cells, seed by seed, so that what there is after a while has all methods in it."""
    for seed, dataset, process, method in itertools.product(seeds, datasets, processes, methods):
        yield Cell(dataset, process, seed, method)


def finished(path: Path) -> list[dict[str, Any]]:
    """Records of a file of JSON lines, the last of each cell; empty if it is not there.

    A last line that was cut off does not count.

    Raises
    ------
    ValueError
        If the file holds anything else.
    """
    return ledger(path).records()


def run_grid(
    wanted: Iterable[Cell],
    path: Path,
    *,
    load: Load = load,
    n_jobs: int = 1,
    settings: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Run the cells that the file does not have, and append them to it.

    Parameters
    ----------
    wanted : iterable of Cell
    path : Path
        JSON lines; made if it is missing.
    load : callable
        Data set and seed to X_train, y_train, X_test, y_test, as :func:`acestimator.comparison.tasks.load`; a function
        that can be pickled if there are several processes.
    n_jobs : int, default=1
        Processes, of one thread each; with 1 it is this one.
    settings : dict, optional
        Parameters of all methods; the file does not tell them, so take another one for others.

    Returns
    -------
    list of dict
        All records of the file. A cell that failed has ``error`` in place of its measurements, and is tried again by
        the next call; one that the data set cannot have has ``not_possible``.

    Raises
    ------
    ValueError, ImportError, OSError
        Before anything is run: if there is no such method, process or data set, or the file holds something else.
    RuntimeError
        If a process died. What was finished is in the file.
    """
    return ledger(path).complete(
        wanted,
        functools.partial(run_cell, load=load, settings=settings),
        check=functools.partial(_check, load=load),
        n_jobs=n_jobs,
    )


def run_cell(cell: Cell, load: Load = load, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Record of one cell: its key, the versions, and what was measured, or ``not_possible`` or ``error``."""
    return attempt(cell.key(), lambda: _measure(cell, load, settings))


def _measure(cell: Cell, load: Load, settings: dict[str, Any] | None) -> dict[str, Any]:
    try:
        task = make_task(load(cell.dataset, cell.seed), cell.process, cell.seed)
        return run_method(cell.method, task, cell.seed, settings)
    except NotPossibleError as error:
        return {"not_possible": str(error)}


def ledger(path: Path) -> Ledger:
    """File of the records of cells."""
    return Ledger(path, ("dataset", "process", "seed", "method"), "record of a cell")


def _check(missing: Sequence[Cell], load: Load) -> None:
    """Raise what would fail every cell of a method, process or data set."""
    for method in dict.fromkeys(cell.method for cell in missing):
        check_method(method)
    for process in dict.fromkeys(cell.process for cell in missing):
        parse(process)
    for dataset, seed in {cell.dataset: cell.seed for cell in missing}.items():
        load(dataset, seed)
