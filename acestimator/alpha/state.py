"""Tables as they begin, are saved, and go on: from nothing, from a file, from a state.

Legend: N samples.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acestimator.alpha.clock import TIME_SPECS, Clock
from acestimator.alpha.file import FileStorage, lock_table
from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.ids import SampleIds
from acestimator.alpha.journal import JOURNAL
from acestimator.alpha.layout import layout_of
from acestimator.alpha.motion import motion_of
from acestimator.alpha.owners import process
from acestimator.alpha.rows import LazyRows, row_specs, rows_of
from acestimator.alpha.storage import Spec, Storage
from acestimator.alpha.window import BLOCK

_VERSION = 2  # of a state


def new_rows(
    own: Hyperparameters,
    n_samples: int,
    labels: Tensor | None,
    names: SampleIds | None,
    *,
    device: torch.device | str = "cpu",
    storage: str = "device",
    file: str | os.PathLike[str] | None = None,
    window: int = BLOCK,
    journal: int = JOURNAL,
    clock: int = 0,
) -> LazyRows:
    """N rows of zeros; ``labels`` (N,) where they are needed. The rest as in :class:`acestimator.AlphaTable`.

    ``window`` is the square root of the steps that products are kept for, ``journal`` the bytes for rows that are being
    written to a file, and ``clock`` the time that it begins at.
    """
    if storage not in ("device", "pinned"):
        raise ValueError(f"storage is {storage!r}, expected 'device' or 'pinned'; file= names a file.")
    device = torch.empty(0, device=device).device  # "cuda" is "cuda:0", or whichever is current
    layout, motion = layout_of(own), motion_of(own, window)
    specs = row_specs(own, layout, motion)
    if file is not None:
        store: Storage = _new_file(Path(file).absolute(), own, specs, n_samples, names, journal)
    elif storage == "pinned":
        store = Storage(specs, n_samples, torch.device("cpu"), pinned=torch.cuda.is_available())
    else:
        store = Storage(specs, n_samples, device)
    rows = LazyRows(own, store, device, layout, motion)
    with store.rewriting():
        keep_names(rows, names)
        rows.begin(0, labels, clock)
    return rows


def resumed(
    file: str | os.PathLike[str], device: torch.device | str, verify: bool
) -> tuple[LazyRows, SampleIds | None]:
    """Rows in a file, and the names of their samples."""
    store = FileStorage.open(Path(file).absolute(), verify)  # growing replaces it, wherever the process is by then
    config = dict(store.config)
    config["penalty"] = None if config["penalty"] is None else tuple(config["penalty"])
    own = Hyperparameters(**config)
    names = SampleIds(store["ids"], store.n_rows) if "ids" in store.specs else None
    return rows_of(own, store, torch.empty(0, device=device).device), names


def state_of(rows: LazyRows, names: SampleIds | None) -> dict[str, Any]:
    """Numbers, strings and tensors from which :func:`load` makes the same table. The tensors are no copies."""
    storage = rows.storage
    return {
        "version": _VERSION,
        "hyperparameters": dict(vars(rows.own)),
        "ids": None if names is None else names.values.tolist(),
        "arrays": {name: storage[name] for name in storage.specs if name != "ids"},
    }


def load(rows: LazyRows, names: SampleIds | None, state: dict[str, Any]) -> SampleIds | None:
    """Make the rows those of a state; returns the names of its samples.

    Raises
    ------
    ValueError
        If the state is of a table of another kind, size or version, or not whole. The rows are as they were.
    """
    names, own = _check(rows, names, state)
    with rows.storage.rewriting():
        for name, array in state["arrays"].items():
            rows.storage[name].copy_(array)
        rows.own = own
        rows.bind()
        rows.storage.describe(vars(rows.own))
        keep_names(rows, names)
    return names


def keep_names(rows: LazyRows, names: SampleIds | None) -> None:
    """Write the names of the samples to where the rows are kept, if that is a file."""
    if names is not None and "ids" in rows.storage.specs:
        rows.storage["ids"].copy_(torch.from_numpy(names.values))


def _check(rows: LazyRows, names: SampleIds | None, state: dict[str, Any]) -> tuple[SampleIds | None, Hyperparameters]:
    """Names of a state's samples, and its hyperparameters; or ValueError if the state does not fit."""
    storage, arrays = rows.storage, state.get("arrays", {})
    if state.get("version") != _VERSION:
        raise ValueError(f"the state is of version {state.get('version')!r}, expected {_VERSION}.")
    rows.own.check_same(state["hyperparameters"], "the state")
    own = replace(rows.own, **{name: state["hyperparameters"].get(name) for name in ("lr", "seed")})
    if (state["ids"] is None) != (names is None):
        raise ValueError("one of the state and this table has ids, and one has none: make the table like it.")
    expected = set(storage.specs) - {"ids"}
    if set(arrays) != expected:
        raise ValueError(f"the state has arrays {sorted(arrays)}, expected {sorted(expected)}: it is not whole.")
    n_samples = len(arrays["alpha"])
    if n_samples != storage.n_rows:
        raise ValueError(
            f"the state has {n_samples} samples and this table {storage.n_rows}: make it with as many, or extend() it."
        )
    theirs = None if state["ids"] is None else SampleIds(state["ids"], n_samples)
    if theirs is not None and "ids" in storage.specs and theirs.values.dtype.kind != "i":
        raise ValueError("the state has strings for ids, and a file keeps integers only: load it into memory.")
    for name, array in arrays.items():
        if array.shape != storage[name].shape:
            raise ValueError(
                f"the {name} of the state has shape {tuple(array.shape)}, expected {tuple(storage[name].shape)}."
            )
        if array.dtype != storage[name].dtype:
            raise ValueError(f"the {name} of the state is {array.dtype}, expected {storage[name].dtype}.")
    time = Clock({name: arrays[name].cpu() for name in TIME_SPECS}).read()
    if not time.is_possible(n_samples) or time.n_rows != n_samples:
        raise ValueError(f"the state is damaged: its time is {time}, and it has {n_samples} samples.")
    return theirs, own


def _new_file(
    path: Path, own: Hyperparameters, specs: dict[str, Spec], n_samples: int, names: SampleIds | None, journal: int
) -> FileStorage:
    if path.exists():
        if path.is_file():
            lock_table(path)  # another process that has it open is told of first: resume would not open it
        raise _is_there(path)
    if names is not None:
        if names.values.dtype.kind != "i":
            raise ValueError("ids are strings, and a file keeps integers only: number the samples.")
        specs = specs | {"ids": Spec((), torch.int64)}
    try:
        return FileStorage.create(path, dict(vars(own)), specs, n_samples, journal)
    except FileExistsError as error:  # another process was faster
        raise _is_there(path) from error


def _is_there(path: Path) -> FileExistsError:
    """The error for a new table's file that is there."""
    rank, n_processes = process()
    if n_processes == 1:
        return FileExistsError(f"{path} is there already: AlphaTable.resume({str(path)!r}) opens it.")
    own = path.with_name(f"{path.stem}-{rank}{path.suffix}")
    return FileExistsError(
        f"{path} is there already, and each of the {n_processes} processes needs a file of its own: give it the rank "
        f"in its name, such as {own.name}. AlphaTable.resume() opens one that this rank made."
    )
