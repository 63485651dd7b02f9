"""Command line: ``acestimator audit``, ``apply``, ``demo``, ``compare`` and ``experiment``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from acestimator.audit.command import add_apply, add_audit


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns the exit status: 0; 1 if a training of a comparison or an experiment failed, or if an audit found more wrong
    labels than ``--fail-above`` allows; 2 for bad arguments, an unwritable folder, a file that cannot be used, or
    too little memory; 130 after an interrupt or a termination.
    """
    parser = argparse.ArgumentParser(prog="acestimator", description="Train on partly wrong labels, and find them.")
    parser.add_argument("--version", action="version", version=f"acestimator {version('acestimator')}")
    commands = parser.add_subparsers(dest="command", required=True)
    add_audit(commands)
    add_apply(commands)
    demo = commands.add_parser("demo", help="noisy digits: both models, and the suspects in a picture and on a page")
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", type=Path, default=Path(), help="folder of the files (default: the current one)")
    demo.add_argument("--rate", type=float, default=0.2, help="share of the labels to corrupt (default: 0.2)")
    demo.add_argument("--seed", type=int, default=0, help="of the split, the corruption and the fits (default: 0)")
    compare = commands.add_parser("compare", help="methods for wrong labels, on your own samples and labels")
    compare.set_defaults(run=_compare)
    compare.add_argument("file", type=Path, help=".npz with arrays X and y, or .csv with a header and numeric features")
    compare.add_argument("--target", help="column of the labels (default: the last; of .npz, the array y)")
    compare.add_argument(
        "--noise",
        nargs="+",
        default=[],
        help="corrupt the training labels: none, or symmetric, pair, class, instance or outside with a rate in "
        "percent, such as symmetric_20 (default: the labels are taken as they are)",
    )
    compare.add_argument("--methods", nargs="+", default=[], help="names (default: all that can be run)")
    compare.add_argument("--seeds", type=int, default=5, help="number of splits and fits (default: 5)")
    compare.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    compare.add_argument("--out", type=Path, help="file to keep all runs in; the same command goes on from there")
    _add_experiment(commands)
    arguments = parser.parse_args(argv)
    try:
        with _terminated_as_interrupted():
            return int(arguments.run(arguments))
    except (ImportError, MemoryError, OSError, ValueError) as error:
        print(f"acestimator {arguments.command}: {_in_a_line(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"acestimator {arguments.command}: {_in_a_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"acestimator {arguments.command}: interrupted{_what_is_left(arguments)}.", file=sys.stderr)
        return 130


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM raise KeyboardInterrupt, or half-written files would stay where it comes."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_a_line(error: Exception) -> str:
    """What an error says, be it of a library that takes several lines for it."""
    return " ".join(str(error).splitlines()) or type(error).__name__


def _add_experiment(commands: Any) -> None:
    experiment = commands.add_parser("experiment", help="the paper's tables and figures")
    experiment.set_defaults(run=_experiment)
    experiment.add_argument(
        "name",
        choices=["table2", "table3", "table4", "table5", "table6", "table8", "figure3", "suspects"],
        help="suspects: Figures 4 to 6, --rows cifar10 or cifar100",
    )
    experiment.add_argument("--data", type=Path, help="folder of the data set, or of cifar10, cifar100, svhn, imagenet")
    experiment.add_argument("--rows", nargs="+", default=[], help="names, or their data set or network (default: all)")
    experiment.add_argument("--columns", nargs="+", default=[], help="names (default: all)")
    experiment.add_argument("--seeds", type=int, default=5, help="number of trainings of each kind (default: 5)")
    experiment.add_argument("--epochs", type=int, help="shorten the trainings, and mark them so")
    experiment.add_argument("--images", type=int, help="take the first training images, and mark it so")
    experiment.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    experiment.add_argument("--device", default="auto")
    experiment.add_argument("--compile", action="store_true", help="compile the networks")
    experiment.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    experiment.add_argument("--workers", type=int, default=0, help="processes that decode ImageNet's files")
    experiment.add_argument(
        "--out",
        type=Path,
        default=Path("experiments.jsonl"),
        help="JSON lines of all trainings; the same command goes on from there (default: experiments.jsonl)",
    )
    experiment.add_argument("--report", action="store_true", help="print what the file has, and train nothing")
    experiment.add_argument("--picture", type=Path, help="file to draw figure3 or the suspects to")
    experiment.add_argument("--positions", type=int, nargs="+", help="training images to draw in place of suspects")


def _what_is_left(arguments: argparse.Namespace) -> str:
    if arguments.command == "demo":
        return ""
    if arguments.command in ("audit", "apply"):
        return "; nothing was written"
    if arguments.out is None:
        return "; with --out FILE results would have been kept"
    return f"; the same command goes on from {arguments.out}"


# torch takes seconds to import; --help should not.


def _demo(arguments: argparse.Namespace) -> int:
    from acestimator.demo import run_demo

    print(run_demo(arguments.out, rate=arguments.rate, random_state=arguments.seed))
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from acestimator.comparison import failures, own

    comparison = own.compare(
        arguments.file,
        target=arguments.target,
        processes=arguments.noise,
        methods=arguments.methods,
        n_seeds=arguments.seeds,
        out=arguments.out,
        n_jobs=arguments.jobs,
    )
    print(own.report(comparison))
    for line in failures(comparison):
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures(comparison) else 0


def _experiment(arguments: argparse.Namespace) -> int:
    from acestimator.experiments.command import run_experiment

    text, failures = run_experiment(arguments)
    print(text)
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failures else 0
