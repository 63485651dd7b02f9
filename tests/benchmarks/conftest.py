import pathlib
import sys

# At the end: no name of a script may hide another module.
sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
