"""What the history says of an epoch, and the error for losses that are not finite.

Legend: M samples of a block, C outputs of the network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acestimator.training.plan import TrainingPlan


def diverged(epoch: int, step: int, plan: TrainingPlan, n_steps: int) -> FloatingPointError:
    """Error for a loss that is not finite at a step, counted from 0 over all epochs."""
    rate = plan.learning_rate * plan.lr_scale(step, n_steps)
    return FloatingPointError(
        f"the loss became NaN or infinite in epoch {epoch + 1}, at step {step + 1} of {n_steps}, with learning rate "
        f"{rate:.3g}: lower learning_rate, standardise the inputs, or look for what overflows in the backbone."
    )


class Meter:
    """Mean loss and accuracy of an epoch."""

    def __init__(self, sample_weight: Tensor | None) -> None:
        self.sample_weight = sample_weight
        self.sums = [0.0, 0.0, 0.0]  # weight, loss, correct

    def add(self, index: Tensor, labels: Tensor, loss: Tensor, logits: Tensor, sizes: list[int]) -> int | None:
        """Add a block; returns the first batch in it whose loss is not finite, or None."""
        correct = logits.argmax(dim=1) == labels
        parts = torch.stack((torch.ones_like(loss), loss, correct.to(loss.dtype)))  # (3, M)
        weighted = parts if self.sample_weight is None else parts * self.sample_weight.index_select(0, index)
        sums = weighted.sum(dim=1, dtype=torch.float64).tolist()  # the block's one wait for the device
        if not math.isfinite(sums[1]):
            bad = [i for i, batch in enumerate(torch.split(loss, sizes)) if not torch.isfinite(batch).all()]
            return bad[0] if bad else 0  # no single loss need be infinite for their sum to be
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)]
        return None

    def record(self) -> dict[str, float]:
        """Entries of the history."""
        return {"loss": self.sums[1] / self.sums[0], "accuracy": self.sums[2] / self.sums[0]}
