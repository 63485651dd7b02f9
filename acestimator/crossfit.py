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

Facts, labels that somebody has looked at, are learned by the judges of 3. Those of 1 learn all labels as they were
observed. What was looked at was chosen by what such judges say, and lies where the labels around are right. Judges that
knew the facts would be surest there, and count too few mistakes.

Of samples that are all but empty, such as texts, a network's word depends much on which others it has seen. There two
rounds of the judges of 3 are asked, whose probabilities are averaged, and those of 1 have no say in the order any more.

Where labels were found, the network that predicts is trained for longer than the judges, in proportion to how much
rarer wrong labels are among those that it learns (:func:`spared`). Judges stop where wrong labels, as frequent as they
were, begin to be learned by heart; half as frequent, twice as many epochs do as much harm. Where none was found, it is
trained as ever.

Legend: N samples, K classes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from acestimator.channel import Channel, Verdict, levelled, mean_probability
from acestimator.channel import judge as read
from acestimator.detection import in_order_of
from acestimator.diagnosis import Tally
from acestimator.evidence import supported
from acestimator.facts import SUREST, Facts
from acestimator.folds import folds
from acestimator.objectives.judge import Judge, Judgement
from acestimator.objectives.spared import LEFT_OUT
from acestimator.phases import Phase, Trainer

_Asked = list[tuple[Tensor, Judge]]  # positions of samples, and who judges them
_MOST_FOLDS = 10
_TRAININGS = 1.9  # of all samples, that judges and the network that is spared labels take together, at most
_LEAST_LOG = -50.0  # in place of minus infinity, of probabilities in float32, where an association is looked for
# Standard errors. Of 400 samples with 40 % of two classes' labels wrong, judges that are right in 19 of 20 may have
# little more than one.
_LEAST_ASSOCIATION = 1.0
# Samples that have a smaller share of their numbers not zero are all but empty. On texts, with .0005 and .003 of them,
# constants cost from .002 to .024 of the area under the ROC curve, and the judges' second round brought .001 to .005.
# On a table with .014 of them constants gained a little.
_LEAST_DENSITY = 0.01
_LEAST_EPOCHS, _LEAST_STEPS = 3, 100  # of it: one epoch to learn all labels, and some without those left out


def judged(trainer: Trainer, facts: Facts | None = None) -> Judgement:
    """Train judges of all labels of a training set, and say what they say.

    Parameters
    ----------
    trainer : Trainer
        Its phases are numbered from 1 here: 0 is for the network that predicts. Its labels are those in use: of facts,
        the true ones.
    facts : Facts, optional
        The first judges do not know them. The others are never spared these labels. Nothing is said of them.

    Returns
    -------
    Judgement
        That no label is wrong, and the interval from 0 to 1, where there are too few samples for two halves, or where
        judges have learnt no more than how frequent the classes are. Where all labels are facts, the interval is 0.
    """
    if facts is None:
        return _judged(trainer, None)
    found = _judged(trainer, facts) if not bool(facts.known.all()) else _nothing_told(trainer, (0.0, 0.0))
    return replace(found, known=facts.known)


def _judged(trainer: Trainer, facts: Facts | None) -> Judgement:
    labels = trainer.labels if facts is None else facts.observed
    max_epochs, weight = trainer.plan.max_epochs, copies(trainer.sample_weight)
    judges = _Judges(trainer, weight)
    halves = judges.ask(2, max_epochs, labels=labels)
    if len(halves) < 2:
        return _nothing_told(trainer)
    length = halves[-1][1].best_length()
    words = _asked(trainer, halves, length)
    if not _learnt(words, trainer):
        return _nothing_told(trainer)
    verdict = read(words, labels, weight, facts)
    # Of networks that have learned all labels, as the one that predicts does at first
    channel, high = verdict.channel, verdict.interval[1]
    least = _evidence(verdict, words, labels, weight, facts)
    log_odds, _ = _raised(verdict.log_odds, least, weight, facts)
    final = _final_epochs(trainer, log_odds, length)
    left = _TRAININGS * max_epochs - final - judges.epochs
    n_folds, kept = min(_MOST_FOLDS, int(1 + left / length)), log_odds <= LEFT_OUT
    if n_folds >= 2 and not bool(kept.all()):
        n_rounds = 2 if trainer.samples.density() < _LEAST_DENSITY else 1
        rounds = []
        for n_more in reversed(range(n_rounds)):
            asked = judges.ask(n_folds, final + n_more * n_folds * length, length, kept.to(trainer.dtype))
            rounds.append(_asked(trainer, asked, length))
        verdict = read(torch.logsumexp(torch.stack(rounds), 0) if n_rounds > 1 else rounds[0], labels, weight, facts)
        log_odds = verdict.log_odds if n_rounds > 1 else 0.5 * (log_odds + verdict.log_odds)
    log_odds, rate = _raised(log_odds, least, weight, facts)
    # The second judges' word is no evidence: they were spared the labels that they may now disagree with.
    high = max(high, verdict.interval[1], rate)
    return Judgement(channel, log_odds, rate, (least, high), length, length < max_epochs)


