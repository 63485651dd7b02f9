"""What ``backward`` leaves to the next step: gradients, and the samples that they are of.

Legend: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from acestimator.alpha.softmax import shifted_cross_entropy

Reduction = Literal["mean", "sum", "none"]


class Pending:
    """Gradients of batches since the last step."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []  # positions (B,), gradients (B, K)

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, at: Tensor, grad: Tensor) -> None:
        """Leave the gradients (B, K) of the samples ``at`` (B,)."""
        self._parts.append((at, grad))

    def all(self) -> tuple[Tensor, Tensor]:
        """Positions and gradients of all batches, one after the other.

        Raises
        ------
        RuntimeError
            If there are none.
        """
        if not self._parts:
            raise RuntimeError("no gradient is pending: call backward() on the loss of cross_entropy() first.")
        if len(self._parts) == 1:
            return self._parts[0]
        positions, grads = zip(*self._parts, strict=True)
        return torch.cat(positions), torch.cat(grads)

    def clear(self) -> None:
        """Forget them."""
        self._parts.clear()


def cross_entropy(
    logits: Tensor, labels: Tensor, alpha: Tensor, reduction: Reduction, record: Callable[[Tensor], None]
) -> Tensor:
    """Cross-entropy of ``logits + alpha``, (B, K) both; ``backward`` gives each sample's own gradient to ``record``.

    Raises
    ------
    ValueError
        If the shapes do not fit, or ``reduction`` is unknown.
    """
    if logits.shape != alpha.shape or labels.shape != alpha.shape[:1]:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)} and labels {tuple(labels.shape)}, expected "
            f"{tuple(alpha.shape)} and {tuple(alpha.shape[:1])}: index has {len(alpha)} entries, the table "
            f"{alpha.shape[1]} classes."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'.")
    loss = shifted_cross_entropy(logits, alpha, labels, record)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()
