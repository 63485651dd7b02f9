"""Rows of the coming steps of :class:`acestimator.AlphaTable`, gathered once and moved once.

Legend: M samples of a block, each in one of its steps; B of a step; W width of a stored row; K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator._layout import Wide
from acestimator._motion import Drift, Motion, Proximal, Rows


class Block:
    """What each step sees and does, kept until all rows can be moved by one vectorised step.

    Within a block no row is seen twice. What a step sees of its rows is what the steps before it made of them without a
    gradient, and their rates are known by then; what it does to its rows can wait for the end.

    Parameters
    ----------
    motion, layout
        The table's.
    index : Tensor, shape (M,)
        The samples as they were announced. Parts of it, in order, are what the steps ask for.
    sizes : list of int
        Samples of each step; their sum is M.
    rows : Rows
        (M, W), as of now.
    place : Tensor, shape (M, W), optional
    """

    def __init__(
        self, motion: Motion, layout: Wide, index: Tensor, sizes: list[int], rows: Rows, place: Tensor | None
    ) -> None:
        self.motion, self.layout, self.rows_before, self.place, self.sizes = motion, layout, rows, place, sizes
        nothing = [None] * len(sizes)
        velocities = nothing if rows.velocity is None else torch.split(rows.velocity, sizes)
        self._parts = [Rows(*part) for part in zip(torch.split(rows.alpha, sizes), velocities, strict=True)]
        self._places = nothing if place is None else torch.split(place, sizes)
        self._pointer, self._stride = index.data_ptr(), index.element_size() * index.stride(0)
        self.rates: list[float] = []  # of the steps taken
        self._grads: list[Tensor] = []
        self._drift: Drift = motion.no_drift  # from the beginning of the block to now
        self._drifts: list[Drift] = []  # to each step taken

    def rows(self, index: Tensor) -> Tensor:
        """(B, K) constants of the next step."""
        step = self._expect(index)
        return self.layout.show(self.motion.alpha_after(self._drift, self._parts[step]), self._places[step])

    def upcoming(self, index: Tensor) -> tuple[Tensor, Tensor | None, tuple[float, float]]:
        """Constants and velocities (B, K) of the next step, unmoved, and the factors that add them up to its rows."""
        step = self._expect(index)
        part = self._parts[step]
        if type(self.layout) is not Wide or isinstance(self.motion, Proximal):
            return self.rows(index), None, (1.0, 0.0)
        to_alpha, to_velocity, *_ = map(float, self._drift or (1.0, 0.0))
        return part.alpha, part.velocity, (to_alpha, to_velocity)

    def step(self, index: Tensor, grad: Tensor, lr: float) -> None:
        """Take the gradient (B, K) of the next step."""
        self._expect(index)
        self._grads.append(grad)
        self.rates.append(lr)
        self._drifts.append(self._drift)
        self._drift = self.motion.drift_of(lr, self._drift)
        self._pointer += index.shape[0] * self._stride

    def finish(self, marks: list[float]) -> tuple[Rows, Tensor | None, Tensor]:
        """Rows (M', W) of the M' samples of the steps taken, after their steps; their places, and their marks (M',).

        ``marks`` are those after each step taken.
        """
        like, sizes = self.rows_before.alpha, self.sizes[: len(self.rates)]
        taken = sum(sizes)
        # What a row needs to know of its step, a line a step and then a line a row; float64 holds every mark exactly.
        lines = list(zip(marks, self.rates, *zip(*self._drifts, strict=True), strict=True))
        table = torch.tensor(lines, dtype=torch.float64)
        table = table.repeat_interleave(torch.tensor(sizes), dim=0, output_size=taken)
        rates, *drift = table[:, 1:, None].to(like.device, like.dtype).unbind(1)  # (M', 1) each
        place = None if self.place is None else self.place[:taken]
        alpha, velocity = self.rows_before
        rows = Rows(alpha[:taken], None if velocity is None else velocity[:taken])
        rows = self.layout.spread(self.motion.apply(tuple(drift), rows), place)
        grad = self.layout.narrow(torch.cat(self._grads).to(like.dtype), place)
        return *self.layout.pack(self.motion.step(rows, grad, rates), place), table[:, 0]

    def _expect(self, index: Tensor) -> int:
        """Number of the next step, if these are its samples."""
        step = len(self.rates)
        if index.data_ptr() != self._pointer or step == len(self.sizes):
            raise RuntimeError(
                "open() announced other samples than these as the next ones: "
                "take the parts of its index in order, one a step, or close() first."
            )
        return step
