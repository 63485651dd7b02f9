"""The suite that judges the default: on the data that it is chosen on, and on data that it is not.

Every set is cut, corrupted and trained on anew by each seed. All methods share the network, its optimiser and the
seeds, and have their defaults everywhere. Plain training (``cross_entropy``) is what must not be harmed, the oracle is
plain training on the right labels alone; ELR and cleanlab run everywhere, SOP, GCE and trimming on six sets with more
kinds of noise. Where the oracle says that a set has samples of each class that can be no other, the noise rate can be
told (``suite_parts/numbers.py``, ``anchors``), and the estimate is held to it.

Run: python benchmarks/suite.py --data FOLDER [--out suite.jsonl] [--jobs 2]. FOLDER has tables/, text/ and the .npz
files; a set whose files are missing is left out, and the report says so. It goes on where it stopped; a cell that
failed is tried again. The group "choosing" is what the default may be chosen on; --groups held_out is what it must not
be: run it once, at the end. --quick takes a few cells (under 20 minutes on two cores; all of the group: under six
hours). --settle adds seeds of plain training and the default where the standard error of their difference is over .35
points. --report FILE prints, and runs nothing; --before FILE compares with the results of an earlier version.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite_parts import page
from suite_parts.measure import run_cell
from suite_parts.plan import GROUPS, choose, more_cells, plan
from suite_parts.report import report
from suite_parts.sets import CHOOSING, load
from suite_parts.sources import MissingError, Sources

from acestimator.comparison import Cell, Comparison
from acestimator.comparison.grid import ledger
from acestimator.comparison.runs import check_method
from acestimator.comparison.tasks import parse


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        before = ledger(options.before).records() if options.before else None
        if options.report:
            if not options.report.exists():
                raise FileNotFoundError(f"{options.report} is not there: run the suite, or name its file.")
            records = ledger(options.report).records()
            print(report(records, before))
            write(records, options)
            return 0
        sources = Sources(options.data, options.cache)
        records, left_out = run(options, sources)
        print(report(records, before), *(f"left out: {line}" for line in left_out), sep="\n")
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"suite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"suite: interrupted; the same call goes on from {options.out}.", file=sys.stderr)
        return 130
    return 0


def write(records: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write what the documentation shows, where a place for it is given."""
    if options.pages:
        options.pages.mkdir(parents=True, exist_ok=True)
        (options.pages / "suite.md").write_text(page.answers(records), encoding="utf-8")
        (options.pages / "suite_tables.md").write_text(page.tables(records), encoding="utf-8")
        page.draw(records).savefig(options.pages / "suite.png", dpi=150)


def run(options: argparse.Namespace, sources: Sources) -> tuple[list[dict[str, Any]], list[str]]:
    """Run what the file does not have: all of its records, and a line for each set that was left out."""
    for method in options.methods or ():
        check_method(method)
    for process in options.noises or ():
        parse(process)
    wanted = plan(
        choose(options.groups, options.sets),
        processes=options.noises,
        methods=options.methods,
        n_seeds=options.seeds,
        quick=options.quick,
    )
    file = ledger(options.out)
    wanted, left_out = without_missing(wanted, file.records(), sources)
    complete = functools.partial(
        file.complete, run=functools.partial(run_cell, sources=sources), check=lambda missing: None, n_jobs=options.jobs
    )
    records = complete(wanted)
    while options.settle and (added := more_cells(Comparison(records), wanted)):
        n_before = len(records)
        records = complete(added)
        if len(records) == n_before:  # they failed, as they did before
            break
    return records, left_out


def without_missing(
    wanted: Sequence[Cell], records: Sequence[dict[str, Any]], sources: Sources
) -> tuple[list[Cell], list[str]]:
    """The cells of sets that can be loaded, and a line for each set that cannot. What is finished needs no loading."""
    done = {Cell(r["dataset"], r["process"], r["seed"], r["method"]) for r in records if "error" not in r}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(cell.dataset for cell in wanted if cell not in done):
        try:
            load(name, 0, sources)
        except MissingError as error:
            reasons[name] = str(error)
    return [cell for cell in wanted if cell.dataset not in reasons], [f"{n}: {r}" for n, r in reasons.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with tables/, text/ and the .npz files")
    parser.add_argument("--out", type=Path, default=Path("suite.jsonl"))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir(), "acestimator-suite"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few cells of each kind")
    parser.add_argument("--groups", choices=GROUPS, default=CHOOSING)
    parser.add_argument("--sets", nargs="+", help="of the group; all, by default")
    parser.add_argument("--noises", nargs="+", help="in place of the sets' own, such as symmetric_20")
    parser.add_argument("--methods", nargs="+", help="in place of the sets' own")
    parser.add_argument("--seeds", type=int, help="in place of the sets' own numbers")
    parser.add_argument("--settle", action="store_true", help="add seeds where the difference to plain is uncertain")
    parser.add_argument("--report", type=Path, metavar="FILE", help="report what a file has, and run nothing")
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="with --report: picture and tables to write there")
    parser.add_argument("--before", type=Path, metavar="FILE", help="results of an earlier version, to compare with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
