"""Whether a second round of review finds more wrong labels than a first one of twice the length.

The labels of 70 % of the rows are corrupted. A simulated reviewer looks at 2.5, 5, 10 or 20 % of them and says what is
right; in one setting a tenth of what he says is wrong, another class at random. Four ways to choose what he looks at:

- cleanlab: in the order of cleanlab's label quality, by held-out predictions of the same network;
- one round: in the order of ``mislabel_scores_``;
- two rounds: half of the budget like that; then a second fit with ``reviewed=``, and the rest in its order;
- corrected: the same, but the second fit is one on the corrected labels, without a word of what was reviewed.

Precision is the share of the labels looked at that were wrong, recall the share of wrong labels among them. Of the
fits, the rate of wrong labels that they say is left is compared with the true one, too.

Run: python benchmarks/reviewed.py --data FOLDER [--seeds 0 1] [--sets digits ...] [--processes symmetric_20 ...]
[--control]. Prints a JSON line for each cell, reviewer, budget and way, and at last the means. Needs cleanlab; the data
folder is that of the suite, and without it digits alone can be read. A cell of a table takes one to two minutes on a
core; "corrected" is run with ``--control`` alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_speed import print_header
from suite_parts.sets import SETS as ALL_SETS
from suite_parts.sets import load
from suite_parts.sources import MissingError, Sources

from acestimator import AutoCleansingClassifier
from acestimator.comparison.runs import CLEANLAB, fit_method
from acestimator.comparison.tasks import Task, make_task

SETS = ("digits", "segment", "splice", "vehicle", "german", "contraceptive")
PROCESSES = ("symmetric_20", "pair_30", "instance_40")
BUDGETS = (0.025, 0.05, 0.1, 0.2)
REVIEWERS = {"perfect": 0.0, "10 % wrong": 0.1}


def decisions(task: Task, error: float, seed: int) -> np.ndarray:
    """What a reviewer would say of each label (N,): the right one, or another one for a share of them."""
    rng = np.random.default_rng(seed)
    n_classes = int(task.right.max()) + 1
    other = (task.right + rng.integers(1, n_classes, len(task.right))) % n_classes
    return np.where(rng.random(len(task.right)) < error, other, task.right)


def ranked(scores: np.ndarray) -> np.ndarray:
    """Positions, the most suspicious first."""
    return np.argsort(-scores, kind="stable")


def second_round(
    task: Task, seen: np.ndarray, decided: np.ndarray, seed: int, *, told: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """Order (N,) of a fit after some labels were decided, and what it says of the labels in use."""
    reviewed = np.full(len(decided), None, dtype=object)
    reviewed[seen] = decided[seen]
    in_use = task.observed.copy()
    in_use[seen] = decided[seen]
    classifier = AutoCleansingClassifier(random_state=seed)
    if told:
        classifier.fit(task.X_train, task.observed, reviewed=reviewed)
    else:
        classifier.fit(task.X_train, in_use)
    order = ranked(classifier.mislabel_scores_)
    left = np.setdiff1d(np.arange(len(decided)), seen)
    low, high = classifier.noise_rate_interval_
    true = float((in_use[left] != task.right[left]).sum() / len(in_use))
    said = float(classifier.mislabel_proba_[left].sum() / len(in_use))
    return order[~np.isin(order, seen)], {"said": said, "left": true, "covered": low <= true <= high}


def found(task: Task, looked_at: np.ndarray) -> dict[str, float]:
    """Precision and recall of the labels looked at."""
    n_wrong = int(task.is_wrong[looked_at].sum())
    return {"precision": n_wrong / len(looked_at), "recall": n_wrong / max(1, int(task.is_wrong.sum()))}


def measured(task: Task, seed: int, *, control: bool) -> Iterator[dict[str, Any]]:
    """Records of a cell."""
    classifier = AutoCleansingClassifier(random_state=seed).fit(task.X_train, task.observed)
    first, rate = ranked(classifier.mislabel_scores_), float(task.is_wrong.mean())
    low, high = classifier.noise_rate_interval_
    of_first = {"said": classifier.noise_rate_, "left": rate, "covered": low <= rate <= high}
    of_cleanlab = ranked(fit_method(CLEANLAB, task, seed).found["scores"])
    for budget in BUDGETS:
        n = round(budget * len(first))
        half = first[: n // 2]
        yield {"way": CLEANLAB, "budget": budget, **found(task, of_cleanlab[:n])}
        yield {"way": "one round", "budget": budget, **found(task, first[:n]), **of_first}
        for reviewer, error in REVIEWERS.items():
            decided = decisions(task, error, seed)
            for way, told in (("two rounds", True), ("corrected", False)):
                if told or (control and error == 0.0):
                    rest, said = second_round(task, half, decided, seed, told=told)
                    looked_at = np.concatenate([half, rest[: n - len(half)]])
                    yield {"way": way, "reviewer": reviewer, "budget": budget, **found(task, looked_at), **said}


def print_means(records: list[dict[str, Any]]) -> None:
    """A JSON line for each process, way, reviewer and budget; process "all" is the mean of all cells."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for process in (record["process"], "all"):
            groups[process, record["way"], record.get("reviewer", ""), record["budget"]].append(record)
    for (process, way, reviewer, budget), group in sorted(groups.items()):
        line = {"process": process, "way": way, "reviewer": reviewer, "budget": budget, "cells": len(group)}
        for name in ("precision", "recall", "said", "left", "covered"):
            if name in group[0]:
                line[name] = round(float(np.mean([record[name] for record in group])), 4)
        if "said" in group[0]:
            errors = [abs(record["said"] - record["left"]) for record in group]
            line["error of rate"] = round(float(np.mean(errors)), 4)
        print(json.dumps({"mean": line}))


def main() -> None:
    """Run the cells and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--processes", nargs="+", default=PROCESSES)
    parser.add_argument("--control", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print_header()
    records = []
    with tempfile.TemporaryDirectory() as cache:
        sources = Sources(arguments.data, Path(cache))
        for name in arguments.sets:
            for seed in arguments.seeds:
                for process in arguments.processes:
                    if process not in ALL_SETS[name].processes:
                        continue
                    try:
                        task = make_task(load(name, seed, sources), process, seed)
                    except MissingError as error:
                        print(f"{name} is left out: {error}")
                        break
                    for record in measured(task, seed, control=arguments.control):
                        records.append({"set": name, "process": process, "seed": seed, **record})
                        print(json.dumps(records[-1]), flush=True)
    print_means(records)


if __name__ == "__main__":
    main()
