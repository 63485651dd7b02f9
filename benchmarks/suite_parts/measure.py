"""What is measured of one cell.

Legend: N training samples, K classes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from acestimator import BaselineClassifier
from acestimator.comparison.grid import Cell
from acestimator.comparison.runs import DEFAULT, ORACLE, Fitted, detection_metrics, fit_method
from acestimator.comparison.tasks import NotPossibleError, Split, Task, make_task
from acestimator.runs.ledger import attempt
from suite_parts import networks
from suite_parts.numbers import anchors, bins_of
from suite_parts.sets import SETS, load
from suite_parts.sources import Sources

_FOLDS = 3


def run_cell(cell: Cell, sources: Sources, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Record of a cell: its key, the versions, and what was measured, or ``not_possible`` or ``error``.

    Parameters
    ----------
    cell : Cell
    sources : Sources
    settings : dict, optional
        Parameters of all methods, over the set's own.

    Returns
    -------
    dict
    """
    return attempt(cell.key(), lambda: measure(cell, sources, settings))


def measure(cell: Cell, sources: Sources, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """What was measured of a cell, or why it cannot be.

    The oracle is told which labels are right. Where all are, it would be plain training: it then says what can be told
    of the set, by :func:`suite_parts.numbers.anchors` of three folds.
    """
    data = load(cell.dataset, cell.seed, sources)
    settings = own_settings(cell, data) | (settings or {})
    with threadpool_limits(1):
        if (cell.method, cell.process) == (ORACLE, "none"):
            return what_can_be_told(data, cell.seed, settings)
        try:
            task = make_task(data, cell.process, cell.seed)
        except NotPossibleError as error:
            return {"not_possible": str(error)}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = fit_method(cell.method, task, cell.seed, settings)
        names = sorted({w.category.__name__ for w in caught})
        return describe(fitted, task, with_bins=cell.method == DEFAULT) | {"warnings": names}


def own_settings(cell: Cell, data: Split) -> dict[str, Any]:
    """Parameters that a set prescribes to all methods."""
    of = SETS[cell.dataset]
    settings = {} if of.epochs is None else {"max_epochs": of.epochs}
    if of.setting:
        settings |= networks.parameters(of.setting, data.X_train.shape[1], of.n_classes, cell.seed)
    return settings


def describe(fitted: Fitted, task: Task, *, with_bins: bool = False) -> dict[str, Any]:
    """Accuracy, recalls, times, and what was found among the labels.

    Parameters
    ----------
    fitted : Fitted
    task : Task
    with_bins : bool, default=False
        Whether to keep the probabilities, in bins, so that those of several seeds can be pooled.

    Returns
    -------
    dict
        accuracy, n_test; recall (K,), None of a class that is not in the test set; seconds, cpu_seconds; noise_rate;
        the detection metrics; noise_rate_interval of an estimator that has one. Of a method with probabilities
        rows_per_class and flagged_per_class, (K,), by given label; suggested_right and given_right, shares of the
        training samples; bins.
    """
    clf = fitted.classifier
    predicted = clf.predict(task.X_test)
    record: dict[str, Any] = {
        "accuracy": float(np.mean(predicted == task.y_test)),
        "n_test": len(predicted),
        "recall": recalls(task.y_test, predicted),
        "seconds": fitted.seconds,
        "cpu_seconds": fitted.cpu_seconds,
    }
    if not fitted.found:
        return record
    record |= {"noise_rate": fitted.noise_rate, **detection_metrics(task.is_wrong, **fitted.found)}
    proba = fitted.found.get("proba")
    if proba is not None:
        record["rows_per_class"] = np.bincount(task.observed).tolist()
        record["flagged_per_class"] = np.bincount(task.observed, weights=proba > 0.5).astype(int).tolist()
        record["suggested_right"] = float(np.mean(clf.suggested_labels_ == task.right))
        record["given_right"] = float(np.mean(task.observed == task.right))
        if with_bins:
            record["bins"] = bins_of(proba, task.is_wrong)
    interval = getattr(clf, "noise_rate_interval_", None)
    if interval is not None:
        record["noise_rate_interval"] = [float(end) for end in interval]
    return {k: v for k, v in record.items() if not (isinstance(v, float) and not math.isfinite(v))}


def recalls(y: np.ndarray, predicted: np.ndarray) -> list[float | None]:
    """Share of each class that was recognised; None of a class without samples."""
    sizes, hits = np.bincount(y), np.bincount(y[y == predicted], minlength=int(y.max()) + 1)
    return [float(hit / size) if size else None for hit, size in zip(hits, sizes, strict=True)]


def what_can_be_told(data: Split, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Anchors of the classes by networks trained on right labels, each on two thirds of the samples.

    Returns
    -------
    dict
        can_be_told; anchors_per_class (K,); held_out_accuracy, of the same networks.
    """
    X, y = data.X_train, data.y_train
    logits = np.empty((len(y), int(y.max()) + 1))
    for train, test in _folds(y, seed):
        network = BaselineClassifier(random_state=seed, **settings).fit(X[train], y[train])
        # What is no class of the fold's has no chance; log-probabilities are logits in a gauge of their own.
        logits[test] = -50.0
        logits[np.ix_(test, network.classes_)] = np.log(np.maximum(network.predict_proba(X[test]), 1e-20))
    counts, enough = anchors(logits, y)
    accuracy = float(np.mean(logits.argmax(axis=1) == y))
    return {"can_be_told": enough, "anchors_per_class": counts.tolist(), "held_out_accuracy": accuracy}


def _folds(y: np.ndarray, seed: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(y)), y))
