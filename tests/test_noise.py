"""Transition matrices and corruption: rates, label spaces, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.noise import corrupt, pair_flip, symmetric

rates, sizes = st.floats(0, 1), st.integers(2, 30)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetric(1, 0.1), "n_classes is 1, expected at least 2"),
        (lambda: pair_flip(3, -0.1), "rate is -0.1, expected a probability"),
        (lambda: symmetric(3, 1.5), "rate is 1.5"),
        (lambda: corrupt([0, 1, 2], np.eye(2)), r"\(2, 2\) and y 3 classes"),
        (lambda: corrupt([0, 1], np.array([[0.5, 0.4], [0, 1]])), r"rows \[0\].*0.9"),
        (lambda: corrupt([0, 1], np.array([[1.5, -0.5], [0, 1]])), r"rows \[0\] of pi have negative"),
        (lambda: corrupt([0, 1], np.array([[np.nan, 1.0], [0, 1]])), r"rows \[0\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
