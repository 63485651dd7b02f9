"""Wrong labels among texts, as sparse bags of words; and the memory of sparse fits and of arrays in files.

Aims. "search": all 20,000 texts of the Debian file by ``TfidfVectorizer()``, 10 % of the labels changed at random:
``AutoCleansingClassifier()`` takes under 240 s on two cores, and has a larger area under the ROC curve than cleanlab's
CleanLearning around LogisticRegression. "memory": a fit of 20,000 texts of 50 of 50,000 words takes less than 2 GB.
"file": a fit of 1,000,000 rows of 384 numbers of float16 in a file takes less than 1.5 GB, the file's own pages aside.
"scales": area under the curve by how sparse features are scaled, on docstrings and a table of categories, counts and
prices, with 20 % of the labels changed.

Run: python benchmarks/sparse_texts.py --data FOLDER [--parts search memory file scales] [--seeds 3] [--epochs 6]
[--threads 1]. Prints a JSON line for each fit and for the medians. Each fit is in a fresh process: the most memory that
one has had never falls. A second thread helps where the second core is idle, and costs much where it is not. Memory is
the anonymous memory (RssAnon of /proc/self/status) at its peak less that before the fit; looked at 50 times a second.
"file" takes the epochs of --epochs, since each visit reads the same; the file is made anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from fit_speed import print_header
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from suite_parts.sources import Sources
from suite_parts.texts import debian, docstrings

from acestimator import AutoCleansingClassifier
from acestimator.inputs import source
from acestimator.noise import corrupt, symmetric

Row = dict[str, Any]


class Peak:
    """Most anonymous memory of this process in a ``with`` block over that before, in MiB."""

    def __enter__(self) -> Peak:
        self._before = self._most = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, anonymous())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.mib = round(self._most - self._before)


def anonymous() -> float:
    """RssAnon of this process, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def measured(fit: Callable[[], Any]) -> tuple[Any, Row]:
    """What a fit returns, and its seconds, those of all cores, and its memory."""
    began, cpu_began = time.perf_counter(), time.process_time()
    with Peak() as peak:
        fitted = fit()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    return fitted, {"seconds": round(seconds, 1), "cpu_s": round(cpu_seconds, 1), "anonymous_mib": peak.mib}


def found(wrong: np.ndarray, scores: np.ndarray) -> Row:
    auroc, precision = roc_auc_score(wrong, scores), average_precision_score(wrong, scores)
    return {"auroc": round(auroc, 4), "average_precision": round(precision, 4)}


def search(data: Path | None, method: str, seed: int) -> Row:
    """Wrong labels among the Debian texts."""
    texts, y = debian(Sources(data, Path(tempfile.gettempdir())))
    X = TfidfVectorizer().fit_transform(texts)
    observed = corrupt(y, symmetric(int(y.max()) + 1, 0.1), random_state=seed)
    if method == "AutoCleansing":
        clf, row = measured(lambda: AutoCleansingClassifier(random_state=seed).fit(X, observed))
        scores, row["noise_rate"] = clf.mislabel_scores_, round(clf.noise_rate_, 4)
    else:
        from cleanlab.classification import CleanLearning

        learner = CleanLearning(LogisticRegression(), seed=seed, find_label_issues_kwargs={"n_jobs": 1})
        issues, row = measured(lambda: learner.find_label_issues(X, observed))
        scores = -issues["label_quality"].to_numpy()
    return {"method": method, "rows": X.shape[0], "words": X.shape[1], **found(observed != y, scores), **row}


def memory(n_rows: int, n_words: int, n_each: int, seed: int) -> Row:
    """Texts of so many words each, of frequencies by Zipf's law, a few of which tell the classes."""
    rng, y = np.random.default_rng(seed), np.arange(n_rows) % 20
    frequency = 1.0 / np.arange(1, n_words + 1)
    words = rng.choice(n_words, size=(n_rows, n_each), p=frequency / frequency.sum())
    words[:, :5] = 1000 + 10 * y[:, None] + rng.integers(10, size=(n_rows, 5))
    X = sp.csr_array((np.ones(words.size), words.ravel(), np.arange(n_rows + 1) * n_each), shape=(n_rows, n_words))
    observed = corrupt(y, symmetric(20, 0.1), random_state=seed)
    clf, row = measured(lambda: AutoCleansingClassifier(random_state=seed).fit(X, observed))
    return {"rows": n_rows, "words": n_words, **found(observed != y, clf.mislabel_scores_), **row}


