"""Labels of a fit: from what a user gives to codes, and back.

Legend: N samples, N' of them of positive weight, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets


@dataclass(frozen=True)
class TrainingLabels:
    """Labels and weights of a fit, in which samples of weight 0 take no part.

    Parameters
    ----------
    given : ndarray of shape (N,)
        As the user gave them.
    classes : ndarray of shape (K,)
        Sorted; those of the samples in use.
    codes : ndarray of int64, shape (N',)
        Positions in ``classes``.
    used : ndarray of int64, shape (N',), or None
        Positions of the N' among the N; None where they are all.
    weight : ndarray of float64, shape (N',), or None
        Positive; None where the user gave none.
    """

    given: np.ndarray
    classes: np.ndarray
    codes: np.ndarray
    used: np.ndarray | None
    weight: np.ndarray | None

    @classmethod
    def encode(cls, given: np.ndarray, weight: np.ndarray | None) -> TrainingLabels:
        """Codes of the samples whose weight is positive.

        Parameters
        ----------
        given : ndarray of shape (N,)
        weight : ndarray of float64, shape (N,), or None
            Not negative.

        Raises
        ------
        ValueError
            If these are no labels of classes, or all of one class.
        """
        check_classification_targets(given)
        used = None if weight is None or (weight > 0).all() else np.flatnonzero(weight > 0)
        encoder = LabelEncoder()
        codes = encoder.fit_transform(given if used is None else given[used]).astype(np.int64)
        classes = encoder.classes_
        if len(classes) < 2:
            found = f"the one class {classes.tolist()[0]!r}" if len(classes) else "no class at all"
            dropped = "" if used is None else f" once the {len(given) - len(used)} samples of weight 0 are left out"
            raise ValueError(f"y holds {found}{dropped}, expected at least 2 classes: nothing can be told apart.")
        return cls(given, classes, codes, used, weight if used is None or weight is None else weight[used])

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Labels (N,) by codes (N',); samples of weight 0 have the label that was given."""
        labels = self.classes[codes]
        if self.used is None:
            return labels
        result = self.given.copy()
        result[self.used] = labels
        return result

    def scatter(self, values: np.ndarray, fill: float) -> np.ndarray:
        """Values (N, ...) by values (N', ...); samples of weight 0 have the number ``fill``."""
        if self.used is None:
            return values
        result = np.full((len(self.given), *values.shape[1:]), fill, dtype=values.dtype)
        result[self.used] = values
        return result
