"""Pickles name public classes as users import them, wherever their files lie."""

import copy
import inspect
import pickle
import pickletools
import subprocess
import sys
import typing

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.tree import DecisionTreeClassifier

import acestimator
from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier

SETTINGS = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
ESTIMATORS = [
    AutoCleansingClassifier(**SETTINGS),
    BaselineClassifier(**SETTINGS),
    CleanedClassifier(DecisionTreeClassifier(random_state=0), cleanser=AutoCleansingClassifier(**SETTINGS)),
]
LOAD = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    clf, X, expected = pickle.load(file)
assert (clf.predict_proba(X) == expected).all()
from acestimator import {name}
assert type(clf) is {name}
"""


def globals_of(pickled):
    """Names that a pickle looks up: "module name" for each."""
    strings, found = [], set()
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            found.add(argument)
        elif operation.name == "STACK_GLOBAL":
            found.add(" ".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return found


class Sub(AutoCleansingClassifier):
    """A user's own."""


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_a_pickle_loads_in_a_fresh_process(small, tmp_path, estimator):
    X, y = small
    clf = clone(estimator).fit(X, y)
    path = tmp_path / "clf.pickle"
    path.write_bytes(pickle.dumps((clf, X, clf.predict_proba(X))))
    subprocess.run([sys.executable, "-c", LOAD.format(name=type(clf).__name__), path], check=True)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_no_pickle_sees_where_an_estimator_lies(small, monkeypatch, estimator, protocol):
    X, y = small
    clf = clone(estimator).fit(X, y)
    pickled = pickle.dumps(clf, protocol)
    assert {name for name in globals_of(pickled) if name.startswith("acestimator")} == {"acestimator.pickling blank"}
    assert type(pickle.loads(pickled)) is type(clf)
    moved = type(type(clf).__name__, (type(clf),), {})
    monkeypatch.setattr(acestimator, moved.__name__, moved)
    again = pickle.loads(pickled)
    assert type(again) is moved
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_a_subclass_elsewhere_is_pickled_as_what_it_is(small):
    clf = Sub(**SETTINGS).fit(*small)
    for again in (pickle.loads(pickle.dumps(clf)), copy.copy(clf), copy.deepcopy(clf)):
        assert type(again) is Sub
        np.testing.assert_array_equal(again.predict(small[0]), clf.predict(small[0]))


@pytest.mark.parametrize("name", [name for name in acestimator.__all__ if name[0].isupper()])
def test_a_public_class_says_truly_where_it_is(name):
    cls = getattr(acestimator, name)
    assert f"class {name}" in inspect.getsource(cls)
    assert getattr(sys.modules[cls.__module__], name) is cls


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_type_hints_of_estimators_can_be_read(estimator):
    assert typing.get_type_hints(type(estimator))
