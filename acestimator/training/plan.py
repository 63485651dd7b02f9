"""How a network is trained: its optimiser, its schedule, its batches.

Legend: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from acestimator.training.optimizers import FusedAdamW, FusedOptimizer, FusedSGD

BatchOrder = Callable[[int, torch.Generator], Tensor]
Schedule = Literal["cosine"] | tuple[float, ...]


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Parameters
    ----------
    max_epochs, batch_size : int
    learning_rate : float
        Of the first step.
    optimizer : {"adamw", "sgd"}
        SGD is with Nesterov momentum.
    momentum : float
        Of SGD, or the first moment's decay of AdamW.
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


def batch_sizes(n_samples: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches.

    A lone last sample joins the batch before: batch normalisation takes no batch of one.
    """
    sizes = [batch_size] * (n_samples // batch_size)
    rest = n_samples % batch_size
    if rest == 1 and sizes and batch_size > 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def check_schedule(schedule: Any) -> None:
    """Raise ValueError if this is no schedule: neither "cosine", nor None, nor rising numbers of epochs."""
    if schedule is None or schedule == "cosine":
        return
    numbers = all(isinstance(milestone, int | float) and 0 <= milestone < math.inf for milestone in schedule)
    if not numbers or list(schedule) != sorted(set(schedule)):
        raise ValueError(
            f"schedule is {schedule!r}, expected 'cosine' or rising numbers of epochs, such as (150, 225)."
        )
