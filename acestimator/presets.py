"""What the parameters left at None stand for."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from acestimator.alpha import Penalty
from acestimator.checks import check_count
from acestimator.training import Schedule, batch_sizes


@dataclass(frozen=True)
class Preset:
    """One complete setting.

    Parameters
    ----------
    optimizer : {"adamw", "sgd"}
    learning_rate, momentum, weight_decay : float
        Of the network.
    schedule : "cosine" or tuple of float
        Of its rate: see :class:`acestimator.training.TrainingPlan`.
    max_epochs, batch_size : int
    alpha_lr : float or "paper"
        Rate of the constants, in per-sample units. "paper": that of the network, on the mean loss of a batch, which
        sample weights do not enter.
    alpha_momentum, alpha_weight_decay : float
    penalty : tuple (name, strength) or None
    judges : bool
        Whether networks judge the labels that they have not seen, before the one that predicts is trained.
    early_learning : float
        Strength of the pull towards a sample's past predictions.
    min_steps : int
        Training sets of few batches get as many more epochs as make these steps.
    max_steps : int or None
        Training sets of many batches get as many fewer epochs as make these steps, None: no fewer,
    least_epochs : int
        but no fewer than these.
    full_rate_steps : int
        ``alpha_lr`` and ``early_learning`` hold for epochs of at least as many steps, and are in proportion to them
        below.
    """

    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    max_epochs: int
    batch_size: int
    alpha_lr: float | Literal["paper"]
    alpha_momentum: float
    alpha_weight_decay: float
    penalty: Penalty | None
    judges: bool
    early_learning: float
    min_steps: int
    max_steps: int | None
    least_epochs: int
    full_rate_steps: int

    def share_of_rate(self, steps_per_epoch: int) -> float:
        """Share of what is done to a sample at a visit, where an epoch has so many steps."""
        return min(1.0, steps_per_epoch / max(self.full_rate_steps, 1))

    def epochs_of(self, steps_per_epoch: int) -> int:
        """Epochs of a training whose epochs have so many steps.

        With more steps an epoch all steps together are more, or fewer by less than an epoch, for only whole ones are
        trained.
        """
        epochs = max(self.max_epochs, math.ceil(self.min_steps / steps_per_epoch))
        if self.max_steps is None or epochs * steps_per_epoch <= self.max_steps:
            return epochs
        return min(epochs, max(self.least_epochs, math.ceil(self.max_steps / steps_per_epoch)))

    def objective(self) -> dict[str, Any]:
        """Arguments of :class:`acestimator.objectives.AutoCleansing`, but for the variant."""
        paper = self.alpha_lr == "paper"
        return {
            "lr": self.learning_rate if paper else float(self.alpha_lr),
            "momentum": self.alpha_momentum,
            "nesterov": paper and self.alpha_momentum > 0,
            "weight_decay": self.alpha_weight_decay,
            "penalty": self.penalty,
            "mean_gradient": paper,
        }


# Rate and decay of the network where only the optimiser is named. On digits (see docs/design.md).
OPTIMIZERS = {
    "adamw": {"learning_rate": 1e-3, "weight_decay": 1e-2},
    "sgd": {"learning_rate": 0.03, "weight_decay": 1e-3},
}

# Of the constants, the paper states only the decay (Section 4): they share the network's optimiser.
PAPER_ALPHA_WEIGHT_DECAY = 5e-5

PRESETS = {
    "default": Preset(
        optimizer="adamw",
        learning_rate=1e-3,
        momentum=0.9,
        weight_decay=1e-2,
        schedule="cosine",
        max_epochs=60,
        batch_size=64,
        alpha_lr=0.3,
        alpha_momentum=0.0,
        alpha_weight_decay=0.0,
        penalty=None,
        judges=True,
        early_learning=1.0,
        # A sample is visited once an epoch, however few steps the network makes in it. Where these are few, the
        # constants would explain the labels before the network has learnt anything, and it would be pulled towards
        # predictions of a time when it knew nothing: on iris (2 steps an epoch), 20 % of the labels wrong, the full
        # rates cost 16 points of accuracy.
        min_steps=300,
        # A network learns by steps, and each of them on samples that it has not seen is worth more than one on samples
        # that it has. 60 epochs of up to 22,400 samples are no more steps than these. Each label must be seen a few
        # times, however many there are: by networks that judge it, and by the one that is spared it or not.
        max_steps=21_000,
        least_epochs=6,
        full_rate_steps=8,
    ),
    # Table 7, the row of Wide-ResNet-28-10 on CIFAR.
    "paper": Preset(
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="cosine",
        max_epochs=200,
        batch_size=128,
        alpha_lr="paper",
        alpha_momentum=0.9,
        alpha_weight_decay=PAPER_ALPHA_WEIGHT_DECAY,
        penalty=None,
        judges=False,
        early_learning=0.0,
        min_steps=0,
        max_steps=None,
        least_epochs=1,
        full_rate_steps=0,
    ),
}


def resolve(preset: str, given: dict[str, Any], n_samples: int) -> Preset:
    """Merge a preset with the parameters that are given, for a training set of that size.

    Parameters
    ----------
    preset : str
        A name of ``PRESETS``.
    given : dict
        Values by name; None and names that are not there leave the preset's.
    n_samples : int
        N, of positive weight.

    Returns
    -------
    Preset

    Raises
    ------
    ValueError
        If ``max_epochs`` or ``batch_size`` is no integer of at least 1.
    """
    names = {field.name for field in dataclasses.fields(Preset)}
    given = {name: value for name, value in given.items() if name in names and value is not None}
    given |= {name: check_count(name, given[name], 1) for name in ("max_epochs", "batch_size") if name in given}
    if given.get("optimizer", PRESETS[preset].optimizer) != PRESETS[preset].optimizer:
        given = {**OPTIMIZERS[given["optimizer"]], **given}
    settings = dataclasses.replace(PRESETS[preset], **given)
    derived: dict[str, Any] = {}
    steps = len(batch_sizes(n_samples, settings.batch_size))
    derived["max_epochs"] = settings.epochs_of(steps)
    if settings.alpha_lr == "paper":
        # The paper's constants share the network's optimiser but for the decay.
        derived["alpha_momentum"] = settings.momentum
        derived["alpha_weight_decay"] = PAPER_ALPHA_WEIGHT_DECAY
        derived["judges"], derived["early_learning"] = False, 0.0
    else:
        share = settings.share_of_rate(steps)
        derived["alpha_lr"], derived["early_learning"] = share * settings.alpha_lr, share * settings.early_learning
    return dataclasses.replace(settings, **{name: value for name, value in derived.items() if name not in given})
