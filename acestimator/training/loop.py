"""Algorithm 1: one training loop, over any network and any objective.

Legend: N samples, K classes, C outputs of the network, B samples of a step, M samples of a block of steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import Samples, TensorSamples
from acestimator.objectives import Block, Objective, Training
from acestimator.ranks import Share
from acestimator.rows import Rows, SparseRows, split_rows
from acestimator.training.blocks import Batches
from acestimator.training.checkpoint import PhaseCheckpoint
from acestimator.training.meter import Meter
from acestimator.training.optimizers import FusedOptimizer
from acestimator.training.plan import TrainingPlan
from acestimator.training.predict import check_finite, predict_logits


@torch.enable_grad()
def train(
    network: nn.Module,
    objective: Objective,
    features: Tensor | Samples,
    labels: Tensor,
    plan: TrainingPlan,
    *,
    n_classes: int,
    generator: torch.Generator,
    sample_weight: Tensor | None = None,
    loss_weight: Tensor | None = None,
    shuffle: bool = True,
    judged: Samples | None = None,
    share: Share | None = None,
    judged_share: Share | None = None,
    checkpoint: PhaseCheckpoint | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train ``network`` and the state of ``objective`` together.

    Parameters
    ----------
    network : nn.Module
        Trained in place, on the device of ``labels``.
    objective : Objective
        It is started here.
    features : Tensor, shape (N, ...), or Samples
        A tensor lies on the device of ``labels``, or pinned on the host.
    labels : Tensor of int64, shape (N,)
        Observed labels.
    plan : TrainingPlan
    n_classes : int
        K.
    generator : torch.Generator
        CPU generator of the batch order.
    sample_weight : Tensor of float64, shape (N,), optional
        Positive weights, of which only the ratios count: of the samples in whatever is estimated from them.
    loss_weight : Tensor of float64, shape (N,), optional
        The same in the network's loss; by default ``sample_weight``.
    shuffle : bool, default=True
        Without it the batches are taken in the given order, and nothing is drawn.
    judged : Samples, optional
        What the network says of them is shown to the objective at the ends of the epochs that it wants.
    share, judged_share : Share, optional
        Where several processes train the network together, who owns which of the N samples, and of those that are
        judged. ``features`` and ``judged`` are then this process's own, and all vectors of N are the same in all.
    checkpoint : PhaseCheckpoint, optional
        Where the state is written at the ends of epochs, and found at the start.
    on_epoch : callable, optional
        Called with each epoch's record; with those of a checkpoint, too.

    Returns
    -------
    list of dict
        One record an epoch, up to the one after which the objective stopped: epoch, loss, accuracy (of the network on
        the observed labels, during the epoch), lr (at its end), seconds, and the objective's own entries.

    Raises
    ------
    FloatingPointError
        If a loss is NaN or infinite, naming the epoch, the step and the learning rate.
    """
    loss_weight = _unequal(sample_weight if loss_weight is None else loss_weight)
    samples = features if isinstance(features, Samples) else TensorSamples(features, Preprocessing(labels.device))
    training = Training(
        network,
        labels,
        n_classes,
        plan.steps_per_epoch(len(labels)),
        plan.max_epochs,
        sample_weight=_unequal(sample_weight),
        loss_weight=loss_weight,
        dtype=samples.dtype,
        share=share,
    )
    batches = Batches(plan, training, max(samples.numel, n_classes))
    optimizer = _optimizer(objective, training, samples, plan)
    forward = _forward(network, plan, labels.device)
    _start(objective, training)
    report = on_epoch or (lambda record: None)
    history = [] if checkpoint is None else checkpoint.load(objective, optimizer, generator)
    _report(history, report)
    for epoch in _epochs_left(objective, len(history)):
        began, meter = time.perf_counter(), Meter(loss_weight, training.ranks)
        blocks = batches.blocks(epoch, generator, shuffle)
        # What a block's steps need of the samples is gathered at one go; each step gets views of it.
        gathered = samples.training(epoch, plan.max_epochs, (block.rows for block in blocks))
        for block, x in zip(blocks, gathered, strict=True):
            scale = batches.gradient_scale(block, objective.begin_block(block))
            rates = [plan.learning_rate * lr_scale for lr_scale in block.lr_scales]
            bad_step = meter.add(block, *_take_block(objective, forward, optimizer, block, x, scale, rates))
            if bad_step is not None:
                raise _diverged(block, bad_step, rates[bad_step], batches)
        optimizer.settle()
        training.ranks.mean_buffers_(network)
        record = {"epoch": epoch + 1, **meter.record(), "lr": rates[-1], **objective.end_epoch(epoch)}
        _judge(objective, epoch, judged, judged_share)
        record["seconds"] = time.perf_counter() - began
        history.append(record)
        report(record)
        if checkpoint is not None:
            is_last = objective.stopped or epoch + 1 == plan.max_epochs
            checkpoint.save(objective, optimizer, generator, history, at_once=is_last)
    return history


def _report(history: list[dict[str, Any]], report: Callable[[dict[str, Any]], None]) -> None:
    """Report what was trained before."""
    for record in history:
        report(record)


def _unequal(weight: Tensor | None) -> Tensor | None:
    """Weights (N,), None if they are all alike, so that the numbers are the same whatever all weights are."""
    return None if weight is None or bool((weight == weight[0]).all()) else weight


def _start(objective: Objective, training: Training) -> None:
    """Start an objective; TypeError if it leaves out what the loop and a checkpoint need of it."""
    training.network.train()
    objective.start(training)
    kind = type(objective).__name__
    if getattr(objective, "training", None) is not training:
        raise TypeError(f"{kind}.start has not kept the training: call super().start(training) in it.")
    if unset := [name for name in objective.state_names() if not hasattr(objective, name)]:
        raise TypeError(f"{kind}.state names {unset[0]!r}, which {kind} has not: set it in start, or leave it out.")


