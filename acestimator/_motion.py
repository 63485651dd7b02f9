"""How the rows of :class:`acestimator.AlphaTable` move: under SGD, in a step with a gradient and in those without.

Legend: B rows, W width of a row. A drift is what steps without a gradient do to a row: a tuple of numbers, each a float
for all rows alike or a tensor (B, 1). A mark is the time that a row has been moved to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from acestimator._products import IDENTITY, Matrix, WindowProducts, multiply

Number: TypeAlias = float | Tensor
Drift: TypeAlias = tuple[Number, ...]


class Rows(NamedTuple):
    """Constants and velocities, (B, W) both; no velocity without momentum."""

    alpha: Tensor
    velocity: Tensor | None = None


class Motion:
    """Without momentum, decay and penalty: a row without a gradient stands still. The base of the other two."""

    mark_dtype: torch.dtype | None = None  # of a row's mark; None where rows need none
    no_drift: Drift = ()

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        """Drift from each mark (B,) to now, on the device and of the type of ``like``."""
        return ()

    def drift_of(self, lr: float, before: Drift) -> Drift:
        """Drift of ``before`` and then one step."""
        return ()

    def apply(self, drift: Drift, rows: Rows) -> Rows:
        """Rows after a drift."""
        return rows

    def alpha_after(self, drift: Drift, rows: Rows) -> Tensor:
        """Constants alone after a drift."""
        return rows.alpha

    def step(self, rows: Rows, grad: Tensor, lr: Number) -> Rows:
        """Rows after one step with a gradient (B, W)."""
        return Rows(_descend(rows.alpha, grad, lr))

    def advance(self, rates: Sequence[float]) -> list[float]:
        """Move the clock by steps of these rates; returns the mark after each."""
        return [0.0] * len(rates)


class Linear(Motion):
    r"""Momentum and coupled decay, in the order of ``torch.optim.SGD``.

    Without a gradient a step is linear in (alpha, velocity), by the matrix :math:`M_t` that
    :class:`acestimator.AlphaTable` states; a drift is the product of such matrices.
    """

    mark_dtype = torch.int64
    no_drift: Drift = IDENTITY

    def __init__(self, momentum: float, nesterov: bool, weight_decay: float, products: WindowProducts) -> None:
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.products = products

    def matrix(self, lr: float) -> Matrix:
        """Matrix of one step without a gradient."""
        mu, decay = self.momentum, self.weight_decay
        if self.nesterov:
            return (1.0 - lr * decay * (1.0 + mu), -lr * mu * mu, decay, mu)
        return (1.0 - lr * decay, -lr * mu, decay, mu)

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        products = self.products.since(marks).to(like.device, like.dtype)  # (B, 4)
        m00, m10, m01, m11 = products.unsqueeze(2).unbind(1)
        return m00, m01, m10, m11

    def drift_of(self, lr: float, before: Drift) -> Drift:
        return multiply(self.matrix(lr), before)  # type: ignore[arg-type]

    def apply(self, drift: Drift, rows: Rows) -> Rows:
        if rows.velocity is None:
            return Rows(self.alpha_after(drift, rows))
        velocity = rows.velocity * drift[3]
        if self.weight_decay:
            velocity = _add(velocity, rows.alpha, drift[2])
        return Rows(self.alpha_after(drift, rows), velocity)

    def alpha_after(self, drift: Drift, rows: Rows) -> Tensor:
        # Without decay drift[0] is one and drift[2] zero, exactly.
        alpha = rows.alpha * drift[0] if self.weight_decay else rows.alpha
        return alpha if rows.velocity is None else _add(alpha, rows.velocity, drift[1])

    def step(self, rows: Rows, grad: Tensor, lr: Number) -> Rows:
        if self.weight_decay:
            grad = torch.add(grad, rows.alpha, alpha=self.weight_decay)
        if rows.velocity is None:
            return Rows(_descend(rows.alpha, grad, lr))
        velocity = torch.add(grad, rows.velocity, alpha=self.momentum)
        direction = torch.add(grad, velocity, alpha=self.momentum) if self.nesterov else velocity
        return Rows(_descend(rows.alpha, direction, lr), velocity)

    def advance(self, rates: Sequence[float]) -> list[float]:
        clock = self.products.clock
        self.products.advance([self.matrix(lr) for lr in rates])
        return list(range(clock + 1, clock + 1 + len(rates)))


class Proximal(Motion):
    """A penalty: after the gradient, each step takes the proximal step of ``lr * strength * f(row)``.

    Steps without a gradient depend on the past through one sum alone: that of ``log(1 + lr * strength)`` for l2, whose
    factors multiply, and of the thresholds ``lr * strength`` for l1 and the group norm. A drift is that sum; a mark
    is the sum from the start, in float64.
    """

    mark_dtype = torch.float64
    no_drift: Drift = (0.0,)

    def __init__(self, name: str, strength: float, path: float = 0.0) -> None:
        self.name, self.strength, self.path = name, strength, path

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        return ((self.path - marks)[:, None].to(like.device, like.dtype),)

    def drift_of(self, lr: float, before: Drift) -> Drift:
        return (before[0] + self.length(lr),)

    def length(self, lr: float) -> float:
        """What one step adds to the path."""
        return math.log1p(lr * self.strength) if self.name == "l2" else lr * self.strength

    def apply(self, drift: Drift, rows: Rows) -> Rows:
        return Rows(self.alpha_after(drift, rows))

    def alpha_after(self, drift: Drift, rows: Rows) -> Tensor:
        alpha, length = rows.alpha, drift[0]
        if self.name == "l2":
            return alpha * (torch.exp(-length) if isinstance(length, Tensor) else math.exp(-length))
        if self.name == "l1":
            return torch.sign(alpha) * torch.clamp(alpha.abs() - length, min=0.0)
        norm = torch.linalg.vector_norm(alpha, dim=1, keepdim=True)  # (B, 1)
        return alpha * torch.clamp(1.0 - length / norm.clamp(min=torch.finfo(norm.dtype).tiny), min=0.0)

    def step(self, rows: Rows, grad: Tensor, lr: Number) -> Rows:
        threshold = lr * self.strength
        if self.name != "l2":
            length = threshold
        else:
            length = torch.log1p(threshold) if isinstance(threshold, Tensor) else math.log1p(threshold)
        return self.apply((length,), Rows(_descend(rows.alpha, grad, lr)))

    def advance(self, rates: Sequence[float]) -> list[float]:
        marks = []
        for lr in rates:
            self.path += self.length(lr)
            marks.append(self.path)
        return marks


def _add(base: Tensor, other: Tensor, factor: Number) -> Tensor:
    """``base + factor * other``."""
    if isinstance(factor, Tensor):
        return torch.addcmul(base, other, factor)
    return torch.add(base, other, alpha=factor)


def _descend(alpha: Tensor, direction: Tensor, lr: Number) -> Tensor:
    """``alpha - lr * direction``."""
    if isinstance(lr, Tensor):
        return torch.addcmul(alpha, direction, lr, value=-1.0)
    return torch.add(alpha, direction, alpha=-lr)
