"""A network that is spared the labels which judges, and it itself before it learns them, hold to be wrong.

Legend: N samples, K classes, M samples of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.channel import Channel
from acestimator.objectives.base import Block, CrossEntropy, Training

# Probability from which on a label is left out. A network that learns its samples by heart ignores how small a weight
# is, as long as it is not zero, so that labels are kept or left out. A wrong label that is kept spoils what is around
# it, a right one that is left out is mostly replaced by its neighbours: so less than one half.
# See docs/what-we-tried.md.
LEFT_OUT = 0.35
_SUREST = 1e-6  # least probability of either, so that log-odds are finite


class Spared(CrossEntropy):
    """Cross-entropy of all labels at first, and then of those that are likelier right than not.

    Judges that have not seen a label are honest, but have seen fewer samples. The network itself has seen them all, its
    own label among them, which it does not learn by heart in its first epochs. The log-odds of the two are averaged.

    Parameters
    ----------
    judged : Tensor of float64, shape (N,)
        Probability that each label is wrong, by judges.
    channel : Channel
        By which the network's own predictions are read.
    start : int
        Epochs in which all labels are learnt: at least one, and fewer than there are for the others to be left out.

    Attributes
    ----------
    proba : Tensor of float64, shape (N,)
        Probability that each label is wrong; that of the judges until the network has had its say.
    """

    state = ("total", "proba", "kept")

    def __init__(self, judged: Tensor, channel: Channel, start: int) -> None:
        self.judged, self.channel, self.first = judged, channel, start

    def start(self, training: Training) -> None:
        """All labels are kept."""
        super().start(training)
        shape = len(training.labels), training.n_classes
        self.total = torch.zeros(shape, dtype=torch.float64, device=training.labels.device)
        self.proba = self.judged
        self.kept = torch.ones(shape[0], dtype=training.dtype, device=training.labels.device)

    def begin_block(self, block: Block) -> Tensor | None:
        """One for the labels that are kept, zero for the others."""
        return self.kept.index_select(0, block.index) if block.epoch >= self.first else None

    def end_block(self, block: Block, outputs: Tensor, records: Tensor, grads: Tensor) -> Tensor:
        """Remember what the network said of these samples."""
        if block.epoch < self.first:
            self.total.index_add_(0, block.index, torch.softmax(outputs.double(), dim=1))
        return super().end_block(block, outputs, records, grads)

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Decide, once, which labels are kept."""
        if epoch + 1 == self.first:
            own = self.channel.wrong_probability(self.total.log(), self.training.labels)
            self.proba = mean_log_odds(self.judged, own)
            self.kept = (self.proba <= LEFT_OUT).to(self.kept.dtype)
        weight = self.training.sample_weight
        return {"noise_rate": float(self.proba.mean() if weight is None else weight @ self.proba / weight.sum())}


def mean_log_odds(*probabilities: Tensor) -> Tensor:
    """Probability whose log-odds are the mean of those of several, (N,)."""
    odds = [torch.logit(p.double(), eps=_SUREST) for p in probabilities]
    return torch.sigmoid(torch.stack(odds).mean(dim=0))
