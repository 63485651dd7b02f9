"""Standardisation by the training set's statistics: of arrays on the host, or of images on their device.

Legend: N samples, M samples of a block, D features, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

_CHUNK = 1 << 22  # elements converted at a time


def fit_scaler(X: np.ndarray, sample_weight: np.ndarray | None) -> StandardScaler:
    """Mean and scale of every feature, or of every channel of images, over the weighted training set.

    Raises
    ------
    ValueError
        If a variance overflows float64.
    """
    scaler = StandardScaler()
    if sample_weight is not None:
        sample_weight = sample_weight / sample_weight.mean()  # only ratios matter; these do not overflow
    with np.errstate(over="ignore", invalid="ignore"):
        if X.ndim == 2:
            scaler.fit(X, sample_weight=sample_weight)
        else:
            pixels = X.shape[2] * X.shape[3]
            for part in _chunks(X):
                rows = X[part].transpose(0, 2, 3, 1).reshape(-1, X.shape[1])  # (n H W, C)
                weight = None if sample_weight is None else np.repeat(sample_weight[part], pixels)
                scaler.partial_fit(rows, sample_weight=weight)
    overflown = np.flatnonzero(~np.isfinite(scaler.var_))
    if len(overflown):
        raise ValueError(
            f"X holds values up to {np.abs(X).max():.3g}, whose variance overflows in columns "
            f"{overflown.tolist()[:10]}: rescale X."
        )
    return scaler


def standardized(X: np.ndarray, scaler: StandardScaler | None, dtype: torch.dtype) -> Iterator[Tensor]:
    """Chunks of X as standardised tensors.

    Computed in float64 before rounding, so that a large offset (a year, a time stamp) costs no digits.

    Raises
    ------
    ValueError
        If a value does not fit into ``dtype``.
    """
    shape = (1, -1) if X.ndim == 2 else (1, -1, 1, 1)
    for part in _chunks(X):
        values = X[part].astype(np.float64)
        if scaler is not None:
            values -= scaler.mean_.reshape(shape)
            values /= scaler.scale_.reshape(shape)
        chunk = torch.from_numpy(values).to(dtype)
        if not torch.isfinite(chunk).all():
            raise ValueError(
                f"X holds values up to {np.abs(X[part]).max():.3g} that overflow {dtype} "
                f"{'after' if scaler is not None else 'without'} standardisation: rescale X."
            )
        yield chunk


def to_tensor(X: np.ndarray, scaler: StandardScaler | None, dtype: torch.dtype) -> Tensor:
    """All of X as one standardised tensor on the CPU."""
    result = torch.empty(X.shape, dtype=dtype)
    start = 0
    for chunk in standardized(X, scaler, dtype):
        result[start : start + len(chunk)] = chunk
        start += len(chunk)
    return result


@dataclass(frozen=True)
class Standardization:
    """What takes pixels (M, C, H, W) to what the network sees, on their device, in float32.

    Parameters
    ----------
    mean, scale : Tensor of float32, shape (C, 1, 1)
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, scaler: StandardScaler | None, n_channels: int, device: torch.device) -> Standardization:
        """By these statistics; of none, a change to float32 alone."""
        mean = np.zeros(n_channels) if scaler is None else scaler.mean_
        scale = np.ones(n_channels) if scaler is None else scaler.scale_
        return cls(*(torch.tensor(v, dtype=torch.float32, device=device)[:, None, None] for v in (mean, scale)))

    def __call__(self, images: Tensor) -> Tensor:
        """Standardised copies."""
        return images.to(torch.float32).sub_(self.mean).div_(self.scale)


def _chunks(X: np.ndarray) -> Iterator[slice]:
    step = max(1, _CHUNK // max(1, int(np.prod(X.shape[1:]))))
    for start in range(0, len(X), step):
        yield slice(start, start + step)
