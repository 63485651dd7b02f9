"""The coming steps of :class:`acestimator.AlphaTable`: rows gathered once, and moved once, for all of them.

Legend: M samples of a block, each in one of its steps; B of a step; K classes; W width of a stored row.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor

from acestimator.alpha.layout import Wide
from acestimator.alpha.motion import Drift, Rows


class Steps:
    """The steps that take the samples ``index`` (M,) in turn, as many as ``sizes`` says.

    They are known by where their samples lie in memory: a look at these would make a GPU wait.
    """

    def __init__(self, index: Tensor, sizes: list[int]) -> None:
        self._index, self.sizes = index, sizes  # the memory must not be given to others
        stride = index.element_size() * index.stride(0)
        starts = itertools.accumulate(sizes[:-1], initial=0)
        self._at = {index.data_ptr() + start * stride: step for step, start in enumerate(starts)}

    def number(self, index: Tensor) -> int:
        """Which of them has these samples (B,), a part of the ``index`` that it was made with."""
        step = self._at.get(index.data_ptr())
        if step is None or index.shape[0] != self.sizes[step]:
            raise _unexpected()
        return step


def _unexpected() -> RuntimeError:
    return RuntimeError(
        "open() announced other samples than these as the next ones: "
        "take the parts of its index in order, one a step, leave none out and accumulate none, or close() first."
    )


@dataclass
class Block:
    """Steps that were announced, with their rates, and the gradients of those that were taken.

    No row is in two of the steps. So what each of them will see is known from the start, and what each does can wait
    for the end: both are one vectorised operation for all.
    """

    layout: Wide
    index: Tensor  # (M,), as announced: its parts, in order, are what the steps ask for
    sizes: list[int]  # of the steps
    rates: list[float]
    at: Tensor  # (M,) positions
    rows: Rows  # (M, W) as they are stored
    drift: Drift  # (M, 1) each: from there to the row's step
    alpha: Tensor  # (M, W) after it
    place: Tensor | None  # (M, W)
    columns: Tensor  # (M, 2), float64: each row's rate, and its mark after its step
    grads: list[Tensor] = field(default_factory=list)  # (B, K) of the steps taken

    def __post_init__(self) -> None:
        self._parts = torch.split(self.alpha, self.sizes)
        self._places = [None] * len(self.sizes) if self.place is None else torch.split(self.place, self.sizes)
        self.steps = Steps(self.index, self.sizes)

    def show(self, index: Tensor) -> Tensor:
        """(B, K) constants of a step."""
        step = self.steps.number(index)
        return self.layout.show(self._parts[step], self._places[step])

    def step(self, index: Tensor, grad: Tensor, lr: float | None) -> None:
        """Take the gradient (B, K) of the next step."""
        step = self.steps.number(index)
        if step != len(self.grads):
            raise _unexpected()
        if grad.shape != (self.sizes[step], self.layout.n_classes):
            raise ValueError(
                f"grad has shape {tuple(grad.shape)}, expected ({self.sizes[step]}, {self.layout.n_classes}): "
                "one row per sample of the step and one column per class."
            )
        if lr is not None and lr != self.rates[step]:
            raise ValueError(
                f"step() was given the rate {lr!r} and open() {self.rates[step]!r}: "
                "announce the rates of the steps, as open(index, sizes, rates)."
            )
        self.grads.append(grad)

    def part(self, part: slice) -> tuple[Rows, Tensor | None, Drift, Tensor]:
        """Rows, place, drift and constants of some samples."""
        if part.stop == len(self.index) and not part.start:
            return self.rows, self.place, self.drift, self.alpha
        drift = tuple(number[part] if isinstance(number, Tensor) else number for number in self.drift)
        return self.rows.part(part), None if self.place is None else self.place[part], drift, self.alpha[part]
