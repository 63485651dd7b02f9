"""What classes are like: against numpy's own means and scipy's densities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse, stats

from acestimator.naive_bayes import (
    class_normals,
    class_shares,
    is_far,
    is_rare,
    log_normal,
    log_share,
    sparse_class_normals,
)

numbers = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan), st.just(np.inf))


@settings(deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(0, 20), st.integers(1, 3)), elements=numbers), st.integers(0, 5))
def test_means_and_deviations_are_numpy_s(values, seed):
    codes = np.random.default_rng(seed).integers(0, 3, len(values))
    mean, std = class_normals(values, codes, 3)
    for j, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        centre, spread = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
        scale = np.abs(known).max(initial=1.0)
        for k in range(3):
            own = column[(codes == k) & np.isfinite(column)]
            expected = (own.mean(), max(own.std(), 0.05 * spread)) if len(own) > 1 else (centre, spread)
            assert mean[k, j] == pytest.approx(expected[0], abs=1e-9 * scale)
            assert std[k, j] == pytest.approx(max(expected[1], 1e-12), abs=1e-6 * scale)
    assert (std > 0).all()


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 20), st.integers(1, 3)), elements=st.sampled_from([0.0, 0.0, 1.5, -2.0])
    )
)
def test_sparse_matrices_give_the_same(values):
    codes = np.arange(len(values)) % 4
    for form in (sparse.csr_array, sparse.csr_matrix):
        for found, expected in zip(
            sparse_class_normals(form(values), codes, 5), class_normals(values, codes, 5), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-7)


def test_squares_of_small_integers_do_not_overflow():
    values, codes = np.array([[100, 0], [20, 1], [0, 90], [60, 7]]), np.array([0, 0, 1, 1])
    found = sparse_class_normals(sparse.csr_array(values.astype(np.int8)), codes, 2)
    np.testing.assert_allclose(found, class_normals(values.astype(np.float64), codes, 2))


def test_an_offset_costs_no_digits():
    values, codes = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    mean, std = class_normals(values, codes, 2)
    shifted = class_normals(values + 1e9, codes, 2)
    np.testing.assert_allclose(shifted[0] - 1e9, mean, atol=1e-5)
    np.testing.assert_allclose(shifted[1], std, rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_and_none_at_all():
    mean, std = class_normals(np.array([[1e308, np.nan], [-1e308, np.nan], [1e308, np.nan]]), np.array([0, 0, 1]), 2)
    assert std[:, 1].tolist() == [1e-12, 1e-12]
    assert mean[:, 1].tolist() == [0.0, 0.0]
    assert not np.isnan(log_normal(np.array([1.0, np.nan]), mean[0], std[0])).any()


def test_densities_are_scipy_s_up_to_a_constant_and_five_deviations():
    values, mean, std = np.array([0.0, 1.5, -3.0, 4.9]), np.array([0.5, 1.5, 2.0, 0.0]), np.array([1.0, 0.1, 3.0, 1.0])
    expected = stats.norm.logpdf(values, mean, std) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(log_normal(values, mean, std), expected)
    assert log_normal(np.array(1e9), 0.0, 1.0) == log_normal(np.array(5.0), 0.0, 1.0) == -12.5
    np.testing.assert_array_equal(log_normal(np.array([np.nan, np.inf]), 0.0, 7.0), 0.0)


def test_beyond_two_deviations_is_far():
    np.testing.assert_array_equal(is_far(np.array([1.9, 2.1, -2.1, np.nan]), 0.0, 1.0), [False, True, True, False])


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 2)), max_size=40))
def test_shares_of_a_class_sum_to_one_and_follow_the_counts(pairs):
    values, codes = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    shares = class_shares(values, codes, 3, 4)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares > 0).all()
    for k in range(3):
        counts = np.bincount(values[(codes == k) & (values >= 0)], minlength=4)
        # One imagined row has a share of at most one.
        assert (shares[k] * (counts.sum() + 1) >= counts).all()
        assert (shares[k] * (counts.sum() + 1) <= counts + 1 + 1e-9).all()


def test_gaps_speak_for_nobody_and_rare_values_depart():
    shares = np.array([[0.96, 0.04], [0.5, 0.5], [0.96, 0.04]])
    values = np.array([1, 1, -1])
    np.testing.assert_allclose(log_share(values, shares), [np.log(0.04), np.log(0.5), 0.0])
    assert is_rare(values, shares).tolist() == [True, False, False]
