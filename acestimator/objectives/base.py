"""Objectives: what turns logits and observed labels into a gradient, a loss, and per-sample state.

Legend: N samples, K classes, B batch, C outputs of the network (K here).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from acestimator.alpha import AlphaTable
from acestimator.alpha.hyperparameters import Penalty, Variant, check_penalty
from acestimator.alpha.softmax import log_softmax, softmax, softmax_gradient
from acestimator.detection import observed_score
from acestimator.objectives.early_learning import EVERY, PredictionAverages, add_pull_
from acestimator.objectives.posterior import MislabelPosterior

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


class AutoCleansing(CrossEntropy):
    r"""Softmax cross-entropy of ``c = m + alpha[index]``, the constants learned beside the network (Algorithm 1).

    One sample's loss has the same gradient in its logits and in its constants,
    :math:`g = \mathrm{softmax}(m + \alpha) - \mathrm{onehot}(y)`; it is computed once and serves both.

    Parameters
    ----------
    variant : {"AC1", "AC2"}
        Constants for all categories, or for the observed label alone.
    lr, momentum, nesterov, weight_decay, penalty
        Of the table: see :class:`acestimator.AlphaTable`. With ``mean_gradient=False`` they are in per-sample
        units: a row moves by ``lr * g`` a visit, and decay and penalty act once between two visits, whatever
        the batch size.
    mean_gradient : bool
        The paper's regime: the row's gradient is that of the batch's mean loss, ``g / (sum of the batch's
        weights)``, and decay acts at every step, as in dense SGD.
    posterior_weights : bool
        From 30 % of the epochs on, weight each sample of the network's loss by one minus the probability, refitted
        along the way, that its label is wrong.
    early_learning : float
        Strength of the network's pull towards each sample's own past predictions, see
        :mod:`acestimator.objectives.early_learning`; from half of the epochs on it acts on one step in four, there four
        times as strong. Other than 0, it keeps N K more numbers.
    """

    def __init__(
        self,
        *,
        variant: Variant,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        penalty: Penalty | None = None,
        mean_gradient: bool = False,
        posterior_weights: bool = True,
        early_learning: float = 0.0,
    ) -> None:
        check_penalty(penalty)
        self.variant, self.lr, self.momentum, self.nesterov = variant, lr, momentum, nesterov
        self.weight_decay, self.penalty = weight_decay, penalty
        self.mean_gradient, self.posterior_weights = mean_gradient, posterior_weights
        self.early_learning = early_learning

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
        """Allocate the table (all zeros), the scores and the weights (all one)."""
        super().bind(
            labels,
            n_classes,
            sample_weight=sample_weight,
            steps_per_epoch=steps_per_epoch,
            max_epochs=max_epochs,
            dtype=dtype,
        )
        # Dense time has steps_per_epoch steps between two visits of a row: divided by them, decay and penalty
        # act once a visit.
        steps = 1 if self.mean_gradient else steps_per_epoch
        self.table = AlphaTable(
            len(labels),
            n_classes,
            variant=self.variant,
            labels=labels,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay / steps,
            penalty=None if self.penalty is None else (self.penalty[0], self.penalty[1] / steps),
            dtype=dtype,
            device=labels.device,
        )
        self.posterior: MislabelPosterior | None = None
        if self.posterior_weights:
            self.posterior = MislabelPosterior(labels, n_classes, max_epochs, sample_weight, dtype)
        self.averages: PredictionAverages | None = None
        if self.early_learning:
            self.averages = PredictionAverages(len(labels), n_classes, dtype, labels.device)
        self._log_proba: Tensor | None = None
        self._epoch = self._steps_before = 0  # the epoch that runs, and its steps in the blocks before this one

    @property
    def _alone(self) -> bool:
        """Whether the network is trained without its constants: once the posterior's second stage has begun."""
        return self.posterior is not None and self.posterior.in_second(self._epoch)

    def grad(self, logits: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Closed form at ``logits + alpha[index]``, or at the logits once the weights have taken over; and the pull."""
        if alone := self._alone:
            grad, log_proba = softmax_gradient(logits, labels)
        else:
            grad, log_proba = self.table.gradient(logits, labels, index)
        if self.averages is not None:
            # In the second stage rarely; the epoch is added so that no place in it is left out for good.
            every = EVERY if alone else 1
            if (self._steps_before + self.averages.step(index) + self._epoch) % every == 0:
                proba = softmax(logits)
                add_pull_(grad, proba, self.averages.doubts(index, proba), self.early_learning * every)
        return grad, log_proba

    def open(self, index: Tensor, sizes: list[int], lr_scales: list[float]) -> None:
        """Gather what the steps need of these samples."""
        # The loop's own index needs none of the checks of table.open(): on a small table they take as long as the rest.
        steps = self.table._rows.open(index, index, sizes, [self.lr * lr_scale for lr_scale in lr_scales])
        if self.averages is not None:
            self.averages.open(index, steps)

    def close(self, index: Tensor, grads: list[Tensor], logits: Tensor) -> None:
        """Move the rows, and write them back."""
        if self._alone or self.averages is not None:
            # The steps' gradients are not the rows', which were not needed there: one operation for all.
            alpha = self.table._rows.announced()
            grad, self._log_proba = softmax_gradient(logits + alpha, self.labels.index_select(0, index))
        else:
            grad = torch.cat(grads)
        if self.mean_gradient:
            sizes = [len(step) for step in grads]
            for part, step in zip(torch.split(grad, sizes), torch.split(index, sizes), strict=True):
                part /= self._total_weight(step)
        self.table._rows.close(grad)
        self._steps_before += len(grads)

    def losses(self, records: Tensor, labels: Tensor) -> Tensor:
        """Minus the log-probability of the observed label, with the constants."""
        if self._log_proba is not None:
            records, self._log_proba = self._log_proba, None
        return super().losses(records, labels)

    def weight(self, index: Tensor) -> Tensor | None:
        """One minus the mislabel probability, once it is known."""
        if self.posterior is None or self.posterior.proba is None:
            return None
        return 1.0 - self.posterior.proba.index_select(0, index)

    def observe(self, index: Tensor, logits: Tensor) -> None:
        """Show the samples to the posterior, and average their predictions."""
        if self.averages is None and self.posterior is None:
            return
        log_proba = log_softmax(logits)
        proba = log_proba.exp()
        if self.averages is not None:
            self.averages.visit(index, proba)
        if self.posterior is not None:
            score = self.score(index, logits) if self.posterior.wants_constants(self._epoch) else None
            self.posterior.observe(self._epoch, index, log_proba, proba, score)

    def _total_weight(self, index: Tensor) -> float | Tensor:
        """Of a batch."""
        return len(index) if self.sample_weight is None else self.sample_weight[index].sum()

    def score(self, index: Tensor, logits: Tensor) -> Tensor:
        """Constants of the observed labels (M,) in the partition gauge."""
        return observed_score(self.table.rows(index), logits, self.labels[index])

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Refit the posterior where that is due."""
        # What momentum would have made of the rows since takes three times as long, and no curve would show it.
        record = {"alpha_norm": self.table._rows.norm(as_of_now=False)}
        if self.posterior is not None:
            self.posterior.end_epoch(epoch)
            if self.posterior.mixture is not None:
                record["noise_rate"] = self.posterior.mixture.rate
        self._epoch, self._steps_before = epoch + 1, 0
        return record

    def finish(self, constant_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N,) and probabilities (N,), float64, after training.

        Parameters
        ----------
        constant_scores : Tensor of float64, shape (N,)
            Constants of the observed labels in the partition gauge.
        """
        posterior = self.posterior or MislabelPosterior(
            self.labels, self.n_classes, 0, self.sample_weight, constant_scores.dtype
        )
        return posterior.finish(constant_scores, self._epoch)
