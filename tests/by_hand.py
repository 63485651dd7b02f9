"""An objective by hand: the hooks that the loop of training calls, a block at a time, at outputs that a test gives."""

import torch
from torch import nn

from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.samples import TensorSamples
from acestimator.objectives import Block, Training
from acestimator.phases import Trainer


def a_trainer(make, features, labels, n_classes, plan, **others):
    """Of unweighted samples in float32, from seed 0."""
    weights = {"sample_weight": None, "loss_weight": None}
    others = {**weights, "dtype": torch.float32, "seed": 0, "shuffle": True, "draws": False} | others
    samples = TensorSamples(features, Preprocessing(labels.device))
    return Trainer(make=make, samples=samples, labels=labels, n_classes=n_classes, plan=plan, **others)


def started(objective, labels, n_classes, *, steps_per_epoch=1, max_epochs=1, sample_weight=None, **others):
    """The objective, at the start of a training in float64."""
    others = {"network": nn.Identity(), "dtype": torch.float64, "loss_weight": sample_weight} | others
    objective.start(
        Training(
            labels=labels,
            n_classes=n_classes,
            steps_per_epoch=steps_per_epoch,
            max_epochs=max_epochs,
            sample_weight=sample_weight,
            **others,
        )
    )
    return objective


def a_block(labels, index=None, sizes=None, *, epoch=0, lr_scales=None):
    """Steps over the samples at ``index`` (all by default), of these sizes (one step by default)."""
    index = torch.arange(len(labels)) if index is None else index
    sizes = [len(index)] if sizes is None else sizes
    return Block(epoch, 0, index, labels[index], sizes, [1.0] * len(sizes) if lr_scales is None else lr_scales)


def take(objective, outputs, block):
    """Gradients (M, C) and losses (M,) of a block in which the network's outputs are these (M, C)."""
    objective.begin_block(block)
    steps = zip(block.steps(), torch.split(outputs, block.sizes), strict=True)
    grads, records = zip(*(objective.gradient(logits, step) for step, logits in steps), strict=True)
    losses = objective.end_block(block, outputs, torch.cat(records), torch.cat(grads))
    return torch.cat(grads), losses
