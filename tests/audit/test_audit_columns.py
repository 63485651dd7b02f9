"""Which columns of a table are learned from."""

from pathlib import Path

import numpy as np
import pytest

from acestimator.audit.columns import choose_columns, repeats_label
from acestimator.audit.prepare import preparation

pd = pytest.importorskip("pandas")
N = 60
LABELS = np.array(["a", "b", "c"] * (N // 3), dtype=object)
rng = np.random.default_rng(0)


def choose(frame, labels=LABELS, **options):
    return choose_columns(Path("t.csv"), pd.DataFrame(frame), labels, **options)


def reason(values, name="column"):
    """Why a column beside a good one is left out, or None."""
    left_out = dict(choose({"good": rng.normal(size=N), name: values}).left_out)
    assert set(left_out) <= {name}
    return left_out.get(name)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.arange(N), "numbers the rows"),
        (rng.permutation(N) + 1000, "numbers the rows"),
        ([f"C-{i:04d}" for i in range(N)], "names"),
        ([7] * N, "the same"),
        ([None] * N, "empty"),
        (LABELS, "label in other words"),
        ([{"a": 3, "b": 1, "c": 2}[label] for label in LABELS], "label in other words"),
    ],
)
def test_what_says_nothing_or_too_much_is_left_out(values, words):
    assert words in reason(values)


@pytest.mark.parametrize(
    "values",
    [
        rng.normal(size=N),
        rng.integers(0, 10**9, size=N),  # all distinct, and no run
        rng.permutation(np.repeat(np.arange(N // 2), 2)),
        ["x", "y"] * (N // 2),
        [f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(N)],  # dates are all distinct, too
        [f"{value:.3f}" for value in rng.normal(size=N)],
        [f"the {i}th text of some words" for i in range(N)],
        [None if i % 7 == 0 else i % 3 for i in range(N)],
    ],
    ids=lambda values: str(values[0]),
)
def test_what_may_tell_is_kept(values):
    assert reason(values) is None


def test_a_column_of_the_right_labels_is_kept_if_the_given_ones_differ():
    given = LABELS.copy()
    given[0] = "b"
    assert repeats_label(pd.Series(LABELS), LABELS)
    assert not repeats_label(pd.Series(LABELS), given)


def test_rows_without_a_label_say_nothing_of_a_leak():
    given = LABELS.copy()
    given[:5] = None
    assert repeats_label(pd.Series(LABELS), given)


def test_texts_are_those_that_are_named_or_else_look_so():
    frame = {
        "x": rng.normal(size=N),
        "note": [f"a note of several words {i}" for i in range(N)],
        "kind": ["up", "down"] * (N // 2),
    }
    assert choose(frame).texts == ("note",)
    assert choose(frame, texts=["kind"]).texts == ("kind",)
    assert choose(frame, drop=["note"]).texts == ()
    assert ("note", "as asked") in choose(frame, drop=["note"]).left_out
    assert choose(frame, id_column="note").features == ("x", "kind")


def test_errors_name_the_column():
    frame = {"income": rng.normal(size=N)}
    with pytest.raises(ValueError, match="'incom', given by --drop; did you mean 'income'"):
        choose(frame, drop=["incom"])
    with pytest.raises(ValueError, match="no column is left"):
        choose(frame, drop=["income"])
    with pytest.raises(ValueError, match="by --text and by --drop"):
        choose(frame, texts=["income"], drop=["income"])


def test_columns_that_cannot_be_learned_from_are_named():
    for values in ([np.inf, *range(N - 1)], [1e39, *range(N - 1)]):
        with pytest.raises(ValueError, match=r"column 'x', holds infinity, .* leave it out by --drop"):
            choose({"x": values})
        assert choose({"x": values, "good": rng.normal(size=N)}, drop=["x"]).features == ("good",)
    with pytest.raises(ValueError, match="column 'x', holds no words of two letters"):
        choose({"x": ["a", "b"] * (N // 2)}, texts=["x"])
    assert choose({"x": [f"a b c {i % 10} {i // 10}" for i in range(N)]}).features == ("x",)


def test_texts_of_few_words_stand_beside_other_columns():
    pytest.importorskip("skrub")
    frame = pd.DataFrame({"x": np.arange(N) % 7, "kind": ["red wine", "beer", "tea"] * (N // 3)})
    columns = choose(frame, labels=LABELS[::-1], texts=["kind"])
    assert preparation(columns, 10 * N, 0).fit_transform(frame).shape == (N, 1 + 4)


def test_spaces_around_a_name_do_not_hide_its_column():
    frame = {"good": rng.normal(size=N), " job": ["red wine", "beer"] * (N // 2)}
    assert choose(frame, drop=["job"]).left_out == ((" job", "as asked"),)
    assert choose(frame, texts=["job"]).texts == (" job",)
