"""Labels that are missing are found in whatever form labels come, and nothing else is."""

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.inputs.missing import check_known, missing

NOTHING = [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NaT, pd.NA, decimal.Decimal("NaN")]
LABELS = ["a", "", "nan", "None", 0, -1, 2.5, True, False, b"a", float("inf"), np.int8(3), datetime.date(2020, 1, 1)]
entries = st.lists(st.tuples(st.booleans(), st.sampled_from(NOTHING), st.sampled_from(LABELS)), max_size=20)


@given(entries)
def test_what_is_nothing_is_found_among_labels_of_any_kind(entries):
    y = [nothing if gone else label for gone, nothing, label in entries]
    gone = [gone for gone, _, _ in entries]
    array = np.empty(len(y), dtype=object)
    array[:] = y
    for form in (y, tuple(y), array, pd.Series(array), array[:, None]):
        assert missing(form).tolist() == gone
    if any(gone):
        with pytest.raises(ValueError, match=rf"y has {sum(gone)} missing labels? of {len(y)} "):
            check_known(y)
    else:
        check_known(y)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, None, 2], dtype="Int64"),
        pd.array([True, None, False], dtype="boolean"),
        pd.Series(["a", None, "b"], dtype="string[python]"),
        pd.Series(["a", None, "b"], dtype="string[pyarrow]"),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Index(["a", None, "b"]),
        pd.DataFrame({"y": ["a", None, "b"]}),
        pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01"])),
        pl.Series(["a", None, "b"]),
        pl.Series([1, None, 2]),
        pl.Series(["a", None, "b"]).cast(pl.Categorical),
        np.array(["a", None, "b"], dtype=np.dtypes.StringDType(na_object=None)),
        np.array([1.0, np.nan, 2.0], dtype=np.float16),
        np.array(["2020-01-01", "NaT", "2021-01-01"], dtype="datetime64[D]"),
        np.ma.masked_array([0, 1, 2], mask=[False, True, False]),
        np.ma.masked_array(["a", None, "b"], mask=False, dtype=object),
    ],
)
def test_of_all_types_that_have_something_for_nothing(y):
    assert missing(y).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "y", [None, 3, "text", {}, [], [[1, 2], [3]], np.zeros((3, 2)), np.full((2, 3), np.nan), iter([None])]
)
def test_what_are_no_labels_is_left_to_scikit_learn(y):
    assert not missing(y).any()
    check_known(y)


def test_the_first_positions_are_named():
    y = np.where(np.arange(40) % 3 == 1, np.nan, 1.0)
    with pytest.raises(
        ValueError, match=r"has 13 missing labels of 40 .*, at positions 1, 4, 7, 10, .*, 25, 28, \.\.\.;"
    ):
        check_known(y)
    with pytest.raises(ValueError, match=r"has 1 missing label of 2 \(None, NaN, NaT or NA\), at position 1;"):
        check_known(["a", None])
