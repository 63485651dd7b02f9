"""What fits give is what was recorded, bit for bit: a change of structure changes no number.

A change that is meant to alter results renews the record, ``python tests/unchanged_fits.py > tests/unchanged.json``,
and its commit says so. Elsewhere than where it was made, ``benchmarks/unchanged.py`` compares two checkouts.
"""

import json
from pathlib import Path

import pytest
import torch
import unchanged_fits

RECORD = json.loads(Path(__file__).with_name("unchanged.json").read_text())


@pytest.fixture(scope="module")
def same_machine():
    here = {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": unchanged_fits.processor(),
    }
    if differing := [name for name, value in here.items() if RECORD[name] != value]:
        pytest.skip(f"the record is of another {' and '.join(differing)}, which rounds otherwise")


def test_the_record_has_all_fits():
    assert RECORD["fits"].keys() == unchanged_fits.fits().keys()


@pytest.mark.parametrize("name", RECORD["fits"])
def test_a_fit_gives_what_it_gave(same_machine, name):
    assert unchanged_fits.fits()[name]() == RECORD["fits"][name]
