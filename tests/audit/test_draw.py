"""Rows that the page shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from acestimator.audit.draw import allocate, draw, strata_of


def test_strata_are_split_at_a_tenth_and_a_half():
    assert strata_of(np.array([0.0, 0.1, 0.10001, 0.5, 0.50001, 1.0])).tolist() == [0, 0, 1, 1, 2, 2]


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3), st.integers(0, 200))
def test_strata_get_their_share_and_no_more_than_they_have(sizes, n_random):
    sizes = np.array(sizes)
    counts = allocate(sizes, n_random)
    assert (counts <= sizes).all()
    assert (counts >= np.minimum(sizes, min(5, n_random))).all()
    if sizes.sum():
        assert (counts <= np.maximum(np.ceil(n_random * sizes / sizes.sum()), 5)).all()


@given(st.integers(1, 300), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_each_row_is_shown_once_and_suspects_keep_their_order(n_rows, n_random, seed):
    probability = np.random.default_rng(seed).random(n_rows) ** 3
    suspects = np.argsort(-probability)[: (probability > 0.5).sum()]
    drawn = draw(probability, suspects, n_random, seed)
    assert len(np.unique(drawn.rows)) == len(drawn.rows)
    assert set(suspects) <= set(drawn.rows)
    ordered = drawn.rows[~drawn.is_drawn]
    assert ordered.tolist() == [row for row in suspects if row in set(ordered)]
    n_before = np.cumsum(~drawn.is_drawn)[drawn.is_drawn]  # suspects, of each row that was drawn
    assert (n_before <= len(ordered) / 2 + 1).all()
    assert np.array_equal(strata_of(probability[drawn.rows]), drawn.stratum)
    counts = np.bincount(drawn.stratum[drawn.is_drawn], minlength=len(drawn.strata))
    assert [s.n_drawn for s in drawn.strata] == counts.tolist()
    assert sum(s.n_rows for s in drawn.strata) == n_rows


def test_rows_are_drawn_without_regard_to_their_rank():
    probability = np.linspace(0.0, 0.05, 1000)
    seen = np.zeros(1000)
    for seed in range(400):
        seen[draw(probability, np.empty(0, dtype=int), 50, seed).rows] += 1
    expected = 400 * 50 / 1000
    halves = seen[:500].mean(), seen[500:].mean()
    assert np.allclose(halves, expected, rtol=0.06)


def test_rows_of_no_probability_are_shown_and_never_drawn():
    probability = np.r_[np.full(10, np.nan), np.linspace(0.0, 1.0, 50)]
    drawn = draw(probability, np.array([3, 59]), 200, 0)
    shown = dict(
        zip(drawn.rows.tolist(), zip(drawn.stratum.tolist(), drawn.is_drawn.tolist(), strict=True), strict=True)
    )
    assert shown.pop(3) == (-1, False)
    assert sorted(shown) == list(range(10, 60))
    assert all(is_drawn and stratum >= 0 for stratum, is_drawn in shown.values())
    assert sum(stratum.n_rows for stratum in drawn.strata) == 50
