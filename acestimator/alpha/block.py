"""The rows of announced steps: gathered once, and moved once, for all of them.

Legend: M samples of a block, each in one of its steps; B of a step; K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from acestimator.alpha.layout import Batch, Layout, Shown


@dataclass
class Block:
    """Steps that were announced, with their rates, and the rows of their samples.

    No row is in two of the steps. So what each of them will see is known from the start, and what each does can wait
    for the end: both are one vectorised operation for all.
    """

    layout: Layout
    sizes: list[int]  # of the steps
    rates: list[float]
    batch: Batch  # the M rows, step by step, each with the drift to its own step
    columns: Tensor  # (M, 2), float64: each row's rate, and its mark after its step

    def __post_init__(self) -> None:
        classes = self.batch.classes
        self._alpha = self.batch.alpha.split_with_sizes(self.sizes)
        self._classes = [None] * len(self.sizes) if classes is None else classes.split_with_sizes(self.sizes)

    def show(self, number: int) -> Tensor:
        """(B, K) constants of a step, in the block's own memory."""
        return self.layout.show(self._alpha[number], self._classes[number])

    def shown(self, number: int) -> Shown:
        """The same, with what else a loss has to know."""
        return self.layout.shown(self._alpha[number], self._classes[number])

    def show_all(self) -> Tensor:
        """(M, K) constants of all samples, each at its step."""
        return self.layout.show(self.batch.alpha, self.batch.classes)
