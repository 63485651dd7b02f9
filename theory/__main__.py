"""Run the sandbox: ``python -m theory`` prints every claim with its verdict, and draws the figures."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from theory import figures
from theory.claims import SECTIONS, Entry
from theory.paper import counterexamples
from theory.paper.table1 import report

COLUMNS = {"claim": 38, "assumptions": 40, "cases": 6, "worst margin": 12, "verdict": 28}


def lines_of(cells: Sequence[str]) -> Iterator[str]:
    """Break the cells of a row into lines of the columns' widths."""
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, COLUMNS.values(), strict=True)]
    for line in range(max(map(len, wrapped))):
        parts = [part[line] if line < len(part) else "" for part in wrapped]
        yield "  ".join(f"{part:<{width}}" for part, width in zip(parts, COLUMNS.values(), strict=True)).rstrip()


def cells_of(entry: Entry) -> tuple[str, ...]:
    """Cells of a row; a verdict that is not the expected one says so."""
    result = entry.result
    verdict = "holds" if result.holds else f"fails: {entry.counterexample or f'at {result.worst_case}'}"
    if not entry.as_expected:
        verdict = f"UNEXPECTED: {verdict}"
    assumptions = "; ".join(result.assumptions)
    return result.claim, assumptions, f"{result.n_cases:,}", f"{result.worst_margin:.3g}", verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, the counterexamples and Table 1; draw the figures.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.

    Returns
    -------
    int
        0 if every verdict is the expected one, else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m theory", description="Check every claim of the sandbox.")
    parser.add_argument("--figures", type=Path, default=Path("theory-figures"), help="folder of the figures")
    folder = parser.parse_args(arguments).figures
    begin, entries = time.perf_counter(), []
    print("\n".join(lines_of(list(COLUMNS))))
    for title, section in SECTIONS.items():
        print(f"\n--- {title} ---")
        for entry in section():
            entries.append(entry)
            print("\n".join(lines_of(cells_of(entry))), flush=True)
    print("\n--- The counterexamples of Theorem 2 ---")
    print(counterexamples.table())
    print(f"\n--- Table 1 ---\n{report()}\n")
    for path in figures.write(folder, [entry.result for entry in entries]):
        print(f"wrote {path}")
    unexpected = sum(not entry.as_expected for entry in entries)
    n_held = sum(entry.result.holds for entry in entries)
    print(
        f"{len(entries)} claims: {n_held} hold, {len(entries) - n_held} fail, {unexpected} other than expected; "
        f"{time.perf_counter() - begin:.0f} s"
    )
    return int(unexpected > 0)


if __name__ == "__main__":
    sys.exit(main())
