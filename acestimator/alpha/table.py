"""AlphaTable: one row of constants per training sample, with an exact and lazy optimiser.

Legend: N samples, K classes, B batch, M samples of a block of steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor

from acestimator.alpha import kernel
from acestimator.alpha.announced import Steps, first_bad, what_is_bad
from acestimator.alpha.file import Closed
from acestimator.alpha.hyperparameters import (
    Hyperparameters,
    Penalty,
    Variant,
    announcement,
)
from acestimator.alpha.ids import Ids, SampleIds, positions
from acestimator.alpha.labels import Labels, check_labels
from acestimator.alpha.loss import ClassWeights, Reduction, cross_entropy
from acestimator.alpha.pending import Pending
from acestimator.alpha.rows import LazyRows
from acestimator.alpha.state import keep_names, load, new_rows, resumed, state_of
from acestimator.checks import check_count, check_rate


class AlphaTable:
    r"""The sample-category constants alpha and the optimiser that moves them.

    A row that is not in the batch still moves under dense SGD, through momentum, decay or a penalty.
    Here it moves when it is next looked at, by the product of all the steps it missed, so that
    ``dense()`` and ``rows()`` always equal what ``torch.optim.SGD`` on a dense (N, K) parameter would
    hold, at a cost that does not depend on N.

    Parameters
    ----------
    n_samples, n_classes : int
        N and K.
    variant : {"AC1", "AC2"}, default="AC1"
        AC1 keeps K constants a sample; AC2 one, on the sample's observed label.
    labels : Tensor, array or sequence of int, shape (N,), optional
        Observed labels in 0..K-1; needed by AC2, and by AC1 with ``rivals``.
    lr : float
        Learning rate of a step that names none.
    momentum, weight_decay : float, default=0.0
        As in ``torch.optim.SGD``: the decay is coupled, i.e. added to the gradient. The momentum is below 1.
    nesterov : bool, default=False
        Nesterov's form of the momentum.
    penalty : tuple (name, strength), optional
        ``("l2", s)``, ``("l1", s)`` or ``("group", s)``: after every step each row of the table takes the
        proximal step of ``lr * s * f``, with f the half squared norm, the l1 norm or the Euclidean norm of the row.
        Excludes momentum, with which skipped steps would have no closed form, and weight decay.
    rivals : int, optional
        Of AC1's K constants keep that of the observed label and this many others, the largest in size after each
        visit; what is dropped is zero. An approximation, for K in the hundreds.
    ids : Tensor or sequence of int or of str, shape (N,), optional
        The user's own names of the samples. If they are given, every ``index`` below holds ids in place of positions.
    dtype : torch.dtype, default=torch.float32
        float64, float32, bfloat16 or float16. Rows of the latter two are computed in float32 and rounded
        stochastically when they are stored.
    device : torch.device or str, default="cpu"
        Where rows are handed out and gradients taken.
    storage : {"device", "pinned"}, default="device"
        "pinned" keeps the table in the host's page-locked memory, beside a network on a GPU.
    file : path, optional
        Keep the table in this file, which must not be there yet, mapped into memory. :meth:`close` lets go of it, and
        :meth:`resume` opens it again. Of several processes each needs a file of its own, with its rank in the name.
    fused : bool, default=False
        On a GPU, compute :meth:`gradient`, but not :meth:`cross_entropy`, in one Triton kernel. It is tested against
        the torch path, which is the default.
    seed : int, default=0
        Of the stochastic rounding.

    Attributes
    ----------
    n_samples, n_classes : int
    lr : float
    clock : int
        Steps taken.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or labels or ids are missing, of the wrong length or twice there.
    FileExistsError
        If ``file`` is there; BlockingIOError if another process has it open.
    OSError
        If the disk has no room for ``file``.

    Notes
    -----
    For a row with zero gradient one step of SGD is linear in (alpha, velocity),

    .. math:: \begin{pmatrix}\alpha\\v\end{pmatrix} \leftarrow M_t \begin{pmatrix}\alpha\\v\end{pmatrix},
        \quad M_t = \begin{pmatrix}1 - \eta_t\lambda & -\eta_t\mu\\ \lambda & \mu\end{pmatrix}
        \quad\text{or, with Nesterov,}\quad
        \begin{pmatrix}1 - \eta_t\lambda(1+\mu) & -\eta_t\mu^2\\ \lambda & \mu\end{pmatrix},

    the same :math:`M_t` for all rows (:math:`\eta` the rate, :math:`\lambda` the decay, :math:`\mu` the momentum).

    A process that is killed leaves in ``file`` the table as it was after one of the steps. Of a batch that takes more
    than 4 MiB, or of announced steps that do, some rows may have moved by their gradients and others not; each row is
    whole. While steps are announced the file has the table as it was before them.

    Examples
    --------
    In a PyTorch loop, the constants are three lines::

        table = AlphaTable(len(dataset), n_classes, lr=0.3)
        ...
            loss = table.cross_entropy(model(x), y, index)  # in place of F.cross_entropy(model(x), y)
            optimizer.zero_grad(), loss.backward(), optimizer.step()
            table.step_pending()
    """

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        *,
        variant: Variant = "AC1",
        labels: Labels | None = None,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        penalty: Penalty | None = None,
        rivals: int | None = None,
        ids: Ids | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        storage: Literal["device", "pinned"] = "device",
        file: str | os.PathLike[str] | None = None,
        fused: bool = False,
        seed: int = 0,
    ) -> None:
        own = Hyperparameters(
            n_classes=n_classes,
            variant=variant,
            rivals=rivals,
            lr=lr,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            penalty=penalty,
            dtype=str(dtype).split(".")[-1],
            seed=seed,
        )
        n_samples = check_count("n_samples", n_samples)
        labels = check_labels(labels, n_samples, own.n_classes) if own.needs_labels else None
        names = None if ids is None else SampleIds(ids, n_samples)
        self._begin(new_rows(own, n_samples, labels, names, device=device, storage=storage, file=file), names, fused)

    @classmethod
    def resume(
        cls,
        file: str | os.PathLike[str],
        *,
        device: torch.device | str = "cpu",
        fused: bool = False,
        verify: bool = False,
    ) -> AlphaTable:
        """Open the table in a file, to read it or to go on.

        Parameters
        ----------
        file : path
            What ``file`` was when the table was made.
        device, fused
            As in the class.
        verify : bool, default=False
            Read all of the file, and compare it with the checksum that :meth:`sync` and :meth:`close` write. Without
            it, damage is seen in the description and in the time alone.

        Raises
        ------
        ValueError
            If it is not such a file, of another version, of the wrong size, damaged in its description, or not whole,
            as one whose process ended while it was made; with ``verify`` if it is damaged anywhere, or has moved since
            its checksum was written.
        BlockingIOError
            If another process has it open: two would write to one file. It is locked from when it is made or opened
            until it is closed, its table is gone, or its process has ended.
        """
        return cls._of(*resumed(file, device, verify), fused)

    @classmethod
    def _of(cls, rows: LazyRows, names: SampleIds | None = None, fused: bool = False) -> AlphaTable:
        """Table of these rows."""
        table = cls.__new__(cls)
        table._begin(rows, names, fused)
        return table

    def _begin(self, rows: LazyRows, names: SampleIds | None, fused: bool) -> None:
        """Be the table of these rows; every table begins here."""
        self._rows, self._ids, self._file = rows, names, rows.storage.file
        self._fused = fused and kernel.usable(rows.device) and rows.own.compute_dtype == torch.float32
        self._pending = Pending()

    @property
    def n_samples(self) -> int:
        """N."""
        return self._rows.storage.n_rows

    @property
    def n_classes(self) -> int:
        """K."""
        return self._rows.own.n_classes

    @property
    def lr(self) -> float:
        """Learning rate of a step that names none."""
        return self._rows.own.lr

    @property
    def clock(self) -> int:
        """Steps taken."""
        return self._rows.clock

    # ------------------------------------------------------------------ reading

    def rows(self, index: Tensor | Ids) -> Tensor:
        """Constants of some samples, as dense SGD would have them now.

        Parameters
        ----------
        index : Tensor of int64, shape (B,)
            Positions in 0..N-1, or ids.

        Returns
        -------
        Tensor, shape (B, K)
            For AC2, zero off the observed label.

        Raises
        ------
        IndexError
            If a position is outside 0..N-1, or an id not known.
        """
        self._refuse_announced()
        return self._rows.copied(self._positions(index))

    def dense(self) -> Tensor:
        """Return the whole table, (N, K), up to date; for AC1 without rivals the storage itself, not a copy.

        It is flushed first: what rows had missed is stored, and rounded where they are stored in 16 bits.
        """
        self._refuse_announced()
        return self._rows.show_all()

    def norm(self, *, as_visited: bool = False) -> float:
        """Root of the mean squared Euclidean norm of the rows.

        Parameters
        ----------
        as_visited : bool, default=False
            Take each row as its last visit left it, without what momentum, decay or a penalty have made of it since:
            a third of the time.
        """
        self._refuse_announced()
        return self._rows.norm(not as_visited)

    def gradient(self, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        r"""Gradient of each sample's cross-entropy in its logits, which is that in its constants. Pure.

        Parameters
        ----------
        logits : Tensor, shape (B, K)
        labels : Tensor of int64, shape (B,)
        index : Tensor of int64, shape (B,)

        Returns
        -------
        grad : Tensor, shape (B, K)
            ``softmax(logits + alpha[index]) - onehot(labels)``.
        log_probability : Tensor, shape (B, K)

        Raises
        ------
        IndexError
            If a position is outside 0..N-1, or an id not known.
        ValueError
            For AC2, if a label is another than the table was made with.
        """
        self._refuse_announced()
        shown = self._rows.shown(self._positions(index))
        shown.check(labels)
        return kernel.gradient(logits, labels, shown.alpha, self._fused)

    # ------------------------------------------------------------------ moving

    def step(self, index: Tensor | Ids, grad: Tensor, lr: float | None = None) -> None:
        """Advance the clock by one step of SGD; touches only the rows in ``index``.

        Parameters
        ----------
        index : Tensor of int64, shape (B,)
            A sample that stands in it twice takes the sum of its gradients.
        grad : Tensor, shape (B, K)
            Gradient in the constants of each sample. AC2 uses the entry of the observed label.
        lr : float, optional
            This step's rate; the table's own where it is not given.

        Raises
        ------
        IndexError
            If a position is outside 0..N-1, or an id not known.
        ValueError
            If ``grad`` is not (B, K), or NaN, infinite or so large somewhere that a row could overflow, or ``lr`` is no
            finite number >= 0. After an error the table is as it was.
        """
        self._refuse_announced()
        if grad.shape != (len(index), self.n_classes):
            raise ValueError(
                f"grad has shape {tuple(grad.shape)}, expected ({len(index)}, {self.n_classes}): "
                "one row per entry of index and one column per class."
            )
        self._step(self._positions(index), grad, lr)

    @contextmanager
    def announce(
        self, index: Tensor | Ids, sizes: Sequence[int], rates: Sequence[float] | None = None
    ) -> Iterator[Steps]:
        """Announce the samples of the coming steps, so that their rows are gathered and moved at one go.

        It changes no result, but for rounding. Each step is known by its place::

            with table.announce(index, sizes, rates) as steps:
                for step in steps:
                    loss = step.cross_entropy(model(x[step.index]), y[step.index])
                    optimizer.zero_grad(), loss.backward(), optimizer.step()
                    step.step()

        ``step.rows()``, ``step.gradient(logits, labels)`` and ``step.step(grad)`` are there for losses by hand. Take
        the steps in order and leave none out. Rows are written back when the context is left, by an exception too:
        those of the steps taken until then. Until then no other method that needs rows may be called.

        Parameters
        ----------
        index : Tensor of int64, shape (M,)
            Positions or ids, all different. It is copied.
        sizes : sequence of int
            Samples of each step; their sum is M.
        rates : sequence of float, optional
            Learning rate of each step; the table's own where they are not given.

        Yields
        ------
        Steps
            A sequence of the steps.

        Raises
        ------
        IndexError
            If a position is outside 0..N-1, or an id not known.
        ValueError
            If a sample stands there twice, if ``sizes`` does not add up to M, if ``rates`` are of another number or
            not finite numbers >= 0, or if they are too many steps; when the context is left, if a gradient is NaN,
            infinite or huge: the steps before it are then taken.
        RuntimeError
            If other steps are announced, or gradients are pending; in the context, if a step is taken out of its order
            or twice.
        """
        self._refuse_announced()
        if self._pending:
            raise RuntimeError("gradients are pending: call step_pending() or discard_pending() first.")
        index = index.clone() if isinstance(index, Tensor) else copy(index)
        at = self._positions(index)
        rates = [self.lr] * len(sizes) if rates is None else rates
        announced = announcement(at, sizes, rates, self._rows.motion.capacity / 2)
        steps = Steps(self._rows, self._rows.announce(at, *announced), index, self._fused)
        try:
            yield steps
        except BaseException:
            steps.finish_finite()
            raise
        if (error := steps.finish_finite()) is not None:
            raise error

    def announced(self, index: Tensor, sizes: list[int], rates: list[float]) -> Steps:
        """As :meth:`announce`, for loops that are known to be right: nothing is checked, nor copied.

        Parameters
        ----------
        index : Tensor of int64, shape (M,)
            Positions, on the table's device.
        sizes : list of int
        rates : list of float

        Returns
        -------
        Steps
            ``gradient(number, logits, labels)`` is that of a step, ``constants`` are those of all M samples, and
            ``finish(grad)`` takes all of the steps, by gradients (M, K).
        """
        return Steps(self._rows, self._rows.announce(index, sizes, rates), index, self._fused)

    def flush(self) -> None:
        """Bring every row up to date."""
        self._refuse_announced()
        self._rows.flush()

    def extend(self, n_samples: int, *, labels: Labels | None = None, ids: Ids | None = None) -> None:
        """Add samples after those that are there, which keep their positions, constants and velocities.

        Parameters
        ----------
        n_samples : int
            How many.
        labels : Tensor, array or sequence of int, shape (n_samples,), optional
            As in the class.
        ids : Tensor or sequence of int or of str, shape (n_samples,), optional
            Needed if the table has ids.

        Raises
        ------
        ValueError
            If labels or ids are missing, of the wrong length, or an id is there already.
        RuntimeError
            If steps are announced.
        OSError
            If the disk has no room: a file that grows beyond its spare room is written anew beside the old one, which
            it then replaces. After an error the table is as it was.
        """
        self._refuse_announced()
        n_samples = check_count("n_samples", n_samples)
        if (ids is None) != (self._ids is None):
            raise ValueError("give ids for new samples if, and only if, the table was made with ids.")
        own, first = self._rows.own, self.n_samples
        labels = check_labels(labels, n_samples, self.n_classes) if own.needs_labels else None
        names = None if self._ids is None or ids is None else self._ids.extended(ids, n_samples)
        self._rows.grow(first + n_samples)
        self._ids = names
        keep_names(self._rows, names)
        self._rows.begin(first, labels)  # the last of it is to count the rows

    def sync(self) -> None:
        """Write a file's changes to the disk now, and a checksum, for which all of the file is read.

        They outlive the process without it, but not a power failure.
        """
        self._rows.storage.sync()

    def close(self) -> None:
        """Write a file's changes to the disk, and let go of the file: any use after that is an error.

        A table in memory has no file to let go of, and stays as it is. ``with AlphaTable(...) as table:`` closes the
        table at its end. Gradients that are pending are given up.

        Raises
        ------
        RuntimeError
            If steps are announced.
        """
        if self._file is None:
            return
        self._refuse_announced()
        self.sync()
        self._rows.storage.release()
        self._rows, self._file = cast(LazyRows, Closed(self._file)), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ in a loop of one's own

    def cross_entropy(
        self,
        logits: Tensor,
        labels: Labels,
        index: Tensor | Ids,
        *,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        weight: ClassWeights | None = None,
    ) -> Tensor:
        r"""Softmax cross-entropy of ``logits + alpha[index]``, differentiable in the logits.

        ``backward`` leaves each sample's own gradient, :math:`\mathrm{softmax}(m + \alpha) - \mathrm{onehot}(y)`, to
        :meth:`step_pending`, whatever the loss was divided or multiplied by on the way (the batch's size,
        accumulation, a loss scale). With smoothing, class weights or probabilities for labels it is
        :math:`p \sum_k t_k - t`, where :math:`p = \mathrm{softmax}(m + \alpha)` and :math:`t_k` is the weight of class
        k times its smoothed probability: the gradient of the sample's loss as ``reduction="none"`` returns it.

        Parameters
        ----------
        logits : Tensor, shape (B, K)
            Of the network; computed in float32 if they are in 16 bits.
        labels : Tensor, array or sequence of int, shape (B,)
            Observed labels. As in ``torch.nn.functional.cross_entropy``, samples with the label -100 are left out: they
            have no gradient, and no part in the mean. Or probabilities of the classes, floating numbers of shape
            (B, K), as of mixup. AC2 does not compare these with the labels that it was made with.
        index : Tensor of int64, shape (B,)
            The samples: positions in 0..N-1, or ids.
        reduction : {"mean", "sum", "none"}, default="mean"
            As in ``torch.nn.functional.cross_entropy``: with ``weight`` and integer labels a mean is divided by the sum
            of the samples' weights.
        label_smoothing : float, default=0.0
            From 0 to 1: how far a label is moved towards equal probabilities.
        weight : Tensor, array or sequence of float, shape (K,), optional
            Of the classes. It is part of a sample's loss, and so of the step of its constants, other than what the loss
            is multiplied by afterwards.

        Returns
        -------
        Tensor
            A number, or (B,) with ``reduction="none"``.

        Raises
        ------
        IndexError
            If a position is outside 0..N-1, or an id not known.
        ValueError
            If the shapes do not fit, if a label is no integer or outside 0..K-1 (on a GPU this is torch's error), or
            for AC2 another than the table was made with; if ``reduction`` is unknown or ``label_smoothing`` not from 0
            to 1; or if ``weight``, or probabilities for labels, require a gradient, which they would not get.

        Warns
        -----
        UserWarning
            Once, if gradients of the same samples are pending.
        """
        self._refuse_announced()
        at = self._positions(index).clone()  # a loader may use its memory again
        record = self._pending.expect(at, logits.requires_grad)
        return cross_entropy(logits, labels, self._rows.shown(at), record, reduction, label_smoothing, weight)

    def step_pending(self, lr: float | None = None) -> None:
        """Step with what ``backward`` left since the last time, summed over each sample.

        Parameters
        ----------
        lr : float, optional
            As in :meth:`step`.

        Raises
        ------
        RuntimeError
            If no gradient is pending.
        ValueError
            As in :meth:`step`. The table is as it was, and the gradients are still pending.
        """
        self._refuse_announced()
        self._step(*self._pending.all(), lr)
        self._pending.clear()

    def discard_pending(self) -> None:
        """Forget what ``backward`` left, as after a step that a loss scaler skips."""
        self._pending.clear()

    # ------------------------------------------------------------------ saving

    def state_dict(self, *, leave_out_pending: bool = False) -> dict[str, Any]:
        """All that a table needs to go on bit for bit.

        Parameters
        ----------
        leave_out_pending : bool, default=False
            Leave out gradients that are pending, as of batches half accumulated. By default they are an error.

        Returns
        -------
        dict
            Numbers, strings and tensors, for ``torch.save``. As in torch's optimisers the tensors are the table's own,
            not copies.

        Raises
        ------
        RuntimeError
            If gradients are pending, or steps are announced.
        """
        self._refuse_announced()
        if self._pending and not leave_out_pending:
            raise RuntimeError("gradients are pending: call step_pending() or discard_pending() first.")
        return state_of(self._rows, self._ids)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the table that ``state`` was taken of, rate and seed included.

        Parameters
        ----------
        state : dict
            Of :meth:`state_dict`.

        Raises
        ------
        ValueError
            If it is of a table of another kind, size or version. The table is as it was.
        RuntimeError
            If steps are announced.
        """
        self._refuse_announced()
        self._ids = load(self._rows, self._ids, state)
        self._pending.clear()

    # ------------------------------------------------------------------ inside

    def _step(self, at: Tensor, grad: Tensor, lr: float | None) -> None:
        """One step, if the gradient and the rate are finite, and no row overflows."""
        rate, grad = self._rows.own.lr if lr is None else check_rate("lr", lr), grad.detach()
        if (bad := first_bad(grad, self._rows.own.largest_gradient(rate))) is not None:
            raise ValueError(
                f"grad is {what_is_bad(grad, bad)}: "
                "leave this step out (discard_pending(), in a loop), and look for what diverged."
            )
        self._rows.step(at, grad, rate)

    def _positions(self, index: Tensor | Ids) -> Tensor:
        """Positions (B,) of samples, checked."""
        if self._ids is not None:
            return self._ids.positions(index).to(self._rows.device)
        if (
            isinstance(index, Tensor)
            and index.dtype == torch.int64
            and index.device == self._rows.device
            and self._rows.recent(index) is not None
        ):
            return index  # checked when it was shown
        return positions(index, self.n_samples).to(self._rows.device)

    def _refuse_announced(self) -> None:
        if self._rows.block is not None:
            raise RuntimeError(
                "steps are announced, whose rows are not written back yet: use these steps, or leave the with block of "
                "announce() first."
            )
