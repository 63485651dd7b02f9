"""What a stored row of :class:`acestimator.AlphaTable` stands for: all K constants, the observed label's, or a few.

Legend: N samples, K classes, B rows, W width of a stored row, k rivals. A place is the classes (B, W) that the stored
constants belong to; None where they are all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.motion import Drift, Motion, Number, Rows
from acestimator.alpha.storage import Spec


class Layout:
    """AC1: a row is the constants of all categories. The base of the other two."""

    moves_classes = False  # whether a step changes which classes a row keeps

    def __init__(self, n_classes: int) -> None:
        self.n_classes = self.width = n_classes

    def specs(self, dtype: torch.dtype) -> dict[str, Spec]:
        """Arrays that the rows need, with constants of this type."""
        return {"alpha": Spec((self.width,), dtype)}

    def first_place(self, labels: Tensor) -> Tensor:
        """(N, W) classes of rows that have not been moved yet: the label, and others."""
        return (labels[:, None] + torch.arange(self.width, device=labels.device)) % self.n_classes

    def show(self, stored: Tensor, place: Tensor | None) -> Tensor:
        """(B, W) as stored to (B, K) as the network sees them."""
        return stored

    def move(
        self, motion: Motion, rows: Rows, place: Tensor | None, drift: Drift, alpha: Tensor, grad: Tensor, lr: Number
    ) -> None:
        """One step, in place, of stored rows that drift first; ``alpha`` is theirs after the drift, (B, W) too.

        The gradient is (B, K).
        """
        motion.step(rows, drift, alpha, self.narrow(grad, place), lr, rows)

    def narrow(self, grad: Tensor, place: Tensor | None) -> Tensor:
        """(B, K) gradient to the (B, W) of the stored constants."""
        return grad


class Narrow(Layout):
    """Constants of some categories, those of the row's place."""

    def __init__(self, n_classes: int, width: int) -> None:
        self.n_classes, self.width = n_classes, width

    def specs(self, dtype: torch.dtype) -> dict[str, Spec]:
        small = self.n_classes <= torch.iinfo(torch.int16).max
        return super().specs(dtype) | {"place": Spec((self.width,), torch.int16 if small else torch.int32)}

    def show(self, stored: Tensor, place: Tensor | None) -> Tensor:
        assert place is not None
        return stored.new_zeros(len(stored), self.n_classes).scatter_(1, place, stored)


class OfLabel(Narrow):
    """AC2: the constant of the observed label."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes, 1)

    def narrow(self, grad: Tensor, place: Tensor | None) -> Tensor:
        assert place is not None
        return grad.gather(1, place)


class Sparse(Narrow):
    """AC1 that keeps the observed label and, of the other categories, the k whose constants are the largest in size.

    A step acts on all K constants; those that are then not among the largest are set to zero, with their velocity.
    """

    moves_classes = True

    def __init__(self, n_classes: int, rivals: int) -> None:
        super().__init__(n_classes, rivals + 1)

    def move(
        self, motion: Motion, rows: Rows, place: Tensor | None, drift: Drift, alpha: Tensor, grad: Tensor, lr: Number
    ) -> None:
        assert place is not None
        wide = Rows(self.show(rows.alpha, place), None if rows.velocity is None else self.show(rows.velocity, place))
        motion.step(wide, drift, self.show(alpha, place), grad, lr, wide)
        size = wide.alpha.abs().scatter_(1, place[:, :1], torch.inf)  # (B, K); the label is the first one of a place
        torch.topk(size, self.width, dim=1, out=(size.new_empty(0), place))
        torch.gather(wide.alpha, 1, place, out=rows.alpha)
        if rows.velocity is not None and wide.velocity is not None:
            torch.gather(wide.velocity, 1, place, out=rows.velocity)


def layout_of(own: Hyperparameters) -> Layout:
    """Of a table's rows."""
    if own.variant == "AC2":
        return OfLabel(own.n_classes)
    return Layout(own.n_classes) if own.rivals is None else Sparse(own.n_classes, own.rivals)
