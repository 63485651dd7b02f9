"""Transition matrices and corruption: rates, label spaces, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.noise import check_transition_matrix, corrupt, pair_flip, symmetric

rates, sizes, seeds = st.floats(0, 1), st.integers(2, 30), st.integers(0, 10_000)


@given(sizes, rates)
def test_rows_sum_to_one_and_the_diagonal_keeps_the_rest(n_classes, rate):
    for process in (symmetric, pair_flip):
        pi = process(n_classes, rate)
        assert (pi >= 0).all()
        np.testing.assert_allclose(pi.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(np.diag(pi), 1 - rate, atol=1e-12)
    np.testing.assert_allclose(symmetric(n_classes, rate), symmetric(n_classes, rate).T)
    assert pair_flip(n_classes, rate)[n_classes - 1, 0] == pytest.approx(rate)


def test_corrupt_draws_from_the_rows():
    rng = np.random.RandomState(0)
    pi = rng.dirichlet(np.ones(4), size=4)
    y = np.repeat(np.arange(4), 50_000)
    observed = corrupt(y, pi, random_state=1)
    counts = np.array([[np.mean(observed[y == k] == i) for i in range(4)] for k in range(4)])
    np.testing.assert_allclose(counts, pi, atol=5 * np.sqrt(0.25 / 50_000))  # five standard errors


def test_corrupt_keeps_the_label_space_and_repeats():
    y = np.array(["cat", "dog", "eel"] * 40)
    observed = corrupt(y, pair_flip(3, 1.0), random_state=0)
    assert observed.tolist() == ["dog", "eel", "cat"] * 40
    half = [corrupt(y, symmetric(3, 0.5), random_state=7).tolist() for _ in range(2)]
    assert half[0] == half[1]
    assert (corrupt(y, np.eye(3), random_state=0) == y).all()


@given(sizes, sizes, seeds)
def test_corrupt_follows_unit_rows_and_each_sample_its_own(n_true, n_observed, seed):
    """K* true and K observed categories; with one matrix per sample, sample n's row is that of matrix n."""
    rng = np.random.RandomState(seed)
    n_true, n_observed = max(n_true, n_observed), min(n_true, n_observed)
    y = rng.permutation(np.arange(3 * n_true) % n_true)
    labels = rng.randint(n_observed, size=(len(y), n_true))
    unit = np.eye(n_observed)
    assert (corrupt(y, unit[labels[0]], random_state=0) == labels[0][y]).all()
    assert (corrupt(y, unit[labels], random_state=0) == labels[np.arange(len(y)), y]).all()


def test_one_matrix_per_sample_draws_what_one_matrix_for_all_draws():
    y, pi = np.arange(60) % 3, symmetric(3, 0.5)
    assert (corrupt(y, pi, random_state=3) == corrupt(y, np.tile(pi, (60, 1, 1)), random_state=3)).all()


def test_a_label_of_probability_zero_is_never_drawn():
    """Also where rounding leaves the row's sum below one, and the impossible label last."""

    class Highest(np.random.RandomState):
        def uniform(self, low=0.0, high=1.0, size=None):
            return np.full(size, np.nextafter(1.0, 0.0))

    pi = np.array([[0.5, 0.5 - 1e-9, 0.0]] * 3)
    assert corrupt([0, 1, 2], pi, random_state=Highest()).tolist() == [1, 1, 1]


# --- the validator ---


@given(sizes, sizes, st.lists(st.integers(1, 4), max_size=2), seeds)
def test_the_validator_returns_a_valid_stack_as_it_is(n_true, n_observed, leading, seed):
    pi = np.random.RandomState(seed).dirichlet(np.ones(n_observed), size=(*leading, n_true))
    checked = check_transition_matrix(pi, np.zeros((*leading, n_true)))
    assert checked.dtype == np.float64
    np.testing.assert_array_equal(checked, pi)


@given(sizes, seeds, st.sampled_from(["sum", "negative", "nan", "inf"]))
def test_the_validator_names_the_one_bad_row(n_classes, seed, fault):
    rng = np.random.RandomState(seed)
    pi = rng.dirichlet(np.ones(n_classes), size=n_classes)
    row, column = rng.randint(n_classes, size=2)
    pi[row, column] += {"sum": 1e-6, "negative": -2.0, "nan": np.nan, "inf": np.inf}[fault]
    where = {"sum": rf"rows \[{row}\] of pi sum to .* off by \+1e-06"}.get(fault, rf"at \[\({row}, {column}\)\]")
    with pytest.raises(ValueError, match=where):
        check_transition_matrix(pi)


def test_the_validator_takes_rounded_rows_and_integers():
    check_transition_matrix([[1, 0], [0, 1]])
    check_transition_matrix([[0.333333333, 0.333333333, 0.333333334]])  # nine decimals
    check_transition_matrix(symmetric(3, 0.2), require_symmetric=True)
    check_transition_matrix(np.eye(3)[None].repeat(2, 0), np.zeros(3))  # one row of logits, two matrices


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetric(1, 0.1), "n_classes is 1, expected at least 2"),
        (lambda: pair_flip(3, -0.1), "rate is -0.1, expected a probability"),
        (lambda: symmetric(3, 1.5), "rate is 1.5"),
        (lambda: check_transition_matrix([0.5, 0.5]), r"pi has shape \(2,\), expected \(K\*, K\)"),
        (lambda: check_transition_matrix(np.zeros((3, 0))), r"pi has shape \(3, 0\)"),
        (lambda: check_transition_matrix(-np.eye(2)), r"negative entries at \[\(0, 0\), \(1, 1\)\]: \[-1.0, -1.0\]"),
        (lambda: check_transition_matrix(np.eye(12)[:, :1]), r"rows \[1, 2, .*, 10\] and 1 more of pi sum to \[0.0,"),
        (
            lambda: check_transition_matrix([np.eye(2), np.ones((2, 2))]),
            r"rows \[\(1, 0\), \(1, 1\)\] of pi .* \+1, \+1",
        ),
        (lambda: check_transition_matrix(pair_flip(3, 0.1), require_symmetric=True), r"not symmetric.* at \[\(0, 1\)"),
        (
            lambda: check_transition_matrix(np.eye(3)[[0, 1, 2, 2]], require_symmetric=True),
            r"\(4, 3\), expected a square",
        ),
        (
            lambda: check_transition_matrix(np.eye(2), np.zeros(3)),
            "m has 3 logits and pi 2 rows, expected one logit per",
        ),
        (lambda: check_transition_matrix([np.eye(2)] * 3, np.zeros((4, 2))), r"leading axes \(4,\) and pi \(3,\)"),
        (lambda: check_transition_matrix([[2.0]], name="shares"), r"rows \[0\] of shares"),
        (lambda: corrupt([0, 1, 2], np.eye(2)), r"\(2, 2\) and y 3 classes"),
        (lambda: corrupt([0, 1], np.full((2, 3), 1 / 3)), r"\(2, 3\) and y 2 classes .* K at most 2"),
        (lambda: corrupt([0, 1, 1], [np.eye(2)] * 2), r"\(2, 2, 2\) .* 3 samples, expected \(2, K\) or \(3, 2, K\)"),
        (lambda: corrupt([0, 1], np.array([[0.5, 0.4], [0, 1]])), r"rows \[0\].*0.9.* off by -0.1"),
        (lambda: corrupt([0, 1], np.array([[1.5, -0.5], [0, 1]])), r"negative entries at \[\(0, 1\)\]: \[-0.5\]"),
        (lambda: corrupt([0, 1], np.array([[np.nan, 1.0], [0, 1]])), r"not finite at \[\(0, 0\)\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
