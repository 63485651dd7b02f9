"""What a stored row of :class:`acestimator.AlphaTable` stands for: all K constants, the observed label's, or a few.

Legend: N samples, K classes, B rows, W width of a stored row. The classes (B, W) are those that the stored constants
belong to; None where they are all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.motion import Drift, Motion, Number, Values
from acestimator.alpha.storage import Spec


@dataclass
class Batch:
    """Rows that were gathered, to be shown and moved."""

    at: Tensor  # (B,) positions
    stored: Values  # (B, W), as of their marks
    drift: Drift  # from there to the step that they are for
    alpha: Tensor  # (B, W) constants after it
    classes: Tensor | None  # (B, W)

    def part(self, part: slice) -> Batch:
        """Some of the rows."""
        if part.stop == len(self.at) and not part.start:
            return self
        drift = tuple(number[part] if isinstance(number, Tensor) else number for number in self.drift)
        classes = None if self.classes is None else self.classes[part]
        return Batch(self.at[part], self.stored.part(part), drift, self.alpha[part], classes)


class Shown(NamedTuple):
    """Rows as the network sees them."""

    alpha: Tensor  # (B, K) constants
    label: Tensor | None = None  # (B,) the only class that each row has a constant of, if it is one

    def check(self, labels: Tensor, counts: Tensor | None = None) -> None:
        """Raise ValueError if one of the labels (B,), of those that count, has no constant in its row."""
        if self.label is None:
            return
        other = labels != self.label
        if counts is not None:
            other &= counts
        if bool(other.any()):
            row = int(other.nonzero()[0])
            raise ValueError(
                f"labels has {int(labels[row])} in row {row}, and the table was made with {int(self.label[row])} for "
                "that sample: variant 'AC2' has a constant of the label that it was made with, and of no other."
            )


class Layout:
    """AC1: a row is the constants of all categories. The base of the other two."""

    moves_classes = False  # whether a step changes which classes a row keeps

    def __init__(self, n_classes: int) -> None:
        self.n_classes = self.width = n_classes

    def specs(self, dtype: torch.dtype) -> dict[str, Spec]:
        """Arrays that the rows need, with constants of this type."""
        return {"alpha": Spec((self.width,), dtype)}

    def first_classes(self, labels: Tensor) -> Tensor:
        """(N, W) classes of rows that have not been moved yet: the label, and others."""
        return (labels[:, None] + torch.arange(self.width, device=labels.device)) % self.n_classes

    def show(self, stored: Tensor, classes: Tensor | None) -> Tensor:
        """(B, W) as stored to (B, K) as the network sees them."""
        return stored

    def shown(self, stored: Tensor, classes: Tensor | None) -> Shown:
        """The same, with what else a loss has to know."""
        return Shown(self.show(stored, classes))

    def narrow(self, grad: Tensor, classes: Tensor | None) -> Tensor:
        """(B, K) gradient to the (B, W) of the stored constants."""
        return grad

    def move(self, motion: Motion, batch: Batch, grad: Tensor, lr: Number) -> None:
        """One step of the stored rows, in place, with the gradient (B, K)."""
        motion.step(batch.stored, batch.drift, batch.alpha, self.narrow(grad, batch.classes), lr, batch.stored)


class Narrow(Layout):
    """A row is the constants of some categories, its classes."""

    def __init__(self, n_classes: int, width: int) -> None:
        self.n_classes, self.width = n_classes, width

    def specs(self, dtype: torch.dtype) -> dict[str, Spec]:
        small = self.n_classes <= torch.iinfo(torch.int16).max
        return super().specs(dtype) | {"classes": Spec((self.width,), torch.int16 if small else torch.int32)}

    def show(self, stored: Tensor, classes: Tensor | None) -> Tensor:
        assert classes is not None
        return stored.new_zeros(len(stored), self.n_classes).scatter_(1, classes, stored)

    def narrow(self, grad: Tensor, classes: Tensor | None) -> Tensor:
        assert classes is not None
        return grad.gather(1, classes)


class OfLabel(Narrow):
    """AC2: the constant of the observed label."""

    def __init__(self, n_classes: int) -> None:
        super().__init__(n_classes, 1)

    def shown(self, stored: Tensor, classes: Tensor | None) -> Shown:
        assert classes is not None
        return Shown(self.show(stored, classes), classes.squeeze(1))


class Sparse(Narrow):
    """AC1 that keeps the observed label and, of the other categories, the k whose constants are the largest in size.

    A step acts on all K constants; those that are then not among the largest are set to zero, with their velocity.
    """

    moves_classes = True

    def __init__(self, n_classes: int, rivals: int) -> None:
        super().__init__(n_classes, rivals + 1)

    def move(self, motion: Motion, batch: Batch, grad: Tensor, lr: Number) -> None:
        stored, classes = batch.stored, batch.classes
        assert classes is not None
        velocity = None if stored.velocity is None else self.show(stored.velocity, classes)
        wide = Values(self.show(stored.alpha, classes), velocity)
        motion.step(wide, batch.drift, self.show(batch.alpha, classes), grad, lr, wide)
        size = wide.alpha.abs().scatter_(1, classes[:, :1], torch.inf)  # (B, K); the label is the first of a row's
        torch.topk(size, self.width, dim=1, out=(size.new_empty(0), classes))
        torch.gather(wide.alpha, 1, classes, out=stored.alpha)
        if stored.velocity is not None and wide.velocity is not None:
            torch.gather(wide.velocity, 1, classes, out=stored.velocity)


def layout_of(own: Hyperparameters) -> Layout:
    """Of a table's rows."""
    if own.variant == "AC2":
        return OfLabel(own.n_classes)
    return Layout(own.n_classes) if own.rivals is None else Sparse(own.n_classes, own.rivals)
