"""What a peer is: the phases that it trains, and what it says of the training labels.

Legend: N samples, K classes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acestimator.objectives import Objective
from acestimator.phases import Phase


@dataclass(frozen=True)
class Outcome:
    """A phase's end.

    Parameters
    ----------
    network : torch.nn.Module
        As trained, with all its outputs.
    logits : Tensor, shape (N, K)
        Of the part that predicts, on every training sample, in evaluation mode: those that the phase left out, too.
    """

    network: nn.Module
    logits: Tensor


@dataclass(frozen=True)
class Reading:
    """What a method says of the training labels.

    Parameters
    ----------
    scores : Tensor, shape (N,)
        Higher is more suspicious.
    proba : Tensor, shape (N,), optional
        Probability that the label is wrong; 0 and 1 where the method only decides. Without it,
        :class:`acestimator.mixture.ScoreMixture` makes one of the scores.
    """

    scores: Tensor
    proba: Tensor | None = None


Phases = Generator[Phase, Outcome, Reading]


class Method:
    """A peer: one phase of one objective, unless a subclass has other :meth:`phases`.

    A new instance is made for every fit, and may keep state between its phases.
    """

    def phases(self, labels: Tensor, n_classes: int, generator: torch.Generator) -> Phases:
        """Yield phase after phase, each answered by its :class:`Outcome`; return the :class:`Reading`.

        The network of the last phase predicts.

        Parameters
        ----------
        labels : Tensor of int64, shape (N,)
            Observed labels, 0..K-1.
        n_classes : int
            K.
        generator : torch.Generator
            On the CPU, for what the method draws.
        """
        objective = self.objective(generator)
        outcome = yield Phase(objective)
        return self.reading(objective, outcome, labels)

    def objective(self, generator: torch.Generator) -> Objective:
        """Objective of the one phase."""
        raise NotImplementedError(f"{type(self).__name__} must define objective or phases")

    def reading(self, objective: Objective, outcome: Outcome, labels: Tensor) -> Reading:
        """Scores after the one phase: by default the cross-entropy of the observed label."""
        return Reading(cross_entropy(outcome.logits, labels, reduction="none"))
