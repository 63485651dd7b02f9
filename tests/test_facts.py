"""What is left where some labels are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.facts import Left

RATES = st.floats(0.001, 0.999)


@st.composite
def lefts(draw):
    n, n_facts = draw(st.floats(1, 1000)), draw(st.floats(0, 1000))
    return Left(n, draw(RATES), draw(st.floats(0, 1)) * n_facts, n + n_facts)


@given(lefts(), st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_what_is_left_goes_with_what_was_there(left, rates):
    """By the channel's rate of before it is the channel's of what is left; none and all stay so; and it rises."""
    assert left.share_of(left.expected) == pytest.approx(left.rate, rel=1e-3, abs=1e-5)
    assert (left.share_of(0.0), left.share_of(1.0)) == (0.0, 1.0)
    found = [left.share_of(rate) for rate in sorted(rates)]
    assert found == sorted(found)


@given(RATES, RATES)
def test_where_nothing_was_looked_at_all_is_left(rate, before):
    assert Left(100.0, rate, 0.0, 100.0).share_of(before) == pytest.approx(before)


@given(lefts(), st.tuples(RATES, RATES).map(sorted), st.tuples(RATES, RATES).map(sorted))
def test_the_interval_holds_whatever_can_be_said(left, before, own):
    low, high = left.interval(tuple(before), tuple(own))
    assert 0.0 <= low <= high <= 1.0
    assert low <= own[0] <= own[1] <= high
    assert low <= left.share_of(before[0]) <= left.share_of(before[1]) <= high
    # No fewer than would be left of the highest rate of before, less what was found.
    assert high >= min(1.0, (before[1] * left.total - left.found) / left.n) - 1e-12
