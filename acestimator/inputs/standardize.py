"""Standardisation by the training set's statistics: of arrays on the host, or of images on their device.

What is here called an array may be a :class:`acestimator.inputs.mapped.Selection`, too.

Legend: N samples, M samples of a block, D features, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

_CHUNK = 1 << 22  # elements converted at a time


def fit_scaler(X: Any, sample_weight: np.ndarray | None, *, in_parts: bool = False) -> StandardScaler:
    """Mean and scale of every feature, or of every channel of images, over the weighted training set.

    Vectors are copied in float64, ``in_parts`` a bounded number at a time; images always so.

    Raises
    ------
    ValueError
        If a variance overflows float64.
    """
    scaler = StandardScaler()
    if sample_weight is not None:
        sample_weight = sample_weight / sample_weight.mean()  # only ratios matter; these do not overflow
    with np.errstate(over="ignore", invalid="ignore"):
        if X.ndim == 2 and not in_parts:
            scaler.fit(X, sample_weight=sample_weight)
        else:
            pixels = int(np.prod(X.shape[2:]))
            for part in chunks(X):
                # scikit-learn adds up float16 as it is
                values = X[part].astype(np.float64) if in_parts else X[part]
                rows = values if X.ndim == 2 else values.transpose(0, 2, 3, 1).reshape(-1, X.shape[1])  # (n H W, C)
                weight = None if sample_weight is None else np.repeat(sample_weight[part], pixels)
                scaler.partial_fit(rows, sample_weight=weight)
    check_variances(scaler, X)
    return scaler


def check_variances(scaler: StandardScaler, X: Any) -> None:
    """Raise ValueError if a variance of X overflowed float64."""
    overflown = np.flatnonzero(~np.isfinite(scaler.var_))
    if len(overflown):
        raise ValueError(
            f"X holds values up to {_largest(X):.3g}, whose variance overflows in columns "
            f"{overflown.tolist()[:10]}: rescale X."
        )


def standardized(X: Any, scaler: StandardScaler | None, dtype: torch.dtype) -> Iterator[Tensor]:
    """Chunks of X as standardised tensors: see :func:`standardize`."""
    for part in chunks(X):
        yield standardize(X[part], scaler, dtype)


def standardize(X: np.ndarray, scaler: StandardScaler | None, dtype: torch.dtype) -> Tensor:
    """X as a standardised tensor.

    Computed in float64 before rounding, so that a large offset (a year, a time stamp) costs no digits.

    Raises
    ------
    ValueError
        If a value does not fit into ``dtype``.
    """
    shape = (1, -1) if X.ndim == 2 else (1, -1, 1, 1)
    values = X.astype(np.float64)
    if scaler is not None:
        if scaler.with_mean:
            values -= scaler.mean_.reshape(shape)
        values /= scaler.scale_.reshape(shape)
    result = torch.from_numpy(values).to(dtype)
    if not torch.isfinite(result).all():
        raise overflow(float(np.abs(X).max()), scaler, dtype)
    return result


def overflow(largest: float, scaler: StandardScaler | None, dtype: torch.dtype) -> ValueError:
    """Error of values that do not fit into ``dtype``."""
    return ValueError(
        f"X holds values up to {largest:.3g} that overflow {dtype} "
        f"{'after' if scaler is not None else 'without'} standardisation: rescale X."
    )


def to_tensor(X: Any, scaler: StandardScaler | None, dtype: torch.dtype) -> Tensor:
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


def chunks(X: Any) -> Iterator[slice]:
    """Rows of X, a bounded number of numbers at a time."""
    step = max(1, _CHUNK // max(1, int(np.prod(X.shape[1:]))))
    for start in range(0, len(X), step):
        yield slice(start, start + step)


def is_large(X: Any) -> bool:
    """Whether X has more numbers than are looked at at one go."""
    return X.size > _CHUNK


def _largest(X: Any) -> float:
    return max(float(np.abs(X[part]).max()) for part in chunks(X))
