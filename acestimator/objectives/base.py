"""Objectives: what turns logits and observed labels into a gradient, a loss, and per-sample state.

Legend: N samples, K classes, C outputs of the network, B samples of a step, M samples of a block of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acestimator.alpha import softmax_gradient
from acestimator.objectives.state import Stateful
from acestimator.ranks import ALONE, Ranks, Share


class Head:
    """Which network is trained, and what of it predicts: by default a network of K outputs, and all of it."""

    def make_network(self, make: Callable[[int], nn.Module], n_classes: int) -> nn.Module:
        """Network to train.

        Parameters
        ----------
        make : callable
            Number of outputs to a fresh backbone.
        n_classes : int
            K.
        """
        return make(n_classes)

    def predictor(self, network: nn.Module) -> nn.Module:
        """Part of a trained network that predicts: samples to (B, K) logits."""
        return network

    def class_logits(self, outputs: Tensor) -> Tensor:
        """Logits of the K classes, (M, K), among the network's outputs (M, C)."""
        return outputs


@dataclass(frozen=True, eq=False)
class Training:
    """The training that an objective takes part in.

    Parameters
    ----------
    network : nn.Module
        It is trained in place.
    labels : Tensor of int64, shape (N,)
        Observed labels. They lie on the device of the training, and so does all state.
    n_classes : int
        K.
    steps_per_epoch, max_epochs : int
        Length of the training.
    sample_weight : Tensor of float64, shape (N,), optional
        Positive weights; None for all equal. Of the samples in whatever is estimated from them.
    loss_weight : Tensor of float64, shape (N,), optional
        The same in the network's loss, where they are multiplied by the weights of the classes.
    dtype : torch.dtype
        Of the logits to come.
    share : Share, optional
        Where several processes train together, who owns which of the samples. A process keeps what takes N x K numbers
        for its own alone; vectors of N are the same on all.
    """

    network: nn.Module
    labels: Tensor
    n_classes: int
    steps_per_epoch: int
    max_epochs: int
    sample_weight: Tensor | None = None
    loss_weight: Tensor | None = None
    dtype: torch.dtype = torch.float32
    share: Share | None = None

    @property
    def ranks(self) -> Ranks:
        """Processes that train together."""
        return ALONE if self.share is None else self.share.ranks

    @property
    def own_labels(self) -> Tensor:
        """Observed labels (n,) of the samples that this process owns."""
        return self.labels if self.share is None else self.share.of(self.labels)

    def gathered(self, values: Tensor) -> Tensor:
        """Values (N, ...) of all samples, from those (n, ...) of each process's own."""
        return values if self.share is None else self.share.gather(values)

    def mean_square(self, root: float) -> float:
        """Root mean square over all samples, from that over each process's own."""
        if self.share is None or self.share.owned is None:
            return root
        total = torch.tensor(root**2 * len(self.own_labels), dtype=torch.float64, device=self.labels.device)
        return math.sqrt(float(self.share.ranks.sum(total)) / len(self.labels))


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One step of a block.

    Parameters
    ----------
    block : Block
    number : int
        In the block, from 0.
    index, labels : Tensor of int64, shape (B,)
        The samples' positions, and their observed labels.
    """

    block: Block
    number: int
    index: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Block:
    """Some steps of an epoch, one after the other. No sample is in two of them.

    Parameters
    ----------
    epoch : int
        From 0.
    first_step : int
        Number of the first step in the epoch, from 0.
    index, labels : Tensor of int64, shape (M,)
        The samples' positions, and their observed labels.
    sizes : list of int
        Samples of each step; their sum is M.
    lr_scales : list of float
        Learning rate of each step, as a share of the first of the training.
    own : Tensor of int64, shape (M,), optional
        The samples' positions among those that this process owns; by default it owns all.
    whole_sizes : list of int, optional
        Samples of each step in all processes; by default there is one.
    """

    epoch: int
    first_step: int
    index: Tensor
    labels: Tensor
    sizes: list[int]
    lr_scales: list[float]
    own: Tensor | None = None
    whole_sizes: list[int] | None = None

    @property
    def rows(self) -> Tensor:
        """Where the samples' state is kept, (M,)."""
        return self.index if self.own is None else self.own

    @property
    def batch_sizes(self) -> list[int]:
        """Samples of each step in all processes."""
        return self.sizes if self.whole_sizes is None else self.whole_sizes

    def steps(self) -> list[Step]:
        """Return the steps."""
        parts = zip(torch.split(self.index, self.sizes), torch.split(self.labels, self.sizes), strict=True)
        return [Step(self, number, index, labels) for number, (index, labels) in enumerate(parts)]


Mix = Callable[[nn.Module, Tensor, Step], Tensor]


