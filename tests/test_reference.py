"""The reference in docs/api.md has all public names, and no others."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def listed():
    """Names by module, as the page's directives have them."""
    found, module = {}, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"\.\. (?:automodule|currentmodule):: (\S+)$", line):
            module = found.setdefault(named[1], [])
        elif named := re.match(r"(?:   |\.\. autodata:: )([A-Za-z][\w.]*)$", line):
            module.append(named[1])
    return found


LISTED = listed()


@pytest.mark.parametrize("module", LISTED)
def test_names_of_the_reference_are_the_public_ones(module):
    names, of = LISTED[module], import_module(module)
    assert len(names) == len(set(names))
    for name in names:
        assert resolve_name(f"{module}.{name}").__doc__, name
    public = {name: getattr(of, name) for name in getattr(of, "__all__", [])}
    described = {name for name, value in public.items() if inspect.isclass(value) or inspect.isfunction(value)}
    elsewhere = LISTED["acestimator"] if module == "acestimator.plotting" else []
    assert described - {*names, *elsewhere} == set()


def test_pages_name_what_is_there():
    """In their code, and in roles such as {mod}`acestimator.noise`."""
    for page in [*PAGE.parent.glob("*.md"), *PAGE.parent.glob("tutorials/*.py"), PAGE.parents[1] / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for module, names in re.findall(r"^(?:>>> )?from (acestimator[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
            for name in names.split(","):
                assert resolve_name(f"{module}.{name.split()[0]}"), page
        for role in re.findall(
            r"(?:\{(?:mod|func|class|meth)\}|:(?:mod|func|class|meth):)`~?(acestimator[\w.]*)`", text
        ):
            assert resolve_name(role), page
