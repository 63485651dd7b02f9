"""How the rows of :class:`acestimator.AlphaTable` move: under SGD, in a step with a gradient and in those without.

Legend: B rows, W width of a row. A drift is what steps without a gradient do to a row: a tuple of numbers, each a float
for all rows alike or a tensor (B, 1). A mark is the time that a row has been moved to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from acestimator.alpha.clock import Time
from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.storage import Spec, Storage
from acestimator.alpha.window import BLOCK, IDENTITY, Matrix, WindowProducts, window_shapes

Number: TypeAlias = float | Tensor
Drift: TypeAlias = tuple[Number, ...]


class Values(NamedTuple):
    """Constants and velocities of rows, (B, W) both; no velocity without momentum."""

    alpha: Tensor
    velocity: Tensor | None = None

    def part(self, part: slice) -> Values:
        """Some of the rows."""
        return Values(self.alpha[part], None if self.velocity is None else self.velocity[part])


class Motion:
    """Without momentum, decay and penalty: a row without a gradient stands still. The base of the other two."""

    is_still = True  # a row without a gradient
    capacity = math.inf  # steps that a row's mark may lie back
    live, path = 0, 0.0  # what a time says of them, see acestimator.alpha.clock.Time

    def specs(self, row: Spec) -> dict[str, Spec]:
        """Arrays that the motion needs, where the constants of a row are as ``row`` says."""
        return {}

    def bind(self, arrays: Storage, time: Time) -> None:
        """Take the arrays, and the time that they are of."""

    def start(self) -> None:
        """Begin in arrays of zeros."""

    @property
    def now(self) -> float:
        """Mark of a row that is up to date."""
        return 0.0

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        """Drift from each mark (B,) to now, on the device and of the type of ``like``."""
        return ()

    def ahead(self, rates: Sequence[float]) -> list[tuple[float, ...]]:
        """Of each coming step: the mark after it, and then the drift from now to it."""
        return [(0.0,)] * len(rates)

    def drift_until(self, marks: Tensor, ahead: Tensor, like: Tensor) -> Drift:
        """Drift from each mark (M,) to the row's step; ``ahead`` (M, d), float64: the drift from now to that step."""
        return ()

    def apply(self, drift: Drift, values: Values) -> Values:
        """Rows after a drift."""
        return values

    def alpha_after(self, drift: Drift, values: Values, out: Tensor | None = None) -> Tensor:
        """Constants alone after a drift; in ``out`` if it is given and they are not those of ``values``."""
        return values.alpha

    def step(self, values: Values, drift: Drift, alpha: Tensor, grad: Tensor, lr: Number, out: Values) -> None:
        """One step with a gradient (B, W) of rows that drift first; ``alpha`` is theirs after the drift.

        The rows after it go to ``out``, which may be ``values``: large temporaries cost more than the arithmetic.
        """
        _descend(alpha, grad, lr, out.alpha)

    def advance(self, rates: Sequence[float]) -> None:
        """Move the time by steps of these rates."""


