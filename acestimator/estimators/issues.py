"""Label issues as a table, in cleanlab's columns and two more: a pure function of what a fit has read off.

Legend: N samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from acestimator.estimators.given import LabelSeries

# Share of the quality that ranks decide: small beside the errors of the probabilities, large beside rounding.
_BY_RANK = 1e-3


def label_quality(proba: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Probability that each label is right, to within 0.001, and in the order of the scores where probabilities tie.

    By some methods the probability of mislabeling is exactly one for most suspects. A list of suspects that is sorted
    by it alone would begin with any of them.

    Parameters
    ----------
    proba, scores : ndarray of shape (N,)
        Probability that a label is wrong, and its suspicion.

    Returns
    -------
    ndarray of float64, shape (N,)
        From 0 to 1, lower is more suspicious. Of samples that are equal in both, equal.
    """
    less_suspicious = np.searchsorted(np.sort(scores), scores, side="left") / len(scores)
    return (1.0 - _BY_RANK) * (1.0 - proba) + _BY_RANK * (1.0 - less_suspicious)


def label_issues(
    given: np.ndarray,
    predicted: np.ndarray,
    suggested: np.ndarray,
    proba: np.ndarray,
    scores: np.ndarray,
    series: LabelSeries | None = None,
) -> Any:
    """Table of N rows: a data frame where pandas is installed, else a structured array.

    Parameters
    ----------
    given, predicted, suggested : ndarray of shape (N,)
        Labels.
    proba, scores : ndarray of shape (N,)
        As of :func:`label_quality`.
    series : LabelSeries, optional
        Labels as the user's Series has them, whose type the table's labels then have.

    Returns
    -------
    pandas.DataFrame or ndarray of shape (N,)
        Columns is_label_issue, label_quality, given_label, predicted_label, suggested_label and mislabel_probability.
    """
    columns: dict[str, Any] = {
        "is_label_issue": proba > 0.5,
        "label_quality": label_quality(proba, scores),
        "given_label": given,
        "predicted_label": predicted,
        "suggested_label": suggested,
        "mislabel_probability": proba,
    }
    try:
        import pandas as pd
    except ImportError:
        table = np.empty(len(given), dtype=[(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            table[name] = column
        return table
    if series is not None:
        for name in ("predicted_label", "suggested_label"):
            columns[name] = _series(series.like(given, columns[name]))
        columns["given_label"] = _series(series.values())
    return pd.DataFrame(columns)


def _series(values: Any) -> Any:
    import pandas as pd

    return pd.Series(values, dtype=values.dtype)  # a data frame would make texts of objects