def _epochs_left(objective: Objective, epoch: int) -> Iterator[int]:
    """Epochs from this one on, until the objective stops the training; one that had stopped it has none left."""
    while epoch < objective.training.max_epochs and not objective.stopped:
        yield epoch
        epoch += 1


def _optimizer(objective: Objective, training: Training, samples: Samples, plan: TrainingPlan) -> FusedOptimizer:
    """Optimiser of all parameters that are trained."""
    # What is mixed is dense; and a GPU moves all weights faster than it finds out which it must. Several processes have
    # other features each in a step.
    is_lazy = samples.sparse and objective.mix is None and training.labels.device.type == "cpu"
    if is_lazy and training.ranks.size == 1:
        return plan.make_lazy_optimizer(training.network)
    optimizer = plan.make_optimizer(p for p in training.network.parameters() if p.requires_grad)
    optimizer.ranks = training.ranks
    return optimizer


def _judge(objective: Objective, epoch: int, judged: Samples | None, share: Share | None) -> None:
    """Show the objective what its network says of these samples; the network is in training mode afterwards."""
    if judged is not None and objective.wants(epoch):
        network, device = objective.training.network, objective.training.labels.device
        logits = torch.cat(list(predict_logits(network, judged.evaluation(), device)))
        logits = logits if share is None else share.gather(logits)
        check_finite(logits)
        objective.judge(epoch, logits)
        network.train()


def _checked(losses: Tensor, objective: Objective, block: Block) -> Tensor:
    """Losses of a block; TypeError if they are not one for each of its samples."""
    if not isinstance(losses, Tensor) or losses.shape != block.index.shape:
        given = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
        raise TypeError(
            f"{type(objective).__name__}.end_block gave {given}, expected a tensor of shape ({len(block.index)},): "
            "return one loss for each sample of the block."
        )
    return losses


def _forward(network: nn.Module, plan: TrainingPlan, device: torch.device) -> Callable[[Rows], Tensor]:
    """How a step calls the network."""
    call: Callable[[Rows], Tensor] = torch.compile(network) if plan.compile else network
    if not plan.autocast:
        return call

    def forward(x: Rows) -> Tensor:
        # A context of its own for each step: it keeps the parameters that it has rounded, and they move between steps.
        with torch.autocast(device.type, torch.bfloat16):
            logits = call(x)
        return logits.float()

    return forward


def _take_block(
    objective: Objective,
    forward: Callable[[Rows], Tensor],
    optimizer: FusedOptimizer,
    block: Block,
    x: Rows,
    scale: Tensor,
    rates: list[float],
) -> tuple[Tensor, Tensor]:
    """Take the steps of a block, and move the objective's state; losses (M,), and logits (M, K)."""
    outputs, records, grads = _take_steps(objective, forward, optimizer, block, x, scale, rates)
    losses = _checked(objective.end_block(block, outputs, records, grads), objective, block)
    return losses, objective.head.class_logits(outputs)


def _take_steps(
    objective: Objective,
    forward: Callable[[Rows], Tensor],
    optimizer: FusedOptimizer,
    block: Block,
    x: Rows,
    scale: Tensor,
    rates: list[float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the steps of a block of samples (M, ...), with factors (M, 1) of their gradients, at these rates.

    Returns the network's outputs (M, C), and the objective's records (M, ...) and gradients (M, C).
    """
    outputs: list[Tensor] = []
    records: list[Tensor] = []
    grads: list[Tensor] = []
    mix, network = objective.mix, objective.training.network
    parts = split_rows(x, block.sizes), torch.split(scale, block.sizes), rates
    for step, inputs, factor, rate in zip(block.steps(), *parts, strict=True):
        if not len(step.index):  # all of the batch is others'
            optimizer.follow(rate)
            continue
        if mix is None:
            logits = forward(optimizer.look_up(inputs))  # (B, C)
        else:
            dense = inputs.dense() if isinstance(inputs, SparseRows) else inputs
            logits = forward(mix(network, dense, step))
        _check_outputs(logits, len(step.index), outputs)
        if logits.dtype != objective.training.dtype:  # of a network with an autocast of its own
            logits = logits.to(objective.training.dtype)
        output = logits.detach()
        grad, record = objective.gradient(output, step)
        if logits.requires_grad:  # not where all of the network is frozen
            optimizer.descend(logits, grad * factor, rate)
        outputs.append(output)
        records.append(record)
        grads.append(grad)
    if not outputs:
        nothing = scale.new_empty(0, objective.training.n_classes)
        return nothing, nothing, nothing
    return torch.cat(outputs), torch.cat(records), torch.cat(grads)


def _check_outputs(logits: Tensor, n_samples: int, before: list[Tensor]) -> None:
    """Raise TypeError if a network's outputs are no numbers (B, C); those of ``before`` have the same C."""
    is_one = isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == n_samples and logits.is_floating_point()
    if is_one and (not before or before[0].shape[1] == logits.shape[1]):
        return
    got = f"{tuple(logits.shape)} of {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
    raise TypeError(
        f"in training the network gave {got} for {n_samples} samples, expected a tensor of logits, a row for each "
        "sample and a column for each class: let its forward return these alone."
    )


def _diverged(block: Block, step: int, rate: float, batches: Batches) -> FloatingPointError:
    number = block.epoch * len(batches.sizes) + block.first_step + step + 1
    return FloatingPointError(
        f"the loss became NaN or infinite in epoch {block.epoch + 1}, at step {number} of {batches.n_steps}, with "
        f"learning rate {rate:.3g}: lower learning_rate, standardise the inputs, or look for what overflows in the "
        "backbone."
    )
