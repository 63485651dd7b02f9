"""How large the modules, functions and classes of acestimator/ and theory/ are, and which of them are over a limit.

A line is any line of the file, blank and comment too, outside of docstrings; in a module the fields of dataclasses do
not count either. A file of a docstring alone is no module. A property is a method.

Limits: a module has at most 350 lines, and half of a package's modules at most 150; a function has at most 60 lines. A
class has at most 12 public methods of its own; scikit-learn's estimators and AlphaTable have at most 22.

Run: python benchmarks/house.py. Prints a line for each package and one for each offender; exits with 1 if there is one.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGES = ("acestimator", "theory")
MODULE, MEDIAN, FUNCTION = 350, 150, 60  # lines
METHODS, METHODS_OF_ESTIMATORS = 12, 22

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_length(tree: ast.Module, source: str) -> int:
    """Lines of a module without docstrings and fields of dataclasses."""
    return len(source.splitlines()) - len(docstrings(tree) | lines(fields(tree)))


def function_length(function: Function) -> int:
    """Lines from its ``def``, functions inside of it included, without docstrings."""
    return len(lines([function]) - docstrings(function))


def public_methods(node: ast.ClassDef) -> int:
    """Number of names of methods and properties in the class's own body."""
    return len({n.name for n in node.body if isinstance(n, Function) and not n.name.startswith("_")})


def estimators(classes: Iterable[ast.ClassDef]) -> set[str]:
    """Names of BaseEstimator and of all classes below it, as far as the names of their bases tell."""
    bases, found = [(c.name, {last_name(base) for base in c.bases}) for c in classes], {"BaseEstimator"}
    while more := {name for name, of in bases if of & found} - found:
        found |= more
    return found


def lines(statements: Iterable[ast.stmt]) -> set[int]:
    return {line for s in statements for line in range(s.lineno, (s.end_lineno or s.lineno) + 1)}


def docstrings(tree: ast.AST) -> set[int]:
    """Lines of all docstrings in a tree."""
    owners = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | Function)]
    return lines(n.body[0] for n in owners if ast.get_docstring(n, clean=False) is not None)


def fields(tree: ast.AST) -> Iterator[ast.stmt]:
    """Declarations of the fields of dataclasses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "dataclass" in map(last_name, node.decorator_list):
            yield from (statement for statement in node.body if isinstance(statement, ast.AnnAssign))


def last_name(node: ast.expr) -> str:
    """Give C, of ``C``, ``module.C``, ``C(...)`` and ``C[...]``."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "attr", getattr(node, "id", ""))


def measure(package: str, sources: Mapping[str, str]) -> tuple[str, list[str]]:
    """Figures of a package, given its sources by path: a line of them, and a line for each that is over its limit."""
    trees = {path: ast.parse(source) for path, source in sources.items()}
    nodes = [(path, node) for path, tree in trees.items() for node in ast.walk(tree)]
    classes = [(path, node) for path, node in nodes if isinstance(node, ast.ClassDef)]
    large = estimators(node for _, node in classes) | {"AlphaTable"}

    lengths = [(module_length(trees[path], source), path) for path, source in sources.items()]
    modules = [(length, path, MODULE) for length, path in lengths if length]
    median = statistics.median(length for length, *_ in modules)
    functions = [(function_length(n), f"{path} {n.name}", FUNCTION) for path, n in nodes if isinstance(n, Function)]
    methods = [
        (public_methods(n), f"{path} {n.name}", METHODS_OF_ESTIMATORS if n.name in large else METHODS)
        for path, n in classes
    ]

    figures = f"{package}: {len(modules)} modules, median {median:g} lines"
    over = [f"{package}: {median:g} lines of the median module, at most {MEDIAN}"] if median > MEDIAN else []
    for what, unit, sizes in (
        ("largest", "lines", modules),
        ("longest function", "lines", functions),
        ("largest class", "public methods", methods),
    ):
        size, name, _ = max(sizes)
        figures += f"; {what} {size} {unit} ({name})"
        over += [f"{name}: {size} {unit}, at most {limit}" for size, name, limit in sizes if size > limit]
    return figures, over


def main() -> int:
    root, over = Path(__file__).parents[1], []
    for package in PACKAGES:
        paths = sorted((root / package).rglob("*.py"))
        sources = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}
        figures, more = measure(package, sources)
        print(figures)
        over += more
    print("\n".join(over) or "nothing is over its limit")
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
