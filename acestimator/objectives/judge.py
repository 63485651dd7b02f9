"""Networks that judge the labels of samples which they are not trained on.

Legend: N samples to train on, M samples to judge, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from acestimator.channel import Channel, temperature
from acestimator.objectives.base import Block, CrossEntropy, Training

_STRIDE = 1.2  # ratio of two epochs, one after the other, at whose ends a judge is asked
_PATIENCE = 0.2  # of the epochs so far, that a judge goes on for without a better likelihood
_LEAST_PATIENCE = 2  # epochs that it goes on for in any case
_GAIN = 1e-4  # least gain of likelihood that counts as better, in nats a sample


@dataclass(frozen=True, eq=False)
class Judgement:
    """What judges say of N labels.

    Parameters
    ----------
    channel : Channel
        By which the word of networks that have learned all labels is read.
    log_odds : Tensor of float64, shape (N,)
        That each label is wrong; the least of facts.
    rate : float
        Their (weighted) mean probability, but for facts.
    interval : tuple of float
        90 % interval of the rate.
    length : int
        Epochs after which networks begin to learn wrong labels by heart.
    finished : bool
        Whether judges had learnt all that they could before the training's end.
    known : Tensor of bool, shape (N,), optional
        Labels that are facts.
    """

    channel: Channel
    log_odds: Tensor
    rate: float
    interval: tuple[float, float]
    length: int
    finished: bool
    known: Tensor | None = None

    @property
    def is_evident(self) -> bool:
        """Whether there is evidence that some label is wrong."""
        return self.interval[0] > 0.0

    @property
    def spared_rate(self) -> float:
        """Share of the labels that a network is to be spared: no more than there is evidence for, of unfinished judges.

        Judges that still learn when the training ends err more often than they would, and take labels for wrong that
        are not. And little is learnt by heart that a network had to be spared.
        """
        return self.rate if self.finished else self.interval[0]


class Judge(CrossEntropy):
    """Cross-entropy, trained as long as the network's word on other samples gains.

    Its word is the mean, over the epochs, of its probabilities. A network learns what most labels agree on before it
    learns the wrong ones by heart, and each of its states errs in another way: the mean keeps what they have in common.
    How good it is, the observed labels of the judged samples tell, wrong ones among them: the likelihood of the mean,
    at the temperature that is best for it.

    It is asked after each of the first ten epochs, then after 12, 14, 16, 19, 22 and so on, and each answer stands for
    the epochs since the one before: in a training of 60 that is 21 times, and costs a tenth of the training, not a
    third.

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
    beside : Judge, optional
        One that has judged the other samples. The likelihood is that of both, so that one length is found for the two:
        with few samples each would stop by chance. It is trained no longer than that one was.

    Attributes
    ----------
    words : dict of int to Tensor of float32, shape (M, K)
        Mean probabilities of the first epochs, by their number.
    log_likelihoods : dict of int to float
        Their mean log-likelihood, at the best temperature; empty where the length was given.
    """

    state = ("total", "words", "log_likelihoods", "stopped")

    def __init__(
        self,
        labels: Tensor,
        weight: Tensor | None = None,
        *,
        kept: Tensor | None = None,
        length: int | None = None,
        beside: Judge | None = None,
    ) -> None:
        self.labels, self.weight, self.kept, self.length, self.beside = labels, weight, kept, length, beside

    def start(self, training: Training) -> None:
        """Nothing has been said yet."""
        super().start(training)
        shape = len(self.labels), training.n_classes
        self.total = torch.zeros(shape, dtype=torch.float64, device=self.labels.device)
        self.words: dict[int, Tensor] = {}
        self.log_likelihoods: dict[int, float] = {}
        self.stopped = False
        self.last = training.max_epochs if self.length is None else min(self.length, training.max_epochs)
        self._asked = frozenset(asked_epochs(self.last))

    def begin_block(self, block: Block) -> Tensor | None:
        """Weights of the samples that are kept in part."""
        return None if self.kept is None else self.kept.index_select(0, block.index)

    def wants(self, epoch: int) -> bool:
        """Whether this is an epoch at whose end it is asked."""
        return epoch + 1 in self._asked

    def judge(self, epoch: int, logits: Tensor) -> None:
        """Add this epoch's word; stop when the mean has not gained for a while, or at the last epoch."""
        length = epoch + 1
        since = length - max(self.words, default=0)
        self.total = self.total + since * torch.softmax(logits.double(), dim=1)
        word = self.total / length
        if self.length is not None:
            self.words = {length: word.float()}
            self.stopped = length == self.last
            return
        self.words[length] = word.float()
        _, log_likelihood = temperature(word.log(), self.labels, self.weight)
        self.log_likelihoods[length] = log_likelihood
        best = self.best_length()
        outlasted = self.beside is not None and length >= max(self.beside.words)
        self.stopped = outlasted or length - best > max(_LEAST_PATIENCE, _PATIENCE * length)

    def best_length(self) -> int:
        """First of the epochs asked whose likelihood, or that of both judges, no later one beats."""
        best, best_length = -math.inf, 0
        for length, log_likelihood in self.log_likelihoods.items():
            if self.beside is not None:
                if length not in self.beside.log_likelihoods:
                    break
                shares = np.array([_total(self), _total(self.beside)])
                both = log_likelihood, self.beside.log_likelihoods[length]
                log_likelihood = float(shares @ both / shares.sum())
            if log_likelihood > best + _GAIN:
                best, best_length = log_likelihood, length
        return best_length

    def word(self, length: int) -> Tensor:
        """Log-probabilities (M, K) in float64, of the mean over the first epochs."""
        return self.words[length].double().log()


def asked_epochs(n_epochs: int) -> list[int]:
    """Epochs, from 1, at whose ends a judge is asked: each at most a fifth more than the one before, or one more."""
    epochs = [1]
    while epochs[-1] < n_epochs:
        epochs.append(min(max(epochs[-1] + 1, math.floor(epochs[-1] * _STRIDE)), n_epochs))
    return epochs


def _total(judge: Judge) -> float:
    return float(len(judge.labels) if judge.weight is None else judge.weight.sum())