class Objective(Stateful):
    """A loss over logits with its per-sample state. The base of cross-entropy, AutoCleansing, and every peer.

    A subclass defines :meth:`loss`, or :meth:`gradient` where it knows the closed form; the other hooks are for those
    that need them. The loop of :mod:`acestimator.training` calls them in this order::

        start(training)
        for each epoch:
            for each block of up to 64 steps:
                begin_block(block)                             -> weights (M,)
                for each step:
                    mix(network, x, step), if there is one     -> inputs (B, ...)
                    gradient(logits, step)                     -> gradient (B, C), record (B, ...)
                end_block(block, outputs, records, grads)      -> losses (M,)
            end_epoch(epoch)                                   -> entries of the history
            judge(epoch, logits), if there are samples to judge and it wants(epoch); may set ``stopped``

    No sample is in two steps of a block. So what a step does to the state of its own samples can wait until the end of
    the block, where one operation does it for all of them.

    Attributes
    ----------
    head : Head
        Which network is trained, and what of it predicts.
    mix : callable or None
        None here. A subclass that trains on other inputs than the samples themselves, as mixup does, defines a method
        ``mix(network, x, step)``. It gets the network and the samples (B, ...), and returns the inputs (B, ...) to take
        the step on. It may look at the network's outputs, which the loop then does not differentiate, must leave the
        network in training mode, and may keep what :meth:`gradient` of the same step needs. The logits of
        :meth:`gradient` and :meth:`end_block` are then those of the mixed inputs.
    state : tuple of str
        Names of the attributes that change while the network is trained, so that a checkpoint keeps them. Each holds a
        tensor, a number, a string, None, a list, tuple or dictionary of these, a torch or numpy generator, or an object
        that has ``state_dict`` and ``load_state_dict`` itself. The names of the bases are added to a subclass's own.
    stopped : bool
        Whether the training is over before its last epoch: False here. An objective that stops it sets it to False in
        ``start``, and has it in ``state``.
    training : Training
        What :meth:`start` was given.
    """

    head: Head = Head()
    mix: Mix | None = None
    stopped: bool = False
    training: Training

    def start(self, training: Training) -> None:
        """Meet the training. State is allocated here, on the device of its labels."""
        self.training = training

    def begin_block(self, block: Block) -> Tensor | None:
        """Prepare for the steps of a block.

        Returns
        -------
        Tensor, shape (M,), or None
            Weights of the samples in the network's loss, beside ``loss_weight``; None for all one.
        """
        return None

    def loss(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Loss of each sample, (B,), differentiable in ``logits`` (B, C), of the samples at ``index`` (B,). Pure."""
        raise NotImplementedError(f"{type(self).__name__} must define loss or gradient")

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Gradient of each sample's loss in its logits. Pure.

        By autograd of :meth:`loss`, with the losses as the record, unless a subclass knows the closed form.

        Parameters
        ----------
        logits : Tensor, shape (B, C)
            The network's outputs.
        step : Step

        Returns
        -------
        grad : Tensor, shape (B, C)
        record : Tensor, shape (B, ...)
            What :meth:`end_block` makes the losses of.
        """
        logits = logits.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.loss(logits, step.labels, step.index)
            if loss.shape != step.index.shape:
                raise TypeError(
                    f"{type(self).__name__}.loss gave shape {tuple(loss.shape)}, expected ({len(step.index)},): return "
                    "one loss for each sample, and not their mean, which the loop takes."
                )
            (grad,) = torch.autograd.grad(loss.sum(), logits)
        return grad, loss.detach()

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the state of the block's samples, and give their losses: by default the records themselves.

        Parameters
        ----------
        block : Block
        outputs : Tensor, shape (M, C)
            The network's outputs in the steps.
        records : Tensor, shape (M, ...)
        grads : Tensor, shape (M, C)
            What :meth:`gradient` gave.

        Returns
        -------
        Tensor, shape (M,)
            Losses, for the history. What is only reported can wait until here, and costs a step nothing.
        """
        return records

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """End epoch ``epoch`` (from 0); returns entries for the history."""
        return {}

    def wants(self, epoch: int) -> bool:
        """Whether :meth:`judge` is to be called at the end of this epoch (from 0)."""
        return True

    def judge(self, epoch: int, logits: Tensor) -> None:
        """See what the network says, at the end of an epoch, of the samples that the phase has it judge.

        It may set ``stopped``.

        Parameters
        ----------
        epoch : int
            From 0.
        logits : Tensor, shape (M, C)
            The network's outputs in evaluation mode.
        """
        raise NotImplementedError(f"{type(self).__name__} must define judge to have samples judged")


class CrossEntropy(Objective):
    """Plain softmax cross-entropy on the observed labels: what AutoCleansing is without its constants."""

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form, ``softmax(logits) - onehot(y)``, and the log-probabilities."""
        return softmax_gradient(logits, step.labels)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Minus the log-probabilities of the observed labels."""
        return records.gather(1, block.labels[:, None]).squeeze(1).neg_()
