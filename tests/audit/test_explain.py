"""What speaks for the suggested label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.audit.explain import ColumnEvidence, WordEvidence

pd = pytest.importorskip("pandas")
N = 200
CODES = np.arange(N) % 2
rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "noise": rng.normal(size=N),
        "size": CODES * 5.0 + rng.normal(size=N),
        "colour": np.where(CODES == 1, "red", "blue"),
        "gap": np.full(N, np.nan),
    }
)
TRUSTED = np.ones(N, dtype=bool)


def test_columns_that_tell_come_first_and_values_that_depart_are_marked():
    codes = CODES.copy()
    codes[1] = 0  # red, and large, but labelled as 0
    trusted = TRUSTED.copy()
    trusted[1] = False
    cells = ColumnEvidence(FRAME, codes, trusted, 2).cells(1, 0, 1)
    assert [name for name, _, _ in cells[:2]] in (["size", "colour"], ["colour", "size"])
    marked = {name: departs for name, _, departs in cells}
    assert marked["size"]
    assert marked["colour"]
    assert not marked["gap"]
    assert {name: text for name, text, _ in cells}["gap"] == ""


def test_evidence_for_one_label_is_evidence_against_the_other():
    evidence = ColumnEvidence(FRAME, CODES, TRUSTED, 2)
    ahead = [name for name, _, _ in evidence.cells(3, 0, 1)]
    assert set(ahead[:2]) == {"size", "colour"}
    assert {name for name, _, _ in evidence.cells(3, 1, 0)[-2:]} == {"size", "colour"}


@given(st.lists(st.text(max_size=60), min_size=4, max_size=12), st.integers(0, 3))
def test_pieces_are_the_text(texts, row):
    codes = np.arange(len(texts)) % 2
    words = WordEvidence(texts, codes, np.ones(len(texts), dtype=bool), 2)
    assert "".join(piece for piece, _ in words.pieces(row, 0, 1)) == texts[row]


def test_of_a_long_text_the_beginning_is_shown_and_how_much_more_there_is():
    texts = ["word more characters " * 1_000, "other"] * 4
    pieces = WordEvidence(texts, np.arange(8) % 2, np.ones(8, dtype=bool), 2).pieces(0, 1, 0)
    assert pieces[-1] == ("… [11,000 more characters]", 0)
    assert "".join(piece for piece, _ in pieces[:-1]) == texts[0][:10_000]


def test_words_speak_for_the_class_that_has_them():
    texts = ["the cat sat here"] * 20 + ["the dog ran here"] * 20
    words = WordEvidence(texts, np.repeat([0, 1], 20), np.ones(40, dtype=bool), 2)
    marks = dict(words.pieces(25, 0, 1))
    assert marks["dog"] == marks["ran"] == 1
    assert dict(words.pieces(0, 0, 1))["cat"] == -1
    assert all(mark == 0 for _, mark in words.pieces(0, -1, 1))
