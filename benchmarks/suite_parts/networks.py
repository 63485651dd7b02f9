"""Networks and settings that a user may bring, in place of the defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_HIDDEN = 64
NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "hidden": lambda d, k: nn.Sequential(nn.Linear(d, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, k)),
    "dropout": lambda d, k: nn.Sequential(nn.Linear(d, _HIDDEN), nn.ReLU(), nn.Dropout(0.5), nn.Linear(_HIDDEN, k)),
    "batch_norm": lambda d, k: nn.Sequential(
        nn.Linear(d, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, k)
    ),
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "sgd_slow": {"optimizer": "sgd", "learning_rate": 1e-3},
    "rate_1e-4": {"learning_rate": 1e-4},
    "rate_1e-2": {"learning_rate": 1e-2},
    "epochs_8": {"max_epochs": 8},
    "epochs_200": {"max_epochs": 200},
    "batch_32": {"batch_size": 32},
    "batch_512": {"batch_size": 512},
}
_FAST = "_1e-2"
SETTINGS = (*NETWORKS, *(f"{name}{_FAST}" for name in NETWORKS), *PARAMETERS)


def parameters(setting: str, n_features: int, n_classes: int, seed: int) -> dict[str, Any]:
    """Parameters of an estimator.

    Parameters
    ----------
    setting : str
        One of ``SETTINGS``: a network of one's own, one with a rate of 1e-2, or parameters alone.
    n_features, n_classes : int
    seed : int
        Of the network's initial weights.

    Returns
    -------
    dict
    """
    if setting in PARAMETERS:
        return PARAMETERS[setting]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[setting.removesuffix(_FAST)](n_features, n_classes)
    return {"backbone": network} | ({"learning_rate": 1e-2} if setting.endswith(_FAST) else {})
