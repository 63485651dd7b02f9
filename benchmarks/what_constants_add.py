"""What the constants add to the judges' log-odds, where labels are judged: which readings order the labels best.

For each set and kind of noise, mean area under the ROC curve over seeds, of wrong labels against right ones, by

* ``scores``: ``mislabel_scores_``, the mean of the next two, the second one in the order of the first;
* ``log_odds``: what judges and the network say in its first epochs;
* ``alpha``: the constant of the observed label in the partition gauge, learned beside the network;
* ``norm``: the length of the mean-centred row;
* ``max_min``: the better of the percentile ranks of Figures 4 to 6;
* ``network``: one less the final network's probability of the observed label.

Accuracy is not in question: the constants are not in the network's gradient. Defaults throughout.

Run: python benchmarks/what_constants_add.py [--data FOLDER] [--seeds 2]. Prints a JSON line for each cell, and means.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from fit_speed import print_header
from sklearn.metrics import roc_auc_score
from suite_parts.sets import load
from suite_parts.sources import MissingError, Sources

from acestimator import AutoCleansingClassifier, detection
from acestimator.comparison.tasks import NotPossibleError, Task, make_task

SETS = ("digits", "breast_cancer", "wine", "eleven", "fifteen", "vehicle", "segment", "splice", "contraceptive")
PROCESSES = ("symmetric_20", "symmetric_40", "pair_30", "class_40", "instance_40", "outside_20")


def areas(task: Task, seed: int) -> dict[str, float]:
    """Area under the ROC curve of each reading."""
    with mock.patch("acestimator.crossfit.in_order_of", wraps=detection.in_order_of) as asked:
        clf = AutoCleansingClassifier(random_state=seed).fit(task.X_train, task.observed)
    log_odds = asked.call_args.args[0].numpy() if asked.call_args else clf.mislabel_scores_
    rows = np.arange(len(task.observed))
    codes = np.searchsorted(clf.classes_, task.observed)
    constants = clf.alpha_[rows, codes]
    highest, lowest = detection.max_min_ranks(clf.alpha_)
    readings = {
        "scores": clf.mislabel_scores_,
        "log_odds": log_odds,
        "alpha": constants,
        "norm": np.linalg.norm(detection.mean_centered_gauge(clf.alpha_), axis=1),
        "max_min": -np.minimum(highest, lowest),
        "network": -clf.predict_proba(task.X_train)[rows, codes],
    }
    return {name: float(roc_auc_score(task.is_wrong, reading)) for name, reading in readings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the suite's files; without it, sets that need none")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # of what may not be told from so few rows
    print_header(seeds=arguments.seeds)
    sources = Sources(arguments.data, Path(tempfile.gettempdir(), "acestimator-suite"))
    found = defaultdict(list)
    for data in SETS:
        for process in PROCESSES:
            rows = []
            for seed in range(arguments.seeds):
                try:
                    rows.append(areas(make_task(load(data, seed, sources), process, seed), seed))
                except (MissingError, NotPossibleError):
                    continue
            if rows:
                means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
                found[process].append(means)
                rounded = {name: round(mean, 4) for name, mean in means.items()}
                print(json.dumps({"data": data, "noise": process, **rounded}), flush=True)
    for process, cells in found.items():
        means = {name: round(float(np.mean([cell[name] for cell in cells])), 4) for name in cells[0]}
        print(json.dumps({"mean of sets": len(cells), "noise": process, **means}))


if __name__ == "__main__":
    main()
