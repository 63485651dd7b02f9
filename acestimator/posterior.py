r"""The probability that each label is wrong, kept up to date while the network is trained.

It has two stages, for early and late networks know different things.

**First stage.** The score of a sample is its constant, the observed label's in the partition gauge: a memory of how
often the network disagreed. A mixture of two normal distributions tells right labels from wrong ones. It flags too many
rather than too few, and a network that is spared them stays a network of the right labels.

**Second stage.** Such a network says which category a wrong label stands for, and wrong labels have a pattern: a
category is mistaken for some others and not for the rest. The score becomes the log-odds

.. math:: s_n = \ln \frac{\sum_{k \ne y} R_{ky} p_k}{p_y} ,
    \qquad p = \mathrm{softmax}(m(x_n)), \quad R_{ky} = c \, \frac{\pi_{ky}}{\bar\pi},

Bayes' rule for a transition matrix :math:`\pi` whose off-diagonal entries, of mean :math:`\bar\pi`, are estimated from
the flagged samples, averaged over the visits. The scale c is not that of :math:`\pi` itself: with a matrix that is
learned from the flagged, whoever is flagged less is flagged less still, until nobody is. The mixture, on
:math:`1 / (1 + e^{-s})`, sets the level.

Legend: N samples, K categories, M samples of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acestimator._softmax import log_softmax
from acestimator.detection import mislabel_log_odds
from acestimator.mixture import WARM_STEPS, ScoreMixture

FIRST_START, SECOND_START = 0.2, 0.4  # of the epochs
FIRST_REFITS, SECOND_REFITS = 12, 20  # evenly spread over all epochs
DECAY = 0.8  # of the log-odds' average, a visit
ODDS = 3.0  # c is this times the odds of a wrong label, as the first stage sees them, and at most one
PRIOR = 10.0  # samples of each category that are mistaken evenly, before any is counted
LARGEST_CONFUSION = 4096  # categories; for more, all mistakes count alike
_FINAL_STEPS = 12  # of EM, after training


class MislabelPosterior:
    """Scores, mixture and probabilities of N training samples.

    Parameters
    ----------
    labels : Tensor of int64, shape (N,)
        Observed labels.
    n_classes : int
        K.
    max_epochs : int
    sample_weight : Tensor of float64, shape (N,), or None
    dtype : torch.dtype

    Attributes
    ----------
    proba : Tensor of shape (N,), or None
        Probability of a wrong label, as last refitted; None before the first refit.
    mixture : ScoreMixture or None
        The last one.
    scores : Tensor of shape (N,)
        Constants of the observed labels in the first stage, log-odds in the second.
    """

    def __init__(
        self, labels: Tensor, n_classes: int, max_epochs: int, sample_weight: Tensor | None, dtype: torch.dtype
    ) -> None:
        self.labels, self.n_classes, self.sample_weight = labels, n_classes, sample_weight
        self.switch = math.ceil(SECOND_START * max_epochs)
        first = max(math.ceil(FIRST_START * max_epochs), 1) - 1
        self._refits = frozenset(
            range(first, min(self.switch, max_epochs - 1), max(1, round(max_epochs / FIRST_REFITS)))
        )
        second = range(self.switch, max_epochs - 1, max(1, round(max_epochs / SECOND_REFITS)))
        self._refits |= frozenset(second)
        self._counted = frozenset((self.switch - 1, *second))  # epochs, from whose visits R is learned
        self.scores = torch.zeros(len(labels), dtype=dtype, device=labels.device)
        self.proba: Tensor | None = None
        self.mixture: ScoreMixture | None = None
        self._of_second = False  # whether the mixture is one of the second stage's scores
        self._scale = 1.0  # c
        self._counts: Tensor | None = None  # (K, K), of true category and label, in the epoch that runs
        self._relative: Tensor | None = None  # R (K, K); None: c everywhere

    def in_second(self, epoch: int) -> bool:
        """Whether epoch ``epoch`` (from 0) is of the second stage, for which there has to be a mixture of the first."""
        return epoch >= self.switch and self.proba is not None

    def wants_constants(self, epoch: int) -> bool:
        """Whether :meth:`observe` will look at the constants in this epoch."""
        return not self.in_second(epoch) and epoch in self._refits

    def observe(self, epoch: int, index: Tensor, logits: Tensor, constant_score: Tensor | None) -> None:
        """See samples (M,) at their visit.

        Parameters
        ----------
        epoch : int
            From 0.
        index : Tensor of int64, shape (M,)
        logits : Tensor, shape (M, K)
        constant_score : Tensor, shape (M,), or None
            Where :meth:`wants_constants`: the observed labels' constants in the partition gauge.
        """
        if constant_score is not None:
            self.scores[index] = constant_score
        # R is of an epoch before, and the first stage has no use for it.
        if self.proba is None or epoch < self.switch - 1:
            return
        labels, log_p = self.labels.index_select(0, index), log_softmax(logits)
        if epoch in self._counted and self.n_classes <= LARGEST_CONFUSION:
            self._count(index, labels, log_p.exp(), self.proba.index_select(0, index))
        if self.in_second(epoch):
            n_before = epoch - self.switch
            decay = min(DECAY, n_before / (n_before + 1))  # a plain mean of the first few
            odds = mislabel_log_odds(log_p, labels, self._odds_matrix(log_p))
            self.scores.index_copy_(0, index, torch.lerp(odds, self.scores.index_select(0, index), decay))

    def end_epoch(self, epoch: int) -> None:
        """Refit, where that is due."""
        self._learn_confusion()
        if epoch in self._refits:
            second = self.in_second(epoch)
            self._refit(second)
            if self.mixture is not None and not second:
                rate = self.mixture.rate
                self._scale = min(1.0, ODDS * rate / (1.0 - rate))

    def finish(self, constant_scores: Tensor, trained_epochs: int) -> tuple[Tensor, Tensor]:
        """Scores and probabilities (N,), float64, after training; the scores as the mixture sees them.

        Parameters
        ----------
        constant_scores : Tensor, shape (N,)
            The observed labels' constants in the partition gauge: the scores where the second stage was never reached.
        trained_epochs : int
        """
        second = self.in_second(trained_epochs - 1)
        if not second:
            self.scores = constant_scores
        self._refit(second, _FINAL_STEPS)
        scores = self._seen(second).double()
        return scores, torch.zeros_like(scores) if self.mixture is None else self.mixture.posterior(scores)

    def _seen(self, second: bool) -> Tensor:
        """What the mixture is fitted to, (N,): the constants, or the log-odds as numbers from 0 to 1."""
        return torch.sigmoid(self.scores.double()) if second else self.scores

    def _refit(self, second: bool, n_steps: int = WARM_STEPS) -> None:
        """Refit the mixture, warm where there is one, and take the probabilities from it."""
        seen = self._seen(second)
        if second and not self._of_second:
            self.mixture, self._of_second = None, True  # the first stage's is one of other scores
        if self.mixture is None:
            self.mixture = ScoreMixture.start(seen, self.sample_weight)
        else:
            self.mixture = self.mixture.refit(seen, self.sample_weight, n_steps)
        if self.mixture is not None:
            self.proba = self.mixture.posterior(seen).to(self.scores.dtype)

    # ------------------------------------------------------------------ which category is mistaken for which

    def _count(self, index: Tensor, labels: Tensor, p: Tensor, wrong: Tensor) -> None:
        """Add a block's wrong labels to the counts, each shared out by the network's p (M, K) over the other categories."""
        if self._counts is None:
            self._counts = torch.zeros(self.n_classes, self.n_classes, dtype=p.dtype, device=p.device)
        # (M, K): the true category, given that it is not the label; and the label, given that it is right
        share = p.scatter_(1, labels[:, None], 0.0)
        share *= (wrong / share.sum(dim=1).clamp(min=torch.finfo(p.dtype).tiny))[:, None]
        share.scatter_(1, labels[:, None], (1.0 - wrong)[:, None])
        if self.sample_weight is not None:
            share *= self.sample_weight.index_select(0, index).to(share.dtype)[:, None]
        self._counts.index_add_(1, labels, share.T)

    def _learn_confusion(self) -> None:
        """Turn the epoch's counts into R, without its scale."""
        if self._counts is None:
            return
        counts, self._counts = self._counts, None
        total = counts.sum()
        rate = (total - counts.diagonal().sum()) / total
        pi = counts + PRIOR * rate / (self.n_classes - 1)
        pi = pi / pi.sum(dim=1, keepdim=True).clamp(min=1e-12)
        pi.fill_diagonal_(0.0)
        mean = pi.sum() / (self.n_classes * (self.n_classes - 1))
        self._relative = pi / mean if mean > 0 else None

    def _odds_matrix(self, like: Tensor) -> Tensor:
        """R (K, K), or the number c."""
        if self._relative is None:
            return torch.full((), self._scale, dtype=like.dtype, device=like.device)
        return self._relative * self._scale
