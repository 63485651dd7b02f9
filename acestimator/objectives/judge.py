"""A network that judges the labels of samples which it is not trained on.

Legend: N samples to train on, M samples to judge, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.channel import temperature
from acestimator.objectives.base import Block, CrossEntropy, Training

_PATIENCE = 0.2  # of the epochs so far, that a judge goes on for without a better likelihood
_LEAST_PATIENCE = 2  # epochs that it goes on for in any case
_GAIN = 1e-4  # least gain of likelihood that counts as better, in nats a sample


class Judge(CrossEntropy):
    """Cross-entropy, trained as long as the network's word on other samples gains.

    Its word is the mean, over the epochs, of its probabilities. A network learns what most labels agree on before it
    learns the wrong ones by heart, and each of its states errs in another way: the mean keeps what they have in common.
    How good it is, the observed labels of the judged samples tell, wrong ones among them: the likelihood of the mean,
    at the temperature that is best for it.

    Parameters
    ----------
    labels : Tensor of int64, shape (M,)
        Observed labels of the samples to judge.
    weight : Tensor of float64, shape (M,), optional
        Their weights; weight 2 is a sample twice.
    kept : Tensor, shape (N,), optional
        Weights of the samples to train on, beside those of the training.
    length : int, optional
        Epochs to train for, at most those of the training, in place of asking the likelihood.

    Attributes
    ----------
    word : Tensor of float64, shape (M, K)
        Mean probabilities of the best length so far.
    length : int
        The epochs that it is the mean of.
    log_likelihood : float
        Its mean log-likelihood, at the best temperature; minus infinity where the length was given.
    """

    state = ("total", "word", "length", "log_likelihood", "stopped")

    def __init__(
        self,
        labels: Tensor,
        weight: Tensor | None = None,
        *,
        kept: Tensor | None = None,
        length: int | None = None,
    ) -> None:
        self.labels, self.weight, self.kept, self.wanted = labels, weight, kept, length

    def start(self, training: Training) -> None:
        """Nothing has been said yet."""
        super().start(training)
        shape = len(self.labels), training.n_classes
        self.total = torch.zeros(shape, dtype=torch.float64, device=self.labels.device)
        self.word = self.total
        self.length, self.log_likelihood, self.stopped = 0, -float("inf"), False

    def begin_block(self, block: Block) -> Tensor | None:
        """Weights of the samples that are kept in part."""
        return None if self.kept is None else self.kept.index_select(0, block.index)

    def judge(self, epoch: int, logits: Tensor) -> None:
        """Add this epoch's word; stop when the mean has not gained for a while, or at the wanted length."""
        self.total = self.total + torch.softmax(logits.double(), dim=1)
        word, length = self.total / (epoch + 1), epoch + 1
        if self.wanted is not None:
            self.word, self.length, self.stopped = word, length, length >= self.wanted
            return
        _, log_likelihood = temperature(word.log(), self.labels, self.weight)
        if log_likelihood > self.log_likelihood + _GAIN:
            self.word, self.length, self.log_likelihood = word, length, log_likelihood
        self.stopped = length - self.length > max(_LEAST_PATIENCE, _PATIENCE * length)
