"""Algorithm 1: one training loop, over any network and any objective.

Legend: N samples, B batch, C outputs of the network, M samples of a block.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from acestimator.inputs.samples import Samples, TensorSamples, Views
from acestimator.objectives import Objective
from acestimator.training.checkpoint import PhaseCheckpoint
from acestimator.training.optimizers import FusedAdamW, FusedOptimizer, FusedSGD

BatchOrder = Callable[[int, torch.Generator], Tensor]
Schedule = Literal["cosine"] | tuple[float, ...]

_BLOCK_STEPS = 64  # steps whose samples are gathered, and whose records are kept, at one go
# A block's features, and its logits, at most: what a processor's cache has room for; on a GPU, where launches cost more
# than memory, as much as leaves the rest of it to the network.
_BLOCK_ELEMENTS, _GPU_BLOCK_ELEMENTS = 1 << 22, 1 << 26
_PREDICT_ROWS, _PREDICT_ELEMENTS = 4096, 1 << 20  # samples of a forward pass, and numbers in them, at most


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Parameters
    ----------
    max_epochs, batch_size : int
    learning_rate : float
        Of the first step.
    optimizer : {"adamw", "sgd"}
        SGD is with Nesterov momentum.
    momentum : float
        Of SGD, or the first moment's decay of AdamW.
    weight_decay : float
    batch_order : callable, optional
        ``(epoch, generator) -> permutation`` of the N samples, in place of a random one.
    schedule : "cosine" or tuple of float, default="cosine"
        The rate follows half a cosine to zero, or falls tenfold after each of these numbers of epochs.
    autocast : bool, default=False
        Whether the network computes in bfloat16 what torch's autocast lets it. Parameters, logits, losses and
        constants stay as they are.
    compile : bool, default=False
        Whether the network is compiled by ``torch.compile`` for the training.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adamw", "sgd"]
    momentum: float
    weight_decay: float
    batch_order: BatchOrder | None = None
    schedule: Schedule = "cosine"
    autocast: bool = False
    compile: bool = False

    def steps_per_epoch(self, n_samples: int) -> int:
        """Batches in one epoch."""
        return len(batch_sizes(n_samples, self.batch_size))

    def lr_scale(self, step: int, n_steps: int) -> float:
        """lr_t / lr_0: one cosine cycle, or a tenth for each milestone that is behind."""
        if self.schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * step / n_steps))
        return 0.1 ** sum(step * self.max_epochs >= milestone * n_steps for milestone in self.schedule)

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> FusedOptimizer:
        """Optimiser of these parameters."""
        if self.optimizer == "sgd":
            return FusedSGD(parameters, momentum=self.momentum, weight_decay=self.weight_decay)
        return FusedAdamW(parameters, beta1=self.momentum, weight_decay=self.weight_decay)


def batch_sizes(n_samples: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches.

    A lone last sample joins the batch before: batch normalisation takes no batch of one.
    """
    sizes = [batch_size] * (n_samples // batch_size)
    rest = n_samples % batch_size
    if rest == 1 and sizes and batch_size > 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


@torch.enable_grad()
def train(
    network: nn.Module,
    objective: Objective,
    features: Tensor | Samples,
    labels: Tensor,
    plan: TrainingPlan,
    *,
    generator: torch.Generator,
    sample_weight: Tensor | None = None,
    shuffle: bool = True,
    checkpoint: PhaseCheckpoint | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train ``network`` and the bound ``objective`` together.

    Parameters
    ----------
    network : nn.Module
        Trained in place, on the device of ``labels``.
    objective : Objective
        Bound to the same N samples.
    features : Tensor, shape (N, ...), or Samples
        A tensor lies on the device of ``labels``, or pinned on the host.
    labels : Tensor of int64, shape (N,)
        Observed labels.
    plan : TrainingPlan
    generator : torch.Generator
        CPU generator of the batch order.
    sample_weight : Tensor of float64, shape (N,), optional
        Positive weights.
    shuffle : bool, default=True
        Without it the batches are taken in the given order, and nothing is drawn.
    checkpoint : PhaseCheckpoint, optional
        Where the state is written at the ends of epochs, and found at the start.
    on_epoch : callable, optional
        Called with each epoch's record; with those of a checkpoint, too.

    Returns
    -------
    list of dict
        One record an epoch: epoch, loss, accuracy (of the network on the observed labels, during the epoch),
        lr (at its end), seconds, and the objective's own entries.

    Raises
    ------
    FloatingPointError
        If a loss is NaN or infinite, naming the epoch, the step and the learning rate.
    """
    samples = features if isinstance(features, Samples) else TensorSamples(features, Views(labels.device))
    n_samples = len(labels)
    sizes = batch_sizes(n_samples, plan.batch_size)
    n_steps = plan.max_epochs * len(sizes)
    optimizer = plan.make_optimizer(p for p in network.parameters() if p.requires_grad)
    network.train()
    forward = _forward(network, plan, labels.device)
    # One over the size of its batch, for every place in an epoch
    counts = torch.tensor(sizes, device=labels.device)
    evens = (1.0 / counts.to(samples.dtype)).repeat_interleave(counts)  # (N,)
    numel = max(math.prod(samples.shape), objective.n_classes)
    history: list[dict[str, Any]] = []
    if checkpoint is not None:
        history = checkpoint.load(network, objective, optimizer, generator)
        if on_epoch is not None:
            for record in history:
                on_epoch(record)
    for epoch in range(len(history), plan.max_epochs):
        began = time.perf_counter()
        meter = _Meter(sample_weight)
        step = epoch * len(sizes)
        order = _epoch_order(plan, epoch, n_samples, generator, shuffle).to(labels.device)
        blocks = list(_blocks(order, evens, sizes, numel))
        taken = samples.training(epoch, plan.max_epochs, (block for _, block, _ in blocks))
        for (block_sizes, block, even), x in zip(blocks, taken, strict=True):
            # What a block's steps need of the samples is gathered at one go; each step gets views of it.
            lr_scales = [plan.lr_scale(step + i, n_steps) for i in range(len(block_sizes))]
            objective.open(block, block_sizes, lr_scales)
            block_labels = labels.index_select(0, block)
            parts = (
                block,
                block_labels,
                x,
                _loss_scale(even, block_sizes, block, sample_weight, objective.weight(block)),
            )
            outputs, records, grads = _take_steps(
                network,
                forward,
                objective,
                optimizer,
                plan.learning_rate,
                lr_scales,
                [torch.split(p, block_sizes) for p in parts],
            )
            objective.close(block, grads, outputs)
            # One look at a block's losses, not at each step's: a look makes a GPU wait for the host.
            bad_step = meter.add(
                block,
                block_labels,
                objective.losses(records, block_labels),
                objective.class_logits(outputs),
                block_sizes,
            )
            if bad_step is not None:
                raise _diverged(epoch, step + bad_step, plan, n_steps)
            objective.observe(block, outputs)
            step += len(block_sizes)
        record = {"epoch": epoch + 1, **meter.record(), "lr": plan.learning_rate * lr_scales[-1]}
        record |= objective.end_epoch(epoch)
        record["seconds"] = time.perf_counter() - began
        history.append(record)
        if on_epoch is not None:
            on_epoch(record)
        if checkpoint is not None:
            last = epoch + 1 == plan.max_epochs
            checkpoint.save(network, objective, optimizer, generator, history, at_once=last)
    return history


def _forward(network: nn.Module, plan: TrainingPlan, device: torch.device) -> Callable[[Tensor], Tensor]:
    """How a step calls the network."""
    call: Callable[[Tensor], Tensor] = torch.compile(network) if plan.compile else network
    if not plan.autocast:
        return call

    def forward(x: Tensor) -> Tensor:
        # A context of its own for each step: it keeps the parameters that it has rounded, and they move between steps.
        with torch.autocast(device.type, torch.bfloat16):
            logits = call(x)
        return logits.float()

    return forward


def _take_steps(
    network: nn.Module,
    forward: Callable[[Tensor], Tensor],
    objective: Objective,
    optimizer: FusedOptimizer,
    learning_rate: float,
    lr_scales: list[float],
    parts: list[tuple[Tensor, ...]],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Steps over one block, whose indices, labels, features and loss scales come in parts by step.

    Returns the logits (M, C), the objective's records (M, ...), and its gradients, (B, C) a step.
    """
    outputs: list[Tensor] = []
    records: list[Tensor] = []
    grads: list[Tensor] = []
    mix = objective.mix
    for lr_scale, index, labels, x, loss_scale in zip(lr_scales, *parts, strict=True):
        logits = forward(x if mix is None else mix(network, x, index))  # (B, C)
        output = logits.detach()
        grad, record = objective.grad(output, labels, index)
        if logits.requires_grad:  # not where all of the network is frozen
            optimizer.descend(logits, grad * loss_scale, learning_rate * lr_scale)
        outputs.append(output)
        records.append(record)
        grads.append(grad)
    return torch.cat(outputs), torch.cat(records), grads


def predict_logits(network: nn.Module, chunks: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Logits of the network in evaluation mode, on ``device``, a bounded number of samples at a time.

    Parameters
    ----------
    network : nn.Module
        On ``device``.
    chunks : iterable of Tensor, shape (n, ...)
        Samples, anywhere.
    device : torch.device

    Yields
    ------
    Tensor, shape (n', C)
    """
    network.eval()
    for chunk in chunks:
        rows = max(1, min(_PREDICT_ROWS, _PREDICT_ELEMENTS // max(1, chunk[0].numel())))
        for part in torch.split(chunk, rows):
            with torch.inference_mode():
                yield network(part.to(device))


def _epoch_order(plan: TrainingPlan, epoch: int, n_samples: int, generator: torch.Generator, shuffle: bool) -> Tensor:
    if plan.batch_order is not None:
        order = plan.batch_order(epoch, generator)
        if not torch.equal(order.sort().values, torch.arange(n_samples, device=order.device)):
            raise ValueError(
                f"batch_order gave {len(order)} indices in epoch {epoch + 1} that are no permutation of the "
                f"{n_samples} samples: give each of them once."
            )
        return order
    return torch.randperm(n_samples, generator=generator) if shuffle else torch.arange(n_samples)


def _blocks(
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


def _loss_scale(
    even: Tensor, sizes: list[int], index: Tensor, sample_weight: Tensor | None, weight: Tensor | None
) -> Tensor:
    """Factor of each sample's gradient, (M, 1): its weights over its batch's sum of sample weights."""
    scale = even
    if sample_weight is not None:  # in float64 until only ratios are left
        parts = torch.split(sample_weight.index_select(0, index), sizes)
        scale = torch.cat([part / part.sum() for part in parts]).to(even.dtype)
    return (scale if weight is None else scale * weight)[:, None]


def _diverged(epoch: int, step: int, plan: TrainingPlan, n_steps: int) -> FloatingPointError:
    rate = plan.learning_rate * plan.lr_scale(step, n_steps)
    return FloatingPointError(
        f"the loss became NaN or infinite in epoch {epoch + 1}, at step {step + 1} of {n_steps}, with learning rate "
        f"{rate:.3g}: lower learning_rate, standardise the inputs, or look for what overflows in the backbone."
    )


class _Meter:
    """Mean loss and accuracy of an epoch."""

    def __init__(self, sample_weight: Tensor | None) -> None:
        self.sample_weight = sample_weight
        self.sums = [0.0, 0.0, 0.0]  # weight, loss, correct

    def add(self, index: Tensor, labels: Tensor, loss: Tensor, logits: Tensor, sizes: list[int]) -> int | None:
        """Add a block; returns the first batch in it whose loss is not finite, or None."""
        correct = logits.argmax(dim=1) == labels
        parts = torch.stack((torch.ones_like(loss), loss, correct.to(loss.dtype)))  # (3, M)
        weighted = parts if self.sample_weight is None else parts * self.sample_weight.index_select(0, index)
        sums = weighted.sum(dim=1, dtype=torch.float64).tolist()  # the block's one wait for the device
        if not math.isfinite(sums[1]):
            bad = [i for i, batch in enumerate(torch.split(loss, sizes)) if not torch.isfinite(batch).all()]
            return bad[0] if bad else 0  # no single loss need be infinite for their sum to be
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)]
        return None

    def record(self) -> dict[str, float]:
        return {"loss": self.sums[1] / self.sums[0], "accuracy": self.sums[2] / self.sums[0]}
