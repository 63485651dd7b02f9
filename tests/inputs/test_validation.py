"""What scikit-learn keeps to itself is in one module; parameters and data are checked there."""

import ast
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin

import acestimator

PACKAGE = Path(acestimator.__file__).parent
MODULES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
BASES = (BaseEstimator, ClassifierMixin, MetaEstimatorMixin)
INHERITED = {name for base in BASES for name in dir(base) if name.startswith("_") and not name.startswith("__")}


def private_of_sklearn(source):
    """What a module imports of scikit-learn, or calls on an estimator, whose name begins with an underscore."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [f"sklearn.{node.attr}"] if node.attr in INHERITED else []
        else:
            continue
        found |= {name for name in names if name.startswith("sklearn") and "._" in name}
    return found


def test_what_is_private_of_scikit_learn_is_imported_in_one_module():
    users = {name: private_of_sklearn((PACKAGE / name).read_text()) for name in MODULES}
    assert {name for name, private in users.items() if private} == {"inputs/validation.py"}


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("from sklearn.utils._param_validation import Interval", "sklearn.utils._param_validation.Interval"),
        ("from sklearn.utils import _safe_indexing", "sklearn.utils._safe_indexing"),
        ("import sklearn.utils._tags as tags", "sklearn.utils._tags"),
        ("estimator._validate_params()", "sklearn._validate_params"),
    ],
)
def test_imports_of_any_form_are_seen(source, private):
    assert private_of_sklearn(source) == {private}
    assert not private_of_sklearn("from sklearn.utils import get_tags; estimator._fit()")
