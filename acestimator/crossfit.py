r"""Labels judged by networks that have not seen them.

1. Two networks are trained, each on one half of the samples, and judge the other half. They stop when the likelihood of
   the observed labels that they judge does not gain any more: before they know the wrong labels of their own half by
   heart (:class:`acestimator.objectives.judge.Judge`). The two cost at most as much as one training.
2. What they say gives the noise channel and with it the log-odds that each label is wrong
   (:func:`acestimator.channel.judge`).
3. The sooner they have stopped, the more judges can be had in what is left of that time. As many folds as fit are
   judged by networks of the same length, trained on all the others without the labels found in 2: they have seen more
   samples, and fewer wrong labels. The log-odds of the two rounds are averaged. Where no label was found, there is
   nothing to ask them.

Where labels were found, the network that predicts is trained for twice the judges' length (:func:`spared`): it needs
no more, and has less time to learn by heart those that were not found. Where none was, it is trained as ever.

Legend: N samples, K classes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from acestimator.channel import judge as read
from acestimator.folds import folds
from acestimator.objectives.judge import Judge, Judgement
from acestimator.objectives.spared import LEFT_OUT
from acestimator.phases import Phase, Trainer

_MOST_FOLDS = 10
_LENGTHS = 2  # of the judges, for which a network is trained that is spared labels
_LEAST_EPOCHS, _LEAST_STEPS = 3, 100  # of it: one epoch to learn all labels, and some without those left out


def judged(trainer: Trainer) -> Judgement | None:
    """Train judges of all labels of a training set, and say what they say.

    Parameters
    ----------
    trainer : Trainer
        Its phases are numbered from 1 here: 0 is for the network that predicts.

    Returns
    -------
    Judgement or None
        None where there are too few samples for two halves.
    """
    labels, weight = trainer.labels, copies(trainer.sample_weight)
    generator = torch.Generator().manual_seed(trainer.seed)
    keys = trainer.samples.keys()
    halves = _trainable(folds(labels, 2, generator, keys, weight))
    if len(halves) < 2:
        return None
    judges: list[Judge] = []
    for number, (seen, unseen) in enumerate(halves, 1):
        judge = Judge(labels[unseen], _of(weight, unseen), beside=judges[-1] if judges else None)
        trainer.run(Phase(judge, keep=seen, judged=unseen), number)
        judges.append(judge)
    length = judges[-1].best_length()
    word = _unsaid(trainer)
    for (_, unseen), judge in zip(halves, judges, strict=True):
        word[unseen] = judge.word(length)
    verdict = read(word, labels, weight)
    log_odds, low = verdict.log_odds, verdict.interval[0]
    kept = (log_odds <= LEFT_OUT).to(trainer.dtype)
    left = trainer.plan.max_epochs - sum(max(judge.words) for judge in judges) / 2  # epochs, of a training of all
    n_folds = min(_MOST_FOLDS, int(1 + left / length))
    if n_folds >= 2 and not kept.all():
        word = _unsaid(trainer)
        for number, (seen, unseen) in enumerate(_trainable(folds(labels, n_folds, generator, keys, weight)), 3):
            judge = Judge(labels[unseen], kept=kept[seen], length=length)
            trainer.run(Phase(judge, keep=seen, judged=unseen), number)
            word[unseen] = judge.word(length)
        verdict = read(word, labels, weight)
        log_odds = 0.5 * (log_odds + verdict.log_odds)
    proba = torch.sigmoid(log_odds)
    rate = float(proba.mean() if weight is None else weight @ proba / weight.sum())
    # Judges that were spared labels are surer than they may be that the others are right.
    interval = min(low, verdict.interval[0], rate), max(verdict.interval[1], rate)
    return Judgement(verdict.channel, log_odds, rate, interval, length)


def spared(trainer: Trainer, judgement: Judgement) -> Trainer:
    """Trainer of the network that predicts."""
    if bool((judgement.log_odds <= LEFT_OUT).all()):
        return trainer
    enough = max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / trainer.plan.steps_per_epoch(len(trainer.labels))))
    return replace(trainer, plan=trainer.plan.shortened(max(_LENGTHS * judgement.length, enough)))


def _trainable(parts: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Those that leave two samples to train on: a network that normalises by batches cannot be trained on one."""
    return [(seen, unseen) for seen, unseen in parts if len(seen) > 1]


def copies(weight: Tensor | None) -> Tensor | None:
    """Weights (N,) as numbers of copies: as they are, or one on average where they are less."""
    return None if weight is None else weight / min(1.0, float(weight.mean()))


def _of(weight: Tensor | None, index: Tensor) -> Tensor | None:
    return None if weight is None else weight[index]


def _unsaid(trainer: Trainer) -> Tensor:
    """Log-probabilities (N, K) of samples that nobody has judged: all alike."""
    shape, device = (len(trainer.labels), trainer.n_classes), trainer.labels.device
    return torch.full(shape, -math.log(trainer.n_classes), dtype=torch.float64, device=device)
