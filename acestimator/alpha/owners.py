"""Which process of several owns a sample, and a sampler that leaves it there.

A row of constants is one sample's. So nothing of a table need be sent between processes, if each sample is always seen
by the same one: that of rank r, of W, owns the samples ``r, r + W, ...`` and has an :class:`acestimator.AlphaTable` of
these alone.

Legend: N samples, W processes, B batch of one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sized
from typing import Any, cast

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DistributedSampler

from acestimator.checks import check_count


class OwnerSampler(DistributedSampler[int]):
    """Sampler of several processes that each have samples of their own, the same in every epoch.

    ``torch.utils.data.DistributedSampler`` deals the samples anew in every epoch, and repeats some where their number
    is no multiple of W. Here each process shuffles its own, and no sample is seen twice.

    Parameters
    ----------
    data : sized
        The data set of N samples, or anything else with this length.
    rank, world_size : int, optional
        Of this process, from 0, and W. By default those of the process group of ``torch.distributed``, or of the
        variables that ``torchrun`` sets; without either 0 and 1, one process that owns all.
    shuffle : bool, default=True
        Anew in each epoch: call :meth:`set_epoch` before it. The order depends on ``seed``, the epoch and the rank.
    seed : int, default=0
    drop_last : bool, default=True
        Leave out the last samples of the ranks that have one more than others, in each epoch others if they are
        shuffled. All ranks then have the same number of batches, of the same sizes. If False, a rank may have a batch
        more than another: the loop needs ``torch.distributed.algorithms.join.Join``, and :meth:`union_sizes`. At its
        end Join makes the weights of all ranks equal, but not the moments of an optimizer that has some.

    Attributes
    ----------
    own : Tensor of int64
        Samples of this process, ``rank, rank + W, ...``, in this order.
    n_samples, rank, num_replicas, epoch : int
        N, this process, W, and what :meth:`set_epoch` was last told.

    Raises
    ------
    ValueError
        If the rank is none of W, if there are fewer samples than processes, or if a number is no integer.

    Examples
    --------
    >>> sampler = OwnerSampler(range(7), rank=1, world_size=2, shuffle=False)
    >>> sampler.own, list(sampler)
    (tensor([1, 3, 5]), [1, 3, 5])
    >>> [len(OwnerSampler(range(7), rank=0, world_size=2, drop_last=drop_last)) for drop_last in (True, False)]
    [3, 4]
    """

    def __init__(
        self,
        data: Sized,
        *,
        rank: int | None = None,
        world_size: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = True,
    ) -> None:
        if (rank is None) != (world_size is None):
            raise ValueError(f"rank is {rank!r} and world_size {world_size!r}: give both, or neither.")
        if rank is None or world_size is None:
            rank, world_size = process()
        rank, world_size = check_count("rank", rank), check_count("world_size", world_size, 1)
        if rank >= world_size:
            raise ValueError(f"rank is {rank}, expected 0 to {world_size - 1} of the {world_size} processes.")
        if len(data) < world_size:
            raise ValueError(f"there are {len(data)} samples and {world_size} processes: each needs one at least.")
        # Its base, for loops that know of it: Lightning, for one, replaces any other sampler by one.
        super().__init__(cast(Any, data), world_size, rank, shuffle, check_count("seed", seed), drop_last)
        self.own = torch.arange(rank, len(data), world_size)
        self.n_samples = len(data)
        self.num_samples = self.n_samples // world_size if drop_last else len(self.own)

    def __iter__(self) -> Iterator[int]:
        own = self.own
        if self.shuffle:
            # A sum of the three would give one rank the order of another in the next epoch.
            seed = np.random.SeedSequence((self.seed, self.epoch, self.rank)).generate_state(1, np.uint64)[0]
            own = own[torch.randperm(len(own), generator=torch.Generator().manual_seed(int(seed)))]
        return iter(own[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples

    def union_sizes(self, batch_size: int) -> list[int]:
        """Samples of each step of an epoch, over all ranks, where each has batches of ``batch_size``.

        A mean over the union of the batches is the sum divided by it. The length of the list is the number of steps
        that the rank with the most batches takes.
        """
        size = check_count("batch_size", batch_size, 1)
        of_rank = [self.num_samples] * self.num_replicas
        if not self.drop_last:
            of_rank = [len(range(rank, self.n_samples, self.num_replicas)) for rank in range(self.num_replicas)]
        starts = range(0, max(of_rank), size)
        return [sum(min(size, max(0, samples - start)) for samples in of_rank) for start in starts]


def process() -> tuple[int, int]:
    """Rank of this process and number of processes; 0 and 1 where there is one.

    Of the process group if there is one, else of the variables that ``torchrun`` sets for the processes it starts.
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return 0, 1
