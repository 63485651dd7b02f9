"""A training that was stopped goes on from where its file says, to the same result."""

from __future__ import annotations

import errno
import os
import pickletools
import re
import shutil
import time
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acestimator.locks import FileLock
from acestimator.objectives import Objective
from acestimator.objectives.state import Watch
from acestimator.training import state_file
from acestimator.training.optimizers import FusedOptimizer

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Checkpoint:
    """File of a training's whole state at the end of an epoch: tensors and JSON, with a checksum, and no code.

    A training of several phases has a file for each: the first is ``path``, the others have a number appended. As long
    as a checkpoint is open, ``path.lock`` keeps other processes from it.

    Parameters
    ----------
    path : str or Path
    configuration : dict of str to str
        What the training is of, by field. A file of another configuration is refused and left as it is.
    seconds : float, default=30.0
        Least time between two writes: a small network's epoch takes less than writing does.

    Raises
    ------
    ValueError
        If there is a file of another configuration, of whichever phase: which fields differ. Or if it is no such file,
        or damaged.
    BlockingIOError
        If another process, or another fit, is at it.
    OSError
        If its folder is missing, or cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], configuration: dict[str, str], *, seconds: float = 30.0) -> None:
        self.path, self.configuration, self.seconds = Path(path), configuration, seconds
        self._written = time.monotonic()
        if not self.path.parent.is_dir():
            kind = NotADirectoryError if self.path.parent.exists() else FileNotFoundError
            raise kind(f"checkpoint is {self.path}, and {self.path.parent} is no folder: make it, or mend the path.")
        beside = self.path.with_name(self.path.name + ".lock")
        cure = "Wait for its end, or give this fit another path."
        self._lock = FileLock(beside, f"the checkpoint {self.path}", cure, create=True)
        try:
            self._compare_all()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others at the file; once more does nothing."""
        self._lock.release()

    def state(self, phase: int) -> dict[str, Any] | None:
        """What :meth:`save` was last given for that phase; None if nothing."""
        path = self._file(phase)
        return self._read(path) if path.exists() else None

    def due(self) -> bool:
        """Whether enough time has gone by since the last write."""
        return time.monotonic() - self._written >= self.seconds

    def save(self, phase: int, state: dict[str, Any] | None) -> None:
        """Write the state of a phase, in place of the one before at one go.

        Raises
        ------
        OSError
            If it cannot be written; the one before is left as it is. Of a full disk: what is needed, and what is free.
        """
        path = self._file(phase)
        beside = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with beside.open("wb") as file:
                state_file.write(file, self.configuration, state)
                file.flush()
                os.fsync(file.fileno())  # whole before it takes the place of the one before
            os.replace(beside, path)
        except BaseException as error:
            if beside.is_file():
                beside.unlink()
            if isinstance(error, OSError) and error.errno in _FULL:
                raise _no_room(path, state_file.size_of(state), error) from error
            raise
        self._written = time.monotonic()

    def _compare_all(self) -> None:
        """Look at the files of all phases that the training has, and begin the first one's."""
        if self._lock.held:  # then nobody writes these: their processes were killed
            killed = re.compile(re.escape(self.path.name) + r"(\.\d+)?\.\d+\.part")
            for left in self.path.parent.iterdir():
                if killed.fullmatch(left.name) and left.is_file():
                    left.unlink()
        phase = 0
        while (path := self._file(phase)).exists() or phase == 0:
            if path.exists():
                self._read(path, only_compare=True)  # a later phase's should be refused now, too
            phase += 1
        if not self.path.exists():
            self.save(0, None)  # what cannot be written should fail now, not after the first epochs

    def _file(self, phase: int) -> Path:
        return self.path if phase == 0 else self.path.with_name(f"{self.path.name}.{phase + 1}")

    def _read(self, path: Path, only_compare: bool = False) -> dict[str, Any] | None:
        """State in a file, its tensors where they were; None where it is only compared."""
        if not path.is_file():
            raise ValueError(f"{path} is no regular file, and so no checkpoint: take another path.")
        try:
            theirs, state = state_file.read(path, only_configuration=only_compare)
        except OSError:
            raise
        except Exception as error:  # whatever reading another file raises
            raise _unreadable(path, error) from error
        ours = self.configuration
        differing = [
            f"{name} is {ours.get(name, 'not set')} here and {theirs.get(name, 'not set')} there"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
        if differing:
            raise ValueError(
                f"{path} is a checkpoint of another training: {'; '.join(differing)}. Nothing was changed: take "
                "another path, or the parameters of then."
            )
        return state


def _unreadable(path: Path, error: Exception) -> ValueError:
    version = state_file.version_of(path) or _version_of_pickled(path)
    if version in (None, state_file.VERSION):
        return ValueError(
            f"{path} is no checkpoint, or a damaged one ({type(error).__name__}: {error}): take another path, "
            "or remove the file."
        )
    return ValueError(
        f"{path} is a checkpoint of version {version}, expected {state_file.VERSION}: take another path, or go on with "
        "the acestimator that wrote it."
    )


def _no_room(path: Path, size: int, error: OSError) -> OSError:
    free = shutil.disk_usage(path.parent).free
    return OSError(
        error.errno,
        f"{path} needs {size:,} bytes, and its disk has {free:,} free ({error.strerror}): free some, or choose another "
        "disk. What was written before is as it was.",
    )


class PhaseCheckpoint:
    """One phase's place in a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
    phase : int
        From 0.
    draws : bool
        Whether the training draws from torch's global generators.
    """

    def __init__(self, checkpoint: Checkpoint, phase: int, draws: bool) -> None:
        self.checkpoint, self.phase, self.draws = checkpoint, phase, draws
        self._watch: Watch | None = None

    def load(self, objective: Objective, optimizer: FusedOptimizer, generator: torch.Generator) -> list[dict[str, Any]]:
        """Take a training that has just started to where it was at the last write.

        Returns
        -------
        list of dict
            The records of the epochs until then; none if nothing was written.

        Raises
        ------
        TypeError
            If the state is one that cannot be written.
        """
        state = self.checkpoint.state(self.phase)
        if state is None:
            plain(self._state(objective, optimizer, generator, []))  # what cannot be written should fail now
            self._watch = Watch(objective)
            return []
        objective.training.network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        objective.load_state_dict(state["objective"])
        generator.set_state(state["generator"])
        if self.draws:
            torch.set_rng_state(state["rng"])
            if state["cuda_rng"] is not None:
                torch.cuda.set_rng_state(state["cuda_rng"], objective.training.labels.device)
        self._watch = Watch(objective)
        history: list[dict[str, Any]] = state["history"]
        return history

    def save(
        self,
        objective: Objective,
        optimizer: FusedOptimizer,
        generator: torch.Generator,
        history: list[dict[str, Any]],
        *,
        at_once: bool,
    ) -> None:
        """Write the state after an epoch, if it is time.

        Raises
        ------
        TypeError
            If the objective has changed what is not in its state, or has a state that cannot be written.
        """
        if self._watch is not None:
            self._watch.check()
        if at_once or self.checkpoint.due():
            self.checkpoint.save(self.phase, plain(self._state(objective, optimizer, generator, history)))

    def _state(
        self,
        objective: Objective,
        optimizer: FusedOptimizer,
        generator: torch.Generator,
        history: list[dict[str, Any]],
    ) -> dict[str, Any]:
        device = objective.training.labels.device
        return {
            "network": objective.training.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "objective": objective.state_dict(),
            "generator": generator.get_state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "history": history,
        }


def plain(value: Any, name: str = "state") -> Any:
    """Return a state as tensors, numbers and strings, in dictionaries, lists and tuples of these.

    Numbers of numpy become Python's.

    Raises
    ------
    TypeError
        If there is anything else in it, naming its place.
    """
    if isinstance(value, Tensor):
        return _dense(value, name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        parts = {plain(key, f"a key of {name}"): plain(part, f"{name}[{key!r}]") for key, part in value.items()}
        if not hasattr(value, "_metadata"):
            return parts
        ordered = OrderedDict(parts)  # of a module, with the versions of its parts
        ordered._metadata = plain(value._metadata, f"{name}._metadata")  # type: ignore[attr-defined]
        return ordered
    if isinstance(value, list | tuple):
        listed = [plain(part, f"{name}[{number}]") for number, part in enumerate(value)]
        return listed if isinstance(value, list) else tuple(listed)
    raise TypeError(
        f"{name} is {type(value).__name__}, and a checkpoint holds tensors, numbers and strings only: keep it as "
        "these, or give its class state_dict and load_state_dict."
    )


def _dense(tensor: Tensor, name: str) -> Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise TypeError(
            f"{name} is a tensor of layout {tensor.layout} on {tensor.device}, and a checkpoint holds dense tensors: "
            "keep the parts that it is made of."
        )
    return tensor


def _version_of_pickled(path: Path) -> int | None:
    """Version of a checkpoint of version 3 or before, None if it is none. Nothing in it is executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
        operations = pickletools.genops(pickled)
        while next(operations)[1] != "version":
            pass
        return next(argument for code, argument, _ in operations if code.name.startswith("BININT"))
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError):
        return None
