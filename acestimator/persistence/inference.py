"""What an estimator computes of a batch, as one module, and as a program of torch.

Legend: B samples of a batch, D features, C channels, K classes.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "float64": torch.float64, "uint8": torch.uint8}  # of what it is given
_TRACED = 2  # samples that a program is traced with; of one, torch would take it for a constant


class Inference(nn.Module):
    """Standardisation, network and softmax: (B, *shape), as a user has it, to probabilities (B, K) in float64.

    Parameters
    ----------
    network : nn.Module
        Copied.
    scaler : StandardScaler or None
        As in :func:`acestimator.inputs.standardize.standardize`.
    n_axes : int
        Of one sample.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, scaler: StandardScaler | None, n_axes: int) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval()
        shape = (1, -1, *(1 for _ in range(n_axes - 1)))
        mean = np.zeros(1) if scaler is None or not scaler.with_mean else scaler.mean_
        scale = np.ones(1) if scaler is None else scaler.scale_
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64).view(shape))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64).view(shape))
        parameter = next((part for part in self.network.parameters() if part.is_floating_point()), torch.empty(0))
        self._dtype = parameter.dtype

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        standardized = (x.to(torch.float64) - self.mean) / self.scale
        return torch.softmax(self.network(standardized.to(self._dtype)).to(torch.float64), dim=1)


def program(network: nn.Module, scaler: StandardScaler | None, shape: tuple[int, ...], dtype: str) -> Any:
    """The computation as a program of torch, for batches of any size.

    Parameters
    ----------
    network : nn.Module
    scaler : StandardScaler or None
    shape : tuple of int
        Of one sample.
    dtype : {"float32", "float64", "uint8"}
        Of the input.

    Returns
    -------
    torch.export.ExportedProgram
        From ``x`` (B, *shape) to probabilities (B, K) in float64.

    Raises
    ------
    ValueError
        If there is no such type, or torch cannot follow the network's code.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}, expected one of {', '.join(map(repr, DTYPES))}.")
    module = Inference(network, scaler, len(shape)).eval()
    x = torch.zeros(_TRACED, *shape, dtype=DTYPES[dtype])
    try:
        with torch.no_grad():
            return torch.export.export(module, (x,), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    except Exception as error:  # of many kinds, by what the code does
        raise ValueError(
            f"torch.export cannot follow the network ({type(network).__name__}): {error}\nTake what depends on the "
            "data, or on the size of the batch, out of its forward."
        ) from error
