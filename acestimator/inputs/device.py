"""Which device, and what of the training set fits on it."""

from __future__ import annotations

import torch
from torch import Tensor

_RESIDENT_SHARE = 0.5  # of the free device memory that the training set may take


def resolve_device(device: str | torch.device) -> torch.device:
    """Device of that name; "auto" is CUDA where there is one.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved, dtype=torch.float64)  # mixture and products need it
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device is {str(device)!r}, which this installation of torch cannot use ({str(error).splitlines()[0]}): "
            "take 'auto', 'cpu' or a device that it has."
        ) from error
    return resolved


def move_if_it_fits(features: Tensor, device: torch.device) -> Tensor:
    """Training set on the device, if it takes no more than half of its free memory; else in page-locked memory."""
    if device.type != "cuda":
        return features.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    if features.nbytes <= _RESIDENT_SHARE * free:
        return features.to(device)
    return features.pin_memory()
