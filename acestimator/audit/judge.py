"""What an estimator says of all labels of a source: those given, and those that are missing.

Legend: N rows, K classes, L likeliest labels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from acestimator.diagnosis import AutoCleansingWarning
from acestimator.inputs.validation import select

LIKELIEST = 9  # as many as there are keys


@dataclass(frozen=True)
class Findings:
    """Verdicts on N rows.

    Parameters
    ----------
    classes : tuple of str
        The K labels, sorted.
    given : ndarray of int64, shape (N,)
        Positions in ``classes``; -1 of a row without a label.
    suggested : ndarray of int64, shape (N,)
        The likeliest other label of a suspect, the given one of other rows; of a row without a label, the likeliest; -1
        if that was not examined.
    sure : ndarray of bool, shape (N,)
        Whether a suspect's label may be changed without a look: it is likelier wrong than right even if as few labels
        are wrong as ``interval`` allows. See ``suggested_labels_`` of :class:`acestimator.AutoCleansingClassifier`.
    probability : ndarray of float64, shape (N,)
        That the given label is wrong; of a row without one, that the suggested label is. NaN if it was not examined.
    quality : ndarray of float64, shape (N,)
        As of :meth:`acestimator.AutoCleansingClassifier.label_issues`; of a row without a label, 1 - ``probability``.
    likeliest : ndarray of int64, shape (N, L)
        By falling probability of the network.
    rate : float
        Of wrong labels among the given ones.
    interval : tuple of float or None
        90 % interval of that.
    notes : tuple of str
        Texts of the fit's warnings.
    """

    classes: tuple[str, ...]
    given: np.ndarray
    suggested: np.ndarray
    sure: np.ndarray
    probability: np.ndarray
    quality: np.ndarray
    likeliest: np.ndarray
    rate: float
    interval: tuple[float, float] | None
    notes: tuple[str, ...]

    @property
    def suspects(self) -> np.ndarray:
        """Rows that are likelier wrong than right, and those without a label; the most suspicious first."""
        shown = (self.probability > 0.5) | ((self.given < 0) & ~np.isnan(self.probability))
        rows = np.flatnonzero(shown)
        return rows[np.argsort(self.quality[rows], kind="stable")]


def find(model: Pipeline, X: Any, labels: np.ndarray, examined: np.ndarray | None = None) -> Findings:
    """Fit a model on the rows that have a label, and read off what it says of all.

    Parameters
    ----------
    model : Pipeline
        Ends in :class:`acestimator.AutoCleansingClassifier`. Fitted in place.
    X : frame, array or matrix of N rows
    labels : ndarray of object, shape (N,)
        Texts; None of a row without a label.
    examined : ndarray of bool, shape (N,), optional
        Rows that could be read; all by default.

    Raises
    ------
    ValueError
        If fewer than two classes are left, or the labels are no classes.
    """
    examined = np.ones(len(labels), dtype=bool) if examined is None else examined
    labelled = np.array([label is not None for label in labels])
    fitted = np.flatnonzero(labelled & examined)
    classes, given = encode(labels)
    _check(classes, given[fitted])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AutoCleansingWarning)
        model.fit(select(X, fitted), np.array([labels[i] for i in fitted]))
    for other in caught:
        if not issubclass(other.category, AutoCleansingWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    judge = model[-1]
    proba = np.zeros((len(labels), len(classes)))
    columns = np.searchsorted(classes, judge.classes_)
    shown = np.flatnonzero(examined)
    proba[np.ix_(shown, columns)] = model.predict_proba(select(X, shown))
    issues = judge.label_issues()
    likeliest = np.argsort(-proba, axis=1, kind="stable")
    probability, quality = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    probability[fitted], quality[fitted] = issues["mislabel_probability"], issues["label_quality"]
    missing = np.flatnonzero(examined & ~labelled)
    quality[missing] = proba[missing].max(axis=1)
    probability[missing] = 1.0 - quality[missing]
    others = np.where(likeliest[:, 0] == given, likeliest[:, 1], likeliest[:, 0])
    shown_other = (probability > 0.5) & labelled
    shown_other[missing] = True
    sure = np.zeros(len(labels), dtype=bool)
    sure[fitted] = np.asarray(issues["suggested_label"]) != np.asarray(issues["given_label"])
    return Findings(
        classes=tuple(classes.tolist()),
        given=given,
        suggested=np.where(shown_other, others, given),
        sure=sure,
        probability=probability,
        quality=quality,
        likeliest=likeliest[:, :LIKELIEST],
        rate=float(judge.noise_rate_),
        interval=judge.noise_rate_interval_,
        notes=tuple(dict.fromkeys(str(one.message) for one in caught if one.category is AutoCleansingWarning)),
    )


def encode(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes (K,), sorted, and positions (N,) in them; -1 of None."""
    known = np.array([label is not None for label in labels])
    classes, codes = np.unique(
        np.array([label for label in labels if label is not None], dtype=str), return_inverse=True
    )
    given = np.full(len(labels), -1, dtype=np.int64)
    given[known] = codes
    return classes, given


def _check(classes: np.ndarray, codes: np.ndarray) -> None:
    n_found = len(np.unique(codes))
    if n_found < 2:
        found = f"the one label {str(classes[codes[0]])!r}" if n_found else "no label at all"
        raise ValueError(f"the label column holds {found}, expected two at least: nothing can be told apart.")
    if n_found > len(codes) / 2:
        raise ValueError(
            f"the label column has {n_found} different values in {len(codes)} rows, expected a few that come again: "
            "is it a number to predict, or a name? Give the column of the classes by --label."
        )
