"""The comparison: our default against every peer, on data sets and kinds of noise, with a verdict for each target.

All methods share the network (a perceptron), its optimiser, batches and schedule, and the seeds; every method has its
defaults everywhere, but for the few in acestimator.comparison.runs. A seed sets the split, the corruption and the fit
alike. Accuracy is that of the last epoch.

The core grid is what the targets are judged on: digits, breast cancer and 10,000 images of Fashion-MNIST; no noise,
symmetric 20 % and 40 %, pair 30 %, instance-dependent 40 %, outside 20 %; five seeds. The first table says what else
there is, and that it was not run.

Run: python benchmarks/compare.py [--data FOLDER_OF_FASHION_MNIST] [--out results.jsonl] [--jobs 2] [--datasets ...]
[--processes ...] [--methods ...] [--seeds 5]. CIFAR-10 with the labels that people gave to it is for a GPU:
--datasets cifar10_50000 --processes human_aggregate human_random1 --data FOLDER --backbone resnet34 --augment baseline
--epochs 120 --out cifar10n.jsonl. It goes on where it stopped; a cell that failed is tried again. It writes
JSON lines to the file and prints tables and verdicts; --report only prints. --figure out.png draws, --markdown out.md
and --json out.json write what is printed.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path

from acestimator import augment
from acestimator.comparison import Comparison, available, cells, draw, failures, finished, load, run_grid, verdicts
from acestimator.comparison.tables import as_markdown, as_numbers, as_text, coverage, sections

DATASETS = ["digits", "breast_cancer", "fashion_mnist_10000"]
PROCESSES = ["none", "symmetric_20", "symmetric_40", "pair_30", "instance_40", "outside_20"]
ALL_DATASETS = [
    "digits",
    "breast_cancer",
    "wine",
    "iris",
    "fashion_mnist_10000",
    "fashion_mnist_60000",
    "cifar10_50000",
]
ALL_PROCESSES = [
    *("none", "symmetric_10", "symmetric_20", "symmetric_40", "symmetric_60", "pair_20", "pair_30", "pair_40"),
    *("class_20", "class_40", "instance_20", "instance_40", "outside_20", "human_aggregate", "human_random1"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of Fashion-MNIST's or CIFAR-10's files")
    parser.add_argument("--out", type=Path, default=Path("comparison.jsonl"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--datasets", nargs="+", default=DATASETS, help=f"of {', '.join(ALL_DATASETS)}")
    parser.add_argument("--processes", nargs="+", default=PROCESSES, help=f"such as {', '.join(ALL_PROCESSES)}")
    parser.add_argument("--methods", nargs="+", default=available(), help=f"of {', '.join(available())}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backbone", help="network of all methods, such as resnet34; then take another --out")
    parser.add_argument("--epochs", type=int, help="of all methods; then take another --out")
    parser.add_argument("--augment", help="of all methods on CIFAR-10, such as baseline; then take another --out")
    parser.add_argument("--report", action="store_true", help="report what the file has, and run nothing")
    parser.add_argument("--figure", type=Path, help="picture to draw")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    arguments = parser.parse_args()
    try:
        if arguments.report:
            if not arguments.out.exists():
                raise FileNotFoundError(
                    f"{arguments.out} is not there: run the comparison, or name its file with --out."
                )
            records = finished(arguments.out)
        else:
            wanted = cells(arguments.datasets, arguments.processes, range(arguments.seeds), arguments.methods)
            source = functools.partial(load, folder=arguments.data)
            settings = {"backbone": arguments.backbone, "max_epochs": arguments.epochs}
            if arguments.augment:
                settings["augment"] = augment.pipeline(arguments.augment, "cifar10")
            settings = {name: value for name, value in settings.items() if value is not None}
            records = run_grid(wanted, arguments.out, load=source, n_jobs=arguments.jobs, settings=settings)
        report(Comparison(records), arguments)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"compare: interrupted; the same call goes on from {arguments.out}.", file=sys.stderr)
        return 130
    return 0


def report(comparison: Comparison, arguments: argparse.Namespace) -> None:
    """Print tables and verdicts, and write the files that are asked for."""
    judged = verdicts(comparison)
    numbers = as_numbers(comparison, judged)
    runs, *tables = sections(comparison)
    tables = [(runs[0], coverage(comparison, ALL_DATASETS, ALL_PROCESSES)), *tables]
    versions = "\n".join(f"Measured with {line}." for line in numbers["versions"])
    print(as_text(tables), "", versions, "", *judged, *(f"failed: {line}" for line in failures(comparison)), sep="\n")
    if arguments.markdown:
        arguments.markdown.write_text(f"{as_markdown(tables, judged)}\n{versions}\n", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    if arguments.figure:
        draw(comparison).savefig(arguments.figure, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
