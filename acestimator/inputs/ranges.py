"""Whether samples are in another unit than those of the training, as pixels of 0..1 for a network of 0..255.

Legend: M samples, D features, C channels, H and W pixels.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

_ROWS = 1000  # that are looked at
_FACTOR = 50.0  # between the largest number here and the usual one of the training
_MOSTLY = 0.9  # of the features that are not zero
_AT_LEAST = 0.5  # of all features must not be zero, or rare words would be far from their usual zeros


def unit_factor(X: Any, scaler: Any) -> float | None:
    """By which factor samples are larger than those of the training, if most features are, by far; None otherwise.

    Of each feature the largest size here is compared with the root mean square of the training. Most features of
    ordinary samples lie within a factor of 50 of it, of single ones, too: a sample would have to be small in nearly all
    that it has, and not zero.

    Parameters
    ----------
    X : ndarray of shape (M, D) or (M, C, H, W)
        The first 1,000 are looked at.
    scaler : StandardScaler
        Of the training.

    Returns
    -------
    float or None
        The median over the features.
    """
    usual = np.sqrt(scaler.mean_**2 + scaler.var_)  # (D,) or (C,)
    sizes = np.abs(X[:_ROWS].astype(np.float64))
    largest = sizes.max(axis=0 if X.ndim == 2 else (0, 2, 3), initial=0.0)
    compared = (largest > 0) & (usual > 0)
    if compared.sum() < max(1.0, _AT_LEAST * (usual > 0).sum()):
        return None
    ratio = largest[compared] / usual[compared]
    far = max(np.mean(ratio < 1 / _FACTOR), np.mean(ratio > _FACTOR))
    return float(np.median(ratio)) if far >= _MOSTLY else None


def warn_of_unit(X: Any, scaler: Any, stacklevel: int) -> None:
    """Warn if samples are in another unit than those of the training; see :func:`unit_factor`."""
    if not isinstance(X, np.ndarray) or not getattr(scaler, "with_mean", False) or scaler.var_ is None:
        return  # sparse rows are scaled by other numbers
    factor = unit_factor(X, scaler)
    if factor is not None:
        direction = f"{factor:.3g} times larger" if factor > 1 else f"{1 / factor:.3g} times smaller"
        warnings.warn(
            f"the largest entries of X are {direction} than is usual in the training, in nearly all features: is X in "
            "another unit, such as pixels of 0..1 for a model that was fitted on 0..255? Give X as in fit.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )
