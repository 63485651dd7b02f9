"""AutoCleansing: cross-entropy with one row of learned constants per training sample.

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acestimator.alpha import (
    AlphaTable,
    Penalty,
    Steps,
    Variant,
    check_penalty,
    log_softmax,
    softmax,
    softmax_gradient,
)
from acestimator.detection import observed_score
from acestimator.diagnosis import Tally
from acestimator.objectives.base import Block, CrossEntropy, Step, Training
from acestimator.objectives.early_learning import EVERY, PredictionAverages, add_pull_
from acestimator.objectives.posterior import MislabelPosterior

# With rate r the constants alone would make a label as probable as the rest in about this / r visits.
_TAKE_OVER = 2.0


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
        The paper's regime: the row's gradient is that of the batch's mean loss, ``g / B`` in a batch of B samples,
        whatever their weights, and decay acts at every step, as in dense SGD.
    posterior_weights : bool
        From 30 % of the epochs on, weight each sample of the network's loss by one minus the probability, refitted
        along the way, that its label is wrong.
    early_learning : float
        Strength of the network's pull towards each sample's own past predictions, see
        :mod:`acestimator.objectives.early_learning`; from half of the epochs on it acts on one step in four, there four
        times as strong. Other than 0, it keeps N K more numbers.

    Attributes
    ----------
    early : Tally or None
        What the network has learnt in epoch ``early_epoch``: None without posterior weights, which a network that has
        not learnt by then gets wrong.
    early_epoch : int
        From 0: the one before the weights begin, or the constants take over.
    """

    state = ("table", "posterior", "averages", "early", "trained_epochs")

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

    def start(self, training: Training) -> None:
        """Allocate the table (all zeros), the scores and the weights (all one)."""
        super().start(training)
        labels, n_classes, dtype = training.labels, training.n_classes, training.dtype
        # Dense time has steps_per_epoch steps between two visits of a row: divided by them, decay and penalty
        # act once a visit.
        steps = 1 if self.mean_gradient else training.steps_per_epoch
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
            self.posterior = MislabelPosterior(labels, n_classes, training.max_epochs, training.sample_weight, dtype)
        self.early, self.early_epoch = None, -1
        if self.posterior is not None:
            self.early = Tally(labels, n_classes, training.loss_weight)
            self.early_epoch = self.posterior.first_refit
            if self.lr > 0:
                self.early_epoch = min(self.early_epoch, max(math.floor(_TAKE_OVER / self.lr), 1) - 1)
        self.averages: PredictionAverages | None = None
        if self.early_learning:
            self.averages = PredictionAverages(len(labels), n_classes, dtype, labels.device)
        self.trained_epochs = 0
        self._announced: Steps | None = None  # the rows of the block that runs

    def begin_block(self, block: Block) -> Tensor | None:
        """Gather what the steps need of these samples; the weights are one minus the mislabel probability."""
        # Not announce(): its checks take as long as the rest on a small table, and the loop needs none of them.
        rates = [self.lr * lr_scale for lr_scale in block.lr_scales]
        self._announced = self.table.announced(block.index, block.sizes, rates)
        if self.averages is not None:
            self.averages.gather(block.index, block.sizes)
        if self.posterior is None or self.posterior.proba is None:
            return None
        return 1.0 - self.posterior.proba.index_select(0, block.index)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form at ``logits + alpha[index]``, or at the logits once the weights have taken over; and the pull."""
        if alone := self._alone(step.block.epoch):
            grad, log_proba = softmax_gradient(logits, step.labels)
        else:
            assert self._announced is not None
            grad, log_proba = self._announced.gradient(step.number, logits, step.labels)
        if self.averages is not None:
            # In the second stage rarely. The epoch is added so that no step of an epoch is left out for good.
            every = EVERY if alone else 1
            if (step.block.first_step + step.number + step.block.epoch) % every == 0:
                proba = softmax(logits)
                add_pull_(grad, proba, self.averages.doubts(step.number, proba), self.early_learning * every)
        return grad, log_proba

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the rows, show the samples to the posterior, and average their predictions."""
        assert self._announced is not None
        if self._alone(block.epoch) or self.averages is not None:
            # The steps' gradients are not the rows', which were not needed there: one operation for all.
            grads, records = softmax_gradient(outputs + self._announced.constants, block.labels)
        if self.mean_gradient:
            for part, size in zip(torch.split(grads, block.sizes), block.sizes, strict=True):
                part /= size
        self._announced.finish(grads)
        self._announced = None
        self._observe(block, outputs)
        return super().end_block(block, outputs, records, grads)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Refit the posterior where that is due."""
        # What momentum would have made of the rows since takes three times as long, and no curve would show it.
        record = {"alpha_norm": self.table.norm(as_visited=True)}
        if not math.isfinite(record["alpha_norm"]):
            raise FloatingPointError(
                f"the constants, or their norm, became NaN or infinite in epoch {epoch + 1}, with rate {self.lr:.3g}: "
                'lower alpha_lr, or learning_rate where alpha_lr is "paper".'
            )
        if self.posterior is not None:
            self.posterior.end_epoch(epoch)
            if self.posterior.mixture is not None:
                record["noise_rate"] = self.posterior.mixture.rate
        self.trained_epochs = epoch + 1
        return record

    def score(self, index: Tensor, logits: Tensor) -> Tensor:
        """Constants of the observed labels (M,) in the partition gauge."""
        return observed_score(self.table.rows(index), logits, self.training.labels[index])

    def finish(self, constant_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N,) and probabilities (N,), float64, after training.

        Parameters
        ----------
        constant_scores : Tensor of float64, shape (N,)
            Constants of the observed labels in the partition gauge.
        """
        training = self.training
        posterior = self.posterior or MislabelPosterior(
            training.labels, training.n_classes, 0, training.sample_weight, constant_scores.dtype
        )
        return posterior.finish(constant_scores, self.trained_epochs)

    def _alone(self, epoch: int) -> bool:
        """Whether the network is trained without its constants: once the posterior's second stage has begun."""
        return self.posterior is not None and self.posterior.in_second(epoch)

    def _observe(self, block: Block, outputs: Tensor) -> None:
        """Show a block to what remembers predictions."""
        if self.averages is None and self.posterior is None:
            return
        if self.early is not None and block.epoch == self.early_epoch:
            self.early.add(outputs, block.index)
        log_proba = log_softmax(outputs)
        proba = log_proba.exp()
        if self.averages is not None:
            self.averages.visit(block.index, proba)
        if self.posterior is not None:
            score = self.score(block.index, outputs) if self.posterior.wants_constants(block.epoch) else None
            self.posterior.observe(block.epoch, block.index, log_proba, proba, score)
