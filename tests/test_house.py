"""benchmarks/house.py: what it counts and what it names, on small sources."""

import ast
import importlib.util
import pathlib
import textwrap

import pytest

_SPEC = importlib.util.spec_from_file_location("house", pathlib.Path(__file__).parents[1] / "benchmarks" / "house.py")
house = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(house)


def module_length(source):
    source = textwrap.dedent(source).lstrip()
    return house.module_length(ast.parse(source), source)


def definition(source):
    return ast.parse(textwrap.dedent(source)).body[0]


def package(**sources):
    """What is measured of a package that is within every limit but for these modules."""
    small = "class C:\n    def method(self):\n        return 1\n"
    return house.measure(
        "package", {"small.py": small, "as_small.py": small} | {f"{k}.py": v for k, v in sources.items()}
    )


def function(n_lines, name="f"):
    return f"def {name}():\n" + "    pass\n" * (n_lines - 1)


def class_of(n_methods, *bases, name="C"):
    return f"class {name}({', '.join(bases)}):\n" + "".join(f"    def m{i}(self): ...\n" for i in range(n_methods))


def test_blank_lines_and_comments_are_lines():
    assert module_length("# a comment\n\nx = 1\n\n\ny = 2\n") == 6


@pytest.mark.parametrize(
    "source",
    [
        '"""One line."""\n',
        '"""Several\n\nlines.\n"""\n',
        'r"""Raw."""\n',
        "'single'\n",
    ],
)
def test_docstrings_are_not_counted_wherever_they_are(source):
    indented = textwrap.indent(source, "    ")
    twice = textwrap.indent(indented, "    ")
    assert module_length(source + "x = 1\n") == 1
    assert module_length(f"class C:\n{indented}    x = 1\n    def f(self):\n{twice}        return 1\n") == 4
    assert module_length(f"async def f():\n{indented}    return 1\n") == 2
    assert house.function_length(definition(f"def f(\n    a,\n):\n{indented}    return 1\n")) == 4
    assert house.function_length(definition(f"def f():\n    def g():\n{twice}        return 1\n    return g\n")) == 4


def test_other_strings_are_counted():
    assert module_length('x = """two\nlines"""\n"""not a docstring,\nfor it is not the first"""\n') == 4
    assert house.function_length(definition('def f():\n    return """two\n    lines"""\n')) == 3


@pytest.mark.parametrize(
    "decorator",
    ["@dataclass", "@dataclass(frozen=True)", "@dataclasses.dataclass", "@dataclasses.dataclass(slots=True)"],
)
def test_fields_of_dataclasses_are_not_counted_in_modules(decorator):
    body = "class C:\n    a: int\n    b: dict[\n        str, int\n    ] = field(default_factory=dict)\n\n    x = 1\n"
    assert module_length(f"{decorator}\n{body}") == 4  # decorator, class, blank line, x
    assert module_length(f"@other\n{body}") == 8


def test_lines_above_the_def_are_no_lines_of_the_function():
    assert house.function_length(definition("@decorator(\n    1\n)\ndef f():\n    return 1\n")) == 2


def test_public_methods_are_those_of_the_body_without_underscore_each_name_once():
    source = """
    class C(Base):
        z = lambda self: 1

        def __init__(self): ...

        def _private(self): ...

        @property
        def size(self): ...

        @size.setter
        def size(self, value): ...

        @classmethod
        def make(cls):
            def inside(): ...

        async def fetch(self): ...
    """
    assert house.public_methods(definition(source)) == 3


def test_estimators_are_found_through_classes_between():
    source = "class B(A, Mixin): ...\nclass A(Generic[T], base.BaseEstimator): ...\nclass Other(Mixin): ...\n"
    assert house.estimators(ast.parse(source).body) == {"BaseEstimator", "A", "B"}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("x = 1\n" * 350, None),
        ("x = 1\n" * 351, "module.py: 351 lines, at most 350"),
        (function(60), None),
        (function(61), "module.py f: 61 lines, at most 60"),
        ("class C:\n" + textwrap.indent(function(61), "    "), "module.py f: 61 lines, at most 60"),
        (class_of(12), None),
        (class_of(13), "module.py C: 13 public methods, at most 12"),
        (class_of(22, "BaseEstimator"), None),
        (class_of(23, "BaseEstimator"), "module.py C: 23 public methods, at most 22"),
        (class_of(22, name="AlphaTable"), None),
        (class_of(23, name="AlphaTable"), "module.py AlphaTable: 23 public methods, at most 22"),
    ],
)
def test_what_is_over_its_limit_is_named(source, named):
    figures, over = package(module=source)
    assert over == ([] if named is None else [named])
    assert figures.startswith("package: 3 modules, median 3 lines")


def test_a_file_of_a_docstring_alone_does_not_lower_the_median():
    long = dict.fromkeys("abc", "x = 1\n" * 151)
    figures, over = package(**long, e='"""A room."""\n', f="", g='"""A room."""\n', h="")
    assert figures.startswith("package: 5 modules, median 151 lines")
    assert over == ["package: 151 lines of the median module, at most 150"]


def test_two_classes_of_one_name_are_both_looked_at():
    _, over = package(a=class_of(13), b=class_of(1))
    assert over == ["a.py C: 13 public methods, at most 12"]


@pytest.mark.parametrize("at", [None, *house.PACKAGES])
def test_it_exits_with_one_where_a_module_of_any_package_is_over(monkeypatch, tmp_path, capsys, at):
    for name in house.PACKAGES:
        (tmp_path / name / "room").mkdir(parents=True)
        source = class_of(1) + function(61 if name == at else 60)
        (tmp_path / name / "room" / "a.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(house, "__file__", str(tmp_path / "benchmarks" / "house.py"))
    assert house.main() == (at is not None)
    printed = capsys.readouterr().out
    assert all(f"{name}: 1 modules" in printed for name in house.PACKAGES)
    assert ("nothing is over its limit" in printed) is (at is None)
    assert printed.count("a.py f: 61 lines, at most 60") == (at is not None)


def test_nothing_of_the_project_is_over_its_limit(capsys):
    assert house.main() == 0, capsys.readouterr().out
