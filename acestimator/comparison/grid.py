"""A grid of cells, data set by process by seed by method: run in parallel, a JSON line each, resumed where it stopped.

Legend: none of the methods of a cell sees another's result; all methods of a seed share the split, the corruption and
``random_state``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from acestimator.comparison.runs import run
from acestimator.comparison.tasks import load, make_task

KEY = ("dataset", "process", "seed", "method")


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
        As :func:`acestimator.comparison.runs.run` takes it.
    """

    dataset: str
    process: str
    seed: int
    method: str


def cells(
    datasets: Iterable[str], processes: Iterable[str], seeds: Iterable[int], methods: Sequence[str]
) -> Iterator[Cell]:
    """All cells, seed by seed, so that what there is after a while has all methods in it."""
    for seed, dataset, process, method in itertools.product(seeds, list(datasets), list(processes), methods):
        yield Cell(dataset, process, seed, method)


def finished(path: Path) -> list[dict[str, Any]]:
    """Records of a file of JSON lines; empty if it is not there. A last line that was cut off does not count."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise ValueError(f"{path}, line {number}, is no JSON: mend it, or take another file.") from None
    return records


def run_grid(
    wanted: Iterable[Cell], path: Path, *, folder: str | Path | None = None, n_jobs: int = 1
) -> list[dict[str, Any]]:
    """Run the cells that the file does not have, and append them to it.

    Parameters
    ----------
    wanted : iterable of Cell
    path : Path
        JSON lines; made if it is missing.
    folder : str or Path, optional
        Of Fashion-MNIST's files.
    n_jobs : int, default=1
        Processes, of one thread each.

    Returns
    -------
    list of dict
        All records of the file. A cell that failed has ``error`` in place of its measurements, and is tried again by
        the next call.
    """
    from tqdm.auto import tqdm

    records = finished(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))  # without a line that was cut off
    done = {tuple(record[name] for name in KEY) for record in records if "error" not in record}
    missing = [cell for cell in wanted if tuple(asdict(cell).values()) not in done]
    with ProcessPoolExecutor(
        n_jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        futures: list[Future[dict[str, Any]]] = [pool.submit(run_cell, cell, folder) for cell in missing]
        with path.open("a") as lines:
            for future in tqdm(as_completed(futures), total=len(futures), unit="run"):
                records.append(future.result())
                lines.write(json.dumps(records[-1]) + "\n")
                lines.flush()
    return [record for record in records if "error" not in record]


def run_cell(cell: Cell, folder: str | Path | None = None) -> dict[str, Any]:
    """Record of one cell: its key and what was measured, or the error."""
    try:
        task = make_task(load(cell.dataset, cell.seed, folder), cell.process, cell.seed)
        return asdict(cell) | run(cell.method, task, cell.seed)
    except Exception as error:  # one failure must not cost the other cells their results
        return asdict(cell) | {"error": f"{type(error).__name__}: {error}"}
