"""Command line: ``acestimator demo``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 for bad arguments or an unwritable folder."""
    parser = argparse.ArgumentParser(prog="acestimator", description="Train on partly wrong labels, and find them.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="noisy digits: both models, the suspects, and a picture of them")
    demo.add_argument("--out", type=Path, default=Path(), help="folder of the picture (default: the current one)")
    demo.add_argument("--rate", type=float, default=0.2, help="share of the labels to corrupt (default: 0.2)")
    demo.add_argument("--seed", type=int, default=0, help="of the split, the corruption and the fits (default: 0)")
    arguments = parser.parse_args(argv)

    from acestimator.demo import run  # torch takes seconds to import; --help should not

    try:
        print(run(arguments.out, rate=arguments.rate, random_state=arguments.seed))
    except (OSError, ValueError) as error:
        print(f"acestimator demo: {error}", file=sys.stderr)
        return 2
    return 0
