r"""Labels judged by networks that have not seen them.

Legend: N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from acestimator.channel import Channel, fit_channel
from acestimator.objectives.judge import Judge
from acestimator.objectives.spared import LEFT_OUT, Spared, mean_log_odds
from acestimator.peers._method import Method, Phases, Reading
from acestimator.phases import Phase

_MOST_FOLDS = 10
_JUDGES_TIME = 0.9  # of a plain training, for the second judges
_OWN_SAY = 1 / 3  # of the epochs, at most, in which the network learns all labels


class CrossFit(Method):
    """Leave out the labels that networks which have not seen them hold to be wrong.

    1. Two networks are trained, each on one half of the samples, and judge the other half. They stop when the
       likelihood of the observed labels that they judge does not gain any more: before they know the wrong labels of
       their own half by heart (:class:`acestimator.objectives.judge.Judge`). The two cost as much as one training.
    2. What they say gives the noise channel (:func:`acestimator.channel.fit_channel`), and with it the probability
       that each label is wrong.
    3. The shorter the judges need, the more of them can be had in the same time. As many folds as fit into a training
       are judged by networks of that length, which are trained on all the others, without the labels found in 2. Their
       word is taken for that of the halves; where there are but two folds again, the two are averaged. Where no label
       was found, there is nothing to ask them.
    4. The network that predicts learns all labels at first, and then those that judges and network hold to be right
       (:class:`acestimator.objectives.spared.Spared`).

    No rate, no threshold, no clean labels.

    Notes
    -----
    The folds are stratified by observed label, and drawn by number whatever the samples' weights. The channel has the
    sample weights. It knows nothing of class weights, which are for the loss alone: under them networks name the
    heavier classes more often, which the channel then takes for mistakes in the labels. The score is the log-odds that
    the label is wrong.
    """

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:  # noqa: D102
        word = torch.zeros(len(labels), n_classes, dtype=torch.float64, device=labels.device)
        lengths, weight = [], _relative(self.sample_weight)
        for seen, unseen in _folds(labels, 2, generator):
            judge = Judge(labels[unseen], None if weight is None else weight[unseen])
            yield Phase(judge, keep=seen, judged=unseen)
            word[unseen] = judge.word
            lengths.append(judge.length)
        length, max_epochs = max(1, round(sum(lengths) / 2)), judge.training.max_epochs
        channel, proba = _read(word, labels, weight)
        kept = (proba <= LEFT_OUT).to(judge.training.dtype)
        if not kept.all():
            n_folds = max(2, min(_MOST_FOLDS, len(labels), int(1 + _JUDGES_TIME * max_epochs / length)))
            for seen, unseen in _folds(labels, n_folds, generator):
                judge = Judge(labels[unseen], kept=kept[seen], length=length)
                yield Phase(judge, keep=seen, judged=unseen)
                word[unseen] = judge.word
            channel, again = _read(word, labels, weight)
            proba = again if n_folds > 2 else mean_log_odds(proba, again)
        objective = Spared(proba, channel, max(1, min(length, int(_OWN_SAY * max_epochs))))
        yield Phase(objective)
        return Reading(torch.logit(objective.proba, eps=1e-9), objective.proba)


def _relative(weight: Tensor | None) -> Tensor | None:
    """Weights (N,) that are one on average; None if they are all alike."""
    return None if weight is None or bool((weight == weight[0]).all()) else weight / weight.mean()


def _read(word: Tensor, labels: Tensor, weight: Tensor | None) -> tuple[Channel, Tensor]:
    """Channel, and the probability (N,) that each label is wrong, by judges' probabilities (N, K)."""
    channel = fit_channel(word.log(), labels, weight)
    return channel, channel.wrong_probability(word.log(), labels)


def _folds(labels: Tensor, n_folds: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Positions in all folds but one, and in that one: drawn, and stratified by label to within one sample."""
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
    order = order[torch.argsort(labels[order], stable=True)]
    fold = torch.empty_like(labels)
    fold[order] = torch.arange(len(labels), device=labels.device) % n_folds
    for number in range(n_folds):
        yield torch.nonzero(fold != number).squeeze(1), torch.nonzero(fold == number).squeeze(1)
