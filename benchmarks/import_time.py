"""Time to import acestimator against torch and scikit-learn alone.

Aim: no more than 10 % longer than ``import torch, sklearn.base, sklearn.preprocessing``, in fresh processes that take
turns.

Run: python benchmarks/import_time.py [--repeats 9]. Prints a JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

THEIRS = "import torch, sklearn.base, sklearn.preprocessing"
OURS = "import acestimator"


def seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    seconds(OURS), seconds(THEIRS)
    turns = [(seconds(OURS), seconds(THEIRS)) for _ in range(repeats)]
    ratio = statistics.median(a / b for a, b in turns)
    ours = statistics.median(a for a, _ in turns)
    print(json.dumps({"row": "import", "ratio": round(ratio, 3), "target": 1.1, "ours_s": round(ours, 3)}))


if __name__ == "__main__":
    main()
