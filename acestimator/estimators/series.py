"""Labels of a pandas Series as plain values and the name of their type, as files hold them.

Legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from acestimator.estimators.given import LabelSeries


@dataclass(frozen=True)
class SavedSeries(LabelSeries):
    """Labels of a Series that was written to a file. pandas is needed when they are asked for, not before.

    Parameters
    ----------
    kind : dict
        What type they have; of categories, with these.
    labels : ndarray of shape (N,)
        In numpy's type; of categories, their positions.
    """

    kind: dict[str, Any]
    labels: np.ndarray

    @classmethod
    def of(cls, series: LabelSeries) -> Self | None:
        """Plain values of labels, none of which is missing; None if their type is not one that is known here."""
        if isinstance(series, cls):
            return series
        import pandas as pd

        values = series.values()
        if isinstance(values, pd.Categorical):
            if not all(type(label) in (str, int, float, bool) for label in values.categories.tolist()):
                return None
            kind = {"type": "category", "ordered": bool(values.ordered), "categories": values.categories.tolist()}
            kind["of"] = str(values.categories.dtype)
            found = cls(kind, np.asarray(values.codes, dtype=np.int64))
        elif isinstance(values.dtype, pd.StringDtype):
            kind = {"type": "string", "storage": values.dtype.storage, "nan": values.dtype.na_value is not pd.NA}
            found = cls(kind, np.array(values.tolist(), dtype=object))
        elif getattr(values.dtype, "numpy_dtype", None) is not None:  # Int64 and its like, and numpy's objects
            found = cls({"type": str(values.dtype)}, values.to_numpy(dtype=values.dtype.numpy_dtype))
        else:
            return None
        try:
            again = found.values()
            same = again.dtype == values.dtype and bool((again == values).all())
        except (AttributeError, ImportError, TypeError, ValueError):
            return None
        return found if same else None

    def values(self) -> Any:
        """The array (N,), a copy."""
        import pandas as pd

        of = self.kind["type"]
        if of == "category":
            categories = pd.Index(self.kind["categories"], dtype=self.kind["of"])
            return pd.Categorical.from_codes(self.labels, categories, ordered=self.kind["ordered"])
        if of == "string":
            missing = np.nan if self.kind["nan"] else pd.NA
            return pd.array(self.labels, dtype=pd.StringDtype(self.kind["storage"], na_value=missing))
        if of == "object":
            return pd.arrays.NumpyExtensionArray(self.labels.copy())
        return pd.array(self.labels, dtype=of)
