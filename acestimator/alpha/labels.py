"""Labels as they are given, to int64 tensors, and the errors for those that are none.

Legend: N samples, K classes, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Labels = Tensor | np.ndarray | Sequence[int]
IGNORED = -100  # label of a sample that a loss leaves out, that of torch.nn.functional.cross_entropy


def as_labels(labels: Labels) -> Tensor:
    """int64, or ValueError if they are no integers."""
    if isinstance(labels, Tensor) and labels.dtype == torch.int64:
        return labels
    try:
        tensor = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"labels are {type(labels).__name__} of no numbers: give integers from 0.") from error
    if tensor.dtype in (torch.bool, torch.complex64, torch.complex128) or tensor.is_floating_point():
        raise ValueError(f"labels are {tensor.dtype}, expected integers from 0, as int64.")
    return tensor.long()


def as_soft_labels(labels: Labels) -> Tensor | None:
    """Probabilities (B, K); None if the labels are something else than floating numbers in two dimensions."""
    soft = torch.from_numpy(labels) if isinstance(labels, np.ndarray) and labels.dtype.kind == "f" else labels
    if not isinstance(soft, Tensor) or soft.dim() != 2 or not soft.is_floating_point():
        return None
    if soft.requires_grad:
        raise ValueError("labels require a gradient, and the loss has none for them: give labels.detach().")
    return soft


def check_labels(labels: Labels | None, n_samples: int, n_classes: int) -> Tensor:
    """Labels (N,), or ValueError if they are missing, too few, no integers, or outside 0..K-1."""
    if labels is None:
        raise ValueError(
            "variant 'AC2', or rivals, keeps the constant of the observed label: give labels, one per sample."
        )
    labels = as_labels(labels)
    if labels.shape != (n_samples,):
        raise ValueError(f"labels has shape {tuple(labels.shape)} and the table {n_samples} samples: give one each.")
    if n_samples and (int(labels.min()) < 0 or int(labels.max()) >= n_classes):
        raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}, expected 0 to {n_classes - 1}.")
    return labels


def targets(labels: Tensor, n_classes: int) -> tuple[Tensor, Tensor | None]:
    """Labels (B,) in 0..K-1, and which of them count; None where all do.

    On a GPU they are not looked at, for a look makes the host wait. A label that is out of range is then torch's error.

    Raises
    ------
    ValueError
        If one is outside 0..K-1, and not the one of samples to leave out.
    """
    if labels.device.type == "cpu":
        low, high = (end.item() for end in torch.aminmax(labels)) if labels.numel() else (0, 0)
        if low >= 0 and high < n_classes:
            return labels, None
        counted = labels[labels != IGNORED]
        if len(counted) and (counted.min() < 0 or counted.max() >= n_classes):
            raise ValueError(
                f"labels run from {int(counted.min())} to {int(counted.max())}, expected 0 to {n_classes - 1}, "
                f"or {IGNORED} for samples to leave out."
            )
    counts = labels != IGNORED
    return torch.where(counts, labels, 0), counts
