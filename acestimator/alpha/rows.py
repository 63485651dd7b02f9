"""The rows behind :class:`acestimator.AlphaTable` and their optimiser, by position.

Legend: N samples, K classes, B batch, M samples of a block of steps, W width of a stored row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from acestimator.alpha.block import Block
from acestimator.alpha.clock import TIME_SPECS, Clock
from acestimator.alpha.hyperparameters import Hyperparameters
from acestimator.alpha.ids import has_repeats
from acestimator.alpha.layout import Batch, Layout, Shown, layout_of
from acestimator.alpha.motion import Drift, Motion, Values, motion_of
from acestimator.alpha.storage import Spec, Storage
from acestimator.alpha.transfer import FLUSH, STEP, SWEEP, Transfer, slices
from acestimator.alpha.window import from_floats

_CHUNK = 1 << 22  # elements moved at a time where the whole table is swept
_CACHED = 1 << 18  # elements moved at a time where they may stay in a processor's cache


class LazyRows:
    """Rows that move when they are looked at, by all the steps that they missed.

    Parameters
    ----------
    own : Hyperparameters
    storage : Storage
        With the arrays of :func:`row_specs`.
    device : torch.device
        Where rows are handed out.
    layout : Layout
    motion : Motion
    """

    def __init__(
        self, own: Hyperparameters, storage: Storage, device: torch.device, layout: Layout, motion: Motion
    ) -> None:
        self.own, self.storage, self.device, self.layout, self.motion = own, storage, device, layout, motion
        self.block: Block | None = None  # of the steps that are announced
        self.transfer = Transfer(own, storage, device)
        # Nothing to catch up with, to convert or to select: a step is one index_add_
        self._one_addition = (
            motion.is_still and not layout.moves_classes and not self.transfer.rounds and self.transfer.local
        )
        self.bind()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.block is not None:
            raise RuntimeError("steps are announced: a table cannot be copied or pickled before they are over.")
        return rows_of, (self.own, self.storage, self.device)  # all else are views of what lies in the storage

    def bind(self) -> None:
        """Take the arrays, and the time, from the storage."""
        self.transfer.bind()
        self._time = Clock(self.storage)
        time = self._time.read()
        self.clock, self._oldest = time.clock, time.oldest
        self.motion.bind(self.storage, time)
        self._recent: tuple[Tensor, Batch] | None = None  # the last rows that were shown, by their positions
        self._step_of: tuple[list[int], Tensor] = [], torch.empty(0)  # sizes of a block, and (M,) the step of each row

    # ------------------------------------------------------------------ reading

    def shown(self, at: Tensor) -> Shown:
        """Rows (B,) as of now, until the next call of any method."""
        batch = self._gather(at)
        return self.layout.shown(batch.alpha, batch.classes)

    def copied(self, at: Tensor) -> Tensor:
        """(B, K) as of now, to keep."""
        if self._one_addition:  # a step will not ask for them again
            return self.layout.show(self.transfer.fetch(self.transfer.alpha, at), self.transfer.classes_of(at))
        return self.shown(at).alpha.clone()

    def show_all(self) -> Tensor:
        """(N, K), flushed."""
        self.flush()
        classes = self.transfer.classes
        return self.layout.show(self.transfer.alpha, None if classes is None else classes.long())

    def norm(self, as_of_now: bool = True) -> float:
        """Root of the mean squared Euclidean norm of the rows; as their last visits left them, or as of now.

        Stores nothing.
        """
        norms = []
        for part in self._chunks():
            alpha = self.transfer.fetch(self.transfer.alpha, part).to(self.own.compute_dtype)
            if as_of_now and not self.motion.is_still:
                stored = self.transfer.values(part)
                alpha = self.motion.alpha_after(self._drift(part, stored), stored)
            norms.append(float(torch.linalg.vector_norm(alpha)))
        return math.hypot(*norms) / max(1, self.storage.n_rows) ** 0.5

    def recent(self, at: Tensor) -> Batch | None:
        """The last rows that were shown, if they are these and nothing has moved since."""
        recent = self._recent
        return recent[1] if recent is not None and torch.equal(recent[0], at) else None

    # ------------------------------------------------------------------ moving

    def step(self, at: Tensor, grad: Tensor, lr: float) -> None:
        """One step of SGD with the gradient (B, K) of the rows ``at``, summed over repeats."""
        grad = grad.to(self.device, self.own.compute_dtype)
        if not self._one_addition or at.shape[0] > self.storage.at_once:
            at, grad = _summed(at, grad)
        if self._one_addition:
            self._advance([lr])
            self.transfer.add(at, self.layout.narrow(grad, self.transfer.classes_of(at)), -lr, self._commit)
        else:
            batch = self._gather(at)
            self.layout.move(self.motion, batch, grad, lr)
            self._recent = None
            self._check_fits(batch.stored)
            self._advance([lr])
            self._write(batch.at, batch.stored, batch.classes, self.motion.now, STEP)
        self._recent = None

    def announce(self, at: Tensor, sizes: list[int], rates: list[float]) -> Block:
        """Gather the rows ``at`` (M,), all different, of coming steps of so many samples and these rates."""
        lines = [(rate, *line) for rate, line in zip(rates, self.motion.ahead(rates), strict=True)]
        if self._step_of[0] != sizes:  # an epoch is like the one before
            steps = torch.repeat_interleave(torch.tensor(sizes), output_size=len(at))  # (M,)
            self._step_of = sizes, steps.to(self.storage.device)
        table = from_floats(lines).to(self.storage.device).index_select(0, self._step_of[1])  # (M, 2 + d)
        at = at.to(self.storage.device)
        stored = self.transfer.values(at, reuse=True)
        drift: Drift = ()
        if not self.motion.is_still:
            drift = self.motion.drift_until(self.transfer.marks_of(at), table[:, 2:], stored.alpha)
        self._recent = None
        self.block = Block(self.layout, sizes, rates, self._batch(at, stored, drift), table[:, :2])
        return self.block

    def finish(self, block: Block, grad: Tensor | None, n_steps: int) -> None:
        """Move the rows of the first ``n_steps`` steps by their gradients (M, K), and write them back."""
        self.block = None  # whatever happens: no other method could be called any more
        if n_steps and grad is not None:
            n_rows = sum(block.sizes[:n_steps])
            taken = block.batch.part(slice(n_rows))
            grad = grad.to(self.device, self.own.compute_dtype)
            rates = block.columns[:, :1].to(grad)  # (M, 1), as the drift's numbers
            for part in slices(n_rows, max(1, _CACHED // self.layout.n_classes)):
                self.layout.move(self.motion, taken.part(part), grad[part], rates[part])
            self._check_fits(taken.stored)
            self._advance(block.rates[:n_steps])
            self._write(taken.at, taken.stored, taken.classes, block.columns[:n_rows, 1], STEP)

    def flush(self) -> None:
        """Move every row to now."""
        if self.motion.is_still:
            return
        self.storage.touch()
        for part in self._chunks():
            self._catch_up(part, FLUSH)
        self._oldest = self.clock
        self._commit()

    def grow(self, n_rows: int) -> None:
        """Room for so many rows."""
        self.storage.grow(n_rows)
        self.bind()

    def begin(self, first: int, labels: Tensor | None, clock: int | None = None) -> None:
        """Begin the rows from ``first`` on, which are zeros, now; or all rows at this time."""
        if clock is not None:
            self._time.write(clock, clock, self.storage.n_rows, 0, 0.0)
            self.bind()
            self.motion.start()
        marks, classes = self.transfer.marks, self.transfer.classes
        if marks is not None:
            marks[first:] = self.motion.now
        if classes is not None and labels is not None:
            for part in slices(len(labels), self._chunk_rows):  # as int64 all of them would be four times the result
                classes[first:][part] = self.layout.first_classes(labels[part]).to(classes.device)
        self._commit()

    # ------------------------------------------------------------------ inside

    def _gather(self, at: Tensor) -> Batch:
        """Rows as of now; remembered, because a step over the same ones comes next."""
        if (recent := self.recent(at)) is not None:
            return recent
        key = at.clone()  # the caller may use his memory again
        there = key.to(self.storage.device)
        stored = self.transfer.values(there, reuse=True)
        batch = self._batch(there, stored, self._drift(there, stored))
        self._recent = key, batch
        return batch

    def _batch(self, at: Tensor, stored: Values, drift: Drift) -> Batch:
        """Rows with their constants after the drift."""
        alpha = self.motion.alpha_after(drift, stored, self.transfer.memory_for("now", stored.alpha, len(at)))
        return Batch(at, stored, drift, alpha, self.transfer.classes_of(at))

    def _drift(self, at: Tensor | slice, stored: Values) -> Drift:
        """Drift of rows from their marks to now."""
        return () if self.motion.is_still else self.motion.drift_since(self.transfer.marks_of(at), stored.alpha)

    def _write(
        self, at: Tensor | slice, moved: Values, classes: Tensor | None, mark: float | Tensor, purpose: int
    ) -> None:
        """Write rows back, of the time ``mark``: one, or one a row. No row twice."""
        seed = (self.own.seed * 1_000_003 + self.clock * 4 + purpose) % (1 << 32)
        classes = classes if self.layout.moves_classes else None
        self.transfer.write(at, moved, classes, mark, seed, self._commit)

    def _check_fits(self, moved: Values) -> None:
        """Raise ValueError if rows do not fit into float16, the one type whose numbers end at 65,504."""
        if self.own.storage_dtype != torch.float16:
            return
        largest = torch.finfo(torch.float16).max
        for name, array in zip(("constants", "velocities"), moved, strict=True):
            if array is not None and len(array) and not float(array.abs().max()) <= largest:
                raise ValueError(
                    f"{name} would be up to {float(array.abs().max()):.3g}, and float16 ends at {largest:.0f}: nothing "
                    "was written; take dtype=torch.bfloat16, or a lower lr."
                )

    def _advance(self, rates: Sequence[float]) -> None:
        """Move the time by steps of these rates; it is kept at the next :meth:`_commit`."""
        self.storage.touch()
        capacity = self.motion.capacity
        if self.clock + len(rates) - self._oldest > capacity:
            self._sweep(self.clock - int(capacity) // 2)
        self.motion.advance(rates)
        self.clock += len(rates)

    def _sweep(self, horizon: int) -> None:
        """Move the rows last seen before ``horizon``, which the window would lose.

        At most once in half a window, so its O(N) is spread thin; and few rows wait for so long.
        """
        assert self.transfer.marks is not None
        for part in torch.split((self.transfer.marks < horizon).nonzero().squeeze(1), self._chunk_rows):
            self._catch_up(part, SWEEP)
        self._oldest = horizon

    def _catch_up(self, at: Tensor | slice, purpose: int) -> None:
        """Move rows to now."""
        stored = self.transfer.values(at)
        moved = self.motion.apply(self._drift(at, stored), stored)
        self._write(at, moved, None, self.motion.now, purpose)
        self._recent = None

    @property
    def _chunk_rows(self) -> int:
        return max(1, _CHUNK // self.layout.n_classes)

    def _chunks(self) -> Iterator[slice]:
        """All rows, a bounded number at a time."""
        return slices(self.storage.n_rows, self._chunk_rows)

    def _commit(self) -> None:
        """Make the clock turn: what has been written is so for good."""
        self._time.write(self.clock, self._oldest, self.storage.n_rows, self.motion.live, self.motion.path)


def rows_of(own: Hyperparameters, storage: Storage, device: torch.device) -> LazyRows:
    """Rows that lie in a storage."""
    return LazyRows(own, storage, device, layout_of(own), motion_of(own))


def _summed(at: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Each of the positions (B,) once, with the sum of its gradients (B, K)."""
    if not has_repeats(at):
        return at, grad
    distinct, which = torch.unique(at, return_inverse=True)
    return distinct, grad.new_zeros(len(distinct), grad.shape[1]).index_add_(0, which.to(grad.device), grad)


def row_specs(own: Hyperparameters, layout: Layout, motion: Motion) -> dict[str, Spec]:
    """Arrays that a table needs: of its rows, and of its time."""
    specs = layout.specs(own.storage_dtype)
    return specs | motion.specs(specs["alpha"]) | TIME_SPECS
