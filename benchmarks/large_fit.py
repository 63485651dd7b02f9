"""A fit of many rows by the default's number of epochs, against 60: CPU seconds, memory, accuracy, detection.

Aim: with defaults, one thread, 200,000 rows of 50 columns in 50 CPU seconds and 1,000,000 in 250; test accuracy within
half a point, and the area under the ROC curve of the scores within .01, of those of 60 epochs. Ten categories, 20 % of
the labels replaced evenly. Two kinds of data: "clusters", three normal ones a category; and "network", whose categories
a random network of 32 units draws, so that they overlap at a boundary that takes long to learn.

Run: python benchmarks/large_fit.py [--rows 200000] [--columns 50] [--kinds clusters network] [--epochs default 60]
[--methods AutoCleansing plain]. Prints a JSON line for each fit, which has a process of its own: ``peak_mib`` is the
most memory that it had, ``before_mib`` that until the fit, the data in it. 60 epochs of 200,000 rows take five minutes,
of a million half an hour.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from typing import Any

import numpy as np
import torch
from fit_speed import print_header
from sklearn.metrics import roc_auc_score

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.noise import corrupt, symmetric

N_CLASSES, N_TEST, NOISE = 10, 20_000, 0.2
METHODS = {"AutoCleansing": AutoCleansingClassifier, "plain": BaselineClassifier}


def clusters(n_samples: int, n_columns: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Three normal clusters a category."""
    centres = rng.normal(size=(3 * N_CLASSES, n_columns))
    cluster = rng.integers(len(centres), size=n_samples)
    X = centres[cluster] + rng.normal(size=(n_samples, n_columns))
    return X.astype(np.float32), cluster % N_CLASSES


def network(n_samples: int, n_columns: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Categories drawn by a random network that looks at ten columns, of the softmax of its outputs."""
    n_seen, n_units = min(10, n_columns), 32
    first, second = rng.normal(size=(n_seen, n_units)), rng.normal(size=(n_units, N_CLASSES))
    X = rng.normal(size=(n_samples, n_columns)).astype(np.float32)
    outputs = 4.0 * np.tanh(2.0 * X[:, :n_seen] @ first / n_seen**0.5) @ second / n_units**0.5
    outputs -= outputs.mean(axis=0)
    return X, (outputs + 0.3 * rng.gumbel(size=outputs.shape)).argmax(axis=1)


KINDS = {"clusters": clusters, "network": network}


def peak() -> float:
    """Most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit(kind: str, n_rows: int, n_columns: int, method: str, epochs: int | None) -> dict[str, Any]:
    """One row."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    X, y = KINDS[kind](n_rows + N_TEST, n_columns, np.random.default_rng(0))
    X_test, y_test, X, y = X[n_rows:], y[n_rows:], X[:n_rows], y[:n_rows]
    observed = corrupt(y, symmetric(N_CLASSES, NOISE), random_state=0)
    before, began = peak(), time.process_time()
    clf = METHODS[method](random_state=0, max_epochs=epochs, device="cpu").fit(X, observed)
    seconds, most = time.process_time() - began, peak()
    return {
        "kind": kind,
        "rows": n_rows,
        "columns": n_columns,
        "method": method,
        "epochs": len(clf.history_),
        "cpu_s": round(seconds, 1),
        "accuracy": round(clf.score(X_test, y_test), 4),
        "auroc": round(roc_auc_score(observed != y, clf.mislabel_scores_), 4),
        "noise_rate": round(clf.noise_rate_, 4),
        "before_mib": round(before),
        "peak_mib": round(most),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000, help="training samples (default 200000)")
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["AutoCleansing"])
    parser.add_argument("--epochs", nargs="+", default=["default", "60"], help="numbers, or default")
    arguments = parser.parse_args()
    print_header(threads=1)
    for kind in arguments.kinds:
        for method in arguments.methods:
            for epochs in arguments.epochs:
                number = None if epochs == "default" else int(epochs)
                # A fresh process: the most memory that one has had never falls.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    row = pool.apply(fit, (kind, arguments.rows, arguments.columns, method, number))
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
