"""What an estimator says of all labels of a source: those given, and those that are missing.

Legend: N rows, K classes, L likeliest labels.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from acestimator.audit.past import Past
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
        if that was not examined. Of a row that was decided, the decided one.
    sure : ndarray of bool, shape (N,)
        Whether a suspect's label may be changed without a look: it is likelier wrong than right even if as few labels
        are wrong as ``interval`` allows. See ``suggested_labels_`` of :class:`acestimator.AutoCleansingClassifier`.
    probability : ndarray of float64, shape (N,)
        That the given label is wrong; of a row without one, that the suggested label is. NaN if it was not examined, or
        was dropped.
    quality : ndarray of float64, shape (N,)
        As of :meth:`acestimator.AutoCleansingClassifier.label_issues`; of a row without a label, 1 - ``probability``.
    likeliest : ndarray of int64, shape (N, L)
        By falling probability of the network.
    rate : float
        Of wrong labels among those in use: the given ones, and the decided ones in their place.
    interval : tuple of float or None
        90 % interval of that.
    notes : tuple of str
        Texts of the fit's warnings.
    is_open : ndarray of bool, shape (N,), optional
        Rows that nobody has decided; all by default.
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
    is_open: np.ndarray | None = None

    @property
    def undecided(self) -> np.ndarray:
        """Mask (N,) of the rows that nobody has decided, and that could be read."""
        known = ~np.isnan(self.probability)
        return known if self.is_open is None else known & self.is_open

    @property
    def suspects(self) -> np.ndarray:
        """Undecided rows that are likelier wrong than right, and those without a label; the most suspicious first."""
        shown = self.undecided & ((self.probability > 0.5) | (self.given < 0))
        rows = np.flatnonzero(shown)
        return rows[np.argsort(self.quality[rows], kind="stable")]


def find(
    model: Pipeline, X: Any, labels: np.ndarray, examined: np.ndarray | None = None, past: Past | None = None
) -> Findings:
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
    past : Past, optional
        Decisions: what was kept or relabelled is a fact, what was dropped takes no part.

    Raises
    ------
    ValueError
        If fewer than two classes are left, or the labels are no classes.
    """
    past = Past() if past is None else past
    examined = np.ones(len(labels), dtype=bool) if examined is None else examined.copy()
    examined[past.dropped] = False
    in_use = labels.copy()
    in_use[list(past.facts)] = list(past.facts.values())
    labelled = np.array([label is not None for label in in_use])
    fitted = np.flatnonzero(labelled & examined)
    classes = np.unique(np.array([label for label in (*labels, *in_use) if label is not None], dtype=str))
    given, used = encode(labels, classes), encode(in_use, classes)
    _check(classes, used[fitted])
    notes = _fit(model, X, labels, past, fitted)
    judge = model[-1]
    proba = np.zeros((len(labels), len(classes)))
    shown = np.flatnonzero(examined)
    proba[np.ix_(shown, np.searchsorted(classes, judge.classes_))] = model.predict_proba(select(X, shown))
    issues = judge.label_issues()
    likeliest = np.argsort(-proba, axis=1, kind="stable")
    probability, quality = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    probability[fitted], quality[fitted] = issues["mislabel_probability"], issues["label_quality"]
    missing = np.flatnonzero(examined & ~labelled)
    quality[missing] = proba[missing].max(axis=1)
    probability[missing] = 1.0 - quality[missing]
    others = np.where(likeliest[:, 0] == used, likeliest[:, 1], likeliest[:, 0])
    shown_other = (probability > 0.5) & labelled
    shown_other[missing] = True
    sure = np.zeros(len(labels), dtype=bool)
    sure[fitted] = np.asarray(issues["suggested_label"]) != np.asarray(issues["given_label"])
    corrected = np.flatnonzero(examined & (used != given) & labelled)  # what the source has is wrong
    probability[corrected], quality[corrected] = 1.0, 0.0
    is_open = np.ones(len(labels), dtype=bool)
    is_open[[*past.facts, *past.dropped]] = False
    return Findings(
        classes=tuple(classes.tolist()),
        given=given,
        suggested=np.where(shown_other, others, used),
        sure=sure,
        probability=probability,
        quality=quality,
        likeliest=likeliest[:, :LIKELIEST],
        rate=float(judge.noise_rate_),
        interval=judge.noise_rate_interval_,
        notes=notes,
        is_open=is_open,
    )


def _fit(model: Pipeline, X: Any, labels: np.ndarray, past: Past, fitted: np.ndarray) -> tuple[str, ...]:
    """Fit the model on some rows, and return the texts of its warnings."""
    observed, facts = labels.copy(), past.facts
    for row in facts:
        # As it was when it was looked at: the pair teaches. That of a row without a label does not: "" is no class.
        observed[row] = past.decisions[row].given or ""
    y = np.array([observed[row] for row in fitted])
    parameters = {}
    if facts:
        reviewed = np.array([facts.get(row) for row in fitted.tolist()], dtype=object)
        parameters[f"{model.steps[-1][0]}__reviewed"] = reviewed
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AutoCleansingWarning)
        model.fit(select(X, fitted), y, **parameters)
    for other in caught:
        if not issubclass(other.category, AutoCleansingWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return tuple(dict.fromkeys(str(one.message) for one in caught if one.category is AutoCleansingWarning))


def encode(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Positions (N,) in the classes (K,), sorted; -1 of None."""
    known = np.array([label is not None for label in labels])
    codes = np.full(len(labels), -1, dtype=np.int64)
    codes[known] = np.searchsorted(classes, np.array([label for label in labels if label is not None], dtype=str))
    return codes


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
