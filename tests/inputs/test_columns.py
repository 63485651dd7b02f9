"""Columns that hold no numbers are named all at once, with the cure; those that can be numbers are left alone."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from acestimator import AutoCleansingClassifier, BaselineClassifier, CleanedClassifier
from acestimator.inputs.columns import check_numbers

N = 40
Y = np.arange(N) % 2


def frame(**columns):
    return pd.DataFrame({"n": np.arange(N) + 3.0 * Y, **columns})


def quick(cls=AutoCleansingClassifier):
    return cls(max_epochs=2, random_state=0)


MIXED = frame(
    level=["mid", "high"] * (N // 2),
    kind=pd.Series(["a", None] * (N // 2), dtype="category"),
    when=pd.date_range("2020-01-31", periods=N),
    wait=pd.timedelta_range("1 day", periods=N),
    month=pd.period_range("2020-01", periods=N, freq="M"),
    bin=pd.cut(np.arange(N), [-1, 9, N]),
    late=pd.Series([pd.NaT] * N),
)


@pytest.mark.parametrize(
    "clf",
    [quick(), quick(BaselineClassifier), CleanedClassifier(LogisticRegression(), cleanser=quick())],
    ids=lambda clf: type(clf).__name__,
)
def test_all_of_them_are_named_with_an_example_each(clf):
    with pytest.raises(ValueError, match="7 of 8 columns that hold no numbers") as caught:
        clf.fit(MIXED, Y)
    for named in (
        "'level' (text, such as 'mid')",
        "'kind' (categories, such as 'a')",
        "'when' (dates, such as '2020-01-31')",
        "'wait' (durations, such as",
        "'month' (dates, such as '2020-01')",
        "'bin' (categories, such as '(-1, 9]')",
        "'late' (dates, such as 'NaT')",
    ):
        assert named in str(caught.value)
    assert "acestimator audit FILE --label COLUMN" in str(caught.value)


def test_the_cure_cures():
    pytest.importorskip("skrub")
    X = MIXED[["n", "level", "when"]]
    with pytest.raises(ValueError, match="columns that hold no numbers") as caught:
        AutoCleansingClassifier().fit(X, Y)
    lines = re.findall(r"^    (from sklearn.*|model = .*)$", str(caught.value), re.MULTILINE)
    assert len(lines) == 2
    found = {"AutoCleansingClassifier": AutoCleansingClassifier}
    exec("\n".join(lines), found)
    model = found["model"].set_params(autocleansingclassifier__max_epochs=2)
    assert model.fit(X, Y).predict(X).shape == (N,)


@pytest.mark.parametrize(
    ("X", "named"),
    [
        (pl.DataFrame({"n": [1.0, 2.0], "level": ["mid", None]}), r"1 of 2 .* 'level' \(text, such as 'mid'\)"),
        (pl.DataFrame({"k": pl.Series([None, "a"]).cast(pl.Categorical)}), r"'k' \(categories, such as 'a'\)"),
        (pl.DataFrame({"k": pl.Series([None, "a"], dtype=pl.Enum(["a"]))}), r"'k' \(categories, such as 'a'\)"),
        (pl.DataFrame({"d": pl.Series([None, "2020-02-01"]).str.to_date()}), r"'d' \(dates, such as '2020-02-01'\)"),
        (pa.table({"n": [1, None], "level": [None, "mid"]}), r"1 of 2 columns .* 'level' \(text, such as 'mid'\)"),
        (np.array([[1, "mid"], [2, "high"]], dtype=object), r"1 of 2 columns .* 1 \(text, such as 'mid'\)"),
        ([[1, "mid"], [2, "high"]], r"1 of 2 columns .* 1 \(text, such as 'mid'\)"),
        (np.array([[b"1", b"x"]]), r"1 \(text"),
        (np.array([["2020-02-01", "NaT"]], dtype="M8[D]"), r"2 of 2 .* 0 \(dates, such as '2020-02-01'\), 1 \(dates"),
        (pd.DataFrame([[1, "mid"]], columns=["a", "a"]), r"1 of 2 columns .* 'a' \(text, such as 'mid'\)"),
        (pd.DataFrame({0: ["x" * 50]}), rf"0 \(text, such as '{'x' * 40}\.\.\.'\)"),
        (pd.DataFrame({j: ["x"] for j in range(12)}), r"12 of 12 columns .* 9 \(text, such as 'x'\), \.\.\.\. Exp"),
    ],
)
def test_in_frames_arrays_and_lists(X, named):
    with pytest.raises(ValueError, match=named):
        check_numbers(X, "Classifier")


@pytest.mark.parametrize(
    "X",
    [
        frame(k=pd.Series([1, None] * (N // 2), dtype="Int64"), b=pd.Series([True, None] * (N // 2), dtype="boolean")),
        frame(k=pd.Series([1, 2] * (N // 2), dtype="category"), o=pd.Series([1, None] * (N // 2), dtype=object)),
        frame(t=["1", " 2.5e3"] * (N // 2), none=pd.Series([None] * N, dtype=object), b=[True, False] * (N // 2)),
        frame(s=pd.arrays.SparseArray([0.0, 1.0] * (N // 2)), f=np.arange(N).astype(np.float16)),
        pl.DataFrame({"n": [1, None], "b": [True, None], "nothing": [None, None]}),
        np.array([["1", "nan"]]),
        [[1, 2], [3, None]],
        [[10**400]],
        [],
        None,
        "text",
        np.zeros((2, 3, 4, 4)),
        np.array([[{"a": 1}]]),
        np.array([1, "mid"], dtype=object),
        pd.Series(["a", "mid"]),
        pa.table({"n": [1, None], "b": [True, None], "t": ["1", "2.5"]}),
    ],
)
def test_what_can_be_numbers_and_what_is_no_table_is_left_to_scikit_learn(X):
    check_numbers(X, "Classifier")


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=5)), min_size=1, max_size=8))
def test_a_column_is_named_if_and_only_if_a_text_in_it_is_no_number(values):
    def is_number(value):
        try:
            float(value)
        except ValueError:
            return False
        return True

    X = pd.DataFrame({"column": pd.Series(values, dtype=object)})
    bad = [value for value in values if isinstance(value, str) and not is_number(value)]
    if bad:
        with pytest.raises(ValueError, match=re.escape(f"such as {bad[0]!r}")):
            check_numbers(X, "Classifier")
    else:
        check_numbers(X, "Classifier")


def test_predicting_says_the_same():
    clf = quick().fit(frame(), Y)
    with pytest.raises(ValueError, match=r"1 of 1 columns that hold no numbers: 'n' \(text, such as 'x'\)"):
        clf.predict(pd.DataFrame({"n": ["x"] * 3}))
