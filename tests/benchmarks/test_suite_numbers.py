"""Arithmetic of the suite: pooled calibration, anchors, tests with a margin, seeds that are needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from suite_parts.numbers import (
    anchors,
    bins_of,
    calibration_error,
    least_deviation,
    p_below,
    seeds_needed,
    standard_error,
)

# ---------------------------------------------------------------- calibration


samples = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def columns(pairs):
    proba, wrong = (np.array(column) for column in zip(*pairs, strict=True))
    return proba, wrong


@given(samples, st.integers(1, 30))
def test_bins_hold_every_sample_once_in_the_order_of_probability(pairs, n_bins):
    proba, wrong = columns(pairs)
    found = np.array(bins_of(proba, wrong, n_bins))
    assert found.sum(axis=0) == pytest.approx([proba.sum(), wrong.sum(), len(proba)], abs=1e-4)
    assert len(found) == min(n_bins, len(proba))
    assert np.ptp(found[:, 2]) <= 1
    assert (np.diff(found[:, 0] / found[:, 2]) >= -1e-5).all()


def test_calibration_error_against_its_definition():
    rng = np.random.RandomState(0)
    proba = rng.uniform(size=200)
    wrong = rng.uniform(size=200) < proba**2
    order = np.argsort(proba)
    expected = np.mean([abs(proba[part].mean() - wrong[part].mean()) for part in order.reshape(10, 20)])
    assert calibration_error(bins_of(proba, wrong)) == pytest.approx(expected, abs=1e-5)


@given(samples, samples)
def test_seeds_pooled_are_one_seed_of_all_their_samples(first, second):
    each = bins_of(*columns(first)) + bins_of(*columns(second))  # fewer than 200 samples: each is a bin
    proba, wrong = columns(first + second)
    if len(np.unique(proba.round(5))) == len(proba):
        assert calibration_error(each) == pytest.approx(calibration_error(bins_of(proba, wrong)), abs=1e-4)


@given(samples)
def test_calibration_error_is_at_least_the_error_of_the_rate(pairs):
    proba, wrong = columns(pairs)
    error = calibration_error(bins_of(proba, wrong))
    assert abs(proba.mean() - wrong.mean()) - 1e-5 <= error <= 1 + 1e-9


def test_finer_bins_are_divided_at_the_borders_of_coarse_ones():
    # Three bins into two: the middle one's gap is halved, and the halves lie against gaps of the other sign.
    fine = [[1.0, 3, 10], [4.0, 2, 10], [9.0, 10, 10]]
    assert calibration_error(fine, 2) == pytest.approx((abs(-2 + 1) + abs(1 - 1)) / 30)


# ---------------------------------------------------------------- anchors


def gaussian_logits(distance, n=600):
    """Logits by Bayes' rule, of three normal classes whose centres lie so far apart."""
    rng = np.random.RandomState(0)
    centers = distance / np.sqrt(2) * np.eye(3)
    y = np.arange(n) % 3
    X = centers[y] + rng.normal(size=(n, 3))
    return X @ centers.T - 0.5 * (centers**2).sum(axis=1), y


@pytest.mark.parametrize("confidence", [1.0, 8.0])
def test_classes_have_anchors_where_they_lie_apart_however_sure_the_network_is(confidence):
    apart, y = gaussian_logits(5.0)
    close, _ = gaussian_logits(1.0)
    counts, enough = anchors(confidence * apart, y)
    assert enough
    assert (counts > 100).all()
    counts, enough = anchors(confidence * close, y)
    assert not enough
    assert counts.sum() == 0


def test_five_samples_are_needed_of_the_smallest_class():
    logits, y = gaussian_logits(5.0)
    sure = np.flatnonzero((y == 2) & (np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1) < 1.001))
    for n, expected in ((4, False), (6, True)):
        keep = np.r_[np.flatnonzero(y != 2), sure[:n]]
        counts, enough = anchors(logits[keep], y[keep])
        assert counts[2] == n
        assert enough is expected


# ---------------------------------------------------------------- tests and seeds

some = st.lists(st.integers(-300, 300), min_size=2, max_size=20).map(lambda v: np.array(v) / 1000)


@given(some, st.sampled_from([0.0, 0.005, 0.01]))
def test_a_margin_shifts_the_differences(d, margin):
    assert p_below(d, margin) == pytest.approx(p_below(d + margin, 0.0), abs=1e-9)
    if np.ptp(d) > 0:
        assert p_below(d, margin) == pytest.approx(ttest_1samp(d, -margin, alternative="less").pvalue, abs=1e-6)


def test_nothing_is_certain_of_one_seed_or_of_equal_ones_on_few_samples():
    assert p_below(np.array([-0.5]), 0.0) == 1.0
    one_of_45 = np.full(3, -1 / 45)
    assert p_below(one_of_45, 0.01) < 1e-6
    assert p_below(one_of_45, 0.01, 45) > 0.1
    assert p_below(one_of_45, 0.01, 10**6) < 1e-3
    assert p_below(np.zeros(3), 0.0, 45) == 0.5


@given(st.integers(0, 45), st.integers(0, 45))
def test_least_deviation_is_that_of_samples_that_one_method_alone_recognises(n_first, n_second):
    n_first, n_second = sorted((n_first, min(n_second, 45 - n_first)))
    parts = np.r_[np.ones(n_first), -np.ones(n_second), np.zeros(45 - n_first - n_second)]
    least = least_deviation(parts.mean(), 45)
    assert least <= parts.std() / np.sqrt(45) + 1e-9
    if not n_first:
        assert least == pytest.approx(parts.std() / np.sqrt(45))


@given(some, st.integers(2, 40))
def test_with_the_seeds_that_are_needed_the_error_is_small_if_they_are_alike(d, most):
    n = seeds_needed(d, most)
    assert n <= max(most, len(d))
    if n == len(d):
        assert n >= most or standard_error(d) <= 0.0035
    else:
        assert len(d) < n <= 2 * len(d)
        if n < min(most, 2 * len(d)):
            assert np.std(d, ddof=1) / np.sqrt(n) <= 0.0035 + 1e-9


def test_one_seed_asks_for_no_others():
    assert seeds_needed(np.array([0.3]), 20) == 1
