"""The rows behind :class:`acestimator.AlphaTable` and their optimiser, by position.

Legend: N samples, K classes, B batch, M samples of a block of steps, W width of a stored row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from acestimator._block import Block
from acestimator._hyperparameters import Hyperparameters
from acestimator._layout import OfLabel, Sparse, Wide
from acestimator._motion import Linear, Motion, Proximal, Rows
from acestimator._products import WindowProducts, window_shapes
from acestimator._rounding import stochastic_round
from acestimator._storage import Spec, Storage

_CHUNK = 1 << 22  # elements moved at a time where the whole table is swept
_STEP, _SWEEP, _FLUSH = range(3)  # what a row is rounded for: each has random bits of its own


class LazyRows:
    """Rows that move when they are looked at, by all the steps that they missed.

    Parameters
    ----------
    own : Hyperparameters
    storage : Storage
        With the arrays of :func:`row_specs`.
    device : torch.device
        Where rows are handed out.
    """

    def __init__(self, own: Hyperparameters, storage: Storage, device: torch.device) -> None:
        self.own, self.storage, self.device = own, storage, device
        self.layout = _layout(own)
        self.block: Block | None = None
        self._block_at = torch.empty(0, dtype=torch.int64)
        self._generator = torch.Generator(storage.device)
        self._rounds = own.storage_dtype != own.compute_dtype
        self.bind()

    def bind(self) -> None:
        """Take the arrays, and the time, from the storage."""
        arrays, specs = self.storage, self.storage.specs
        self.alpha = arrays["alpha"]  # (N, W)
        self._velocity = arrays["velocity"] if "velocity" in specs else None  # (N, W)
        self._place = arrays["place"] if "place" in specs else None  # (N, W) classes
        self._mark = arrays["mark"] if "mark" in specs else None  # (N,) time that a row was moved to
        # Numpy's views: writing a number to a tensor takes ten times as long.
        self._counters, self._path = arrays["counters"].numpy(), arrays["path"].numpy()
        self.clock, _, self._oldest = map(int, self._counters)
        self.motion = self._make_motion()
        self._looked: tuple[Tensor, Rows, Tensor | None, int] | None = None
        # Nothing to catch up with, to convert or to select: one index_add_ is a step
        self._adds = (
            type(self.motion) is Motion
            and not self._rounds
            and not isinstance(self.layout, Sparse)
            and self.storage.device == self.device
        )

    # ------------------------------------------------------------------ reading

    def look(self, at: Tensor) -> tuple[Rows, Tensor | None]:
        """Rows (B, W) as of now, and their place; remembered, because a step over the same ones comes next."""
        if self._looked is not None:
            looked, rows, place, version = self._looked
            if rows.alpha._version == version and torch.equal(looked, at):
                return rows, place
        rows, place = self._gather(at)
        if not rows.alpha.is_inference():  # those keep no version
            self._looked = at.clone(), rows, place, rows.alpha._version
        return rows, place

    def show(self, at: Tensor) -> Tensor:
        """(B, K) as of now."""
        rows, place = self.look(at)
        return self.layout.show(rows.alpha, place)

    def show_all(self) -> Tensor:
        """(N, K), flushed."""
        self.flush()
        return self.layout.show(self.alpha, None if self._place is None else self._place.long())

    def norm(self) -> float:
        """Root of the mean squared Euclidean norm of the rows; stores nothing."""
        norms = []
        for part in self._chunks():
            rows = self._fetched(part)
            if self._mark is not None:
                drift = self.motion.drift_since(self._mark[part], rows.alpha)
                rows = Rows(self.motion.alpha_after(drift, rows))
            norms.append(float(torch.linalg.vector_norm(rows.alpha)))
        return math.hypot(*norms) / max(1, self.storage.n_rows) ** 0.5

    # ------------------------------------------------------------------ moving

    def step(self, at: Tensor, grad: Tensor, lr: float) -> None:
        """One step of SGD with the gradient (B, K) of the rows ``at``, summed over repeats."""
        grad = grad.to(self.device, self.own.compute_dtype)
        if self._adds:
            self.alpha.index_add_(0, at, self.layout.narrow(grad, self._places(at)), alpha=-lr)
            self._advance([lr])
        else:
            distinct, which = torch.unique(at, return_inverse=True)
            if len(distinct) < len(at):
                grad = grad.new_zeros(len(distinct), grad.shape[1]).index_add_(0, which.to(self.device), grad)
                at = distinct
            rows, place = self.look(at)
            grad = self.layout.narrow(grad, place)
            rows, place = self.layout.pack(self.motion.step(self.layout.spread(rows, place), grad, lr), place)
            self._scatter(at, rows, place, self._advance([lr])[-1], _STEP)
        self._looked = None

    def open(self, at: Tensor, index: Tensor, sizes: list[int]) -> None:
        """Gather the rows ``at`` (M,), which steps will ask for by parts of ``index``."""
        rows, place = self._gather(at)
        self.block = Block(self.motion, self.layout, index, sizes, rows, place)
        self._block_at, self._looked = at, None

    def close(self) -> None:
        """Write those rows back after the steps taken."""
        if self.block is not None and self.block.rates:
            rows, place, mark = self.block.finish(self._advance(self.block.rates))
            self._scatter(self._block_at[: len(mark)], rows, place, mark, _STEP)
        self.block = None

    def flush(self) -> None:
        """Move every row to now."""
        if self.block is not None:
            raise RuntimeError("the announced rows are not written back yet: call close() first.")
        if self._mark is None:
            return
        for part in self._chunks():
            self._catch_up(part, _FLUSH)
        self._oldest = self.clock
        self._record_time()

    def grow(self, n_rows: int) -> None:
        """Room for so many rows."""
        self.storage.grow(n_rows)
        self.bind()

    def begin(self, first: int, labels: Tensor | None) -> None:
        """Start the rows from ``first`` on as rows of zeros at this time."""
        if self._mark is not None:
            self._mark[first:] = self._now()
        if self._place is not None and labels is not None:
            self._place[first:] = self.layout.first_place(labels).to(self._place.device, self._place.dtype)
        self._record_time()

    def set_time(self, clock: int, oldest: int, path: float) -> None:
        """Set the clock, the least mark, and the length of the penalty's path."""
        self._counters[:] = clock, self.storage.n_rows, oldest
        self._path[0] = path
        self.bind()

    # ------------------------------------------------------------------ inside

    def _make_motion(self) -> Motion:
        own = self.own
        if own.penalty is not None and own.penalty[1] > 0:
            return Proximal(*own.penalty, path=float(self._path[0]))
        if own.momentum or own.weight_decay:
            products = WindowProducts(self.storage["live"], self.storage["archive"], self.clock)
            return Linear(own.momentum, own.nesterov, own.weight_decay, products)
        return Motion()

    def _gather(self, at: Tensor | slice) -> tuple[Rows, Tensor | None]:
        """Rows and their place, moved to now."""
        at = at.to(self.storage.device) if isinstance(at, Tensor) else at
        rows = self._fetched(at)
        if self._mark is not None:
            rows = self.motion.apply(self.motion.drift_since(self._mark[at], rows.alpha), rows)
        return rows, self._places(at)

    def _places(self, at: Tensor | slice) -> Tensor | None:
        return None if self._place is None else self._fetch(self._place, at).long()

    def _fetched(self, at: Tensor | slice) -> Rows:
        """Rows as they are stored, of the network's device and type."""
        compute = self.own.compute_dtype
        velocity = None if self._velocity is None else self._fetch(self._velocity, at).to(compute)
        return Rows(self._fetch(self.alpha, at).to(compute), velocity)

    def _fetch(self, array: Tensor, at: Tensor | slice) -> Tensor:
        """(B, W) on the network's device."""
        if isinstance(at, slice):
            staged = array[at]
        elif self.storage.pinned:  # so that the copy to the GPU need not wait for the host
            staged = torch.empty(len(at), array.shape[1], dtype=array.dtype, pin_memory=True)
            torch.index_select(array, 0, at, out=staged)
        else:
            staged = array.index_select(0, at)
        return staged.to(self.device, non_blocking=True)

    def _scatter(
        self, at: Tensor | slice, rows: Rows, place: Tensor | None, mark: float | Tensor, purpose: int
    ) -> None:
        """Write rows back, of the time ``mark``: one, or one a row. No row twice."""
        device = self.storage.device
        at = at.to(device) if isinstance(at, Tensor) else at
        if self._rounds:
            self._generator.manual_seed((self.own.seed * 1_000_003 + self.clock * 4 + purpose) % (1 << 32))
        for array, values in ((self.alpha, rows.alpha), (self._velocity, rows.velocity)):
            if array is not None and values is not None:
                values = values.to(device)
                if self._rounds:
                    values = stochastic_round(values, array.dtype, self._generator)
                _write(array, at, values)
        if isinstance(self.layout, Sparse) and self._place is not None and place is not None:
            _write(self._place, at, place.to(device, self._place.dtype))
        if self._mark is not None:
            self._mark[at] = mark.to(device, self._mark.dtype) if isinstance(mark, Tensor) else mark

    def _advance(self, rates: Sequence[float]) -> list[float]:
        """Move the clock by steps of these rates; returns the mark after each."""
        if isinstance(self.motion, Linear):
            capacity = self.motion.products.capacity
            if self.clock + len(rates) - self._oldest > capacity:
                self._sweep(self.clock - capacity // 2)
        marks = self.motion.advance(rates)
        self.clock += len(rates)
        self._record_time()
        return marks

    def _sweep(self, horizon: int) -> None:
        """Move the rows last seen before ``horizon``, which the window would lose.

        At most once in half a window, so its O(N) is spread thin; and few rows wait for so long.
        """
        assert self._mark is not None
        for part in torch.split((self._mark < horizon).nonzero().squeeze(1), self._chunk_rows):
            self._catch_up(part, _SWEEP)
        self._oldest = horizon

    def _catch_up(self, part: Tensor | slice, purpose: int) -> None:
        """Move rows to now."""
        self._scatter(part, *self._gather(part), self._now(), purpose)
        self._looked = None

    @property
    def _chunk_rows(self) -> int:
        return max(1, _CHUNK // self.layout.n_classes)

    def _chunks(self) -> Iterator[slice]:
        """All rows, a bounded number at a time."""
        for start in range(0, self.storage.n_rows, self._chunk_rows):
            yield slice(start, min(start + self._chunk_rows, self.storage.n_rows))

    def _now(self) -> float:
        """Mark of a row that is up to date."""
        return self.motion.path if isinstance(self.motion, Proximal) else self.clock

    def _record_time(self) -> None:
        self._counters[:] = self.clock, self.storage.n_rows, self._oldest
        if isinstance(self.motion, Proximal):
            self._path[0] = self.motion.path


def row_specs(own: Hyperparameters) -> dict[str, Spec]:
    """Arrays that a table needs: of its rows, and of its time."""
    width = _layout(own).width
    specs = {"alpha": Spec((width,), own.storage_dtype)}
    if own.momentum:
        specs["velocity"] = Spec((width,), own.storage_dtype)
    if own.needs_labels:
        specs["place"] = Spec((width,), torch.int16 if own.n_classes <= torch.iinfo(torch.int16).max else torch.int32)
    if own.penalty is not None and own.penalty[1] > 0:
        specs["mark"] = Spec((), torch.float64)
    elif own.momentum or own.weight_decay:
        specs["mark"] = Spec((), torch.int64)
        specs |= {name: Spec(shape, torch.float64, by_row=False) for name, shape in window_shapes().items()}
    return specs | {
        "counters": Spec((3,), torch.int64, by_row=False),  # clock, rows in use, the least mark
        "path": Spec((1,), torch.float64, by_row=False),
    }


def _write(array: Tensor, at: Tensor | slice, values: Tensor) -> None:
    if isinstance(at, slice):
        array[at] = values
    else:
        array.index_copy_(0, at, values)


def _layout(own: Hyperparameters) -> Wide:
    if own.variant == "AC2":
        return OfLabel(own.n_classes)
    return Wide(own.n_classes) if own.rivals is None else Sparse(own.n_classes, own.rivals)
