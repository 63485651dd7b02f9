"""A function of many items, in this process or in several."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], n_jobs: int, *, one_thread: bool = True
) -> Iterator[Result]:
    """Results of a function, as they come: with several processes not in the order of the items.

    Parameters
    ----------
    function : callable
        For several processes it must be one that can be pickled.
    items : sequence
    n_jobs : int
        Processes, of one thread each; with 1 it is this one.
    one_thread : bool, default=True
        Whether this one has one thread, too.

    Raises
    ------
    ValueError
        If there are to be several processes and the function or an item cannot be pickled; before anything is run.
    concurrent.futures.process.BrokenProcessPool
        If a process died.
    """
    if n_jobs == 1 or len(items) < 2:
        with _one_thread() if one_thread else nullcontext():
            yield from map(function, items)
        return
    _check_pickles(function, items)
    # Not forked: torch's threads do not survive that.
    pool = ProcessPoolExecutor(min(n_jobs, len(items)), get_context("spawn"), _start_worker)
    try:
        for future in as_completed([pool.submit(function, item) for item in items]):
            yield future.result()
    finally:
        # An interrupt need not wait for the items that have not begun.
        pool.shutdown(cancel_futures=True)


def _check_pickles(*values: Any) -> None:
    """Raise now: a pool that is given what it cannot pickle may wait for ever."""
    try:
        pickle.dumps(values)
    except Exception as error:  # whatever an object's own pickling raises
        raise ValueError(
            f"what is to be run cannot be sent to another process ({error}): define functions and classes at the top "
            "of a module, or take one process."
        ) from error


def _start_worker() -> None:
    """One thread; and an interrupt from the keyboard, which reaches all processes, ends a worker without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
