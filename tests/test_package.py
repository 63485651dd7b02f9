"""Names and submodules of the package are there when they are asked for, and nothing heavy is loaded before."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import acestimator

HEAVY = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "pandas", "tqdm"}
LISTED = sorted(acestimator._SUBMODULES)


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import acestimator; acestimator.__version__, dir(acestimator), hasattr(acestimator, 'nothing')"],
        ["-m", "acestimator", "--help"],
        *(["-m", "acestimator", command, "--help"] for command in ("demo", "compare", "experiment")),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_help_loads_nothing_heavy(arguments):
    done = run("-X", "importtime", *arguments)
    loaded = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "acestimator" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert "usage: acestimator" in done.stdout or arguments[0] == "-c"


def test_a_star_imports_all_public_names_and_no_more():
    code = "before = set(vars())\nfrom acestimator import *\nprint(*sorted(set(vars()) - before - {'before'}))"
    assert run("-c", code).stdout.split() == acestimator.__all__


def test_submodules_are_attributes_without_an_import_of_their_own():
    printed = run(
        "-c", f"import acestimator\nfor name in {LISTED}:\n    print(getattr(acestimator, name).__name__)"
    ).stdout
    assert printed.split() == [f"acestimator.{name}" for name in LISTED]
    pytest.importorskip("lightning")
    assert acestimator.lightning is import_module("acestimator.lightning")


@pytest.mark.parametrize("name", acestimator.__all__)
def test_public_names_are_those_of_their_modules(name):
    found = getattr(acestimator, name)
    assert found.__name__ == name
    assert getattr(acestimator, name) is found is vars(acestimator)[name]
    assert found is getattr(import_module(f"acestimator.{acestimator._HOMES[name]}"), name)


def test_the_list_of_names_has_all_and_other_names_are_errors():
    assert {*acestimator.__all__, *LISTED, "__version__", "__doc__"} <= set(dir(acestimator))
    with pytest.raises(AttributeError, match="module 'acestimator' has no attribute 'AutoCleansing'"):
        acestimator.AutoCleansing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'acestimator'"):
        from acestimator import nothing  # noqa: F401
    assert not hasattr(acestimator, "__wrapped__")


def test_type_checkers_are_told_the_same():
    (told, _) = (node for node in ast.parse(Path(acestimator.__file__).read_text()).body if isinstance(node, ast.If))
    names = {
        alias.name: statement.module.removeprefix("acestimator").removeprefix(".")
        for statement in told.body
        for alias in statement.names
    }
    assert names == acestimator._HOMES | dict.fromkeys([*LISTED, "lightning"], "")
    assert acestimator._HOMES.keys() == set(acestimator.__all__)


def test_the_version_is_a_literal():
    """The build reads it from the text."""
    assert f'\n__version__ = "{acestimator.__version__}"\n' in Path(acestimator.__file__).read_text()
