r"""The probability that each label is wrong, kept up to date while the network is trained.

It has two stages, because early and late networks know different things.

**First stage.** The score of a sample is the constant of its observed label in the partition gauge. It remembers how
often the network disagreed with the label. A mixture of two normal distributions tells right labels from wrong ones. It
flags too many samples rather than too few, and a network that is spared these learns from right labels.

**Second stage.** Such a network knows the category behind a wrong label, and wrong labels have a pattern: a category is
mistaken for some others and not for the rest. The score becomes the log-odds

.. math:: s_n = \ln \frac{\sum_{k \ne y} R_{ky} p_k}{p_y} ,
    \qquad p = \mathrm{softmax}(m(x_n)), \quad R_{ky} = c \, \frac{\pi_{ky}}{\bar\pi},

Bayes' rule for a transition matrix :math:`\pi` whose off-diagonal entries, of mean :math:`\bar\pi`, are estimated from
the flagged samples, averaged over the visits. The scale c is not that of :math:`\pi` itself, because the matrix is
learned from the flagged samples: with its own scale, fewer flags would make a smaller matrix, which makes fewer flags,
until there are none. The mixture, on :math:`1 / (1 + e^{-s})`, sets the level.

**After training** the same rule is applied once more, to the means over all visits: a network that has begun to learn a
wrong label knew better before. Nothing feeds back into training now, and Bayes' rule sets the level itself: see
:func:`acestimator.detection.mislabel_log_odds` and :func:`acestimator.detection.wrong_probability`.

Legend: N samples, K categories, M samples of a block.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from acestimator.detection import mislabel_log_odds, mistaken, regularity, wrong_probability
from acestimator.mixture import WARM_STEPS, ScoreMixture
from acestimator.objectives.confusion import Confusion
from acestimator.objectives.state import Stateful

FIRST_START, SECOND_START = 0.3, 0.5  # of the epochs
FIRST_REFITS, SECOND_REFITS = 12, 20  # evenly spread over all epochs
DECAY = 0.8  # of the log-odds' average, a visit
ODDS = 3.0  # c is this times the odds of a wrong label, as the first stage sees them, and at most one
_FINAL_STEPS = 12  # of EM, after a training that never came to the second stage
_DOUBT = 1e-6  # least probability, on average, that a label is wrong, and that it is right


class MislabelPosterior(Stateful):
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
    confusion : Confusion
        Which category is mistaken for which.
    first_refit : int
        The epoch, from 0, at the end of which the weights begin; the first in a training of one epoch, which has none.
    """

    state = ("scores", "proba", "confusion", "_of_second", "_scale", "_learned", "_right", "_others", "_mistaken")

    def __init__(
        self, labels: Tensor, n_classes: int, max_epochs: int, sample_weight: Tensor | None, dtype: torch.dtype
    ) -> None:
        self.labels, self.n_classes, self.sample_weight = labels, n_classes, sample_weight
        self.switch = math.ceil(SECOND_START * max_epochs)
        self.first_refit = first = max(math.ceil(FIRST_START * max_epochs), 1) - 1
        self._refits = frozenset(
            range(first, min(self.switch, max_epochs - 1), max(1, round(max_epochs / FIRST_REFITS)))
        )
        self._refits |= frozenset(range(self.switch, max_epochs - 1, max(1, round(max_epochs / SECOND_REFITS))))
        self.scores = torch.zeros(len(labels), dtype=dtype, device=labels.device)
        self.proba: Tensor | None = None
        self.mixture: ScoreMixture | None = None
        self._of_second = False  # whether the mixture is one of the second stage's scores
        self._scale = 1.0  # c
        self.confusion = Confusion(n_classes)
        self._learned = 0  # the first epoch with an R
        # (N,) means over the visits: of p_y over all, and of the sums of p_k and R_ky p_k over those with an R
        self._right, self._others, self._mistaken = torch.zeros(3, len(labels), dtype=dtype, device=labels.device)

    def in_second(self, epoch: int) -> bool:
        """Whether epoch ``epoch`` (from 0) is of the second stage, for which there has to be a mixture of the first."""
        return epoch >= self.switch and self.proba is not None

    def wants_constants(self, epoch: int) -> bool:
        """Whether :meth:`observe` will look at the constants in this epoch."""
        return not self.in_second(epoch) and epoch in self._refits

    def observe(
        self, epoch: int, index: Tensor, log_proba: Tensor, proba: Tensor, constant_score: Tensor | None
    ) -> None:
        """See samples (M,) at their visit.

        Parameters
        ----------
        epoch : int
            From 0.
        index : Tensor of int64, shape (M,)
        log_proba, proba : Tensor, shape (M, K)
            The network's.
        constant_score : Tensor, shape (M,), or None
            Where :meth:`wants_constants`: the observed labels' constants in the partition gauge.
        """
        if constant_score is not None:
            self.scores[index] = constant_score
        labels = self.labels.index_select(0, index)
        at = labels[:, None]
        right = proba.gather(1, at).squeeze(1)
        _average(self._right, index, right, _share_of_past(epoch))
        if self.proba is None:
            return
        relative = self.confusion.relative
        if relative is not None or self.in_second(epoch):
            wrong = mistaken(proba, labels, relative)
            share = _share_of_past(epoch - self._learned)
            _average(self._others, index, 1.0 - right, share)
            _average(self._mistaken, index, wrong, share)
            if self.in_second(epoch):
                tiny = torch.finfo(wrong.dtype).tiny
                log_odds = (self._scale * wrong).clamp_(min=tiny).log_() - log_proba.gather(1, at).squeeze(1)
                _average(self.scores, index, log_odds, min(DECAY, _share_of_past(epoch - self.switch)))
        if epoch in self._refits or epoch == self.switch - 1:
            weight = None if self.sample_weight is None else self.sample_weight.index_select(0, index)
            self.confusion.count(labels, proba, self.proba.index_select(0, index), weight)

    def end_epoch(self, epoch: int) -> None:
        """Refit, where that is due."""
        if self.confusion.relative is None:
            self._learned = epoch + 1
        self.confusion.learn()
        if epoch in self._refits:
            second = self.in_second(epoch)
            self._refit(second)
            if self.mixture is not None and not second:
                rate = self.mixture.rate
                self._scale = min(1.0, ODDS * rate / (1.0 - rate))

    def finish(self, constant_scores: Tensor, trained_epochs: int) -> tuple[Tensor, Tensor]:
        """Scores and probabilities (N,), float64, after training.

        Parameters
        ----------
        constant_scores : Tensor, shape (N,)
            The observed labels' constants in the partition gauge: the scores where the second stage was never reached.
        trained_epochs : int

        Returns
        -------
        scores, proba : Tensor, shape (N,)
            The scores from 0 to 1, log-odds as of labels of which half are wrong, if they are no constants.
        """
        if self.in_second(trained_epochs - 1):
            right, others, wrong = (mean.double() for mean in (self._right, self._others, self._mistaken))
            right, pattern = right.clamp(_DOUBT, 1.0 - _DOUBT), (wrong + _DOUBT) / (others + _DOUBT)
            if self.confusion.relative is not None:  # wrong labels without a pattern may be any
                pattern = 1.0 + regularity(self.confusion.relative) * (pattern - 1.0)
            log_odds = mislabel_log_odds(right, pattern, self.n_classes)
            return torch.sigmoid(log_odds), wrong_probability(log_odds, self.sample_weight)
        self.scores = scores = constant_scores.double()
        self._refit(False, _FINAL_STEPS)
        return scores, torch.zeros_like(scores) if self.mixture is None else self.mixture.posterior(scores)

    def state_dict(self) -> dict[str, Any]:
        """Those of the attributes in ``state``, and the mixture's numbers."""
        return super().state_dict() | {"mixture": None if self.mixture is None else dict(vars(self.mixture))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        super().load_state_dict(state)
        self.mixture = None if state["mixture"] is None else ScoreMixture(**state["mixture"])

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


def _share_of_past(n_visits: int) -> float:
    """Share of so many visits in the plain mean over them and one more."""
    return n_visits / (n_visits + 1)


def _average(means: Tensor, index: Tensor, seen: Tensor, share: float) -> None:
    """Average what is seen of some samples (M,) into their means (N,), of which a share stays."""
    means.index_copy_(0, index, torch.lerp(seen, means.index_select(0, index), share))
