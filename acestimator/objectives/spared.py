r"""AutoCleansing whose network is spared the labels that judges, and itself before it learns them, hold to be wrong.

Judges that have not seen a label are honest, but have seen fewer samples. The network itself has seen them all, its own
label among them, which it does not learn by heart in its first epochs. The log-odds of the two are averaged, and moved
so that their probabilities keep the rate that the judges found.

From then on three things differ from plain training, and only where some label is left out:

* The labels that are likelier wrong than right have no part in the network's loss, which is the mean of the others':
  steps become no shorter. Where judges still learnt when the training ended, no more are left out than there is
  evidence for.
* Each prediction is pulled towards the average of its sample's own past ones
  (:mod:`acestimator.objectives.early_learning`), so that the network does not learn the wrong labels by heart that were
  kept. The strength is in proportion to the share of the training that is left after judges had learnt all that they
  could: a network that learns to the end must not be held. Nor must one be of whose labels none may be wrong, nor
  the prediction for a label that is a fact.
* The constants are learned throughout, with the gradient of their own loss, :math:`\mathrm{softmax}(m + \alpha) -
  \mathrm{onehot}(y)`. They are not in the network's: what they would keep away from it, it is spared already.
  What they have gathered orders the suspects in the end, together with the log-odds.

Legend: N samples, K classes, B batch, M samples of a block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from acestimator.alpha import softmax, softmax_gradient
from acestimator.channel import levelled, weights
from acestimator.objectives.autocleansing import AutoCleansing
from acestimator.objectives.base import Block, Step, Training
from acestimator.objectives.early_learning import EVERY, PredictionAverages, add_pull_
from acestimator.objectives.judge import Judgement

# Log-odds above which a label is left out. A network that learns its samples by heart ignores how small a weight is, as
# long as it is not zero, so that labels are kept or left out, and nothing between: see docs/what-we-tried.md.
LEFT_OUT = 0.0
_OWN_SAY = 1 / 3  # of the epochs, at most, in which the network learns all labels


class Spared(AutoCleansing):
    """Cross-entropy of all labels at first, and then of those that are likelier right than not; constants beside it.

    Parameters
    ----------
    judgement : Judgement
    early_learning : float
        Strength of the pull, were the judges' length no time at all.
    **table
        As of :class:`acestimator.objectives.AutoCleansing`.

    Attributes
    ----------
    log_odds : Tensor of float64, shape (N,)
        That each label is wrong; those of the judges until the network has had its say.
    kept : Tensor, shape (N,)
        1 of the labels that the network learns, 0 of those that it is spared.
    scale : float
        One over the share of the loss weights that is kept: the weight of each label that is.
    first : int
        Epochs in which it learns all labels.
    """

    state = ("said", "averages", "log_odds", "kept", "scale", "pulls")

    def __init__(self, judgement: Judgement, *, early_learning: float = 0.0, **table: Any) -> None:
        super().__init__(**table)
        self.judgement, self.early_learning = judgement, early_learning

    def start(self, training: Training) -> None:
        """All labels are kept."""
        super().start(training)
        labels, n_classes, dtype = training.labels, training.n_classes, training.dtype
        length, max_epochs = self.judgement.length, training.max_epochs
        self.first = max(1, min(length, int(_OWN_SAY * max_epochs)))
        held = self.early_learning if self.judgement.is_evident else 0.0
        self.strength = held * max(0.0, 1.0 - length / max_epochs)
        own = training.own_labels
        self.said = torch.zeros(len(own), n_classes, dtype=dtype, device=labels.device)
        self.log_odds = self.judgement.log_odds
        self.kept, self.scale = torch.ones(len(labels), dtype=dtype, device=labels.device), 1.0
        self.averages: PredictionAverages | None = None
        if self.strength > 0.0:
            self.averages = PredictionAverages(len(own), n_classes, dtype, labels.device)
        self.pulls = False

    def begin_block(self, block: Block) -> Tensor | None:
        """Gather what the steps need of these samples; the weights are zero for what is left out."""
        super().begin_block(block)
        if self.pulls:
            assert self.averages is not None
            self.averages.gather(block.rows, block.sizes)
        return None if block.epoch < self.first else self.scale * self.kept.index_select(0, block.index)

    def gradient(self, logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Closed form at the logits; and the pull."""
        grad, log_proba = softmax_gradient(logits, step.labels)
        # One step in four, four times as strongly. The epoch is added so that no step is left out for good.
        if self.pulls and (step.block.first_step + step.number + step.block.epoch) % EVERY == 0:
            assert self.averages is not None
            proba = softmax(logits)
            pulled = grad if self.judgement.known is None else grad.clone()
            add_pull_(pulled, proba, self.averages.doubts(step.number, proba), self.strength * EVERY)
            if self.judgement.known is not None:
                pulled = torch.where(self.judgement.known.index_select(0, step.index)[:, None], grad, pulled)
            return pulled, log_proba
        return grad, log_proba

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Move the rows, and remember what the network said of these samples."""
        assert self._announced is not None
        own, _ = softmax_gradient(outputs + self._announced.constants, block.labels)
        saying = block.epoch < self.first
        if saying or self.pulls:
            proba = softmax(outputs)
            if saying:
                self.said.index_add_(0, block.rows, proba)
            if self.averages is not None:
                self.averages.visit(block.rows, proba)
        return super().end_block(block, outputs, records, own)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Decide, once, which labels are kept."""
        if epoch + 1 == self.first:
            self._decide()
        return {**super().end_epoch(epoch), "noise_rate": self.judgement.rate}

    def _decide(self) -> None:
        training, judged = self.training, self.judgement
        own = training.gathered(judged.channel.log_odds(self.said.double().log(), training.own_labels))
        log_odds = 0.5 * (judged.log_odds + own)
        self.log_odds = levelled(log_odds, judged.rate, training.sample_weight, judged.known)
        if judged.spared_rate > 0.0:
            suspicion = self.log_odds
            if not judged.finished:
                suspicion = levelled(log_odds, judged.spared_rate, training.sample_weight, judged.known)
            self.kept = (suspicion <= LEFT_OUT).to(self.kept.dtype)
            weight = weights(self.kept, training.loss_weight)
            kept = float((weight * self.kept.double()).sum())  # by the same sum, so that the scale of all is one
            self.scale = float(weight.sum()) / kept if kept > 0.0 else 1.0
        self.pulls = self.averages is not None and not bool(self.kept.all())
        # As large as the table, and not needed any more
        self.said = self.said[:0]
        if self.averages is not None and not self.pulls:
            self.averages.values = self.averages.values[:0]