class Linear(Motion):
    r"""Momentum and coupled decay, in the order of ``torch.optim.SGD``.

    Without a gradient a step is linear in (alpha, velocity), by the matrix :math:`M_t` that
    :class:`acestimator.AlphaTable` states; a drift is the product of such matrices.
    """

    is_still = False

    def __init__(self, momentum: float, nesterov: bool, weight_decay: float, window: int) -> None:
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self._window = window

    def specs(self, row: Spec) -> dict[str, Spec]:
        shapes = window_shapes(self._window)
        return {
            **({"velocity": row} if self.momentum else {}),
            "marks": Spec((), torch.int64),
            **{name: Spec(shape, torch.float64, by_row=False) for name, shape in shapes.items()},
        }

    def bind(self, arrays: Storage, time: Time) -> None:
        self.products = WindowProducts(arrays["lives"], arrays["archive"], time.clock, time.live)
        self.capacity, self.live = self.products.capacity, self.products.which

    def start(self) -> None:
        self.products.start()

    @property
    def now(self) -> float:
        return self.products.clock

    def matrix(self, lr: float) -> Matrix:
        """Matrix of one step without a gradient."""
        mu, decay = self.momentum, self.weight_decay
        if self.nesterov:
            return (1.0 - lr * decay * (1.0 + mu), -lr * mu * mu, decay, mu)
        return (1.0 - lr * decay, -lr * mu, decay, mu)

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        return _entries(self.products.since(marks), like)

    def ahead(self, rates: Sequence[float]) -> list[tuple[float, ...]]:
        clock, steps = self.products.clock, list[tuple[float, ...]]()
        m00, m01, m10, m11 = IDENTITY
        for step, lr in enumerate(rates, start=1):
            steps.append((clock + step, m00, m10, m01, m11))
            a, b, c, d = self.matrix(lr)
            m00, m01, m10, m11 = a * m00 + b * m10, a * m01 + b * m11, c * m00 + d * m10, c * m01 + d * m11
        return steps

    def drift_until(self, marks: Tensor, ahead: Tensor, like: Tensor) -> Drift:
        if not self.weight_decay:  # the matrices have the first column (1, 0): a third of the work
            (_, _, since01, since11), (_, _, m01, m11) = self.products.since(marks).unbind(1), ahead.unbind(1)
            both = torch.stack((torch.addcmul(since01, since11, m01), since11 * m11)).to(like.device, like.dtype)
            both01, both11 = both.unsqueeze(2).unbind(0)
            return 1.0, both01, 0.0, both11
        # Both are stored by column, which is to say transposed, and so is their product
        return _entries(torch.bmm(self.products.since(marks).view(-1, 2, 2), ahead.reshape(-1, 2, 2)), like)

    def apply(self, drift: Drift, values: Values) -> Values:
        if values.velocity is None:
            return Values(self.alpha_after(drift, values))
        velocity = values.velocity * drift[3]
        if self.weight_decay:
            velocity = _add(velocity, values.alpha, drift[2])
        return Values(self.alpha_after(drift, values), velocity)

    def alpha_after(self, drift: Drift, values: Values, out: Tensor | None = None) -> Tensor:
        # Without decay drift[0] is one and drift[2] zero, exactly.
        alpha = torch.mul(values.alpha, drift[0], out=out) if self.weight_decay else values.alpha
        return alpha if values.velocity is None else _add(alpha, values.velocity, drift[1], out)

    def step(self, values: Values, drift: Drift, alpha: Tensor, grad: Tensor, lr: Number, out: Values) -> None:
        mu, decay = self.momentum, self.weight_decay
        if values.velocity is None or out.velocity is None:
            _descend(_shrink(alpha, lr * decay, out.alpha), grad, lr, out.alpha)
            return
        # v <- mu v + decay alpha + grad: the second row of the matrix, times the drift
        velocity = _add(grad, values.velocity, mu * drift[3] + decay * drift[1], out.velocity)
        if decay:
            _add(velocity, values.alpha, mu * drift[2] + decay * drift[0], velocity)
        if self.nesterov:
            if decay:
                alpha = _shrink(alpha, lr * decay, out.alpha)
            _descend(_descend(alpha, grad, lr, out.alpha), velocity, lr * mu, out.alpha)
        else:
            _descend(alpha, velocity, lr, out.alpha)

    def advance(self, rates: Sequence[float]) -> None:
        self.products.advance([self.matrix(lr) for lr in rates])
        self.live = self.products.which


