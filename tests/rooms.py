"""Who imports whom in the packages, read from their text.

A *room* is a folder or a file at the top of a package; an *arrow* goes from a room to one that it imports.

All imports are read, those inside of functions too: an import that is hidden there still says that one part of the code
knows another. Imports under ``if TYPE_CHECKING:`` are arrows as well, since who names a type of another room knows that
room. But two files of one room that name each other's types make no circle: such imports are never run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("acestimator", "theory")


@dataclass(frozen=True)
class Import:
    """One module of the packages imports another, in a line of its text."""

    by: str
    of: str
    line: int
    is_for_types: bool

    def __str__(self) -> str:
        return f"{self.by}, line {self.line}, imports {self.of}"


def modules(root: Path = ROOT, packages: Iterable[str] = PACKAGES) -> dict[str, Path]:
    """Files by the names of their modules; a folder is its ``__init__``."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(files: Mapping[str, Path]) -> list[Import]:
    """All imports of these modules by each other."""
    found = []
    for name, path in files.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, is_for_types in _statements(ast.parse(path.read_text(encoding="utf-8")), is_for_types=False):
            targets = dict.fromkeys(_targets(node, package, files))
            found += [Import(name, of, node.lineno, is_for_types) for of in targets if of != name]
    return found


def _statements(node: ast.AST, *, is_for_types: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, is_for_types
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for part in node.body:
            yield from _statements(part, is_for_types=True)
        for part in node.orelse:
            yield from _statements(part, is_for_types=is_for_types)
        return
    for part in ast.iter_child_nodes(node):
        yield from _statements(part, is_for_types=is_for_types)


def _targets(node: ast.Import | ast.ImportFrom, package: str, files: Mapping[str, Path]) -> Iterator[str]:
    """Modules that a statement names: ``from a import b`` is of a.b, if that is a module, and of a otherwise."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, *([node.module] if node.module else [])])
        names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in files else base for alias in node.names]
    yield from (name for name in names if name in files)


def room(module: str) -> str:
    """Room of a module: of the package's own, ``__init__``; all of ``theory`` is one."""
    package, *parts = module.split(".")
    if package != "acestimator":
        return package
    return parts[0] if parts else "__init__"


def arrows(found: Iterable[Import]) -> dict[tuple[str, str], list[Import]]:
    """Imports by the rooms that they go from and to, but those inside of a room."""
    result: dict[tuple[str, str], list[Import]] = {}
    for each in found:
        if room(each.by) != room(each.of):
            result.setdefault((room(each.by), room(each.of)), []).append(each)
    return result


def circle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Names that lead in a circle, the first again at the end; none if there is no circle."""
    graph: dict[str, set[str]] = {}
    for a, b in pairs:
        graph.setdefault(a, set()).add(b)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])[::-1]  # the sorter's arrows point the other way
    return []
