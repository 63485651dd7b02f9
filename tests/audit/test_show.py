"""What a person sees of a row."""

import numpy as np
import pytest

from acestimator.audit.columns import Columns
from acestimator.audit.draw import draw
from acestimator.audit.explain import shown
from acestimator.audit.judge import Findings
from acestimator.audit.show import look_at_table, look_at_vectors, make_items

pd = pytest.importorskip("pandas")
N, K = 60, 12
rng = np.random.default_rng(0)


def findings_of(n_classes=K, **fields):
    """Every other row is a suspect: its own label is not the network's."""
    given = np.arange(N) // 2 % n_classes
    best = np.where(np.arange(N) % 2, given, (given + 1) % n_classes)
    ranks = [dict.fromkeys([int(first), *rng.permutation(n_classes).tolist()]) for first in best]
    likeliest = np.array([[*labels][:9] for labels in ranks])
    probability = np.where(np.arange(N) % 2, 0.02, 0.9)
    verdicts = {"given": given, "suggested": best, "probability": probability, "likeliest": likeliest}
    return Findings(
        classes=tuple(f"c{k}" for k in range(n_classes)),
        sure=np.zeros(N, bool),
        quality=1 - probability,
        rate=0.5,
        interval=None,
        notes=(),
        **verdicts | fields,
    )


def items_of(findings, look=lambda *_: {}):
    drawn = draw(findings.probability, findings.suspects, 20, 0)
    return make_items(findings, drawn, [f"line {i}" for i in range(N)], None, ["0" * 16] * N, look)


@pytest.mark.parametrize("n_classes", [2, 5, K])
def test_keys_tell_rows_drawn_at_random_from_no_others(n_classes):
    """The first is the label that may be right instead, the second the given one, whichever is the likelier."""
    items = items_of(findings_of(n_classes))
    assert {item.group for item in items} == {"suspect", "random"}
    for item in items:
        assert item.likeliest[1] == item.given != item.likeliest[0]
        assert item.suggested in item.likeliest[:2]
        assert len(set(item.likeliest)) == len(item.likeliest) == min(n_classes, 9)


def test_keys_of_a_row_without_a_label_begin_with_the_suggestion():
    given = np.full(N, -1)
    findings = findings_of(given=given)
    for item in items_of(findings):
        assert item.likeliest == tuple(findings.likeliest[item.row].tolist())
        assert item.likeliest[0] == item.suggested


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((None, ""), (float("nan"), ""), (pd.NA, ""), (pd.NaT, ""), ([1, None], "[1, None]")),
        *((3944330.0, "3944330"), (12345678.9, "12345679"), (0.1234567, "0.123457"), (-2.0, "-2"), (1e300, "1e+300")),
        *((True, "True"), (12345678, "12345678"), (pd.Timestamp("2020-02-03"), "2020-02-03 00:00:00")),
        ("x" * 2_000, "x" * 2_000),
        ("x" * 10_000, "x" * 2_000 + "… [8,000 more characters]"),
    ],
)
def test_values_are_shown_as_people_write_them(value, text):
    assert shown(value) == text


def test_gaps_of_columns_that_were_left_out_are_gaps():
    frame = pd.DataFrame({"x": rng.normal(size=N), "code": ["C-1"] * 30 + [None] * 30})
    look = look_at_table(frame, Columns(("x",), (), (("code", "as asked"),)), findings_of(2))
    assert [look(row, 0, 1)["cells"][-1] for row in (0, 40)] == [("code", "C-1", False), ("code", "", False)]


def test_a_row_of_many_columns_shows_the_first_and_says_how_many_more():
    findings = findings_of(2)
    X = rng.normal(size=(N, 5_000))
    X[:, 4_000] += 9.0 * (findings.given == 1)
    X[1, 4_000] = 9.0  # of class 0
    cells = look_at_vectors(X, findings)(1, 0, 1)["cells"]
    assert cells[0][0] == "4000"
    assert cells[0][2]
    assert cells[-1] == ("…", f"{5_001 - len(cells):,} more columns", False)
    assert 8_000 < sum(len(name) + len(text) + 20 for name, text, _ in cells) < 10_100


def test_vectors_and_frames_are_weighed_alike():
    findings = findings_of(2)
    X = rng.normal(size=(N, 8)) + findings.given[:, None] * np.arange(8)
    frame = pd.DataFrame(X, columns=[str(j) for j in range(8)])
    table = look_at_table(frame, Columns(tuple(frame.columns), (), ()), findings)
    vectors = look_at_vectors(X, findings)
    for row in range(N):
        for pair in ((0, 1), (1, 0), (-1, 1)):
            assert vectors(row, *pair) == table(row, *pair)


def test_dropped_rows_do_not_tell_what_classes_are_like():
    probability = np.full(N, 0.1)
    probability[0] = np.nan
    findings = findings_of(2, probability=probability)
    X = rng.normal(size=(N, 1)) + 50.0 * findings.given[:, None]
    X[0], X[4] = 1e6, 50.0  # of class 0, which is about 0
    assert look_at_vectors(X, findings)(4, 0, 1)["cells"] == (("0", "50", True),)
