"""Parameters that are numbers: numpy's work as Python's do, and True is none."""

from numbers import Integral, Real

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.inputs.validation import Number

ESTIMATORS = (AutoCleansingClassifier, BaselineClassifier, CleanedClassifier)
INTEGERS = tuple(dict.fromkeys(np.dtype(code).type for code in np.typecodes["AllInteger"]))
FLOATS = (np.float16, np.float32, np.float64, np.longdouble)
SETTINGS = {"max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
COUNTS = {"max_epochs": 3, "batch_size": 20}
# Of each float, a number that float16 has.
RATES = {
    "learning_rate": 2**-9,
    "weight_decay": 2**-5,
    "alpha_lr": 0.25,
    "alpha_momentum": 0.5,
    "alpha_weight_decay": 2**-9,
}


def numbers_of(estimator, kind):
    """Names of the parameters that are intervals of these numbers."""
    return {
        name
        for name, allowed in estimator._parameter_constraints.items()
        if any(isinstance(constraint, Number) and constraint.type is kind for constraint in allowed)
    }


def estimator_of(kind, **parameters):
    if kind is CleanedClassifier:
        return CleanedClassifier(DecisionTreeClassifier(), **parameters)
    return kind(**(SETTINGS | parameters))


def same(one, other, X):
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    np.testing.assert_array_equal(one.mislabel_proba_, other.mislabel_proba_)
    for ours, theirs in zip(one.history_, other.history_, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
        assert {type(value) for value in ours.values()} <= {int, float}


CASES = [(kind, name) for kind in ESTIMATORS for name in sorted(numbers_of(kind, Integral))]


def test_every_count_is_tried():
    assert {name for _, name in CASES} == COUNTS.keys()
    assert {kind for kind, _ in CASES} == {AutoCleansingClassifier, BaselineClassifier}  # the third has none
    assert {name for kind in ESTIMATORS for name in numbers_of(kind, Real)} == RATES.keys()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_integers_of_every_width_are_counts(small, kind, name):
    expected = estimator_of(kind, **{name: COUNTS[name]}).fit(*small)
    for integer in INTEGERS:
        same(estimator_of(kind, **{name: integer(COUNTS[name])}).fit(*small), expected, small[0])


@pytest.mark.parametrize("kind", [AutoCleansingClassifier, BaselineClassifier])
@pytest.mark.parametrize("name", ["random_state", "verbose"])
def test_integers_of_every_width_are_seeds_and_levels(small, kind, name):
    value = {"random_state": 3, "verbose": 0}[name]
    expected = estimator_of(kind, **{name: value}).fit(*small)
    for integer in INTEGERS:
        same(estimator_of(kind, **{name: integer(value)}).fit(*small), expected, small[0])


@pytest.mark.parametrize("integer", INTEGERS)
def test_integers_of_every_width_seed_a_cleaned_classifier(small, integer):
    cleanser = AutoCleansingClassifier(**SETTINGS)
    fits = [CleanedClassifier(DecisionTreeClassifier(), cleanser=cleanser, random_state=s) for s in (3, integer(3))]
    np.testing.assert_array_equal(*(clf.fit(*small).mislabel_proba_ for clf in fits))


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("value", [True, np.True_, np.float32(2.0), 2.0, "2", 0, np.int8(-1), np.array([2])])
def test_what_is_no_count_is_refused_before_the_fit(kind, name, value):
    with pytest.raises(
        ValueError, match=rf"'{name}' parameter of {kind.__name__} must be an int in the range \[1, inf"
    ):
        estimator_of(kind, **{name: value}).fit(None, None)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("value", [True, False, np.True_])
def test_true_and_false_are_no_rates(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of AutoCleansingClassifier must be a float"):
        AutoCleansingClassifier(**{name: value}).fit(None, None)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("kind", [AutoCleansingClassifier, BaselineClassifier])
def test_floats_of_every_width_are_rates(small, kind, name):
    if name not in kind._parameter_constraints:
        return
    expected = estimator_of(kind, **{name: RATES[name]}).fit(*small)
    for number in FLOATS:
        same(estimator_of(kind, **{name: number(RATES[name])}).fit(*small), expected, small[0])


@pytest.mark.parametrize("number", [*FLOATS, *INTEGERS])
def test_numbers_of_every_width_are_strengths_and_milestones(small, number):
    kind, X = AutoCleansingClassifier, small[0]
    expected = estimator_of(kind, penalty=("l1", 1), schedule=(1, 2), max_epochs=3).fit(*small)
    given = estimator_of(kind, penalty=("l1", number(1)), schedule=(number(1), number(2)), max_epochs=3)
    same(given.fit(*small), expected, X)


def test_flags_of_numpys_are_flags(small):
    given = estimator_of(AutoCleansingClassifier, standardize=np.False_, compile=np.False_, verbose=np.False_)
    same(given.fit(*small), estimator_of(AutoCleansingClassifier, standardize=False).fit(*small), small[0])


def test_true_is_a_seed_and_a_level_as_in_scikit_learn(small, capsys):
    given = estimator_of(AutoCleansingClassifier, random_state=True, verbose=True).fit(*small)
    same(given, estimator_of(AutoCleansingClassifier, random_state=1).fit(*small), small[0])
    assert "loss=" in capsys.readouterr().err


def test_parameters_stay_as_they_were_given(small):
    clf = estimator_of(AutoCleansingClassifier, batch_size=np.int16(20), penalty=("l1", np.float32(0.1))).fit(*small)
    assert type(clf.batch_size) is np.int16
    assert type(clf.penalty[1]) is np.float32


def test_a_grid_of_numpys_numbers(small):
    grid = {"batch_size": np.array([16, 32], dtype=np.int32), "learning_rate": np.geomspace(1e-3, 1e-2, 2)}
    search = GridSearchCV(AutoCleansingClassifier(**SETTINGS), grid, cv=2).fit(*small)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_recipe_takes_integers_of_every_width():
    for integer in INTEGERS:
        clf = AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=integer(4))
        assert (clf.max_epochs, clf.schedule) == (4, (2.0, 3.0))
        assert type(clf.max_epochs) is int
    with pytest.raises(ValueError, match="max_epochs is True, expected an integer of at least 1"):
        AutoCleansingClassifier.from_recipe("cifar10", "resnet32", max_epochs=True)


def test_a_checkpoint_goes_on_whatever_the_width_of_a_number(small, tmp_path):
    path = tmp_path / "fit.pt"
    first = estimator_of(AutoCleansingClassifier, checkpoint=path).fit(*small)
    given = {"random_state": np.int64(0), "batch_size": np.int32(16), "max_epochs": np.uint8(2)}
    again = estimator_of(AutoCleansingClassifier, checkpoint=path, **given).fit(*small)
    assert [record["seconds"] for record in again.history_] == [record["seconds"] for record in first.history_]