def file(n_rows: int, n_columns: int, epochs: int, seed: int) -> Row:
    """Ten clouds, in an array in a file."""
    rng, y = np.random.default_rng(seed), np.arange(n_rows) % 10
    centres = rng.normal(size=(10, n_columns))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X.npy")
        X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n_rows, n_columns))
        for start in range(0, n_rows, 10_000):
            part = slice(start, start + 10_000)
            X[part] = centres[y[part]] + 4.0 * rng.normal(size=(len(y[part]), n_columns))
        X.flush()
        X = np.load(path, mmap_mode="r")
        observed = corrupt(y, symmetric(10, 0.1), random_state=seed)
        fit = AutoCleansingClassifier(random_state=seed, max_epochs=epochs).fit
        clf, row = measured(lambda: fit(X, observed))
        predicted, of_predictions = measured(lambda: clf.predict(X))
    accuracy = round(float(np.mean(predicted == y)), 4)
    more = {"accuracy": accuracy, "mib_of_predict": of_predictions["anonymous_mib"], "epochs": epochs}
    return {"rows": n_rows, "columns": n_columns, **found(observed != y, clf.mislabel_scores_), **row, **more}


def mixed(seed: int) -> tuple[Any, np.ndarray]:
    """Categories of Zipf's frequencies as 0 and 1, counts, and prices, which decide the class together."""
    rng, n_rows = np.random.RandomState(seed), 6000
    codes = np.minimum(rng.zipf(1.6, size=(6, n_rows)), 200) - 1
    ones = [sp.csr_array((np.ones(n_rows), (np.arange(n_rows), code)), shape=(n_rows, 200)) for code in codes]
    prices = (rng.rand(n_rows, 20) < 0.2) * rng.lognormal(6, 1, (n_rows, 20))
    X = sp.hstack([*ones, sp.csr_array(rng.poisson(0.3, (n_rows, 30))), sp.csr_array(prices)]).tocsr()
    weights = np.vstack([rng.normal(size=(n, 4)) * s for n, s in ((1200, 1.5), (30, 0.8), (20, 1 / 300))])
    return X, (X @ weights + 0.5 * rng.gumbel(size=(n_rows, 4))).argmax(axis=1)


def scaler_of(kind: str) -> Callable[[Any, np.ndarray | None], StandardScaler]:
    """How features are scaled: by their standard deviations, or all by one number."""

    def fit(X: Any, sample_weight: np.ndarray | None) -> StandardScaler:
        scaler = StandardScaler(with_mean=False).fit(X, sample_weight=sample_weight)
        if kind == "one":
            scaler.scale_ = np.full(X.shape[1], np.sqrt(scaler.var_.mean()))
        return scaler

    return fit


def scales(data: str, kind: str, seed: int) -> Row:
    """Area under the curve by how features are scaled."""
    if data == "mixed":
        X, y = mixed(seed)
    else:
        texts, y = docstrings()
        X = (CountVectorizer() if data == "counts" else TfidfVectorizer()).fit_transform(texts)
    observed = corrupt(y, symmetric(int(y.max()) + 1, 0.2), random_state=seed)
    if kind != "own":
        source.fit_sparse_scaler = scaler_of(kind)
    clf, row = measured(lambda: AutoCleansingClassifier(random_state=seed).fit(X, observed))
    size = {"rows": X.shape[0], "words": X.shape[1]}
    return {"data": data, "scale": kind, **size, **found(observed != y, clf.mislabel_scores_), **row}


def alone(function: Callable[..., Row], arguments: tuple[Any, ...], threads: int) -> Row:
    """A row, where nothing was before."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore")
    return {"part": function.__name__, **function(*arguments), "load": round(os.getloadavg()[0], 1)}


def rows(function: Callable[..., Row], threads: int, seeds: int, *arguments: Any) -> None:
    """Print a row for each seed, and their medians."""
    made = []
    for seed in range(seeds):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            made.append(pool.apply(alone, (function, (*arguments, seed), threads)))
        print(json.dumps({**made[-1], "seed": seed}), flush=True)
    if seeds > 1:
        medians = {
            name: round(statistics.median(row[name] for row in made), 4) if isinstance(value, float | int) else value
            for name, value in made[0].items()
        }
        print(json.dumps({**medians, "median_of": seeds}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the suite's files; needed for search")
    parser.add_argument("--parts", nargs="+", choices=["search", "memory", "file", "scales"])
    parser.add_argument("--seeds", type=int, default=3, help="of search and scales")
    parser.add_argument("--epochs", type=int, default=6, help="of file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of file")
    arguments = parser.parse_args()
    parts = arguments.parts or (["search"] if arguments.data else []) + ["memory", "file", "scales"]
    threads = arguments.threads
    print_header(threads=threads)
    if "search" in parts:
        for method in ("AutoCleansing", "CleanLearning"):
            rows(search, threads, arguments.seeds, arguments.data, method)
    if "memory" in parts:
        rows(memory, threads, 1, 20_000, 50_000, 50)
    if "file" in parts:
        rows(file, threads, 1, arguments.rows, 384, arguments.epochs)
    if "scales" in parts:
        for data in ("docstrings", "counts", "mixed"):
            for kind in ("own", "std", "one"):
                rows(scales, threads, arguments.seeds, data, kind)


if __name__ == "__main__":
    main()
