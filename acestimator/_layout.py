"""What a stored row of :class:`acestimator.AlphaTable` stands for: all K constants, the observed label's, or a few.

Legend: N samples, K classes, B rows, W width of a stored row, k rivals. A place is the classes (B, W) that the stored
constants belong to; None where they are all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator._motion import Rows


class Wide:
    """AC1: constants of all categories."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = self.width = n_classes

    def first_place(self, labels: Tensor) -> Tensor:
        """(N, W) classes of rows that have not been moved yet: the label, and others."""
        return (labels[:, None] + torch.arange(self.width, device=labels.device)) % self.n_classes

    def show(self, stored: Tensor, place: Tensor | None) -> Tensor:
        """(B, W) as stored to (B, K) as the network sees them."""
        return stored

    def spread(self, rows: Rows, place: Tensor | None) -> Rows:
        """Stored rows to those that a gradient of :meth:`narrow` moves."""
        return rows

    def narrow(self, grad: Tensor, place: Tensor | None) -> Tensor:
        """(B, K) gradient to the part that moves a row."""
        return grad

    def pack(self, rows: Rows, place: Tensor | None) -> tuple[Rows, Tensor | None]:
        """Moved rows to stored ones, and their place."""
        return rows, place


class OfLabel(Wide):
    """AC2: the constant of the observed label."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes, self.width = n_classes, 1

    def show(self, stored: Tensor, place: Tensor | None) -> Tensor:
        assert place is not None
        return stored.new_zeros(len(stored), self.n_classes).scatter_(1, place, stored)

    def narrow(self, grad: Tensor, place: Tensor | None) -> Tensor:
        assert place is not None
        return grad.gather(1, place)


class Sparse(Wide):
    """AC1 that keeps the observed label and, of the other categories, the k whose constants are the largest in size.

    A step acts on all K constants; those that are then not among the largest are set to zero, with their velocity.
    """

    def __init__(self, n_classes: int, rivals: int) -> None:
        self.n_classes, self.rivals, self.width = n_classes, rivals, rivals + 1

    def show(self, stored: Tensor, place: Tensor | None) -> Tensor:
        assert place is not None
        return stored.new_zeros(len(stored), self.n_classes).scatter_(1, place, stored)

    def spread(self, rows: Rows, place: Tensor | None) -> Rows:
        alpha, velocity = rows
        return Rows(self.show(alpha, place), None if velocity is None else self.show(velocity, place))

    def pack(self, rows: Rows, place: Tensor | None) -> tuple[Rows, Tensor | None]:
        assert place is not None
        label = place[:, :1]  # the first one of a place, always
        size = rows.alpha.abs().scatter_(1, label, torch.inf)  # (B, K)
        place = size.topk(self.width, dim=1).indices
        velocity = None if rows.velocity is None else rows.velocity.gather(1, place)
        return Rows(rows.alpha.gather(1, place), velocity), place
