"""A training that was stopped goes on from where its file says, to the same result."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acestimator.objectives import Objective
from acestimator.training.optimizers import FusedOptimizer

_VERSION = 1
_SECONDS = 30.0  # least time between two writes: a small network's epoch takes less than writing does


class Checkpoint:
    """File of a training's whole state at the end of an epoch.

    The file is a pickle: open only what you have written yourself.

    A training of several phases has a file for each: the first is ``path``, the others have a number appended.

    Parameters
    ----------
    path : str or Path
    configuration : dict of str to str
        What the training is of, by field. A file of another configuration is refused and left as it is.

    Raises
    ------
    ValueError
        If there is a file of another configuration, of whichever phase: which fields differ. Or if it is no such file.
    OSError
        If its folder cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], configuration: dict[str, str]) -> None:
        self.path, self.configuration = Path(path), configuration
        self._written = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        name = re.compile(re.escape(self.path.name) + r"(\.\d+)?")
        for path in self.path.parent.iterdir():
            if name.fullmatch(path.name):
                self._read(path, only_compare=True)  # a later phase's should be refused now, too
        if not self.path.exists():
            self.save(0, None)  # what cannot be written should fail now, not after the first epochs

    def state(self, phase: int) -> dict[str, Any] | None:
        """What :meth:`save` was last given for that phase; None if nothing."""
        path = self._file(phase)
        return self._read(path) if path.exists() else None

    def due(self) -> bool:
        """Whether enough time has gone by since the last write."""
        return time.monotonic() - self._written >= _SECONDS

    def save(self, phase: int, state: dict[str, Any] | None) -> None:
        """Write the state of a phase, in place of the one before at one go."""
        path = self._file(phase)
        beside = path.with_name(path.name + ".part")
        with beside.open("wb") as file:  # of a path torch would raise a RuntimeError
            torch.save({"version": _VERSION, "configuration": self.configuration, "state": state}, file)
        os.replace(beside, path)
        self._written = time.monotonic()

    def _file(self, phase: int) -> Path:
        return self.path if phase == 0 else self.path.with_name(f"{self.path.name}.{phase + 1}")

    def _read(self, path: Path, only_compare: bool = False) -> dict[str, Any] | None:
        """State in a file, its tensors where they were; or on the CPU and not read from the disk, only to compare."""
        try:
            content = torch.load(path, "cpu" if only_compare else None, weights_only=False, mmap=only_compare)
            version, theirs, state = content["version"], content["configuration"], content["state"]
        except Exception as error:  # whatever unpickling another file raises
            raise ValueError(
                f"{path} is no checkpoint, or a damaged one ({type(error).__name__}: {error}): take another path, or "
                "remove the file."
            ) from error
        if version != _VERSION:
            raise ValueError(f"{path} is a checkpoint of version {version}, expected {_VERSION}: take another path.")
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


@dataclass(frozen=True)
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

    checkpoint: Checkpoint
    phase: int
    draws: bool

    def load(
        self, network: nn.Module, objective: Objective, optimizer: FusedOptimizer, generator: torch.Generator
    ) -> list[dict[str, Any]]:
        """Take everything to where it was at the last write; returns the records of the epochs until then."""
        state = self.checkpoint.state(self.phase)
        if state is None:
            return []
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        vars(objective).update(state["objective"])
        generator.set_state(state["generator"])
        if self.draws:
            torch.set_rng_state(state["rng"])
            if state["cuda_rng"] is not None:
                torch.cuda.set_rng_state(state["cuda_rng"], objective.labels.device)
        history: list[dict[str, Any]] = state["history"]
        return history

    def save(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: FusedOptimizer,
        generator: torch.Generator,
        history: list[dict[str, Any]],
        *,
        at_once: bool,
    ) -> None:
        """Write the state after an epoch, if it is time."""
        if not (at_once or self.checkpoint.due()):
            return
        device = objective.labels.device
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "objective": vars(objective),  # whatever it keeps, tables included
            "generator": generator.get_state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "history": history,
        }
        self.checkpoint.save(self.phase, state)
