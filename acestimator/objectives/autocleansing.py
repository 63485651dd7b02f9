"""AutoCleansing: cross-entropy with one row of learned constants per training sample.

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from acestimator.alpha import AlphaTable, Penalty, Steps, Variant, check_penalty
from acestimator.objectives.base import Block, CrossEntropy, Step, Training


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
    """

    state: ClassVar[tuple[str, ...]] = ("table",)

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
    ) -> None:
        check_penalty(penalty)
        self.variant, self.lr, self.momentum, self.nesterov = variant, lr, momentum, nesterov
        self.weight_decay, self.penalty = weight_decay, penalty
        self.mean_gradient = mean_gradient

    def start(self, training: Training) -> None:
        """Allocate the table, all zeros."""
        super().start(training)
        labels, n_classes, dtype = training.own_labels, training.n_classes, training.dtype
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
        self._announced: Steps | None = None  # the rows of the block that runs

    def begin_block(self, block: Block) -> Tensor | None:
        """Gather the rows that the steps need; no weights."""
        # Not announce(): its checks take as long as the rest on a small table, and the loop needs none of them.
        rates = [self.lr * lr_scale for lr_scale in block.lr_scales]
        self._announced = self.table.announced(block.rows, block.sizes, rates)
        return None

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form at ``logits + alpha[index]``."""
        assert self._announced is not None
        return self._announced.gradient(step.number, logits, step.labels)

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the rows."""
        assert self._announced is not None
        if self.mean_gradient:
            for part, size in zip(torch.split(grads, block.sizes), block.batch_sizes, strict=True):
                part /= size
        self._announced.finish(grads)
        self._announced = None
        return super().end_block(block, outputs, records, grads)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Report how large the constants are."""
        # What momentum would have made of the rows since takes three times as long, and no curve would show it.
        norm = self.training.mean_square(self.table.norm(as_visited=True))
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"the constants, or their norm, became NaN or infinite in epoch {epoch + 1}, with rate {self.lr:.3g}: "
                'lower alpha_lr, or learning_rate where alpha_lr is "paper".'
            )
        return {"alpha_norm": norm}
