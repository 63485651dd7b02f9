"""Time to import an estimator against torch and scikit-learn alone; and of ``acestimator --help``, which needs neither.

Aims: ``from acestimator import AutoCleansingClassifier`` takes at most 10 % longer than ``import torch, sklearn.base,
sklearn.preprocessing``, and ``acestimator --help`` at most a tenth of that. In fresh processes that take turns.

Run: python benchmarks/import_time.py [--repeats 9]. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

THEIRS = ["-c", "import torch, sklearn.base, sklearn.preprocessing"]
ROWS = {
    "from acestimator import AutoCleansingClassifier": (["-c", "from acestimator import AutoCleansingClassifier"], 1.1),
    "acestimator --help": (["-m", "acestimator", "--help"], 0.1),
}


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    commands = [THEIRS, *(command for command, _ in ROWS.values())]
    for command in commands:  # from now on all files are in the system's cache
        seconds(command)
    turns = [[seconds(command) for command in commands] for _ in range(repeats)]
    theirs, *ours = zip(*turns, strict=True)
    for (name, (_, target)), own in zip(ROWS.items(), ours, strict=True):
        ratio = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
        row = {"row": name, "ratio": round(ratio, 3), "target": target, "ours_s": round(statistics.median(own), 3)}
        print(json.dumps(row | {"theirs_s": round(statistics.median(theirs), 3)}))


if __name__ == "__main__":
    main()
