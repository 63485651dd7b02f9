"""What :meth:`acestimator.AlphaTable.announce` yields: the coming steps, each known by its place among them.

Legend: M samples of all steps, B of one; K classes.
"""

from __future__ import annotations

import bisect
import itertools
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from acestimator.alpha import kernel
from acestimator.alpha.block import Block
from acestimator.alpha.ids import Ids
from acestimator.alpha.labels import Labels
from acestimator.alpha.layout import Shown
from acestimator.alpha.loss import ClassWeights, Reduction, cross_entropy
from acestimator.alpha.rows import LazyRows


class Steps:
    """Steps that were announced, in their order. :meth:`finish` moves the rows of all of them at one go.

    Parameters
    ----------
    rows : LazyRows
    block : Block
        Of these steps, announced to ``rows``.
    index : Tensor, array or sequence, shape (M,)
        The samples, as they were announced.
    fused : bool
        Compute gradients in one kernel.
    """

    def __init__(self, rows: LazyRows, block: Block, index: Ids, fused: bool) -> None:
        self._rows, self._block, self._index, self._fused = rows, block, index, fused
        self._grad: Tensor | None = None  # (M, K) of the steps taken
        self._n_taken = self._stop = 0  # steps taken, and their samples
        self._left: dict[int, Tensor] = {}  # what backward() left, by step
        self._over = False

    @property
    def sizes(self) -> list[int]:
        """Samples of each step."""
        return self._block.sizes

    @property
    def constants(self) -> Tensor:
        """(M, K), each row as its step sees it. The table's own memory until :meth:`finish`: not to be written to."""
        self._refuse_if_over()
        return self._block.show_all()

    def __len__(self) -> int:
        return len(self._block.sizes)

    def __getitem__(self, number: int) -> Step:
        return Step(self, range(len(self))[number])

    def __iter__(self) -> Iterator[Step]:
        return (Step(self, number) for number in range(len(self)))

    def samples(self, number: int) -> Ids:
        """Samples (B,) of a step, as they were announced."""
        start = sum(self.sizes[:number])
        return self._index[start : start + self.sizes[number]]

    def rows(self, number: int) -> Tensor:
        """Constants (B, K) of a step; the table's own memory, as those of :attr:`constants`."""
        self._refuse_if_over()
        return self._block.show(number)

    def shown(self, number: int) -> Shown:
        """The same, with what else a loss has to know."""
        self._refuse_if_over()
        return self._block.shown(number)

    def gradient(self, number: int, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and log-probabilities, (B, K) both, of a step; see :meth:`acestimator.AlphaTable.gradient`. Pure."""
        return kernel.gradient(logits, labels, self.rows(number), self._fused)

    def leave(self, number: int, grad: Tensor) -> None:
        """Keep what ``backward`` gives for a step, (B, K)."""
        if number in self._left:
            warnings.warn(f"backward() was called twice for step {number}, which takes the sum.", stacklevel=2)
            grad = grad + self._left[number]
        self._left[number] = grad

    def take(self, number: int, grad: Tensor | None = None) -> None:
        """Take a step with its gradient (B, K), which is copied; by default with what ``backward`` left."""
        self._refuse_if_over()
        if number != self._n_taken:
            raise RuntimeError(
                f"step {number} was to be taken, and the next is step {self._n_taken}: take each once, in order. "
                "To leave some out, leave the with block, and announce() the rest."
            )
        grad = self._left.get(number) if grad is None else grad
        if grad is None:
            raise RuntimeError(f"step {number} has no gradient: give one, or call backward() on its cross_entropy().")
        size, n_classes = self.sizes[number], self._block.layout.n_classes
        if grad.shape != (size, n_classes):
            raise ValueError(
                f"grad has shape {tuple(grad.shape)}, expected {(size, n_classes)}: "
                "one row per sample of the step and one column per class."
            )
        if self._grad is None:
            self._grad = self._rows.transfer.memory_for_gradients(len(self._block.batch.at), n_classes)
        self._grad[self._stop : self._stop + size].copy_(grad.detach() if grad.requires_grad else grad)
        self._left.pop(number, None)
        self._n_taken, self._stop = number + 1, self._stop + size

    def finish(self, grad: Tensor | None = None) -> None:
        """Move the rows and write them back: of all steps by ``grad`` (M, K), or of the steps taken by theirs.

        Raises
        ------
        RuntimeError
            If they are finished already.
        """
        self._refuse_if_over()
        self._over = True
        if grad is not None:
            self._rows.finish(self._block, grad, len(self))
        else:
            self._rows.finish(self._block, self._grad, self._n_taken)

    def finish_finite(self) -> ValueError | None:
        """Finish the steps taken, up to the first one whose gradient is NaN, infinite or huge; the error for that one.

        Nothing, if they are finished already.
        """
        if self._over:
            return None
        grad = None if self._grad is None else self._grad[: self._stop]
        largest = self._rows.own.largest_gradient(max(self._block.rates, default=0.0))
        bad = None if grad is None else first_bad(grad, largest)
        if grad is None or bad is None:
            self.finish()
            return None
        ends = list(itertools.accumulate(self.sizes, initial=0))
        self._n_taken = step = bisect.bisect(ends, bad) - 1
        self.finish()
        return ValueError(
            f"grad of step {step} is {what_is_bad(grad[ends[step] :], bad - ends[step])}: "
            "the steps before it are taken, and no others. Look for what diverged, and announce() the rest."
        )

    def _refuse_if_over(self) -> None:
        if self._over:
            raise RuntimeError("these steps are over: announce() the next ones.")


class Step:
    """One of the announced steps, over B samples.

    Attributes
    ----------
    number : int
        Its place among the steps, from 0.
    index : Tensor of int64, array or sequence, shape (B,)
        The samples, as they were announced.
    """

    __slots__ = ("_steps", "number")

    def __init__(self, steps: Steps, number: int) -> None:
        self._steps, self.number = steps, number

    @property
    def index(self) -> Ids:
        """The samples."""
        return self._steps.samples(self.number)

    def rows(self) -> Tensor:
        """Constants (B, K), as dense SGD would have them at this step.

        They are the table's own memory, until the step is over: neither write to them nor keep them.
        """
        return self._steps.rows(self.number)

    def gradient(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and log-probabilities, (B, K) both; see :meth:`acestimator.AlphaTable.gradient`. Pure."""
        self._steps.shown(self.number).check(labels)
        return self._steps.gradient(self.number, logits, labels)

    def cross_entropy(
        self,
        logits: Tensor,
        labels: Labels,
        *,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        weight: ClassWeights | None = None,
    ) -> Tensor:
        """Loss as of :meth:`acestimator.AlphaTable.cross_entropy`; ``backward`` leaves its gradient to this step."""
        shown = self._steps.shown(self.number)
        return cross_entropy(
            logits, labels, shown, lambda grad: self._steps.leave(self.number, grad), reduction, label_smoothing, weight
        )

    def step(self, grad: Tensor | None = None) -> None:
        """Take the step with a gradient (B, K), which is copied; by default with what ``backward`` left."""
        self._steps.take(self.number, grad)


def first_bad(grad: Tensor, largest: float) -> int | None:
    """First row (B, K) with a number that is NaN, infinite, or larger than this in size."""
    # Their sum of squares takes a fraction of the time to look at; it may also overflow, or be of many numbers.
    flat = grad.reshape(-1) if grad.dtype in (torch.float32, torch.float64) else grad.reshape(-1).float()
    if float(torch.dot(flat, flat)) ** 0.5 <= largest:
        return None
    bad = ~((grad.abs() <= largest) & torch.isfinite(grad)).all(dim=1)
    return int(bad.nonzero()[0]) if bool(bad.any()) else None


def what_is_bad(grad: Tensor, row: int) -> str:
    """What a row of :func:`first_bad` is, for an error."""
    if not bool(torch.isfinite(grad[row]).all()):
        return f"NaN or infinite in row {row}, expected finite numbers"
    return f"{float(grad[row].abs().max()):.3g} in row {row}, of which the constants would overflow"
