"""Batches of an epoch in blocks, whose samples are gathered at one go.

Legend: N samples, M samples of a block.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from acestimator.training.plan import TrainingPlan

_BLOCK_STEPS = 64  # steps whose samples are gathered, and whose records are kept, at one go
# A block's features, and its logits, at most: what a processor's cache has room for; on a GPU, where launches cost more
# than memory, as much as leaves the rest of it to the network.
_BLOCK_ELEMENTS, _GPU_BLOCK_ELEMENTS = 1 << 22, 1 << 26


def epoch_order(plan: TrainingPlan, epoch: int, n_samples: int, generator: torch.Generator, shuffle: bool) -> Tensor:
    """Positions of the N samples in the order of an epoch."""
    if plan.batch_order is not None:
        order = plan.batch_order(epoch, generator)
        if not torch.equal(order.sort().values, torch.arange(n_samples, device=order.device)):
            raise ValueError(
                f"batch_order gave {len(order)} indices in epoch {epoch + 1} that are no permutation of the "
                f"{n_samples} samples: give each of them once."
            )
        return order
    return torch.randperm(n_samples, generator=generator) if shuffle else torch.arange(n_samples)


def split_blocks(
    order: Tensor, evens: Tensor, sizes: list[int], sample_numel: int
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Runs of batches whose samples are gathered together: their sizes, their parts of ``order`` and ``evens``."""
    most = _GPU_BLOCK_ELEMENTS if order.device.type == "cuda" else _BLOCK_ELEMENTS
    steps = min(_BLOCK_STEPS, max(1, most // (max(sizes) * max(sample_numel, 1))))
    start = 0
    for first in range(0, len(sizes), steps):
        block_sizes = sizes[first : first + steps]
        stop = start + sum(block_sizes)
        yield block_sizes, order[start:stop], evens[start:stop]
        start = stop


def loss_scale(
    even: Tensor, sizes: list[int], index: Tensor, sample_weight: Tensor | None, weight: Tensor | None
) -> Tensor:
    """Factor of each sample's gradient, (M, 1): its weights over its batch's sum of sample weights."""
    scale = even
    if sample_weight is not None:  # in float64 until only ratios are left
        parts = torch.split(sample_weight.index_select(0, index), sizes)
        scale = torch.cat([part / part.sum() for part in parts]).to(even.dtype)
    return (scale if weight is None else scale * weight)[:, None]
