"""The comparison: our default against every peer, on data sets and kinds of noise, with a verdict for each target.

All methods share the network (a perceptron), its optimiser, batches and schedule, and the seeds; every method has its
defaults everywhere. A seed sets the split, the corruption and the fit alike. Accuracy is that of the last epoch.

The core grid is what the targets are judged on: digits, breast cancer and 10,000 images of Fashion-MNIST; no noise,
symmetric 20 % and 40 %, pair 30 %, instance-dependent 40 %, outside 20 %; five seeds.

Run: python benchmarks/compare.py [--data FOLDER_OF_FASHION_MNIST] [--out results.jsonl] [--jobs 2] [--datasets ...]
[--processes ...] [--methods ...] [--seeds 5] [--report]. It goes on where it stopped, and prints JSON lines to the file
and tables to the screen; --report only prints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fit_speed import versions

from acestimator.comparison import Comparison, available, cells, finished, run_grid, verdicts

DATASETS = ["digits", "breast_cancer", "fashion_mnist_10000"]
PROCESSES = ["none", "symmetric_20", "symmetric_40", "pair_30", "instance_40", "outside_20"]
METRICS = {"accuracy": 100.0, "gap closed": 1.0, "auroc": 100.0, "average_precision": 100.0, "f1": 100.0, "ece": 100.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of Fashion-MNIST's files")
    parser.add_argument("--out", type=Path, default=Path("comparison.jsonl"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--processes", nargs="+", default=PROCESSES)
    parser.add_argument("--methods", nargs="+", default=available())
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--report", action="store_true", help="print what the file has, and run nothing")
    arguments = parser.parse_args()
    print(json.dumps(versions("torch", "numpy", "scikit-learn", "cleanlab")))
    if arguments.report:
        records = [record for record in finished(arguments.out) if "error" not in record]
    else:
        wanted = cells(arguments.datasets, arguments.processes, range(arguments.seeds), arguments.methods)
        # Two classes cannot spare one.
        wanted = (c for c in wanted if not (c.dataset == "breast_cancer" and c.process.startswith("outside")))
        records = run_grid(wanted, arguments.out, folder=arguments.data, n_jobs=arguments.jobs)
    comparison = Comparison(records)
    for metric, scale in METRICS.items():
        print(f"\n{metric}\n{comparison.table(metric, scale)}")
    print("\nseconds against plain cross-entropy")
    for method in comparison.methods:
        print(f"{method:24} {comparison.relative_seconds(method):.2f}")
    print()
    print("\n".join(map(str, verdicts(comparison))))


if __name__ == "__main__":
    main()
