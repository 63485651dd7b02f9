"""Labels of pandas: none may be missing, and the table of issues has them as they came."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.estimators.given import GivenSeries, plain_labels
from acestimator.estimators.reviewed import read_reviewed

COLUMNS = ["given_label", "predicted_label", "suggested_label"]
DTYPES = [
    "Int64",
    "Int8",
    "boolean",
    "Float64",
    "string[python]",
    "string[pyarrow]",
    "category",
    "object",
    "int64[pyarrow]",
]


def ours(**parameters):
    quick = {"max_epochs": 5, "random_state": 0, **parameters}
    ac = AutoCleansingClassifier(**quick)
    return [ac, BaselineClassifier(**quick), CleanedClassifier(LogisticRegression(), cleanser=ac)]


def of(dtype, codes):
    """Two classes in a type of pandas, and in numpy's."""
    if dtype in ("string[python]", "string[pyarrow]", "category", "object"):
        plain = np.array(["ape", "bee"], dtype=object)[codes]
    else:
        plain = codes.astype(bool) if dtype == "boolean" else codes
    return pd.Series(plain, index=np.arange(len(codes))[::-1], dtype=dtype), plain


@pytest.fixture
def two(small):
    """Two clouds with 10 wrong labels."""
    X, y = small
    X, y = X[y < 2], y[y < 2]
    return X, np.where(np.arange(len(y)) < 10, 1 - y, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_come_back_in_their_type(two, dtype):
    X, codes = two
    y, plain = of(dtype, codes)
    for clf in ours():
        table = clf.fit(X, y).label_issues()
        expected = clf.fit(X, plain).label_issues()
        assert {table[name].dtype for name in COLUMNS} == {y.dtype}
        pd.testing.assert_series_equal(table["given_label"], y.reset_index(drop=True), check_names=False)
        for name in COLUMNS:
            assert table[name].tolist() == expected[name].tolist()
        assert isinstance(clf.classes_, np.ndarray)
        assert isinstance(clf.predict(X), np.ndarray)


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_that_were_reviewed_come_back_in_it_too(two, dtype):
    X, codes = two
    y, plain = of(dtype, codes)
    right = of(dtype, np.where(np.arange(len(codes)) < 10, 1 - codes, codes))[0].reset_index(drop=True)
    gone = np.arange(len(codes)) >= 20
    for clf in ours()[::2]:
        for reviewed in (right.where(~gone), ~gone):
            table = clf.fit(X, y, reviewed=reviewed).label_issues()
            expected = clf.fit(X, plain, reviewed=reviewed).label_issues()
            assert {table[name].dtype for name in COLUMNS} == {y.dtype}
            for name in COLUMNS:
                assert table[name].tolist() == expected[name].tolist()


def test_categories_keep_their_order_and_those_that_do_not_occur(two):
    X, codes = two
    y = pd.Series(pd.Categorical.from_codes(codes, ["small", "large", "huge"], ordered=True))
    table = AutoCleansingClassifier(max_epochs=20, random_state=0).fit(X, y).label_issues()
    assert table["suggested_label"].dtype == y.dtype
    assert (table["suggested_label"] != table["given_label"]).any()


@pytest.mark.parametrize(
    ("y", "label", "dtype"),
    [
        (pd.Series([1, 2, 2], dtype="Int8"), 300, "Int64"),
        (pd.Series([1, 2, 2], dtype="int8[pyarrow]"), 300, "Int64"),
        (pd.Series(["a", "b", "b"], dtype="category"), "c", pd.CategoricalDtype(["a", "b", "c"])),
        (pd.Series(["b", "a", "a"], dtype=pd.CategoricalDtype(["b", "a"], ordered=True)), "c", None),
        (pd.Series(["a", "b", "b"], dtype="string[python]"), "c", "string[python]"),
    ],
)
def test_a_reviewer_s_label_that_the_series_does_not_hold_widens_its_type(y, label, dtype):
    found = GivenSeries.of(y).corrected(read_reviewed([label, None, None], np.asarray(plain_labels(y)))).values()
    assert found.tolist() == [label, *y[1:]]
    assert found.dtype == (pd.CategoricalDtype(["b", "a", "c"], ordered=True) if dtype is None else dtype)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]"])
def test_numbers_that_floats_cannot_tell_apart_are_two_classes(two, dtype):
    X, codes = two
    y = pd.Series(2**60 + codes, dtype=dtype)
    for clf in ours():
        clf.fit(X, y)
        assert clf.classes_.tolist() == [2**60, 2**60 + 1]
        assert set(clf.predict(X).tolist()) <= {2**60, 2**60 + 1}


def test_samples_of_weight_zero_keep_a_label_that_is_no_class(two):
    X, codes = two
    y = pd.Series(codes).mask(np.arange(len(codes)) == 3, 7).astype("Int64")
    clf = AutoCleansingClassifier(max_epochs=2, random_state=0).fit(X, y, sample_weight=(y != 7).to_numpy(dtype=float))
    assert clf.label_issues().loc[3, COLUMNS].tolist() == [7, 7, 7]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_labels_that_were_given_are_found_again(labels, random):
    plain = np.array(labels)
    some = np.array(random.choices(labels, k=7))
    found = GivenSeries.of(pd.Series(plain, dtype="Int64")).like(plain.astype(float), some.astype(float))
    assert found.dtype == "Int64"
    assert found.tolist() == some.tolist()


def test_of_what_pandas_does_not_hold_nothing_is_kept():
    for y in ([1, 2], np.arange(2), pd.Series([1, 2]), pd.Series([True, False]), pd.DataFrame({"y": [1]}), None):
        assert GivenSeries.of(y) is None


def test_the_series_is_kept_from_changes_and_through_a_pickle(two):
    X, codes = two
    y = of("Int64", codes)[0]
    clf = AutoCleansingClassifier(max_epochs=2, random_state=0).fit(X, y)
    before = clf.label_issues()
    y[:] = 0
    table = clf.label_issues()
    table["given_label"] = 0
    pd.testing.assert_frame_equal(clf.label_issues(), before)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(clf)).label_issues(), before)
    clf.fit(X, codes)
    assert clf.label_issues()["given_label"].dtype == codes.dtype


def test_a_model_of_a_series_is_loaded_without_pandas(two, monkeypatch):
    X, codes = two
    y = of("category", codes)[0]
    saved = pickle.dumps(AutoCleansingClassifier(max_epochs=2, random_state=0).fit(X, y))
    for name in [name for name in sys.modules if name.split(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pandas", None)
    clf = pickle.loads(saved)
    assert clf.predict(X).shape == codes.shape
    assert clf.label_issues()["given_label"].tolist() == y.tolist()


@pytest.mark.parametrize("clf", ours(), ids=lambda clf: type(clf).__name__)
@pytest.mark.parametrize("dtype", ["Int64", "string[pyarrow]", "category", "object"])
def test_missing_labels_are_said_before_any_training(two, clf, dtype):
    X, codes = two
    y = of(dtype, codes)[0].reset_index(drop=True)
    y[[4, 17]] = None
    for form in (y, y.to_list(), y.to_frame()):
        with pytest.raises(ValueError, match=r"2 missing labels of 100 .* at positions 4, 17; .* leave these rows out"):
            clf.fit(X, form)
    known = ~pd.isna(y)  # the cure
    clf.fit(X[known], y[known])
    assert len(clf.label_issues()) == 98
