"""Small seeded fits in two checkouts, number by number: ``python benchmarks/unchanged.py OLD [NEW]``.

Each checkout runs its own code on the fits of this one's ``tests/unchanged_fits.py``. NEW is this checkout by default.
Prints a line for each fit, and ends with status 1 if one differs. For machines that the record in
``tests/unchanged.json`` does not hold for.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def digests(checkout: Path) -> dict[str, dict[str, str]]:
    """Digests of all fits by the package in a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    script = str(HERE / "tests" / "unchanged_fits.py")
    printed = subprocess.run([sys.executable, script], env=environment, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(printed)["fits"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=HERE)
    places = parser.parse_args()
    old, new = digests(places.old.resolve()), digests(places.new.resolve())
    for name in new:
        changed = [what for what, value in new[name].items() if old[name][what] != value]
        print(f"{name:30} {'differs in ' + ', '.join(changed) if changed else 'the same'}")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
