"""What the history says of an epoch, and where a loss is not finite.

Legend: M samples of a block, K classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acestimator.objectives import Block
from acestimator.ranks import ALONE, Ranks


class Meter:
    """Mean loss and accuracy of an epoch.

    Parameters
    ----------
    loss_weight : Tensor of float64, shape (N,), or None
    ranks : Ranks
        Over which the sums go: all see where a loss of one of them is not finite.
    """

    def __init__(self, loss_weight: Tensor | None, ranks: Ranks = ALONE) -> None:
        self.loss_weight, self.ranks = loss_weight, ranks
        self.sums = [0.0, 0.0, 0.0]  # weight, loss, correct

    def add(self, block: Block, losses: Tensor, class_logits: Tensor) -> int | None:
        """Add a block's losses (M,), and its logits (M, K).

        Returns
        -------
        int or None
            The first step of the block with a loss that is not finite.
        """
        correct = class_logits.argmax(dim=1) == block.labels
        parts = torch.stack((torch.ones_like(losses), losses, correct.to(losses.dtype)))  # (3, M)
        weighted = parts if self.loss_weight is None else parts * self.loss_weight.index_select(0, block.index)
        # The block's one look at numbers of the device, not one a step: each makes a GPU wait for the host.
        sums = self.ranks.sum(weighted.sum(dim=1, dtype=torch.float64)).tolist()
        if not math.isfinite(sums[1]):
            steps = torch.split(losses, block.sizes)
            bad = [number for number, step in enumerate(steps) if not torch.isfinite(step).all()]
            return bad[0] if bad else 0  # no single loss need be infinite for their sum to be
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)]
        return None

    def record(self) -> dict[str, float]:
        """Entries of the history."""
        return {"loss": self.sums[1] / self.sums[0], "accuracy": self.sums[2] / self.sums[0]}
