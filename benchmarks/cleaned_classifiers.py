"""Accuracy of classifiers alone and in a CleanedClassifier, by strategy.

Aim: in every cell with wrong labels the default strategy is better than the classifier alone; at most a point is lost
anywhere. Default settings, the labels of 70 % of the rows corrupted, accuracy on the right labels of the rest. A seed
sets the split, the corruption and the fits alike. The labels of a cell are judged once, for all classifiers and
strategies.

Run: python benchmarks/cleaned_classifiers.py [--data FOLDER] [--seeds 2]. Prints a JSON line for each cell and
classifier, and at last the mean differences to the classifier alone and the worst cells. With the suite's data folder
it runs on twelve sets (an hour), without it on those of them that need no files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from fit_speed import print_header
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from suite_parts.sets import load
from suite_parts.sources import MissingError, Sources

from acestimator import AutoCleansingClassifier, CleanedClassifier
from acestimator.comparison.tasks import NotPossibleError, Task, make_task

CLASSIFIERS = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "random forest": RandomForestClassifier(random_state=0),
    "boosted trees": HistGradientBoostingClassifier(random_state=0),
    "nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier()),
    "support vectors": make_pipeline(StandardScaler(), SVC()),
    "decision tree": DecisionTreeClassifier(random_state=0),
    "naive Bayes": GaussianNB(),
}
NO_WEIGHTS = {"nearest neighbours"}
STRATEGIES = ("drop", "weight", "relabel")
GENERATED = ("digits", "breast_cancer", "iris", "wine", "eleven", "fifteen")
SETS = (*GENERATED, "vehicle", "segment", "splice", "contraceptive", "german", "pima")
PROCESSES = ("none", "symmetric_20", "symmetric_40", "pair_30")


class Judged(ClassifierMixin, BaseEstimator):
    """What was said of these very labels, as a cleanser says it."""

    def __init__(self, proba: np.ndarray, suggested: np.ndarray, left_out: np.ndarray) -> None:
        self.proba, self.suggested, self.left_out = proba, suggested, left_out

    def fit(self, X: np.ndarray, y: np.ndarray) -> Judged:
        """Say it."""
        self.classes_ = np.unique(y)
        self.mislabel_proba_, self.suggested_labels_, self.left_out_ = self.proba, self.suggested, self.left_out
        return self


def accuracies(task: Task, seed: int) -> dict[str, dict[str, float]]:
    """Test accuracy of each classifier, alone and by strategy."""
    cleanser = AutoCleansingClassifier(random_state=seed).fit(task.X_train, task.observed)
    found = {}
    for name, classifier in CLASSIFIERS.items():
        fits = {"alone": clone(classifier)}
        for strategy in STRATEGIES:
            if strategy != "weight" or name not in NO_WEIGHTS:
                judged = Judged(cleanser.mislabel_proba_, cleanser.suggested_labels_, cleanser.left_out_)
                fits[strategy] = CleanedClassifier(clone(classifier), cleanser=judged, strategy=strategy)
        found[name] = {
            strategy: fit.fit(task.X_train, task.observed).score(task.X_test, task.y_test)
            for strategy, fit in fits.items()
        }
    return found


def summary(cells: dict[tuple[str, str, str], list[dict[str, float]]]) -> list[dict[str, object]]:
    """By classifier and strategy: mean differences to it alone, the worst cell, and how many are over a point below."""
    lines = []
    for strategy in STRATEGIES:
        for name in CLASSIFIERS:
            found = {
                (data, process): 100 * float(np.mean([row[strategy] - row["alone"] for row in rows]))
                for (data, process, classifier), rows in cells.items()
                if classifier == name and strategy in rows[0]
            }
            line: dict[str, object] = {"strategy": strategy, "classifier": name}
            for title, noisy in (("right", False), ("wrong", True)):
                of = {cell: value for cell, value in found.items() if (cell[1] != "none") == noisy}
                if of:
                    worst = min(of, key=of.__getitem__)
                    line[title] = round(float(np.mean(list(of.values()))), 2)
                    line[f"{title}, worst"] = f"{' '.join(worst)} {of[worst]:+.1f}"
                    line[f"{title}, below"] = f"{sum(value < -1 for value in of.values())} of {len(of)}"
            if found:
                lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the suite's files")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # of what may not be told from so few rows, and of lost classes
    print_header(seeds=arguments.seeds)
    sources = Sources(arguments.data, Path(tempfile.gettempdir(), "acestimator-suite"))
    cells = defaultdict(list)
    for data in SETS if arguments.data else GENERATED:
        for process in PROCESSES:
            for seed in range(arguments.seeds):
                try:
                    task = make_task(load(data, seed, sources), process, seed)
                except (MissingError, NotPossibleError):
                    continue
                for name, row in accuracies(task, seed).items():
                    cells[data, process, name].append(row)
                    rounded = {strategy: round(value, 4) for strategy, value in row.items()}
                    print(json.dumps({"data": data, "noise": process, "seed": seed, "classifier": name, **rounded}))
    print(*map(json.dumps, summary(cells)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