def _evidence(verdict: Verdict, words: Tensor, labels: Tensor, weight: Tensor | None, facts: Facts | None) -> float:
    """Least rate that there is evidence for: among labels that are no facts, by all that are known as observed."""
    if facts is None or verdict.left is None:
        return supported(words, labels, verdict.interval[0], weight)
    rows, low = facts.teaching, verdict.low_before or 0.0
    before = supported(words[rows], labels[rows], low, None if weight is None else weight[rows])
    return min(verdict.left.share_of(before), verdict.interval[1])


def _raised(log_odds: Tensor, least: float, weight: Tensor | None, facts: Facts | None) -> tuple[Tensor, float]:
    """Log-odds whose rate, but for facts, is no less than there is evidence for, and that rate."""
    known = None if facts is None else facts.known
    left = slice(None) if known is None else ~known
    rate = mean_probability(log_odds[left], None if weight is None else weight[left])
    return (log_odds, rate) if rate >= least else (levelled(log_odds, least, weight, known), least)


class _Judges:
    """Judges in the order in which they are trained.

    Attributes
    ----------
    epochs : float
        Of a training of all samples, which they have cost so far.
    """

    def __init__(self, trainer: Trainer, weight: Tensor | None) -> None:
        self._trainer, self._weight, self._keys = trainer, weight, trainer.samples.keys()
        self._generator = torch.Generator().manual_seed(trainer.seed)
        self._number, self._round, self.epochs = 0, 0, 0.0

    def ask(
        self,
        n_folds: int,
        after: int,
        length: int | None = None,
        kept: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> _Asked:
        """Judges of so many folds, each trained on the others, and on what is kept of them.

        Without a length each looks for the one that is best for itself and the one before. As far as is known, so many
        epochs of other networks come after. Labels are those in use by default.
        """
        epochs = length or self._trainer.plan.max_epochs
        labels = self._trainer.labels if labels is None else labels
        judges: _Asked = []
        self._round += 1
        parts = folds(labels, n_folds, self._generator, self._keys, self._weight)
        for place, (seen, unseen) in enumerate(parts):
            if len(seen) < 2:  # a network that normalises by batches cannot be trained on one sample
                continue
            judge = Judge(
                labels[unseen],
                None if self._weight is None else self._weight[unseen],
                kept=None if kept is None else kept[seen],
                length=length,
                beside=judges[-1][1] if judges and length is None else None,
            )
            self._number += 1
            name = f"judge {place + 1} of {n_folds}, round {self._round}"
            left = (n_folds - place) * epochs + after
            phase = Phase(judge, keep=seen, labels=labels, judged=unseen, name=name, left=left)
            self._trainer.run(phase, self._number)
            self.epochs += max(judge.words) * (1.0 - 1.0 / n_folds)
            del judge.training  # and its network with it, or a dozen would lie there, of which only words are asked
            judges.append((unseen, judge))
        return judges


def _asked(trainer: Trainer, judges: _Asked, length: int) -> Tensor:
    """Log-probabilities (N, K) of all samples by their judges; all alike of those that nobody judges."""
    shape, device = (len(trainer.labels), trainer.n_classes), trainer.labels.device
    words = torch.full(shape, -math.log(trainer.n_classes), dtype=torch.float64, device=device)
    for unseen, judge in judges:
        words[unseen] = judge.word(length)
    return words


def _learnt(words: Tensor, trainer: Trainer) -> bool:
    """Whether judges have learnt more than the class frequencies: their word goes with labels they have not seen."""
    tally = Tally(trainer.labels, trainer.n_classes, trainer.sample_weight)
    tally.add(words.clamp(min=_LEAST_LOG), slice(None))
    return tally.learnt().association >= _LEAST_ASSOCIATION


def _nothing_told(trainer: Trainer, interval: tuple[float, float] = (0.0, 1.0)) -> Judgement:
    n_classes, labels = trainer.n_classes, trainer.labels
    log_odds = torch.full(labels.shape, -SUREST, dtype=torch.float64, device=labels.device)
    right = torch.eye(n_classes, dtype=torch.float64, device=labels.device)
    return Judgement(Channel(1.0, right, 0.0), log_odds, 0.0, interval, trainer.plan.max_epochs, False)


def _final_epochs(trainer: Trainer, log_odds: Tensor, length: int) -> int:
    """Epochs of a network that is spared labels."""
    enough = max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / trainer.plan.steps_per_epoch(len(trainer.labels))))
    epochs = math.ceil(length * times_rarer(log_odds, trainer.sample_weight))
    return min(max(epochs, enough), trainer.plan.max_epochs)


