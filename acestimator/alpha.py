"""AlphaTable: one row of constants per training sample, with an exact and lazy optimiser.

Legend: N samples, K classes, B batch, W width of a stored row (K for AC1, 1 for AC2).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from acestimator._products import WindowProducts

Variant = Literal["AC1", "AC2"]
Penalty = tuple[str, float]

PENALTIES = ("l2", "l1", "group")
_CHUNK = 1 << 22  # elements moved at a time where the whole table is swept


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
    labels : Tensor of int64, shape (N,), optional
        Observed labels in 0..K-1; needed by AC2 only.
    lr : float
        Learning rate of a step that names none.
    momentum, weight_decay : float, default=0.0
        As in ``torch.optim.SGD``: the decay is coupled, i.e. added to the gradient.
    nesterov : bool, default=False
        Nesterov's form of the momentum.
    penalty : tuple (name, strength), optional
        ``("l2", s)``, ``("l1", s)`` or ``("group", s)``: after every step each row of the table takes the
        proximal step of ``lr * s * f``, with f the half squared norm, the l1 norm or the Euclidean norm of the row.
        Excludes momentum and weight decay, with which skipped steps would have no closed form.
    dtype : torch.dtype, default=torch.float32
    device : torch.device or str, default="cpu"

    Raises
    ------
    ValueError
        If a parameter is out of its range, or labels are missing or of the wrong length for AC2.

    Notes
    -----
    For a row with zero gradient one step of SGD is linear in (alpha, velocity),

    .. math:: \begin{pmatrix}\alpha\\v\end{pmatrix} \leftarrow M_t \begin{pmatrix}\alpha\\v\end{pmatrix},
        \quad M_t = \begin{pmatrix}1 - \eta_t\lambda & -\eta_t\mu\\ \lambda & \mu\end{pmatrix}
        \quad\text{or, with Nesterov,}\quad
        \begin{pmatrix}1 - \eta_t\lambda(1+\mu) & -\eta_t\mu^2\\ \lambda & \mu\end{pmatrix},

    the same :math:`M_t` for all rows (:math:`\eta` the rate, :math:`\lambda` the decay, :math:`\mu` the momentum).
    """

    def __init__(
        self,
        n_samples: int,
        n_classes: int,
        *,
        variant: Variant = "AC1",
        labels: Tensor | None = None,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        penalty: Penalty | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        _check_hyperparameters(variant, lr, momentum, nesterov, weight_decay, penalty)
        self.n_samples, self.n_classes, self.variant = n_samples, n_classes, variant
        self.lr, self.momentum, self.nesterov, self.weight_decay = lr, momentum, nesterov, weight_decay
        self.penalty = penalty if penalty is not None and penalty[1] > 0 else None
        self.labels = _check_labels(labels, n_samples, n_classes).to(device) if variant == "AC2" else None
        width = n_classes if variant == "AC1" else 1
        self._alpha = torch.zeros(n_samples, width, dtype=dtype, device=device)  # (N, W)
        self._velocity = torch.zeros_like(self._alpha) if momentum else None
        self._products = WindowProducts(device) if momentum or weight_decay else None
        self._seen = torch.zeros(n_samples, dtype=torch.int64, device=device) if self._products else None
        # Between open() and close(): positions (M,), their rows (M, W), views of these by step, and the place in them
        self._open_index = self._open_rows = self._alpha
        self._open_parts: list[Tensor] = []
        self._open_step = self._open_pointer = 0
        self._is_open = False
        self._oldest = 0  # no row was last seen before this step
        # A proximal step is a function of the summed rates alone, so one float64 a row remembers where it stands.
        self._shrunk = torch.zeros(n_samples, dtype=torch.float64, device=device) if self.penalty else None
        self._path = 0.0
        self._plain = self._products is None and self._shrunk is None  # rows outside the batch stand still

    # ------------------------------------------------------------------ reading

    def rows(self, index: Tensor) -> Tensor:
        """Constants of some samples, as dense SGD would have them now.

        Parameters
        ----------
        index : Tensor of int64, shape (B,)

        Returns
        -------
        Tensor, shape (B, K)
            For AC2, zero off the observed label.

        Raises
        ------
        IndexError
            If an index is outside 0..N-1.
        """
        if self._open_parts:
            return self._widen(self._next_part(index), index)
        self._check_index(index)
        return self._widen(self._current(index)[0], index)

    def dense(self) -> Tensor:
        """Return the whole table, (N, K), up to date; for AC1 the storage itself, not a copy."""
        self.flush()
        if self.labels is None:
            return self._alpha
        return self._widen(self._alpha, torch.arange(self.n_samples, device=self._alpha.device))

    def norm(self) -> float:
        """Root of the mean squared Euclidean norm of the rows."""
        self.flush()
        return float(torch.linalg.vector_norm(self._alpha)) / max(1, self.n_samples) ** 0.5

    # ------------------------------------------------------------------ moving

    def step(self, index: Tensor, grad: Tensor, lr: float | None = None) -> None:
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
            If an index is outside 0..N-1. The table is as it was.
        ValueError
            If ``grad`` is not (B, K). The table is as it was.
        """
        if self._open_parts:
            self._next_part(index).add_(self._narrow(grad, index), alpha=-(self.lr if lr is None else lr))
            self._open_step += 1
            self._open_pointer += index.shape[0] * index.element_size()
            return
        if grad.shape != (index.shape[0], self.n_classes):
            raise ValueError(
                f"grad has shape {tuple(grad.shape)}, expected ({len(index)}, {self.n_classes}): "
                "one row per entry of index and one column per class."
            )
        rate = self.lr if lr is None else lr
        self._check_index(index)
        grad = self._narrow(grad, index).to(self._alpha.dtype)
        if self._plain:
            self._alpha.index_add_(0, index, grad, alpha=-rate)
        elif self._products is not None:
            self._linear_step(index, grad, rate)
        else:
            self._proximal_step(index, grad, rate)

    def open(self, index: Tensor, sizes: list[int]) -> None:
        """Announce the samples of the coming steps, so that their rows are gathered and written back at one go.

        Until :meth:`close`, ``rows`` and ``step`` take the parts ``torch.split(index, sizes)`` one after the other. It
        changes no result. A table with momentum, decay or penalty moves at every step; it gains only that the
        positions are checked once, which makes a GPU wait once.

        Parameters
        ----------
        index : Tensor of int64, shape (M,)
            All different.
        sizes : list of int
            Samples of each step; their sum is M.

        Raises
        ------
        IndexError
            If an index is outside 0..N-1.
        RuntimeError
            If it was called before without ``close``; and from then on, if ``rows``, ``step``, ``flush`` or ``dense``
            is called in another way.
        """
        if self._is_open:
            raise RuntimeError("open() was called twice: call close() after the steps over the first samples.")
        self._check_index(index)
        self._is_open = True
        if self._plain:
            self._open_index, self._open_rows = index, self._alpha.index_select(0, index)
            self._open_parts = list(torch.split(self._open_rows, sizes))
            self._open_step, self._open_pointer = 0, index.data_ptr()

    def close(self) -> None:
        """Write back the rows that :meth:`open` gathered."""
        if self._open_parts:
            self._alpha.index_copy_(0, self._open_index, self._open_rows)
            self._open_parts = []
        self._is_open = False

    def flush(self) -> None:
        """Bring every row up to date."""
        if self._open_parts:
            raise RuntimeError("the announced rows are not written back yet: call close() first.")
        if self._plain:
            return
        chunk = max(1, _CHUNK // self._alpha.shape[1])
        for start in range(0, self.n_samples, chunk):
            index = torch.arange(start, min(start + chunk, self.n_samples), device=self._alpha.device)
            self._store(index, *self._current(index))
        if self._products is not None:
            self._oldest = self._products.clock

    # ------------------------------------------------------------------ inside

    def _next_part(self, index: Tensor) -> Tensor:
        """Rows of the next of the announced samples, (B, W), a view; they must be the ones asked for."""
        if index.data_ptr() != self._open_pointer or self._open_step == len(self._open_parts):
            raise RuntimeError(
                "open() announced other samples than these as the next ones: "
                "take the parts of its index in order, one a step, or close() first."
            )
        return self._open_parts[self._open_step]

    def _current(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Constants and velocities (B, W) after all the steps that these rows missed."""
        alpha = self._alpha.index_select(0, index)
        if self._products is not None:
            assert self._seen is not None
            products = self._products.since(self._seen[index]).to(alpha.dtype)  # (B, 2, 2)
            if self._velocity is None:
                return products[:, 0, :1] * alpha, None
            velocity = self._velocity[index]
            return (
                products[:, 0, :1] * alpha + products[:, 0, 1:] * velocity,
                products[:, 1, :1] * alpha + products[:, 1, 1:] * velocity,
            )
        if self._shrunk is not None:
            missed = self._path - self._shrunk[index]  # (B,)
            return self._proximal(alpha, missed), None
        return alpha, None

    def _store(self, index: Tensor, alpha: Tensor, velocity: Tensor | None) -> None:
        """Write rows back as of now. Repeats in ``index`` carry equal values, so their order is of no matter."""
        self._alpha.index_copy_(0, index, alpha)
        if velocity is not None:
            assert self._velocity is not None
            self._velocity.index_copy_(0, index, velocity)
        if self._products is not None:
            assert self._seen is not None
            self._seen[index] = self._products.clock
        if self._shrunk is not None:
            self._shrunk[index] = self._path

    def _linear_step(self, index: Tensor, grad: Tensor, lr: float) -> None:
        """One step with momentum or decay: the step without gradient, then the gradient's part, which is additive."""
        assert self._products is not None
        alpha, velocity = self._current(index)
        mu, decay = self.momentum, self.weight_decay
        look = 1.0 + mu if self.nesterov else 1.0
        across = -lr * mu * mu if self.nesterov else -lr * mu
        self._products.advance((1.0 - lr * decay * look, across, decay, mu))
        if velocity is None:
            self._store(index, (1.0 - lr * decay) * alpha, None)
        else:
            self._store(index, (1.0 - lr * decay * look) * alpha + across * velocity, decay * alpha + mu * velocity)
            assert self._velocity is not None
            self._velocity.index_add_(0, index, grad)
        self._alpha.index_add_(0, index, grad, alpha=-lr * look)
        if self._products.clock - self._oldest >= self._products.capacity:
            self.flush()  # at most once in `capacity` steps, so its O(N) is spread thin

    def _proximal_step(self, index: Tensor, grad: Tensor, lr: float) -> None:
        """One proximal step: the gradient first, summed over repeats, then the penalty."""
        assert self.penalty is not None
        name, strength = self.penalty
        self._store(index, *self._current(index))
        self._alpha.index_add_(0, index, grad, alpha=-lr)
        # (1 + lr s) multiplies over l2's steps, the thresholds lr s add up over l1's and the group's.
        self._path += math.log1p(lr * strength) if name == "l2" else lr * strength
        self._store(index, *self._current(index))

    def _proximal(self, alpha: Tensor, missed: Tensor) -> Tensor:
        """Penalty's proximal map over a stretch of the path: (B, W) rows, (B,) float64 lengths."""
        assert self.penalty is not None
        length = missed[:, None].to(alpha.dtype)  # (B, 1)
        if self.penalty[0] == "l2":
            return alpha * torch.exp(-missed)[:, None].to(alpha.dtype)
        if self.penalty[0] == "l1":
            return torch.sign(alpha) * torch.clamp(alpha.abs() - length, min=0.0)
        norm = torch.linalg.vector_norm(alpha, dim=1, keepdim=True)  # (B, 1)
        return alpha * torch.clamp(1.0 - length / norm.clamp(min=torch.finfo(norm.dtype).tiny), min=0.0)

    def _widen(self, stored: Tensor, index: Tensor) -> Tensor:
        """(B, W) as stored to (B, K) as seen by the network."""
        if self.labels is None:
            return stored
        wide = stored.new_zeros(len(index), self.n_classes)
        return wide.scatter_(1, self.labels[index][:, None], stored)

    def _narrow(self, grad: Tensor, index: Tensor) -> Tensor:
        """(B, K) gradient to the (B, W) that is stored."""
        return grad if self.labels is None else grad.gather(1, self.labels[index][:, None])

    def _check_index(self, index: Tensor) -> None:
        """Raise IndexError for a position outside the table; not again for samples that open() has checked."""
        if self._is_open or not len(index):
            return
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= self.n_samples:
            raise IndexError(
                f"index holds {low} to {high}, expected positions 0 to {self.n_samples - 1} "
                f"of the {self.n_samples} training samples of this table."
            )


def _check_hyperparameters(
    variant: str, lr: float, momentum: float, nesterov: bool, weight_decay: float, penalty: Penalty | None
) -> None:
    """Raise ValueError naming the first parameter that is out of its range."""
    if variant not in ("AC1", "AC2"):
        raise ValueError(f"variant is {variant!r}, expected 'AC1' or 'AC2'.")
    for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}, expected a finite number >= 0.")
    if nesterov and not momentum:
        raise ValueError("nesterov needs a momentum, and momentum is 0.")
    check_penalty(penalty)
    if penalty is not None and penalty[1] and (momentum or weight_decay):
        raise ValueError(
            f"penalty {penalty[0]!r} was given with momentum {momentum} and weight_decay {weight_decay}: "
            "set both to 0 (steps that a row skips have a closed form only then)."
        )


def check_penalty(penalty: Penalty | None) -> None:
    """Raise ValueError if this is no penalty: neither None nor a pair of a known name and a strength."""
    if penalty is None:
        return
    if len(penalty) != 2:
        raise ValueError(f"penalty is {penalty!r}, expected a pair (name, strength) such as ('group', 0.1).")
    name, strength = penalty
    if name not in PENALTIES:
        raise ValueError(f"penalty is {name!r}, expected one of {', '.join(map(repr, PENALTIES))}.")
    if not (isinstance(strength, (int, float)) and math.isfinite(strength) and strength >= 0):
        raise ValueError(f"the strength of penalty {name!r} is {strength!r}, expected a finite number >= 0.")


def _check_labels(labels: Tensor | None, n_samples: int, n_classes: int) -> Tensor:
    if labels is None:
        raise ValueError("variant 'AC2' keeps the constant of the observed label: give labels, one per sample.")
    if labels.shape != (n_samples,):
        raise ValueError(f"labels has shape {tuple(labels.shape)} and the table {n_samples} samples: give one each.")
    if n_samples and (int(labels.min()) < 0 or int(labels.max()) >= n_classes):
        raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}, expected 0 to {n_classes - 1}.")
    return labels
