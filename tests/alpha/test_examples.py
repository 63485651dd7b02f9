"""The scripts that the pages show run as they are, and find most of the wrong labels."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
IN_ONE_PROCESS = ["gradient_accumulation", "mixup", "mixed_precision", "several_processes"]
PRINTED = re.compile(r"(\d+) steps(?: and (\d+) skipped)?; of the 388 likeliest to be wrong (0\.\d+) are\n")


def check(printed, epochs):
    steps, skipped, share = PRINTED.fullmatch(printed).groups(default="0")
    assert int(steps) + int(skipped) == epochs * 29
    assert float(share) > 0.9


def test_all_examples_are_run():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*IN_ONE_PROCESS}


@pytest.mark.parametrize("name", IN_ONE_PROCESS)
def test_an_example_runs(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    check(capsys.readouterr().out, 20 if name == "several_processes" else 40)


def test_the_same_script_runs_in_two_processes():
    """And rank 0 alone prints, of the constants of both."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, EXAMPLES / "several_processes.py"], capture_output=True, text=True, check=True, timeout=300
    )
    check(done.stdout, 20)
