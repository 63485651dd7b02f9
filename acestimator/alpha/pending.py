"""What ``backward`` leaves to the next step: gradients, and the samples that they are of.

Legend: B batch, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.labels import Labels, as_labels, targets
from acestimator.alpha.layout import Shown
from acestimator.alpha.softmax import shifted_cross_entropy

Reduction = Literal["mean", "sum", "none"]


class Pending:
    """Gradients of batches since the last step."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []  # positions (B,), gradients (B, K)
        self._batches: set[bytes] = set()  # the positions of each
        self._warned = False

    def __bool__(self) -> bool:
        return bool(self._parts)

    def expect(self, at: Tensor, differentiable: bool) -> Callable[[Tensor], None]:
        """What takes the gradients (B, K) of the samples ``at`` (B,), from ``backward`` of a loss."""
        batch = b"" if self._warned else np.sort(at.cpu().numpy()).tobytes()  # in whatever order
        if differentiable and torch.is_grad_enabled() and batch in self._batches:
            self._warn(stacklevel=4)

        def add(grad: Tensor) -> None:
            if batch in self._batches:
                self._warn(stacklevel=2)
            elif batch:
                self._batches.add(batch)
            self._parts.append((at, grad))

        return add

    def _warn(self, stacklevel: int) -> None:
        """Once: accumulated batches may have the same samples, but most often a step was forgotten."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                "cross_entropy() was called again for samples whose gradients are pending, and the next step takes the "
                "sum: call step_pending() after each step of the optimizer, or discard_pending().",
                stacklevel=stacklevel,
            )

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
        self._batches.clear()


def cross_entropy(
    logits: Tensor, labels: Labels, shown: Shown, reduction: Reduction, record: Callable[[Tensor], None]
) -> Tensor:
    """Cross-entropy of ``logits + shown.alpha``, (B, K) both; each sample's own gradient goes to ``record``.

    As in ``torch.nn.functional.cross_entropy``, samples with the label -100 are left out.

    Raises
    ------
    ValueError
        If the shapes do not fit, if a label is none, or not the table's own where that has one, or if ``reduction`` is
        unknown.
    """
    labels, shape = as_labels(labels), shown.alpha.shape
    if logits.shape != shape or labels.shape != shape[:1]:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)} and labels {tuple(labels.shape)}, expected {tuple(shape)} and "
            f"{tuple(shape[:1])}: index has {shape[0]} entries, the table {shape[1]} classes."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'.")
    labels, counts = targets(labels, shape[1])
    shown.check(labels, counts)
    loss = shifted_cross_entropy(logits, shown.alpha, labels, counts, record)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if counts is None else loss.sum() / counts.sum()
