"""What the parameters left at None stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from acestimator.alpha import Penalty


@dataclass(frozen=True)
class Preset:
    """One complete setting.

    Parameters
    ----------
    optimizer : {"adamw", "sgd"}
    learning_rate, momentum, weight_decay : float
        Of the network.
    max_epochs, batch_size : int
    alpha_lr : float or "paper"
        Rate of the constants, in per-sample units.
    alpha_momentum, alpha_weight_decay : float
    penalty : tuple (name, strength) or None
    posterior_weights : bool
        Whether samples are weighted by the probability that their label is right.
    """

    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    max_epochs: int
    batch_size: int
    alpha_lr: float | Literal["paper"]
    alpha_momentum: float
    alpha_weight_decay: float
    penalty: Penalty | None
    posterior_weights: bool


# Of the constants, the paper states only the decay (Section 4): they share the network's optimiser.
PAPER_ALPHA_WEIGHT_DECAY = 5e-5

PRESETS = {
    "default": Preset(
        optimizer="adamw",
        learning_rate=1e-3,
        momentum=0.9,
        weight_decay=1e-2,
        max_epochs=60,
        batch_size=64,
        alpha_lr=0.3,
        alpha_momentum=0.0,
        alpha_weight_decay=0.0,
        penalty=None,
        posterior_weights=True,
    ),
    # Table 7, the row of Wide-ResNet-28-10 on CIFAR.
    "paper": Preset(
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        max_epochs=200,
        batch_size=128,
        alpha_lr="paper",
        alpha_momentum=0.9,
        alpha_weight_decay=PAPER_ALPHA_WEIGHT_DECAY,
        penalty=None,
        posterior_weights=False,
    ),
}
