"""One run of one method on one task, and what is measured of it.

Legend: N samples, K classes.

Every method has the defaults of the package, which are its authors', but for these. Co-teaching is told the true noise
rate, as by its authors. Trimming takes AutoCleansing's estimate of that rate in place of the paper's fifth of a per
cent. SOP runs twice: with its authors' rates, and with rates that were chosen on the test accuracy of digits.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from acestimator.comparison.tasks import NotPossibleError, Task
from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.estimators.baseline import BaselineClassifier
from acestimator.estimators.network import NetworkClassifier
from acestimator.peers import METHODS as PEERS

DEFAULT, AC2, ORACLE, CLEANLAB = "AutoCleansing", "AutoCleansing AC2", "oracle", "cleanlab"
PLAIN, TUNED_SOP = "cross_entropy", "sop, rates of 100"
CLEANLAB_FILTERS = (
    *("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"),
    *("low_normalized_margin", "low_self_confidence"),
)
_PARAMS: dict[str, dict[str, Any]] = {TUNED_SOP: {"lr_u": 100.0, "lr_v": 100.0}, "trimmed": {"percent": None}}
_ECE_BINS = 15


def available() -> list[str]:
    """Names of all methods, ours first."""
    return [DEFAULT, AC2, ORACLE, *PEERS, TUNED_SOP, CLEANLAB]


def check_method(method: str) -> None:
    """Raise what :func:`run_method` would raise for a method whatever the task.

    Raises
    ------
    ValueError
        If there is no such method.
    ImportError
        If it is cleanlab, and that is not installed.
    """
    if method not in available():
        raise ValueError(f"method is {method!r}, expected one of {', '.join(map(repr, available()))}.")
    if method == CLEANLAB and find_spec("cleanlab") is None:
        raise ImportError(
            "the method 'cleanlab' needs cleanlab, which is not installed: pip install acestimator[peers], or leave "
            "the method out."
        )


def run_method(method: str, task: Task, seed: int, settings: dict[str, Any] | None = None) -> dict[str, float]:
    """Fit a method with its defaults and measure it.

    Parameters
    ----------
    method : str
        One of :func:`available`.
    task : Task
    seed : int
        ``random_state`` of the fit.
    settings : dict, optional
        Parameters that all methods share: backbone, epochs, batch size and the like.

    Returns
    -------
    dict
        seconds, of the fit alone; accuracy, on the test set after the last epoch; noise_rate as estimated; and where it
        is known which labels are wrong: true_rate, ece of the probabilities, and unless all are right auroc and
        average_precision of the scores and f1 of the flagged set. Without those that a method does not have. cleanlab
        has an f1 per filter.

    Raises
    ------
    NotPossibleError
        If the method is the oracle, and nobody knows which labels are wrong.
    ValueError, ImportError
        See :func:`check_method`.
    """
    fitted = fit_method(method, task, seed, settings)
    record = {"seconds": fitted.seconds, "accuracy": float(fitted.classifier.score(task.X_test, task.y_test))}
    if fitted.found:
        record["noise_rate"] = fitted.noise_rate
        if task.is_wrong is not None:
            record |= detection_metrics(task.is_wrong, **fitted.found)
    return {name: value for name, value in record.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Fitted:
    """A fitted method, and what it says of the training labels.

    Parameters
    ----------
    classifier : estimator
    seconds, cpu_seconds : float
        Of the fit alone. The latter are this process's, on all of its threads.
    noise_rate : float
        As estimated; NaN of the oracle.
    found : dict
        Arguments of :func:`detection_metrics`, but for the first: scores, and proba or flagged. Empty of the oracle,
        which never sees the wrong labels.
    """

    classifier: Any
    seconds: float
    cpu_seconds: float
    noise_rate: float = math.nan
    found: dict[str, Any] = field(default_factory=dict)


def fit_method(method: str, task: Task, seed: int, settings: dict[str, Any] | None = None) -> Fitted:
    """Fit a method with its defaults, and read off what it says of the labels.

    Parameters and errors as of :func:`run_method`.

    Returns
    -------
    Fitted
    """
    check_method(method)
    settings = settings or {}
    X, y = task.X_train, task.observed
    if method == ORACLE:
        if task.is_wrong is None:
            raise NotPossibleError("the oracle is told which labels are wrong, and here nobody knows.")
        X, y = X[~task.is_wrong], y[~task.is_wrong]
    probabilities = None
    began, cpu_began = time.perf_counter(), time.process_time()
    if method == CLEANLAB:
        clf, probabilities = _fit_cleanlab(X, y, seed, settings)
    else:
        clf = _estimator(method, task, seed, settings).fit(X, y)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if method == ORACLE:
        return Fitted(clf, seconds, cpu_seconds)
    if probabilities is not None:
        found = _read_cleanlab(y, probabilities)
    else:
        found = {"scores": clf.mislabel_scores_, "proba": clf.mislabel_proba_, "noise_rate": clf.noise_rate_}
    return Fitted(clf, seconds, cpu_seconds, float(found.pop("noise_rate")), found)


def detection_metrics(
    is_wrong: np.ndarray,
    scores: np.ndarray,
    proba: np.ndarray | None = None,
    flagged: dict[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """How well the wrong labels were found; see :func:`run_method`.

    Parameters
    ----------
    is_wrong : ndarray of bool, shape (N,)
    scores : ndarray of shape (N,)
        Higher is more suspicious.
    proba : ndarray of shape (N,), optional
    flagged : dict of str to ndarray of bool, shape (N,), optional
        Sets that are flagged otherwise than by ``proba`` above one half, by the name of their F1.
    """
    record = {"true_rate": float(is_wrong.mean())}
    if proba is not None:
        record["ece"] = calibration_error(proba, is_wrong)
        flagged = {"f1": proba > 0.5} | (flagged or {})
    if 0 < is_wrong.sum() < len(is_wrong):
        record["auroc"] = float(roc_auc_score(is_wrong, scores))
        record["average_precision"] = float(average_precision_score(is_wrong, scores))
        for name, flags in (flagged or {}).items():
            record[name] = float(f1_score(is_wrong, flags, zero_division=0.0))
    return record


def calibration_error(proba: np.ndarray, is_wrong: np.ndarray, n_bins: int = _ECE_BINS) -> float:
    """Expected calibration error: over bins of equal width, the mean gap of probability and frequency.

    Parameters
    ----------
    proba : ndarray of shape (N,)
    is_wrong : ndarray of bool, shape (N,)
    n_bins : int, default=15

    Returns
    -------
    float
    """
    bins = np.minimum((np.asarray(proba) * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights=np.asarray(proba) - is_wrong, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(bins))


def _estimator(method: str, task: Task, seed: int, settings: dict[str, Any]) -> NetworkClassifier:
    if method == DEFAULT:
        return AutoCleansingClassifier(random_state=seed, **settings)
    if method == AC2:
        return AutoCleansingClassifier(variant="AC2", random_state=seed, **settings)
    name = PLAIN if method == ORACLE else method
    params = _PARAMS.get(name)
    if name == "co_teaching" and task.is_wrong is not None:
        params = {"noise_rate": float(task.is_wrong.mean())}  # its authors give it the true rate
    elif name == TUNED_SOP:
        name = "sop"
    return BaselineClassifier(name, params=params, random_state=seed, **settings)


def _fit_cleanlab(X: Any, y: np.ndarray, seed: int, settings: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """CleanLearning around the same network, 5 folds as by default, and the held-out probabilities (N, K)."""
    from cleanlab.classification import CleanLearning
    from cleanlab.count import estimate_cv_predicted_probabilities

    network = BaselineClassifier(random_state=seed, **settings)
    probabilities = estimate_cv_predicted_probabilities(X, y, network, cv_n_folds=5, seed=seed)
    # One process: cleanlab's own share memory by forking, which those of the grid do not allow.
    learner = CleanLearning(network, seed=seed, find_label_issues_kwargs={"n_jobs": 1}, verbose=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When X and pred_probs are both provided")
        return learner.fit(X, y, pred_probs=probabilities), probabilities


def _read_cleanlab(y: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Scores, and what each of its filters flags."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    flagged = {f"f1 {name}": find_label_issues(y, probabilities, filter_by=name, n_jobs=1) for name in CLEANLAB_FILTERS}
    return {
        "scores": 1.0 - get_label_quality_scores(y, probabilities),
        "flagged": flagged,
        "noise_rate": flagged["f1 prune_by_noise_rate"].mean(),
    }
