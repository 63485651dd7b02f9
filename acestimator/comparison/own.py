"""The comparison on a user's own samples and labels: ``acestimator compare``."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.comparison.grid import cells, run_grid
from acestimator.comparison.results import Comparison, not_possible
from acestimator.comparison.runs import CLEANLAB, ORACLE, available
from acestimator.comparison.tables import METRICS, as_text, sections
from acestimator.comparison.tasks import Split, split
from acestimator.datasets import load_samples
from acestimator.runs.ledger import records_of

GIVEN = "given"


def compare(
    path: Path,
    *,
    target: str | None = None,
    processes: Sequence[str] = (),
    methods: Sequence[str] = (),
    n_seeds: int = 5,
    out: Path | None = None,
    n_jobs: int = 1,
) -> Comparison:
    """Run methods on a file's samples.

    Parameters
    ----------
    path : Path
        As :func:`acestimator.datasets.load_samples` takes it.
    target : str, optional
        Column of the labels.
    processes : sequence of str
        Corruptions of the training labels, as :func:`acestimator.comparison.make_task` takes them; the file's labels
        are then taken to be right. By default the labels stay as they are. All that can be told then is the accuracy on
        held-out labels, some of which are wrong as well, the estimated noise rate, and the time.
    methods : sequence of str
        All that can be run, by default.
    n_seeds : int, default=5
        Each has its own split (30 % for testing), corruption and fit.
    out : Path, optional
        JSON lines, to go on from after an interrupt; a temporary file by default.
    n_jobs : int, default=1

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, OSError, ImportError
        If the file, a process or a method cannot be used; before any training.
    RuntimeError
        If one of several processes of the computer died.
    """
    if n_seeds < 1:
        raise ValueError(f"seeds is {n_seeds}, expected at least 1.")
    processes = list(processes) or [GIVEN]
    methods = list(methods) or [m for m in available() if _can_be_run(m, processes)]
    # Another content, or another column of labels, is another data set: results in ``out`` must not be taken for its.
    digest = hashlib.sha256(path.read_bytes() + str(target).encode()).hexdigest()[:8]
    wanted = list(cells([f"{path.name}, {digest}"], processes, range(n_seeds), methods))
    load = functools.partial(load_own, path=path, target=target)
    if out is not None:
        return Comparison(records_of(wanted, run_grid(wanted, out, load=load, n_jobs=n_jobs)))
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Comparison(run_grid(wanted, Path(folder, "comparison.jsonl"), load=load, n_jobs=n_jobs))
        except RuntimeError:  # its cure is to go on from the file, which is gone
            raise RuntimeError(
                "a process died, perhaps for want of memory: take fewer processes, and give a file with --out to keep "
                "what is finished."
            ) from None


def report(comparison: Comparison) -> str:
    """What was measured, as text."""
    shown = [metric for metric in METRICS if metric.name != "seconds"]
    left_out = [m for m in available() if m not in comparison.methods]
    notes = [f"Not run: {', '.join(left_out)}."] if left_out else []
    notes += [f"Not possible: {line}" for line in not_possible(comparison)]
    if any(process == GIVEN for _, process in comparison.settings):
        notes.append("given: labels are as in the file, those that accuracy is measured on, too; some may be wrong.")
    return "\n\n".join([as_text(sections(comparison, shown)), *notes])


def load_own(name: str, seed: int, *, path: Path, target: str | None = None) -> Split:
    """Samples of a file, split by the seed; labels are 0..K-1."""
    X, y = _read(path, target)
    return split(X, y, seed)


def _can_be_run(method: str, processes: Sequence[str]) -> bool:
    """Not the oracle where nobody knows which labels are wrong; not cleanlab where it is not installed."""
    if method == ORACLE:
        return any(process != GIVEN for process in processes)
    return method != CLEANLAB or find_spec("cleanlab") is not None


@functools.lru_cache(maxsize=1)
def _read(path: Path, target: str | None) -> tuple[Any, np.ndarray]:
    X, y = load_samples(path, target)
    classes, labels = np.unique(y, return_inverse=True)
    rare = {classes[k].item(): n for k, n in Counter(labels.tolist()).items() if n < 3}
    if len(classes) < 2 or rare:
        found = f"{len(rare)} classes with fewer than 3 samples, such as {next(iter(rare))!r}" if rare else "one class"
        raise ValueError(
            f"{path} has {len(classes)} classes and {len(y)} samples: {found}; expected at least 2 classes of 3 "
            "samples, for training and testing. Are these the labels?"
        )
    return X, labels.astype(np.int64)
