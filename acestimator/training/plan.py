"""How a network is trained: its optimiser, its schedule, its batches.

Legend: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from acestimator.checks import check_count, check_rate
from acestimator.training.lazy import LazyAdamW
from acestimator.training.optimizers import FusedAdamW, FusedOptimizer, FusedSGD

BatchOrder = Callable[[int, torch.Generator], Tensor]
Schedule = Literal["cosine"] | tuple[float, ...]


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained. Checked when it is made; numbers of numpy become Python's.

    Parameters
    ----------
    max_epochs, batch_size : int
        At least 1.
    learning_rate : float
        Of the first step.
    optimizer : {"adamw", "sgd"}
        SGD is with Nesterov momentum.
    momentum : float
        Of SGD, or the first moment's decay of AdamW; from 0 to below 1.
    weight_decay : float
    batch_order : callable, optional
        ``(epoch, generator) -> permutation`` of the N samples, in place of a random one.
    schedule : "cosine" or tuple of float, default="cosine"
        The rate follows half a cosine to zero, or falls tenfold after each of these numbers of epochs.
    autocast : bool, default=False
        Whether the network computes in bfloat16 what torch's autocast lets it. Parameters, logits, losses and
        constants stay as they are.
    compile : bool, default=False
        Whether the network is compiled by ``torch.compile`` for the training.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adamw", "sgd"]
    momentum: float
    weight_decay: float
    batch_order: BatchOrder | None = None
    schedule: Schedule = "cosine"
    autocast: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer is {self.optimizer!r}, expected 'adamw' or 'sgd'.")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum is {self.momentum!r}, expected a number from 0 to below 1.")
        check_schedule(self.schedule)
        numbers: dict[str, Any] = {
            **{name: check_count(name, getattr(self, name), 1) for name in ("max_epochs", "batch_size")},
            **{name: float(check_rate(name, getattr(self, name))) for name in ("learning_rate", "weight_decay")},
            "momentum": float(self.momentum),
        }
        if not isinstance(self.schedule, str):
            numbers["schedule"] = tuple(map(float, self.schedule))
        for name, number in numbers.items():
            object.__setattr__(self, name, number)

    def shortened(self, max_epochs: int) -> TrainingPlan:
        """The same in at most so many epochs, with the milestones of the schedule where they were as shares of all."""
        if max_epochs >= self.max_epochs:
            return self
        schedule = self.schedule
        if not isinstance(schedule, str):
            schedule = tuple(milestone * max_epochs / self.max_epochs for milestone in schedule)
        return replace(self, max_epochs=max_epochs, schedule=schedule)

    def steps_per_epoch(self, n_samples: int) -> int:
        """Batches in one epoch."""
        return len(batch_sizes(n_samples, self.batch_size))

    def lr_scale(self, step: int, n_steps: int) -> float:
        """lr_t / lr_0: one cosine cycle, or a tenth for each milestone that is behind."""
        if self.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * step / n_steps))
        return 0.1 ** sum(step * self.max_epochs >= milestone * n_steps for milestone in self.schedule)

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> FusedOptimizer:
        """Optimiser of these parameters."""
        if self.optimizer == "sgd":
            return FusedSGD(parameters, momentum=self.momentum, weight_decay=self.weight_decay)
        return FusedAdamW(parameters, beta1=self.momentum, weight_decay=self.weight_decay)

    def make_lazy_optimizer(self, network: nn.Module) -> FusedOptimizer:
        """Optimiser of a network whose inputs are sparse rows on the CPU, each of which has few of the features."""
        if self.optimizer == "sgd":
            return self.make_optimizer(p for p in network.parameters() if p.requires_grad)
        return LazyAdamW(network, beta1=self.momentum, weight_decay=self.weight_decay)


def batch_sizes(n_samples: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches.

    A lone last sample joins the batch before: batch normalisation takes no batch of one.

    Parameters
    ----------
    n_samples : int
        N.
    batch_size : int
        At least 1.

    Raises
    ------
    ValueError
        If ``batch_size`` is no such integer.
    """
    batch_size = check_count("batch_size", batch_size, 1)
    sizes = [batch_size] * (n_samples // batch_size)
    rest = n_samples % batch_size
    if rest == 1 and sizes and batch_size > 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def check_schedule(schedule: Any) -> None:
    """Raise ValueError if this is no schedule: neither "cosine", nor None, nor a sequence of rising epochs."""
    if schedule is None or (isinstance(schedule, str) and schedule == "cosine"):
        return
    milestones: list[Any] = list(schedule) if isinstance(schedule, list | tuple) else [None]
    if not all(map(_is_milestone, milestones)) or milestones != sorted(set(milestones)):
        raise ValueError(
            f"schedule is {schedule!r}, expected 'cosine' or rising numbers of epochs, such as (150, 225)."
        )


def _is_milestone(number: Any) -> bool:
    if isinstance(number, bool | np.bool_) or not isinstance(number, Real):
        return False
    return 0.0 <= float(number) < math.inf
