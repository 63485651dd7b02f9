"""The rows of announced steps: gathered once, and moved once, for all of them.

Legend: M samples of a block, each in one of its steps; B of a step; K classes; W width of a stored row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestimator.alpha.layout import Layout
from acestimator.alpha.motion import Drift, Rows


@dataclass
class Block:
    """Steps that were announced, with their rates, and the rows of their samples.

    No row is in two of the steps. So what each of them will see is known from the start, and what each does can wait
    for the end: both are one vectorised operation for all.
    """

    layout: Layout
    sizes: list[int]  # of the steps
    rates: list[float]
    at: Tensor  # (M,) positions, step by step
    rows: Rows  # (M, W) as they are stored
    drift: Drift  # (M, 1) each: from there to the row's step
    alpha: Tensor  # (M, W) after it
    place: Tensor | None  # (M, W)
    columns: Tensor  # (M, 2), float64: each row's rate, and its mark after its step

    def __post_init__(self) -> None:
        self._parts = torch.split(self.alpha, self.sizes)
        self._places = [None] * len(self.sizes) if self.place is None else torch.split(self.place, self.sizes)

    def show(self, number: int) -> Tensor:
        """(B, K) constants of a step, in the block's own memory."""
        return self.layout.show(self._parts[number], self._places[number])

    def show_all(self) -> Tensor:
        """(M, K) constants of all samples, each at its step."""
        return self.layout.show(self.alpha, self.place)

    def part(self, part: slice) -> tuple[Rows, Tensor | None, Drift, Tensor]:
        """Rows, place, drift and constants of some samples."""
        if part.stop == len(self.at) and not part.start:
            return self.rows, self.place, self.drift, self.alpha
        drift = tuple(number[part] if isinstance(number, Tensor) else number for number in self.drift)
        return self.rows.part(part), None if self.place is None else self.place[part], drift, self.alpha[part]
