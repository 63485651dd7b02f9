"""Algorithm 1: one training loop, over any network and any objective.

Legend: N samples, B batch, C outputs of the network, M samples of a block.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.inputs.samples import Samples, TensorSamples, Views
from acestimator.objectives import Objective
from acestimator.training.blocks import epoch_order, loss_scale, split_blocks
from acestimator.training.checkpoint import PhaseCheckpoint
from acestimator.training.meter import Meter, diverged
from acestimator.training.optimizers import FusedOptimizer
from acestimator.training.plan import TrainingPlan, batch_sizes


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
        meter = Meter(sample_weight)
        step = epoch * len(sizes)
        order = epoch_order(plan, epoch, n_samples, generator, shuffle).to(labels.device)
        blocks = list(split_blocks(order, evens, sizes, numel))
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
                loss_scale(even, block_sizes, block, sample_weight, objective.weight(block)),
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
                raise diverged(epoch, step + bad_step, plan, n_steps)
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
    for lr_scale, index, labels, x, scale in zip(lr_scales, *parts, strict=True):
        logits = forward(x if mix is None else mix(network, x, index))  # (B, C)
        output = logits.detach()
        grad, record = objective.grad(output, labels, index)
        if logits.requires_grad:  # not where all of the network is frozen
            optimizer.descend(logits, grad * scale, learning_rate * lr_scale)
        outputs.append(output)
        records.append(record)
        grads.append(grad)
    return torch.cat(outputs), torch.cat(records), grads
