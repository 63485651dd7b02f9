"""What is finished and what is missing of many runs: a file of records that a stopped call goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from acestimator.checks import check_count
from acestimator.runs import records
from acestimator.runs.processes import each
from acestimator.runs.versions import versions


class Keyed(Protocol):
    """What can be run, and be found again in a file."""

    def key(self) -> dict[str, Any]:
        """Entries that tell its record from others: text, numbers, True, False or None."""


Item = TypeVar("Item", bound=Keyed)


@dataclass(frozen=True)
class Ledger:
    """A file of runs that are finished.

    Parameters
    ----------
    path : Path
        JSON lines; made when something is run.
    names : tuple of str
        Names of a key's entries. Every record begins with the first.
    what : str
        A record's name in errors: "record of a cell".
    """

    path: Path
    names: tuple[str, ...]
    what: str

    def records(self) -> list[dict[str, Any]]:
        """Records of the file, the last of each key; see :func:`acestimator.runs.records.read`."""
        return records.read(self.path, self.names, self.what)

    def complete(
        self,
        wanted: Iterable[Item],
        run: Callable[[Item], dict[str, Any]],
        *,
        check: Callable[[Sequence[Item]], None],
        stage: Callable[[Item], int] = lambda item: 0,
        n_jobs: int = 1,
        one_thread: bool = True,
    ) -> list[dict[str, Any]]:
        """Run what the file does not have, and append each record as it comes.

        A run that failed, whose record has ``error``, is missing too: its next record takes the place of that one.

        Parameters
        ----------
        wanted : iterable
            Items of the same key are run once.
        run : callable
            From an item to its record: see :func:`attempt`.
        check : callable
            Is given all missing items before any is run, to raise what would fail later.
        stage : callable, optional
            Items of a stage begin when those of all lower ones are finished. By default there is one stage.
        n_jobs, one_thread
            As for :func:`acestimator.runs.processes.each`.

        Returns
        -------
        list of dict
            All records of the file; there may be more than are wanted.

        Raises
        ------
        ValueError
            Before anything is run: if the file holds something else, or a key cannot be kept in JSON.
        RuntimeError
            If a process died.
        """
        check_count("n_jobs", n_jobs, 1)
        wanted = list(wanted)
        for item in wanted:
            _check_key(item)
        items = {self._key(item.key()): item for item in wanted}
        found = {self._key(record): record for record in self.records()}
        done = {key for key, record in found.items() if "error" not in record}
        missing = [item for key, item in items.items() if key not in done]
        check(missing)
        if missing:
            results = self._in_stages(run, missing, stage, n_jobs, one_thread)
            n_done = len(items) - len(missing)
            for record in records.append(self.path, results, n_done=n_done, n_all=len(items)):
                found[self._key(record)] = record
        return list(found.values())

    def _in_stages(
        self,
        run: Callable[[Item], dict[str, Any]],
        missing: Sequence[Item],
        stage: Callable[[Item], int],
        n_jobs: int,
        one_thread: bool,
    ) -> Iterator[dict[str, Any]]:
        try:
            for now in sorted({stage(item) for item in missing}):
                part = [item for item in missing if stage(item) == now]
                yield from each(run, part, n_jobs, one_thread=one_thread)
        except BrokenProcessPool:
            raise RuntimeError(
                f"a process died, perhaps for want of memory: what was finished is in {self.path}, and the same call "
                "goes on from there; take fewer processes."
            ) from None

    def _key(self, entries: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(entries[name] for name in self.names)


def attempt(key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Record of one run: its key, the versions, and what ``measure`` returns or, if it raises, ``error``."""
    record: dict[str, Any] = {**key, "versions": versions()}
    try:
        return record | measure()
    except Exception as error:  # one failure must not cost the other runs their results
        return record | {"error": f"{type(error).__name__}: {error}"}


def records_of(items: Iterable[Keyed], found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the records that are of these items."""
    keys = [item.key() for item in items]
    names = tuple(keys[0]) if keys else ()
    wanted = {tuple(key.values()) for key in keys}
    return [record for record in found if tuple(record[name] for name in names) in wanted]


def _check_key(item: Keyed) -> None:
    """Refuse what JSON does not give back as it was: such a run would be lost, or be missing for ever."""
    for name, value in item.key().items():
        if value is not None and not (isinstance(value, str | int | float) and value == value):  # NaN is not itself
            raise ValueError(
                f"{name} is {value!r} in {item!r}, expected text, a number of Python's own, True, False or None: it is "
                "to be found again in a file of JSON lines."
            )
