"""Made-up records of a comparison."""

import numpy as np

from acestimator.comparison import Comparison, cells
from acestimator.comparison.runs import CLEANLAB_FILTERS

SEEDS = range(5)


def record(method, dataset="digits", process="symmetric_20", seed=0, **measured):
    return {"dataset": dataset, "process": process, "seed": seed, "method": method} | measured


def over_seeds(values, method, dataset="digits", process="symmetric_20"):
    return [record(method, dataset, process, seed, accuracy=value) for seed, value in enumerate(values)]


DATASETS = ("digits", "breast_cancer")
PROCESSES = ("none", "symmetric_40", "pair_30", "instance_40")
NOISE = np.array([-0.002, -0.001, 0.0, 0.001, 0.002])  # of the seeds, so that differences vary


def ideal():
    """Records by (method, data set, process, seed) that reach all targets."""
    accuracy = {
        "AutoCleansing": 0.94,
        "oracle": 0.942,
        "cross_entropy": 0.70,
        "gce": 0.93,
        "cleanlab": 0.91,
        "aum": 0.9,
    }
    records = {}
    for c in cells(DATASETS, PROCESSES, SEEDS, list(accuracy)):
        noisy = c.process != "none"
        measured = {"accuracy": accuracy[c.method] if noisy else 0.94, "seconds": 1.0, "true_rate": 0.3 * noisy}
        measured["accuracy"] += NOISE[c.seed] * (1 if c.method == "AutoCleansing" else -1)
        measured["noise_rate"] = measured["true_rate"] + 0.02
        measured["ece"] = 0.04
        if noisy:
            measured |= {"auroc": 0.995 if c.method == "AutoCleansing" else 0.98, "f1": 0.9}
            if c.method == "cleanlab":
                measured |= {f"f1 {name}": 0.8 for name in CLEANLAB_FILTERS}
                del measured["f1"]
        records[c.method, c.dataset, c.process, c.seed] = record(c.method, c.dataset, c.process, c.seed, **measured)
    return records


def partly_run():
    records = list(ideal().values())
    records += [record("gce", "breast_cancer", "outside_20", seed, not_possible="two classes") for seed in SEEDS]
    records += [record("gce", "digits", "outside_20", seed, error="ValueError: no") for seed in SEEDS]
    records += [record("cleanlab", "digits", "outside_20", seed, accuracy=0.8 + 0.01 * seed) for seed in range(3)]
    return Comparison(records)