class Proximal(Motion):
    """A penalty: after the gradient, each step takes the proximal step of ``lr * strength * f(row)``.

    Steps without a gradient depend on the past through one sum alone: that of ``log(1 + lr * strength)`` for l2, whose
    factors multiply, and of the thresholds ``lr * strength`` for l1 and the group norm. A drift is that sum; a mark
    is the sum from the start, in float64.
    """

    is_still = False

    def __init__(self, name: str, strength: float) -> None:
        self.name, self.strength = name, strength

    def specs(self, row: Spec) -> dict[str, Spec]:
        return {"marks": Spec((), torch.float64)}

    def bind(self, arrays: Storage, time: Time) -> None:
        self.path = time.path

    @property
    def now(self) -> float:
        return self.path

    def drift_since(self, marks: Tensor, like: Tensor) -> Drift:
        return ((self.path - marks)[:, None].to(like.device, like.dtype),)

    def ahead(self, rates: Sequence[float]) -> list[tuple[float, ...]]:
        ends = list(itertools.accumulate((self.length(lr) for lr in rates), initial=self.path))
        return list(zip(ends[1:], ends[:-1], strict=True))

    def drift_until(self, marks: Tensor, ahead: Tensor, like: Tensor) -> Drift:
        return ((ahead - marks[:, None]).to(like.device, like.dtype),)

    def length(self, lr: float) -> float:
        """What one step adds to the path."""
        return math.log1p(lr * self.strength) if self.name == "l2" else lr * self.strength

    def apply(self, drift: Drift, values: Values) -> Values:
        return Values(self.alpha_after(drift, values))

    def alpha_after(self, drift: Drift, values: Values, out: Tensor | None = None) -> Tensor:
        alpha, length = values.alpha, drift[0]
        if self.name == "l2":
            return alpha * (torch.exp(-length) if isinstance(length, Tensor) else math.exp(-length))
        if self.name == "l1":
            return torch.sign(alpha) * torch.clamp(alpha.abs() - length, min=0.0)
        norm = torch.linalg.vector_norm(alpha, dim=1, keepdim=True)  # (B, 1)
        return alpha * torch.clamp(1.0 - length / norm.clamp(min=torch.finfo(norm.dtype).tiny), min=0.0)

    def step(self, values: Values, drift: Drift, alpha: Tensor, grad: Tensor, lr: Number, out: Values) -> None:
        threshold = lr * self.strength
        if self.name != "l2":
            length = threshold
        else:
            length = torch.log1p(threshold) if isinstance(threshold, Tensor) else math.log1p(threshold)
        _descend(alpha, grad, lr, out.alpha)
        out.alpha.copy_(self.alpha_after((length,), out))

    def advance(self, rates: Sequence[float]) -> None:
        for lr in rates:
            self.path += self.length(lr)


def motion_of(own: Hyperparameters, window: int = BLOCK) -> Motion:
    """Of a table's rows; ``window``: as the block of :class:`acestimator.alpha.window.WindowProducts`."""
    if own.penalty is not None and own.penalty[1] > 0:
        return Proximal(*own.penalty)
    if own.momentum or own.weight_decay:
        return Linear(own.momentum, own.nesterov, own.weight_decay, window)
    return Motion()


def _entries(products: Tensor, like: Tensor) -> Drift:
    """Products by column, float64, to the four columns (B, 1) of their entries."""
    m00, m10, m01, m11 = products.to(like.device, like.dtype).view(-1, 4, 1).unbind(1)
    return m00, m01, m10, m11


def _add(base: Tensor, other: Tensor, factor: Number, out: Tensor | None = None) -> Tensor:
    """``base + factor * other``."""
    if isinstance(factor, Tensor):
        return torch.addcmul(base, other, factor, out=out)
    return torch.add(base, other, alpha=factor, out=out)


def _shrink(alpha: Tensor, by: Number, out: Tensor) -> Tensor:
    """``(1 - by) * alpha``."""
    return torch.mul(alpha, 1.0 - by, out=out)


def _descend(alpha: Tensor, direction: Tensor, lr: Number, out: Tensor) -> Tensor:
    """``alpha - lr * direction``."""
    if isinstance(lr, Tensor):
        return torch.addcmul(alpha, direction, lr, value=-1.0, out=out)
    return torch.add(alpha, direction, alpha=-lr, out=out)
