"""Bounds on the share of wrong labels, by what a reviewer found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from acestimator.audit.rates import Reviewed, interval_of_rate, share_of


@pytest.mark.parametrize(("n_wrong", "n"), [(0, 20), (3, 20), (20, 20), (7, 50)])
def test_bounds_of_a_share_are_where_the_binomial_has_the_tail(n_wrong, n):
    low, high = share_of(n_wrong, n, 0.05)
    if n_wrong:
        assert binom.sf(n_wrong - 1, n, low) == pytest.approx(0.05)
    if n_wrong < n:
        assert binom.cdf(n_wrong, n, high) == pytest.approx(0.05)


def test_nothing_decided_says_nothing():
    assert interval_of_rate([Reviewed(100, 0, 0, 0, 0), Reviewed(10, 0, 0, 0, 0)]) == (0.0, 1.0)


def test_all_decided_is_the_rate_itself():
    assert interval_of_rate([Reviewed(100, 30, 2, 100, 5), Reviewed(10, 10, 9, 10, 9)]) == (14 / 110, 14 / 110)


def test_suspects_that_were_decided_bound_the_rate_from_both_sides_and_are_no_sample():
    without = interval_of_rate([Reviewed(100, 10, 1, 10, 1)])
    low, high = interval_of_rate([Reviewed(100, 10, 1, 50, 30)])
    assert low == pytest.approx(0.30)  # thirty wrong ones were seen
    assert high == without[1] < 0.8  # those say nothing of the others


@st.composite
def stratum(draw):
    n_rows = draw(st.integers(0, 300))
    n_facts = draw(st.integers(0, n_rows))
    n_wrong = draw(st.integers(0, n_facts))
    n_drawn = draw(st.integers(0, n_facts))
    n_drawn_wrong = draw(st.integers(max(0, n_drawn - (n_facts - n_wrong)), min(n_drawn, n_wrong)))
    return Reviewed(n_rows, n_drawn, n_drawn_wrong, n_facts, n_wrong)


@given(st.lists(stratum(), min_size=1, max_size=4))
def test_the_interval_is_one_and_holds_what_was_seen(strata):
    low, high = interval_of_rate(strata)
    n_rows = sum(s.n_rows for s in strata)
    assert 0.0 <= low <= high <= 1.0
    if n_rows:
        assert low * n_rows >= sum(s.n_facts_wrong for s in strata) - 1e-9
        assert (1.0 - high) * n_rows <= sum(s.n_rows for s in strata) - sum(s.n_facts_wrong for s in strata) + 1e-9


def test_the_interval_covers_the_rate_of_strata_that_differ():
    rng = np.random.default_rng(0)
    sizes, rates, n_drawn = (900, 100), (0.03, 0.6), (45, 15)
    covered = 0
    for _ in range(300):
        strata, n_wrong = [], 0
        for size, rate, n in zip(sizes, rates, n_drawn, strict=True):
            wrong = rng.random(size) < rate
            drawn = rng.choice(size, n, replace=False)
            n_wrong += wrong.sum()
            strata.append(Reviewed(size, n, int(wrong[drawn].sum()), n, int(wrong[drawn].sum())))
        low, high = interval_of_rate(strata)
        covered += low <= n_wrong / sum(sizes) <= high
    assert covered >= 0.9 * 300
