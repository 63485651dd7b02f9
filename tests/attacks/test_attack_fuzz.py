"""Fits of anything: right, or an error of ours or scikit-learn's, before or in the training.

``nox -s attacks`` tries 2,000.
"""

import logging
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from attack_tools import count
from sklearn.linear_model import LogisticRegression

import acestimator
from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.peers import METHODS

LOG = logging.getLogger(__name__)
OURS = tuple(str(Path(package.__file__).parent) for package in (acestimator, sklearn))
EXPECTED = (ValueError, TypeError, FloatingPointError)
N = 36


def odd_features(rng):
    X = rng.normal(size=(N, 4)) + 3.0 * np.eye(3, 4)[np.arange(N) % 3]
    kind = rng.integers(48) % 36  # a quarter and more are ordinary
    some = rng.integers(N), rng.integers(4)
    if kind < 6:
        return [X, X.astype(np.float32), X.astype(np.float16), X.tolist(), pd.DataFrame(X), X.astype(object)][kind]
    if kind < 11:
        X[some] = [np.nan, np.inf, 1e300, -1e-320, 1e38][kind - 6]
        return X
    if kind >= 24:
        return X
    makers = [
        lambda: scipy.sparse.csr_matrix(X * (X > 1)),
        lambda: scipy.sparse.coo_array(X * (X > 2)),
        lambda: X[:, :1],
        lambda: X[:, :0],
        lambda: np.zeros_like(X),
        lambda: X[0],
        lambda: X[:, :, None],
        lambda: rng.integers(0, 256, (N, 3, 8, 8)).astype(np.uint8),
        lambda: rng.random((N, 1, 8, 8)),
        lambda: np.broadcast_to(X[:1], X.shape),
        lambda: X.astype(complex),
        lambda: X.astype(str),
        lambda: np.ma.masked_less(X, -1),
    ]
    return makers[kind - 11]()


def odd_labels(rng):
    y = np.arange(N) % 3
    makers = [
        *[lambda: y] * 20,
        lambda: y.astype(float),
        lambda: np.array(["a", "b", "c"])[y],
        lambda: np.array(["a", "b", "c"], dtype=object)[y],
        lambda: y == 1,
        lambda: pd.Series(pd.Categorical(y)),
        lambda: pd.array(y, dtype="Int64"),
        lambda: y[:, None],
        lambda: np.zeros(N, dtype=int),
        lambda: np.arange(N),
        lambda: np.where(y == 1, np.nan, y),
        lambda: [None, *y[1:].tolist()],
        lambda: y[:-1],
        lambda: y + 0.5,
        lambda: np.eye(3)[y],
        lambda: (y + 2**62).tolist(),
        lambda: [b"x", *["y"] * (N - 1)],
    ]
    return makers[rng.integers(len(makers))]()


def odd_weights(rng):
    ones = np.ones(N)
    makers = [
        *[lambda: None] * 12,
        lambda: rng.random(N),
        lambda: np.where(np.arange(N) % 5, ones, 0.0),
        lambda: np.zeros(N),
        lambda: np.full(N, 5e-324),
        lambda: np.full(N, 1e308),
        lambda: np.where(np.arange(N) == 3, 1e300, 5e-324),
        lambda: -ones,
        lambda: np.where(np.arange(N) == 3, np.nan, 1.0),
        lambda: ones[:-1],
        lambda: 2.0,
    ]
    return makers[rng.integers(len(makers))]()


ODD = {
    "max_epochs": [1, 2, np.int64(2), 0, 1.5, True],
    "batch_size": [1, 2, 7, 36, 10**9, np.int32(8), 0, -1],
    "learning_rate": [1e-300, 1e-3, 0.1, 10.0, 1e30, 1e300, np.float32(0.01), 0, float("nan")],
    "weight_decay": [0, 0.01, 10.0, 1e300, -1.0],
    "optimizer": ["adamw", "sgd", "adam"],
    "schedule": ["cosine", (1,), (0.5, np.float64(1.5)), (), (2, 1), "linear", [1]],
    "class_weight": ["balanced", {0: 2.0}, {0: 1e-310, 1: 1.0, 2: 1.0}, {0: -1}, {7: 1}],
    "standardize": [True, False, np.bool_(True), "yes"],
    "precision": ["float32", "bfloat16", "auto", "half"],
    "random_state": [0, None, np.random.RandomState(0), 2**32 - 1, -1, 1.5],
    "device": ["cpu", "auto", "gpu"],
    "backbone": ["auto", "mlp", "small_resnet", "resnet", None, 3],
}
OWN = {
    "variant": ["AC1", "AC2", "AC3"],
    "preset": ["default", "paper", "own"],
    "alpha_lr": [0.0, 0.5, 1e300, "paper", -1, np.float64(0.3)],
    "alpha_momentum": [0.0, 0.9, 0.999999, 1.0],
    "alpha_weight_decay": [0.0, 0.1, 1e300],
    "penalty": [None, ("l2", 0.1), ("l1", np.float32(0.1)), ("group", 1e300), ("l3", 1.0), ("l2",)],
}


def odd_estimator(rng):
    """Any of the estimators, with up to two parameters of any kind."""
    kind = rng.integers(8)
    names = {**ODD, **OWN} if kind < 4 else ODD
    chosen = rng.choice(list(names), size=rng.integers(3), replace=False)
    parameters = {"max_epochs": 2, "device": "cpu"} | {
        name: names[name][rng.integers(len(names[name]))] for name in chosen
    }
    if kind < 4:
        return AutoCleansingClassifier(**parameters)
    if kind < 7:
        return BaselineClassifier(sorted(METHODS)[rng.integers(len(METHODS))], **parameters)
    return CleanedClassifier(LogisticRegression(), cleanser=AutoCleansingClassifier(**parameters))


def attack(seed):
    """Fit something; what came of it, as a word."""
    rng = np.random.default_rng(seed)
    estimator, X, y, weight = odd_estimator(rng), odd_features(rng), odd_labels(rng), odd_weights(rng)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(X, y, weight)
            predicted, proba = estimator.predict(X), estimator.predict_proba(X)
    except EXPECTED as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        where = traceback.extract_tb(refusal.__traceback__)[-1].filename
        assert where.startswith(OURS), f"{type(refusal).__name__} of {where}: {refusal}"
        assert len(str(refusal)) > 10
        return "refused"
    n, classes = len(predicted), estimator.classes_
    assert proba.shape == (n, len(classes))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-5)
    assert np.isin(predicted, classes).all()
    for name in ("mislabel_proba_", "mislabel_scores_"):
        found = getattr(estimator, name, np.zeros(n))  # the cleaned one has no scores
        assert found.shape == (n,)
        assert np.isfinite(found).all(), name
    return "right"


@pytest.mark.parametrize("part", range(count(2, 40)))
def test_any_fit_is_right_or_refused(part):
    results = []
    for seed in range(50 * part, 50 * (part + 1)):
        try:
            results.append(attack(seed))
        except Exception as error:
            error.add_note(f"attack({seed})")
            raise
    LOG.info("%d of %d were right", results.count("right"), len(results))
    assert {*results} == {"right", "refused"}  # neither is all there is
