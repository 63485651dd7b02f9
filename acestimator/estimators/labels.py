"""Labels of a fit: from what a user gives to codes, and back.

Legend: N samples, N' of them of positive weight, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrainingSamples:
    """Labels and weights of a fit. N' are the samples of positive weight.

    Parameters
    ----------
    y : ndarray of shape (N,)
        As given.
    labels : ndarray of int64, shape (N',)
        0..K-1.
    used : ndarray of int64, shape (N',), or None
        Positions of the N' among the N; None where they are all.
    weight : ndarray of float64, shape (N',), or None
    """

    y: np.ndarray
    labels: np.ndarray
    used: np.ndarray | None
    weight: np.ndarray | None


def scatter(values: np.ndarray, used: np.ndarray | None, n_samples: int, fill: float) -> np.ndarray:
    """Values of the used samples at their places among all."""
    if used is None:
        return values
    result = np.full((n_samples, *values.shape[1:]), fill, dtype=values.dtype)
    result[used] = values
    return result