def times_rarer(log_odds: Tensor, weight: Tensor | None = None) -> float:
    """How many times rarer wrong labels are among those that are kept than among all: at least 1.

    Parameters
    ----------
    log_odds : Tensor, shape (N,)
        That each label is wrong.
    weight : Tensor of float64, shape (N,), optional
    """
    kept = log_odds <= LEFT_OUT
    if not bool(kept.any()):
        return 1.0
    among_kept = mean_probability(log_odds[kept], None if weight is None else weight[kept])
    return mean_probability(log_odds, weight) / among_kept


def spared(trainer: Trainer, judgement: Judgement) -> Trainer:
    """Trainer of the network that predicts."""
    if not judgement.finished or bool((judgement.log_odds <= LEFT_OUT).all()):
        return trainer
    epochs = _final_epochs(trainer, judgement.log_odds, judgement.length)
    return replace(trainer, plan=trainer.plan.shortened(epochs))


def concluded(
    judgement: Judgement, log_odds: Tensor, constants: Tensor, weight: Tensor | None, density: float = 1.0
) -> tuple[Tensor, Tensor]:
    """What is said of the labels in the end: at the judges' rate, and at the least that they hold to be possible.

    The constants have half a say in the order: the log-odds are averaged with the same in their order. They were
    learned beside a network that has seen more samples than any judge, for longer, and without most wrong labels. They
    have none where the samples are all but empty, as texts are: each has features that hardly another has, by which a
    network knows it at once, and leaves the constants nothing to explain.

    Parameters
    ----------
    judgement : Judgement
    log_odds : Tensor of float64, shape (N,)
        Of judges and the network's first epochs.
    constants : Tensor, shape (N,)
        Of the labels in use, in the partition gauge.
    weight : Tensor of float64, shape (N,), optional
    density : float, default=1.0
        Share of the samples' numbers that are not zero.

    Returns
    -------
    log_odds, at_least : Tensor of float64, shape (N,)
    """
    none = torch.full_like(log_odds, -torch.inf)
    if judgement.rate == 0.0:  # nothing could be told
        return log_odds, none
    known, low = judgement.known, judgement.interval[0]
    if density >= _LEAST_DENSITY:
        left = slice(None) if known is None else ~known
        of_left = log_odds[left]
        ordered = in_order_of(of_left, constants[left], None if weight is None else weight[left])
        log_odds = log_odds.clone()
        log_odds[left] = 0.5 * (of_left + ordered)
    at_least = levelled(log_odds, low, weight, known) if low > 0.0 else none
    return levelled(log_odds, judgement.rate, weight, known), at_least


def copies(weight: Tensor | None) -> Tensor | None:
    """Weights (N,) as numbers of copies: as they are, or one on average where they are less."""
    return None if weight is None else weight / min(1.0, float(weight.mean()))
