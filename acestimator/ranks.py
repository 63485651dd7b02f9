"""Processes that train one network together, each of which owns every W-th sample.

All of them run the same program on the same data. A rank keeps what is learned of its own samples, and takes their part
of every batch; gradients are summed over the ranks. The batches are those of a single process. So the result is that of
a single process, up to the order of sums.

Legend: W ranks, N samples, n of them a rank's own.
"""

from __future__ import annotations

import atexit
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # which torchrun sets


@dataclass(frozen=True)
class Ranks:
    """The processes, and which of them this one is.

    Parameters
    ----------
    rank : int
        From 0.
    size : int
        W.
    device : torch.device
        Of the training, by which they talk.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 -- it never changes

    def share(self, samples: Tensor) -> Share:
        """What of these samples, numbers (N,) in the training set, belongs to whom."""
        if self.size == 1:
            return Share(self, len(samples))
        owners = samples % self.size
        return Share(self, len(samples), tuple(torch.nonzero(owners == r).squeeze(1) for r in range(self.size)))

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the ranks."""
        if self.size > 1:
            values = values.clone()
            with _together():
                dist.all_reduce(values)
        return values

    def of_first(self, number: int) -> int:
        """What the first rank has."""
        if self.size == 1:
            return number
        shared = torch.tensor([number], dtype=torch.int64, device=self.device)
        with _together():
            dist.broadcast(shared, 0)
        return int(shared)

    def check_same(self, **parts: bytes) -> None:
        """Raise ValueError, on all ranks, if they have been given other things than the first: which.

        Without it, ranks would wait for each other for ever, or learn something that is nobody's.
        """
        if self.size == 1:
            return
        digests = [hashlib.blake2b(part, digest_size=8).digest() for part in parts.values()]
        own = torch.from_numpy(np.frombuffer(b"".join(digests), dtype=np.int64).copy()).to(self.device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        with _together():
            dist.all_gather(every, own)
        for rank, theirs in enumerate(every):
            if other := [name for name, same in zip(parts, (theirs == every[0]).tolist(), strict=True) if not same]:
                raise ValueError(
                    f"rank {rank} of {self.size} was given other {' and '.join(other)} than rank 0: all "
                    "processes must call fit with the same data and parameters, in the same order; or fit alone, with "
                    "distributed=False."
                )

    def mean_buffers_(self, network: torch.nn.Module) -> None:
        """Make the network's running statistics the ranks' mean."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.sum(buffer) / self.size)

    def sum_gradients(self, parameters: Sequence[Tensor], grads: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Gradients summed over the ranks, in one message; None where no rank has one.

        Parameters
        ----------
        parameters : sequence of Tensor
            Of one dtype and device.
        grads : sequence of Tensor or None
            This rank's.
        """
        there = [grad is not None for grad in grads]
        parts = [p.new_zeros(p.numel()) if g is None else g.reshape(-1) for p, g in zip(parameters, grads, strict=True)]
        flat = torch.cat([*parts, torch.tensor(there, dtype=parts[0].dtype, device=parts[0].device)])
        with _together():
            dist.all_reduce(flat)
        *summed, found = torch.split(flat, [part.numel() for part in parts] + [len(there)])
        # A gradient lies in memory as it did, so that the optimiser's kernel can go through it.
        return [
            (torch.empty_like(p) if g is None else torch.empty_like(g)).copy_(part.view(p.shape)) if n > 0 else None
            for p, g, part, n in zip(parameters, grads, summed, found.tolist(), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Share:
    """Who owns which of N samples.

    Parameters
    ----------
    ranks : Ranks
    n_samples : int
        N.
    owned : tuple of Tensor of int64, optional
        Positions (n,) of each rank's own; None where one process has all.
    """

    ranks: Ranks
    n_samples: int
    owned: tuple[Tensor, ...] | None = None

    @property
    def own(self) -> Tensor | None:
        """Positions (n,) of this rank's own samples; None for all."""
        return None if self.owned is None else self.owned[self.ranks.rank]

    def of(self, values: Tensor) -> Tensor:
        """Values (n, ...) of this rank's own samples, of those (N, ...) of all."""
        return values if self.own is None else values[self.own]

    def gather(self, values: Tensor) -> Tensor:
        """Values (N, ...) of all samples, from each rank's (n, ...) of its own."""
        if self.owned is None:
            return values
        padded = self._padded(values)
        parts = [torch.empty_like(padded) for _ in self.owned]
        with _together():
            dist.all_gather(parts, padded)
        return self._joined(parts)

    def gather_on_first(self, values: Tensor) -> Tensor | None:
        """The same on the first rank; None on the others."""
        if self.owned is None:
            return values
        padded, is_first = self._padded(values), self.ranks.rank == 0
        parts = [torch.empty_like(padded) for _ in self.owned] if is_first else None
        with _together():
            dist.gather(padded, parts, 0)
        return None if parts is None else self._joined(parts)

    def _padded(self, values: Tensor) -> Tensor:
        """As many rows on every rank."""
        assert self.owned is not None
        padded = values.new_zeros(max(len(positions) for positions in self.owned), *values.shape[1:])
        padded[: len(values)] = values
        return padded

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        assert self.owned is not None
        values = parts[0]
        every = values.new_empty(self.n_samples, *values.shape[1:])
        for positions, part in zip(self.owned, parts, strict=True):
            every[positions] = part[: len(positions)]
        return every


ALONE = Ranks()


@contextmanager
def _together() -> Iterator[None]:
    """Wait for the others; RuntimeError that says where to look if one is gone."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "another of the processes that train together has ended, or has not answered for too long: the reason is "
            f"in its own message. This one stops, too ({str(error).splitlines()[0]})."
        ) from error


def find_ranks(*, wanted: bool, device: torch.device) -> Ranks:
    """Processes that torchrun has started, or that are in a process group already.

    Parameters
    ----------
    wanted : bool
        Whether to look for them.
    device : torch.device
        Of the training. "cuda" is the GPU of the process's number on its machine.
    """
    if not wanted or not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if not all(name in os.environ for name in _VARIABLES) or os.environ["WORLD_SIZE"] == "1":
            return ALONE
        dist.init_process_group()
        atexit.register(_leave)
    if str(device) == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", dist.get_rank() % torch.cuda.device_count())))
        torch.cuda.set_device(device)
    return Ranks(dist.get_rank(), dist.get_world_size(), device)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
