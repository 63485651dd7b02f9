"""``acestimator audit`` and ``acestimator apply``: their options, and what they print."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

# What takes seconds to import is imported where it is needed: --help should not.


def add_audit(commands: Any) -> None:
    """Add ``audit`` to the commands."""
    parser = commands.add_parser(
        "audit",
        help="find the wrong labels of a file or folder, and write a page to look at them",
        description="Find the wrong labels of a table, of texts, or of a folder of images, and write a page on which a "
        "person decides about them. The source is never changed.",
    )
    parser.set_defaults(run=run_audit)
    parser.add_argument(
        "source",
        type=Path,
        help=".csv, .tsv, .parquet, .feather, .jsonl, .npz, X.npy beside y.npy, or a folder of class folders",
    )
    parser.add_argument("--label", help="column of the labels")
    parser.add_argument("--text", nargs="+", default=[], metavar="COLUMN", help="columns to read as text")
    parser.add_argument("--id", metavar="COLUMN", help="column that names the rows")
    parser.add_argument("--drop", nargs="+", default=[], metavar="COLUMN", help="columns not to learn from")
    parser.add_argument(
        "--image-size", type=_positive, metavar="PIXELS", help="side of images (default: theirs, 64 at most)"
    )
    parser.add_argument("--backbone", default="auto", help='network (default: "auto")')
    parser.add_argument("--top", type=_positive, default=500, metavar="N", help="suspects on the page (default: 500)")
    parser.add_argument(
        "--reviewed", type=Path, metavar="DECISIONS", help="decisions.json of an earlier page, to learn from"
    )
    parser.add_argument(
        "--fail-above",
        type=_rate,
        metavar="RATE",
        help="exit with status 1 if the share of wrong labels is above this even by the lower end of its interval (by "
        "rows drawn at random where some were decided, by the network's estimate else)",
    )
    parser.add_argument("--export", choices=["labelstudio"], help="write the suspects as tasks, too")
    parser.add_argument("--out", type=Path, default=Path("audit"), help="folder to write to (default: audit)")
    parser.add_argument("--seed", type=int, default=0, help="of the fit and of what is drawn (default: 0)")
    parser.add_argument("--device", default="auto", help='"cpu" or "cuda" (default: what there is)')
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no summary")


def add_apply(commands: Any) -> None:
    """Add ``apply`` to the commands."""
    parser = commands.add_parser(
        "apply",
        help="write a corrected copy, by decisions or by an audit's suggestions",
        description="Write a corrected copy of a file or folder. The source is never changed.",
    )
    parser.set_defaults(run=run_apply)
    parser.add_argument("source", type=Path, help="the file or folder that was audited")
    parser.add_argument(
        "decisions", type=Path, help="decisions.json of the page; or, with --all-suggested, an audit's folder"
    )
    parser.add_argument("--out", type=Path, required=True, help="new file, or new folder for a folder")
    parser.add_argument(
        "--all-suggested",
        action="store_true",
        help="apply the suggestions that nobody has looked at, to labels that are likelier wrong than right",
    )
    parser.add_argument("--above", type=_rate, metavar="P", help="apply those of a higher probability alone")
    parser.add_argument("--id", metavar="COLUMN", help="match rows by this column, in a file that was changed since")
    parser.add_argument(
        "--move", action="store_true", help="of images: link files in place of copying them, where possible"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run_audit(arguments: argparse.Namespace) -> int:
    """Audit a source. Returns 1 if ``--fail-above`` says so, else 0."""
    from acestimator.audit import outputs
    from acestimator.audit.decisions import load_decisions
    from acestimator.audit.past import match
    from acestimator.audit.run import Settings, audit, write
    from acestimator.audit.sources import open_source

    decisions = None if arguments.reviewed is None else load_decisions(arguments.reviewed)
    with outputs.folder(arguments.out):
        source = open_source(arguments.source, label=arguments.label, id=arguments.id)
        past = None if decisions is None else match(source, decisions)
        settings = Settings(
            texts=tuple(arguments.text),
            drop=tuple(arguments.drop),
            image_size=arguments.image_size,
            backbone=arguments.backbone,
            top=arguments.top,
            seed=arguments.seed,
            device=arguments.device,
            quiet=arguments.quiet,
        )
        found = audit(source, settings, past)
        files = write(found, arguments.out, labelstudio=arguments.export == "labelstudio")
    if not arguments.quiet:
        print("\n".join([*found.summary.sentences(), "", *_next_steps(arguments, files)]))
    low = found.summary.least_rate
    if arguments.fail_above is not None and low > arguments.fail_above:
        allowed = f"{100 * arguments.fail_above:g} %"
        print(f"At least {100 * low:.1f} % of the labels are wrong, and --fail-above allows {allowed}.")
        return 1
    return 0


def run_apply(arguments: argparse.Namespace) -> int:
    """Write a corrected copy. Returns 0."""
    from acestimator.audit.apply import apply_decisions, apply_suggestions
    from acestimator.audit.decisions import load_decisions
    from acestimator.audit.issues import audited
    from acestimator.audit.sources import reopen

    if arguments.above is not None and not arguments.all_suggested:
        raise ValueError("--above is for --all-suggested alone: decisions are applied as they were made.")
    if arguments.id is not None and arguments.all_suggested:
        raise ValueError("--id is for decisions alone: suggestions are applied to the file that was audited.")
    if arguments.all_suggested:
        source = reopen(arguments.source, audited(arguments.decisions))
        result = apply_suggestions(
            source, arguments.decisions, arguments.out, above=arguments.above, move=arguments.move
        )
    else:
        decisions = load_decisions(arguments.decisions)
        source = reopen(arguments.source, decisions.source, by_id=arguments.id)
        result = apply_decisions(source, decisions, arguments.out, by_id=arguments.id, move=arguments.move)
    if not arguments.quiet:
        print(result.report)
    return 0


def _next_steps(arguments: argparse.Namespace, files: list[Path]) -> list[str]:
    source, page, copy = shlex.quote(str(arguments.source)), files[0], copy_of(arguments.source)
    return [
        f"Written: {', '.join(map(str, files))}.",
        f'Next: open {page} in a browser, decide, and press "save decisions". Then:',
        f"  acestimator apply {source} decisions.json --out {shlex.quote(str(copy))}",
        "Or learn from what you decided, and look at the rest: the same audit again, with --reviewed decisions.json",
    ]


def copy_of(source: Path) -> Path:
    """Path of a corrected copy that goes with its kind: beside it, "clean" in its name."""
    from acestimator.audit.source import suffix

    path = source if source.name not in ("", "..") else source.resolve()
    if path.is_dir():
        return path.with_name(f"{path.name}.clean")
    if suffix(path) == ".npy":  # whose copy is a folder
        return path.with_name(f"{path.stem}_clean")
    end = len(path.name) - len(suffix(path))
    return path.with_name(f"{path.name[:end]}.clean{path.name[end:]}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, expected a whole number from 1 on")
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0.0 <= rate <= 1.0:
        raise argparse.ArgumentTypeError(f"it is {text}, expected a number from 0 to 1")
    return rate
