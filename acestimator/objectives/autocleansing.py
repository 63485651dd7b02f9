"""AutoCleansing: cross-entropy with one row of learned constants per training sample.

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.alpha import AlphaTable
from acestimator.alpha.hyperparameters import Penalty, Variant, check_penalty
from acestimator.alpha.softmax import log_softmax, softmax, softmax_gradient
from acestimator.detection import observed_score
from acestimator.objectives.base import CrossEntropy
from acestimator.objectives.early_learning import EVERY, PredictionAverages, StepNumbers, add_pull_
from acestimator.objectives.posterior import MislabelPosterior


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
        step = self._numbers.of(index)
        if alone := self._alone:
            grad, log_proba = softmax_gradient(logits, labels)
        else:
            grad, log_proba = self._steps.gradient(step, logits, labels)
        if self.averages is not None:
            # In the second stage rarely; the epoch is added so that no place in it is left out for good.
            every = EVERY if alone else 1
            if (self._steps_before + step + self._epoch) % every == 0:
                proba = softmax(logits)
                add_pull_(grad, proba, self.averages.doubts(step, proba), self.early_learning * every)
        return grad, log_proba

    def open(self, index: Tensor, sizes: list[int], lr_scales: list[float]) -> None:
        """Gather what the steps need of these samples."""
        # The loop's own index needs no checks: on a small table they take as long as the rest.
        self._steps = self.table.announced(index, sizes, [self.lr * lr_scale for lr_scale in lr_scales])
        self._numbers = StepNumbers(index, sizes)
        if self.averages is not None:
            self.averages.open(index, sizes)

    def close(self, index: Tensor, grads: list[Tensor], logits: Tensor) -> None:
        """Move the rows, and write them back."""
        if self._alone or self.averages is not None:
            # The steps' gradients are not the rows', which were not needed there: one operation for all.
            grad, self._log_proba = softmax_gradient(logits + self._steps.constants, self.labels.index_select(0, index))
        else:
            grad = torch.cat(grads)
        if self.mean_gradient:
            sizes = [len(step) for step in grads]
            for part, step in zip(torch.split(grad, sizes), torch.split(index, sizes), strict=True):
                part /= self._total_weight(step)
        self._steps.finish(grad)
        del self._steps, self._numbers
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
        record = {"alpha_norm": self.table.norm(as_visited=True)}
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
