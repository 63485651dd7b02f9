"""Objectives: what turns logits and observed labels into a gradient, a loss, and per-sample state.

Legend: N samples, K classes, B batch, C outputs of the network (K here).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from acestimator.alpha.softmax import softmax_gradient

Mix = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Objective:
    """A loss over logits with its per-sample state. The base of cross-entropy, AutoCleansing, and every peer.

    The loop of :mod:`acestimator.training` takes the steps of an epoch in blocks. Per block it calls :meth:`open` and
    :meth:`weight`; per step :meth:`grad`; at the end of the block :meth:`close`, :meth:`losses` and :meth:`observe`;
    per epoch :meth:`end_epoch`.

    Attributes
    ----------
    mix : callable or None
        None here. A subclass that trains on other inputs than the samples themselves, as mixup does, defines a method
        ``mix(network, x, index)``. It is called once a step, before the network and :meth:`grad`, with the network,
        the samples (B, ...) and their positions (B,), and returns the inputs (B, ...) to take the step on. It may look
        at the network's outputs, which the loop then does not differentiate, must leave the network in training mode,
        and may keep what :meth:`grad` of the same step needs. All that follows, from the logits of :meth:`grad` to
        those of :meth:`observe`, is then of the mixed inputs.
    """

    mix: Mix | None = None

    def make_network(self, make: Callable[[int], nn.Module], n_classes: int) -> nn.Module:
        """Network to train: by default one of K outputs.

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

    def bind(
        self,
        labels: Tensor,
        n_classes: int,
        *,
        sample_weight: Tensor | None = None,
        steps_per_epoch: int,
        max_epochs: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Meet the training set. State is allocated here, on the device of ``labels``.

        Parameters
        ----------
        labels : Tensor of int64, shape (N,)
            Observed labels, 0..K-1.
        n_classes : int
            K.
        sample_weight : Tensor of float64, shape (N,), optional
            Positive weights; None for all equal.
        steps_per_epoch, max_epochs : int
            Length of the training.
        dtype : torch.dtype
            Of the logits to come.
        """
        self.labels, self.n_classes, self.sample_weight = labels, n_classes, sample_weight
        self.steps_per_epoch, self.max_epochs = steps_per_epoch, max_epochs

    def open(self, index: Tensor, sizes: list[int], lr_scales: list[float]) -> None:
        """Prepare for steps over the samples (M,), each once, in this order: their sizes, and their lr_t / lr_0."""

    def close(self, index: Tensor, grads: list[Tensor], logits: Tensor) -> None:
        """Move the state of the samples (M,) of :meth:`open`, by the gradients that :meth:`grad` gave, step by step.

        ``logits`` are the network's outputs (M, C) in these steps.

        No sample is in two of the steps, so what a gradient does to its own samples can wait until here.
        """

    def loss(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Loss of each sample, (B,), differentiable in ``logits`` (B, C). Pure."""
        raise NotImplementedError(f"{type(self).__name__} must define loss or grad")

    def grad(self, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of each sample's loss in its logits, (B, C), and a record (B, ...) for :meth:`losses`. Pure.

        By autograd of :meth:`loss`, with the losses as the record, unless a subclass knows the closed form.
        """
        logits = logits.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.loss(logits, labels, index)
            (grad,) = torch.autograd.grad(loss.sum(), logits)
        return grad, loss.detach()

    def losses(self, records: Tensor, labels: Tensor) -> Tensor:
        """Losses (M,) from the records (M, ...) of a block: what can wait for the block's end costs a step nothing."""
        return records

    def weight(self, index: Tensor) -> Tensor | None:
        """Weights (M,) of the samples in the network's loss, beside ``sample_weight``; None for all one."""
        return None

    def observe(self, index: Tensor, logits: Tensor) -> None:
        """See the samples (M,) and logits (M, C) of the last steps, for records that need not be kept step by step."""

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Close epoch ``epoch`` (from 0); returns entries for the history."""
        return {}


class CrossEntropy(Objective):
    """Plain softmax cross-entropy on the observed labels: what AutoCleansing is without its constants."""

    def grad(self, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Closed form, ``softmax(logits) - onehot(y)``, and the log-probabilities."""
        return softmax_gradient(logits, labels)

    def losses(self, records: Tensor, labels: Tensor) -> Tensor:
        """Minus the log-probability of the observed label."""
        return records.gather(1, labels[:, None]).squeeze(1).neg()
