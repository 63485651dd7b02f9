"""Labels in the type in which a user's pandas Series has them.

scikit-learn knows numpy's types alone: whole numbers that may be missing become floats, categories become objects.

Legend: N samples, M labels that are asked for.
"""

from __future__ import annotations

import pickle
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from acestimator.estimators.reviewed import Reviewed


def plain_labels(y: Any) -> Any:
    """Whole numbers and truth values of pandas' own types in numpy's; other labels as they are.

    scikit-learn would make floats of them, in which large numbers are equal that are not.

    Parameters
    ----------
    y : array-like of shape (N,)
        None of them missing.
    """
    numpy_type = getattr(getattr(y, "dtype", None), "numpy_dtype", None)  # of types of pandas alone
    return y if numpy_type is None or numpy_type.kind not in "biu" else y.to_numpy(dtype=numpy_type)


class LabelSeries(ABC):
    """Labels of a Series, in its type."""

    @abstractmethod
    def values(self) -> Any:
        """The array (N,) of pandas, a copy."""

    def like(self, plain: np.ndarray, labels: np.ndarray) -> Any:
        """Labels as the Series has them.

        Parameters
        ----------
        plain : ndarray of shape (N,)
            The Series as scikit-learn has it.
        labels : ndarray of shape (M,)
            Some of these.

        Returns
        -------
        pandas array of shape (M,)
            Of the Series's type.
        """
        known, first = np.unique(plain, return_index=True)
        return self.values().take(first[np.searchsorted(known, labels)])


@dataclass(frozen=True)
class GivenSeries(LabelSeries):
    """Labels of a Series.

    Parameters
    ----------
    pickled : bytes
        pandas' array (N,). A model that has these is loaded where pandas is missing, too.
    """

    pickled: bytes

    @classmethod
    def of(cls, y: Any) -> Self | None:
        """Labels of a Series, an Index or an array of pandas; None of others, and of numbers in numpy's types."""
        pandas = sys.modules.get("pandas")  # who has not imported it has none of these
        if pandas is None:
            return None
        if isinstance(y, pandas.Series | pandas.Index):
            y = y.array
        if not isinstance(y, pandas.api.extensions.ExtensionArray):
            return None
        of_numpy = isinstance(y, pandas.arrays.NumpyExtensionArray) and y.dtype.kind != "O"
        return None if of_numpy else cls(pickle.dumps(y))

    def values(self) -> Any:
        """The array (N,), a copy."""
        return pickle.loads(self.pickled)

    def corrected(self, reviewed: Reviewed) -> Self:
        """With a reviewer's labels in their places.

        Categories that the Series has not are added, and numbers that its type cannot hold give it a larger one.
        """
        if not reviewed.are_pairs:  # they are those of the Series
            return self
        import pandas as pd

        known, values = reviewed.known, self.values()
        facts = reviewed.labels[known].tolist()
        if isinstance(values, pd.Categorical):
            values = values.add_categories([label for label in dict.fromkeys(facts) if label not in values.categories])
        try:
            values[known] = facts
        except (OverflowError, TypeError, ValueError):
            every = values.astype(object)
            every[known] = facts
            values = pd.array(every)
        return type(self)(pickle.dumps(values))
