"""Texts of the warnings of a fit: what was seen, and the cure. The mathematics is in :mod:`acestimator.diagnosis`.

Legend: N' samples of positive weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from acestimator import diagnosis
from acestimator.diagnosis import Learnt, Tally
from acestimator.estimators.labels import TrainingLabels
from acestimator.presets import Preset
from acestimator.rows import Rows

# Thresholds. On six sets of right labels, and with a fifth of them wrong, the association was 9 at least. At the end
# the unanswered share is below .01 for right labels. Plain training that has half learnt many wrong labels by heart
# comes to .2, but then it is as sure as it is right.
_CHANCE = 2.0  # standard errors
_LEFT_AT_THE_END, _MOST_LEFT = 0.15, 0.5
_DOUBT = 0.15  # accuracy less confidence
_FEW, _UNTOLD = 0.05, 0.25  # share of flagged labels, and of these, the lower end of the rate's interval
_TRIED = 64  # samples that other parameters are tried on
_SHOWN = 10  # classes that a warning names


@dataclass(frozen=True)
class Trained:
    """End of a fit's trainings.

    Parameters
    ----------
    network : torch.nn.Module
        It predicts.
    tally : Tally
        Of its logits on all N' samples.
    flagged : ndarray of bool, shape (N',), optional
        Labels that are taken for wrong, where most of a class would be worth a warning.
    interval : tuple of float, optional
        Of the rate of wrong labels.
    """

    network: nn.Module
    tally: Tally
    flagged: np.ndarray | None = None
    interval: tuple[float, float] | None = None


def warnings_of(
    trained: Trained, labels: TrainingLabels, settings: Preset, samples: Callable[[int], Rows]
) -> list[str]:
    """Texts of the warnings that a fit deserves; of a healthy one there are none.

    Parameters
    ----------
    trained : Trained
    labels : TrainingLabels
    settings : Preset
    samples : callable
        Gives so many training samples, as the network sees them and where it is. Called only if something seems wrong.
    """
    of_learning = _of_learning(trained, settings, samples)
    of_classes = _of_classes(trained.flagged, labels, explained=of_learning is not None)
    of_rate = None if of_learning is not None else _of_rate(trained, labels)
    return [text for text in (of_learning, of_classes, of_rate) if text is not None]


def _of_learning(trained: Trained, settings: Preset, samples: Callable[[int], Rows]) -> str | None:
    """At most one text on whether the network has learnt: the first that applies explains the others."""
    end = trained.tally.learnt()
    learnt = end.association >= _CHANCE
    late = learnt and (
        end.unanswered > _MOST_LEFT or (end.unanswered > _LEFT_AT_THE_END and end.accuracy - end.confidence > _DOUBT)
    )
    if learnt and not late:
        return None
    bounded = _of_bounds(trained.network, samples(_TRIED), end)
    if bounded is not None:
        return bounded
    if not learnt:
        return (
            "the network has learnt no more than the class frequencies: its logits go with the training labels by "
            f"{end.association:.1f} standard errors, and up to {_CHANCE:.0f} would be chance. Look whether X and y are "
            f"in the same order and whether X tells the classes apart; raise learning_rate ({settings.learning_rate:g})"
            f" or max_epochs ({settings.max_epochs}), or take another backbone."
        )
    return _too_short(end, settings)


def _of_bounds(network: nn.Module, samples: Rows, end: Learnt) -> str | None:
    with torch.no_grad():
        outputs = network(samples)
    highest = diagnosis.highest_probability(network, samples)
    if highest >= diagnosis.FREE:
        return None
    seen = (
        f"no class can get a probability above {highest:.3g}, whatever the network learns; "
        f"{end.accuracy:.3g} of the training labels are what it predicts, at a mean probability of {end.confidence:.3g}"
    )
    if diagnosis.are_probabilities(outputs):
        return (
            "the network ends in probabilities: its outputs are from 0 to 1 and each row sums to 1, but they are taken "
            f"for logits. So {seen}. End the network in its last linear layer, without Softmax, or in LogSoftmax."
        )
    return (
        f"the network's outputs are bounded: they go from {float(outputs.min()):.3g} to {float(outputs.max()):.3g}, "
        f"and are taken for logits. So {seen}. End the network in its last linear layer, without Sigmoid, Tanh or "
        "another bounded function; multiply cosine similarities by a factor, such as 10."
    )


def _too_short(learnt: Learnt, settings: Preset) -> str:
    left = "all" if not learnt.unanswered <= 1.0 else f"{learnt.unanswered:.0%}"
    return (
        f"the training was too short, or too slow: after all {settings.max_epochs} epochs, {left} of the pull of the "
        f"labels on the size of the logits was left, and {_LEFT_AT_THE_END:.0%} or less is usual. "
        f"{learnt.accuracy:.3g} of the labels were what the network predicted, at a mean probability of "
        f"{learnt.confidence:.3g}. Raise learning_rate ({settings.learning_rate:g}) or max_epochs "
        f"({settings.max_epochs}), or lower batch_size ({settings.batch_size})."
    )


def _of_classes(flagged: np.ndarray | None, labels: TrainingLabels, *, explained: bool) -> str | None:
    """Text on classes of which most labels are flagged; ``explained`` where another warning says why that may be."""
    if flagged is None:
        return None
    n_classes = len(labels.classes)
    found = diagnosis.mostly_flagged(labels.codes, flagged, labels.weight, n_classes)
    if not len(found):
        return None
    total, lost = (np.bincount(codes, minlength=n_classes) for codes in (labels.codes, labels.codes[flagged]))
    shown = [f"{labels.classes[k : k + 1].tolist()[0]!r} ({lost[k]} of {total[k]})" for k in found[:_SHOWN].tolist()]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    cure = (
        "Heed the warning before this one first, for it may be the reason."
        if explained
        else "Look at them (label_issues()). If they are right, the class is too rare, or lies too close to others: "
        "give more samples of it, or train without constants, alpha_lr=0."
    )
    return f"most labels of {len(found)} of {n_classes} classes are taken for wrong: {', '.join(shown)}{more}. {cure}"


def _of_rate(trained: Trained, labels: TrainingLabels) -> str | None:
    """Text on labels that are taken for wrong where there may be none that is."""
    if trained.flagged is None or trained.interval is None:
        return None
    low, high = trained.interval
    flagged = float(np.average(trained.flagged, weights=labels.weight))
    if flagged <= _FEW or low > _UNTOLD * flagged:
        return None
    return (
        f"{flagged:.0%} of the labels are taken for wrong, but how many are cannot be told: from {low:.0%} to "
        f"{high:.0%}. Classes that overlap look the same as wrong labels here, for there are no samples of which "
        "networks that have not seen the label are sure. Look at some suspects (label_issues()) before you change or "
        "drop any label; more features or more samples may tell."
    )
