"""Batches of an epoch in blocks, whose samples are gathered at one go.

Legend: N samples, M samples of a block.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from acestimator.objectives import Block, Training
from acestimator.training.plan import TrainingPlan, batch_sizes

_BLOCK_STEPS = 64  # steps whose samples are gathered, and whose records are kept, at one go
# A block's features, and its logits, at most: what a processor's cache has room for; on a GPU, where launches cost more
# than memory, as much as leaves the rest of it to the network.
_BLOCK_ELEMENTS, _GPU_BLOCK_ELEMENTS = 1 << 22, 1 << 26


class Batches:
    """The batches of a training, an epoch's at a time.

    Parameters
    ----------
    plan : TrainingPlan
    training : Training
    sample_numel : int
        Numbers of a sample, or of its logits if they are more.
    block_steps : int
        Steps of a block, at most.

    Attributes
    ----------
    sizes : list of int
        Of the batches of an epoch.
    n_steps : int
        In all epochs.
    """

    def __init__(
        self, plan: TrainingPlan, training: Training, sample_numel: int, block_steps: int = _BLOCK_STEPS
    ) -> None:
        self._plan, self._training = plan, training
        self.sizes = batch_sizes(len(training.labels), plan.batch_size)
        self.n_steps = plan.max_epochs * len(self.sizes)
        device = training.labels.device
        # One over the size of its batch, for every place in an epoch
        counts = torch.tensor(self.sizes, device=device)
        self._evens = (1.0 / counts.to(training.dtype)).repeat_interleave(counts)  # (N,)
        self._starts = list(itertools.accumulate(self.sizes, initial=0))  # of the batches in an epoch
        share = training.share
        self._row: Tensor | None = None  # of each sample among this process's own, -1 of others', (N,)
        if share is not None and share.own is not None:
            self._row = torch.full((len(training.labels),), -1, device=device)
            self._row[share.own] = torch.arange(len(share.own), device=device)
        self._whole = torch.empty(0, dtype=torch.int64, device=device)  # order of the epoch in all processes
        most = _GPU_BLOCK_ELEMENTS if device.type == "cuda" else _BLOCK_ELEMENTS
        self._block_steps = min(block_steps, max(1, most // (max(self.sizes) * max(sample_numel, 1))))

    def blocks(self, epoch: int, generator: torch.Generator, shuffle: bool) -> list[Block]:
        """Blocks of an epoch, in an order that is drawn unless ``shuffle`` is False."""
        labels, n_steps = self._training.labels, len(self.sizes)
        order = self._order(epoch, generator, shuffle).to(labels.device)
        sizes, starts, own = self.sizes, self._starts, None
        if self._row is not None:  # of each batch, the samples that this process owns
            self._whole = order
            rows = self._row[order]
            order, own = order[rows >= 0], rows[rows >= 0]
            sizes = [int((part >= 0).sum()) for part in torch.split(rows, self.sizes)]
            starts = list(itertools.accumulate(sizes, initial=0))
        labels = labels.index_select(0, order)
        blocks = []
        for first in range(0, n_steps, self._block_steps):
            last = min(first + self._block_steps, n_steps)
            part = slice(starts[first], starts[last])
            lr_scales = [self.lr_scale(epoch, step) for step in range(first, last)]
            block = Block(epoch, first, order[part], labels[part], sizes[first:last], lr_scales)
            if own is not None:
                block = replace(block, own=own[part], whole_sizes=self.sizes[first:last])
            blocks.append(block)
        return blocks

    def lr_scale(self, epoch: int, step: int) -> float:
        """lr_t / lr_0 of a step of an epoch."""
        return self._plan.lr_scale(epoch * len(self.sizes) + step, self.n_steps)

    def gradient_scale(self, block: Block, weight: Tensor | None) -> Tensor:
        """Factor of each sample's gradient, (M, 1): its weights over its batch's sum of loss weights.

        Parameters
        ----------
        block : Block
        weight : Tensor, shape (M,), or None
            Beside the loss weights.
        """
        scale = self._scale_of_all(block) if self._row is None else self._scale_of_own(block)
        return (scale if weight is None else scale * weight)[:, None]

    def _scale_of_all(self, block: Block) -> Tensor:
        """Factors (M,) where this process owns all samples."""
        start, loss_weight = self._starts[block.first_step], self._training.loss_weight
        scale = self._evens[start : start + len(block.index)]
        if loss_weight is not None:  # in float64 until only ratios are left
            parts = torch.split(loss_weight.index_select(0, block.index), block.sizes)
            scale = torch.cat([part / part.sum() for part in parts]).to(scale.dtype)
        return scale

    def _scale_of_own(self, block: Block) -> Tensor:
        """Factors (M,) of the samples that this process owns: over the weights of their whole batches."""
        start, loss_weight = self._starts[block.first_step], self._training.loss_weight
        sizes = block.batch_sizes
        whole = self._whole[start : start + sum(sizes)]
        counts = torch.tensor(block.sizes, device=whole.device)
        weights = torch.ones(len(whole), dtype=torch.float64, device=whole.device)
        if loss_weight is not None:
            weights = loss_weight.index_select(0, whole)
        totals = torch.stack([part.sum() for part in torch.split(weights, sizes)]).repeat_interleave(counts)
        own = 1.0 if loss_weight is None else loss_weight.index_select(0, block.index)
        return (own / totals).to(self._evens.dtype)

    def _order(self, epoch: int, generator: torch.Generator, shuffle: bool) -> Tensor:
        """Positions (N,) of the samples in the order of an epoch."""
        n_samples = len(self._training.labels)
        if self._plan.batch_order is None:
            return torch.randperm(n_samples, generator=generator) if shuffle else torch.arange(n_samples)
        order = self._plan.batch_order(epoch, generator)
        if not torch.equal(order.sort().values, torch.arange(n_samples, device=order.device)):
            raise ValueError(
                f"batch_order gave {len(order)} indices in epoch {epoch + 1} that are no permutation of the "
                f"{n_samples} samples: give each of them once."
            )
        return order
