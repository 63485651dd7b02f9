"""Phases: a network trained for one objective on (some of) a training set; a method is one of them, or several.

Legend: N samples, K classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.diagnosis import Tally
from acestimator.inputs.samples import Samples
from acestimator.objectives import Objective
from acestimator.ranks import ALONE, Ranks, Share
from acestimator.rows import Rows
from acestimator.training import TrainingPlan, predict_logits, train
from acestimator.training.checkpoint import Checkpoint, PhaseCheckpoint
from acestimator.training.predict import check_finite

_APART = 1_000_003  # between the seeds of two processes
_INITIALISATION = threading.Lock()  # of one network at a time: torch has one global generator for all threads


@dataclass(frozen=True)
class Phase:
    """One training from the start of its schedule to the end, or to where its objective stops it.

    Parameters
    ----------
    objective : Objective
    network : torch.nn.Module, optional
        Trained on from where it is; a fresh one by default.
    keep : Tensor of int64, shape (N',), optional
        Positions of the samples to train on; all by default.
    labels : Tensor of int64, shape (N,), optional
        In place of the observed ones. They may name outputs beyond the K classes that the objective adds.
    judged : Tensor of int64, shape (M,), optional
        Positions of samples that the network is asked about at the ends of epochs, for the objective's ``judge``.
    name : str, default=""
        What a person who waits is told that is trained.
    left : int, optional
        Epochs from its first one to the last of all phases, at most; its own by default.
    """

    objective: Objective
    network: nn.Module | None = None
    keep: Tensor | None = None
    labels: Tensor | None = None
    judged: Tensor | None = None
    name: str = ""
    left: int | None = None


@dataclass(frozen=True)
class Trainer:
    """A training set, and how networks are made and trained on it.

    Parameters
    ----------
    make : callable
        Number of outputs to a fresh network, on the CPU, initialised from torch's global generator.
    samples : Samples
    labels : Tensor of int64, shape (N,)
        Observed labels, 0..K-1, on the device of the training.
    n_classes : int
        K.
    sample_weight, loss_weight : Tensor of float64, shape (N,), or None
        Positive: as of :func:`acestimator.training.train`.
    plan : TrainingPlan
    dtype : torch.dtype
        Of the networks, and of what they see.
    seed : int
        Of initialisation and batch order; phase j has ``seed + j``.
    shuffle : bool
    draws : bool
        Whether networks draw random numbers in training, from torch's global generator, which is then seeded.
    checkpoint : Checkpoint or None
        Where the trainings' states are written, and found.
    ranks : Ranks
        Processes that train together, each with all of these, and computing for its own samples.
    on_epoch : callable or None
        Called with the phase, at its beginning with an empty record, and then with that of each epoch.
    """

    make: Callable[[int], nn.Module]
    samples: Samples
    labels: Tensor
    n_classes: int
    sample_weight: Tensor | None
    loss_weight: Tensor | None
    plan: TrainingPlan
    dtype: torch.dtype
    seed: int
    shuffle: bool
    draws: bool
    checkpoint: Checkpoint | None = None
    on_epoch: Callable[[Phase, dict[str, Any]], None] | None = None
    ranks: Ranks = ALONE

    def run(self, phase: Phase, number: int = 0) -> tuple[nn.Module, list[dict[str, Any]]]:
        """Train the phase's network for its objective.

        Parameters
        ----------
        phase : Phase
        number : int, default=0
            Of the phase, from 0.

        Returns
        -------
        network : torch.nn.Module
            As trained, with whatever outputs the objective has; ``objective.head.predictor(network)`` has K.
        history : list of dict
            See :func:`acestimator.training.train`.
        """
        objective, device, seed = phase.objective, self.labels.device, self.seed + number
        labels = self.labels if phase.labels is None else phase.labels
        samples, weights = self.samples, [self.sample_weight, self.loss_weight]
        if phase.keep is not None:
            labels, samples = labels[phase.keep], samples.subset(phase.keep)
            weights = [None if weight is None else weight[phase.keep] for weight in weights]
        samples, share = self._own(samples, phase.keep)
        judged, judged_share = None, None
        if phase.judged is not None:
            judged, judged_share = self._own(self.samples.subset(phase.judged), phase.judged)
        network = phase.network if phase.network is not None else self._make_network(objective, seed)
        on_epoch = None if self.on_epoch is None else partial(self.on_epoch, phase)
        if on_epoch is not None:
            on_epoch({})
        # What a network draws is of other samples in each process.
        with seeded(seed + _APART * self.ranks.rank, device) if self.draws else nullcontext():
            history = train(
                network,
                objective,
                samples,
                labels,
                self.plan,
                n_classes=self.n_classes,
                generator=torch.Generator().manual_seed(seed),
                sample_weight=weights[0],
                loss_weight=weights[1],
                shuffle=self.shuffle,
                judged=judged,
                share=share,
                judged_share=judged_share,
                checkpoint=None if self.checkpoint is None else PhaseCheckpoint(self.checkpoint, number, self.draws),
                on_epoch=on_epoch,
            )
        return network, history

    def _own(self, samples: Samples, positions: Tensor | None = None) -> tuple[Samples, Share]:
        """Own samples of this process among those at these positions, or among all; and who has the others."""
        share = self.share(positions)
        return (samples if share.own is None else samples.subset(share.own)), share

    def share(self, positions: Tensor | None = None) -> Share:
        """Who owns which of the samples at these positions, or of all."""
        if positions is None:
            positions = torch.arange(len(self.labels), device=self.labels.device)
        return self.ranks.share(positions)

    def _make_network(self, objective: Objective, seed: int) -> nn.Module:
        """Fresh network, where and as it will be trained."""
        device = self.labels.device
        with _INITIALISATION, seeded(seed, device):
            network = objective.head.make_network(self.make, self.n_classes).to(device, self.dtype)
        if self.samples.preprocessing.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def logits(self, network: nn.Module, tally: Tally | None = None) -> Iterator[Tensor]:
        """Logits of all samples that this process owns, in evaluation mode, a bounded number at a time.

        Parameters
        ----------
        network : torch.nn.Module
        tally : Tally, optional
            Gets all of them, and in the end those of the other processes, too.

        Raises
        ------
        FloatingPointError
            If one is NaN or infinite.
        """
        start = 0
        samples, share = self._own(self.samples)
        worst = torch.zeros((), device=self.labels.device)
        for logits in predict_logits(network, samples.evaluation(), self.labels.device):
            if share.own is None:
                check_finite(logits)
            else:  # of all processes at once, in the end, so that none waits for another
                worst = torch.where(logits.isfinite().all(), worst, torch.inf)
            part = slice(start, start + len(logits))
            if tally is not None:
                tally.add(logits, part if share.own is None else share.own[part])
            start += len(logits)
            yield logits
        check_finite(self.ranks.sum(worst))
        if tally is not None:
            tally.sums = self.ranks.sum(tally.sums)

    def some_samples(self, n_samples: int) -> Rows:
        """So many of the first training samples, at most, as :meth:`logits` shows them to a network, where it is."""
        return next(self.samples.evaluation())[:n_samples].to(self.labels.device)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, and put them back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
