"""What ``backward`` leaves to the next step: gradients, and the samples that they are of.

Legend: B batch, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


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
