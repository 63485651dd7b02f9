"""Transition matrices and corruption: rates, label spaces, errors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import truncnorm

from acestimator.noise import (
    check_transition_matrix,
    class_dependent,
    corrupt,
    from_rates,
    instance_dependent,
    outside,
    pair_flip,
    symmetric,
)

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


def test_one_row_per_sample_draws_what_its_matrix_draws():
    rng = np.random.RandomState(0)
    y, pi = rng.permutation(np.arange(60) % 4), rng.dirichlet(np.ones(3), size=(60, 4))
    own_row = pi[np.arange(60), y][:, None]
    assert (corrupt(y, own_row, random_state=3) == corrupt(y, pi, random_state=3)).all()


# --- class-dependent ---


@given(sizes, rates, seeds)
def test_class_dependent_rates_average_to_the_given_one(n_classes, rate, seed):
    pi = check_transition_matrix(class_dependent(n_classes, rate, seed))
    assert pi.shape == (n_classes, n_classes)
    own = 1 - np.diag(pi)
    assert own.mean() == pytest.approx(rate, abs=1e-12)
    assert np.abs(own - rate).max() <= min(rate, 1 - rate) + 1e-12
    np.testing.assert_array_equal(pi, class_dependent(n_classes, rate, np.random.RandomState(seed)))


def test_class_dependent_categories_differ_in_rates_and_confusions():
    pi = class_dependent(6, 0.4, 0)
    confusions = pi / (1 - np.diag(pi))[:, None]
    assert np.ptp(np.diag(pi)) > 0.1
    assert np.abs(confusions - 1 / 5)[~np.eye(6, dtype=bool)].max() > 0.2
    assert (class_dependent(6, 0.4, 1) != pi).any()
    y = np.repeat(np.arange(6), 20_000)
    wrong = (corrupt(y, pi, random_state=0) != y).reshape(6, -1).mean(axis=1)
    np.testing.assert_allclose(wrong, 1 - np.diag(pi), atol=5 * np.sqrt(0.25 / 20_000))


def test_given_rates_and_confusions():
    pi = from_rates([0.1, 0.5, 0.0], [[0, 1, 0], [0.2, 0, 0.8], [1, 0, 0]])
    np.testing.assert_allclose(pi, [[0.9, 0.1, 0], [0.1, 0.5, 0.4], [0, 0, 1]])
    np.testing.assert_allclose(from_rates([0.2] * 4), symmetric(4, 0.2))


# --- instance-dependent ---


def features_and_labels(n_samples=4000, n_classes=5, seed=0, scale=0.5):
    rng = np.random.RandomState(seed)
    return scale * rng.normal(size=(n_samples, 6)), rng.permutation(np.arange(n_samples) % n_classes)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.4, 1.0])
def test_instance_dependent_rates_are_truncated_normal(rate):
    X, y = features_and_labels()
    pi = check_transition_matrix(instance_dependent(X, y, rate, random_state=0))
    assert pi.shape == (len(y), 1, 5)
    q = 1 - pi[np.arange(len(y)), 0, y]
    law = truncnorm(-rate / 0.1, (1 - rate) / 0.1, loc=rate, scale=0.1)
    assert ((q >= 0) & (q <= 1)).all()
    assert q.mean() == pytest.approx(law.mean(), abs=5 * law.std() / len(y) ** 0.5)
    assert q.std() == pytest.approx(law.std(), rel=0.06)  # five standard errors of a normal's
    if rate in (0.1, 0.2):
        assert law.mean() == pytest.approx({0.1: 0.129, 0.2: 0.206}[rate], abs=5e-4)  # as documented
    wrong = (corrupt(y, pi, random_state=0) != y).mean()  # one seed for both
    assert wrong == pytest.approx(law.mean(), abs=5 * (0.25 / len(y)) ** 0.5)


def test_instance_dependent_draws_follow_the_samples_own_rates_with_one_seed_for_both():
    """A sample's rate and its draw are two numbers: each quarter of the rates has as many wrong labels as it says."""
    X, y = features_and_labels(40_000)
    pi = instance_dependent(X, y, 0.4, random_state=0)
    q, wrong = 1 - pi[np.arange(len(y)), 0, y], corrupt(y, pi, random_state=0) != y
    for members in np.array_split(np.argsort(q), 4):
        assert wrong[members].mean() == pytest.approx(q[members].mean(), abs=5 * (0.25 / len(members)) ** 0.5)


def test_instance_dependent_wrong_labels_are_a_softmax_of_the_features():
    """The log ratios of wrong labels are linear in x, by weights of the true category that are standard normal."""
    X, y = features_and_labels(5000, n_classes=8)
    pi = instance_dependent(X, y, 0.4, random_state=1)[:, 0]
    entries = []
    for k in range(8):
        members, others = y == k, [i for i in range(8) if i != k]
        log_ratios = np.log(pi[members][:, others[1:]]) - np.log(pi[members][:, others[:1]])
        W, residuals, _, _ = np.linalg.lstsq(X[members], log_ratios, rcond=None)  # w_i - w_first, for each i
        assert residuals.max() < 1e-18 * members.sum()
        logits = np.hstack([np.zeros((members.sum(), 1)), X[members] @ W])
        rate = 1 - pi[members, k]
        np.testing.assert_allclose(pi[members][:, others], rate[:, None] * softmax(logits, axis=1), atol=1e-12)
        entries.append(W)
    # Differences of two standard normals, 6 (D) x 7 x 8 of them, but correlated in each row
    assert np.var(entries) == pytest.approx(2.0, rel=0.3)


def test_instance_dependent_gives_long_samples_one_wrong_label_and_takes_images_and_strings():
    X, y = features_and_labels(200, n_classes=4, scale=255.0)
    names = np.array(["a", "b", "c", "d"])
    pi = instance_dependent(X, y, 0.4, random_state=0)
    np.testing.assert_array_equal(pi, instance_dependent(X.reshape(200, 1, 2, 3), names[y], 0.4, random_state=0))
    wrong = np.sort(pi[:, 0] * (np.arange(4) != y[:, None]), axis=1)[:, ::-1]
    assert np.median(wrong[:, 0] / wrong.sum(axis=1)) > 0.999
    assert set(corrupt(names[y], pi, random_state=0)) == set(names)
    assert (instance_dependent(X, y, 0.4, random_state=1) != pi).any()


def test_instance_dependent_does_not_depend_on_other_samples_features():
    X, y = features_and_labels(50)
    changed = X.copy()
    changed[7] += 1.0
    before, after = instance_dependent(X, y, 0.3, 0), instance_dependent(changed, y, 0.3, 0)
    assert np.flatnonzero((before != after).any(axis=(1, 2))).tolist() == [7]


# --- outside of the category set ---


def test_outside_categories_get_any_label_alike():
    pi = outside(4)
    np.testing.assert_array_equal(pi, np.vstack([np.eye(4), np.full((1, 4), 0.25)]))
    y = np.arange(5).repeat(10_000)
    observed = corrupt(y, pi, random_state=0)
    assert (observed[y < 4] == y[y < 4]).all()
    counts = np.bincount(observed[y == 4], minlength=5) / 10_000
    np.testing.assert_allclose(counts, [0.25] * 4 + [0], atol=5 * np.sqrt(0.25 / 10_000))


def test_outside_takes_distributions_and_a_process_within():
    pi = outside(3, [[0, 1, 0], [0.5, 0, 0.5]], within=pair_flip(3, 0.2))
    np.testing.assert_array_equal(pi, np.vstack([pair_flip(3, 0.2), [[0, 1, 0], [0.5, 0, 0.5]]]))


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
        (lambda: symmetric(2.5, 0.1), "n_classes is 2.5, expected at least 2, a whole number"),
        (lambda: symmetric(3, "0.1"), "rate is '0.1', expected a probability"),
        (lambda: pair_flip(3, 20), r"rate is 20, expected a probability .* 0.2 for 20 %"),
        (lambda: class_dependent(1, 0.1), "n_classes is 1, expected at least 2"),
        (lambda: class_dependent(3, 1.1), "rate is 1.1, expected a probability"),
        (lambda: from_rates([0.1, 1.1]), "rates is .* between 0 and 1"),
        (lambda: from_rates(["a", "b"]), "rates is .* between 0 and 1"),
        (lambda: from_rates([0.1, 0.2], np.eye(2)), "the right one is none of them"),
        (lambda: instance_dependent(np.ones((3, 2)), [0, 1], 0.1), "X has 3 samples and y 2 labels"),
        (lambda: instance_dependent(np.ones((2, 2)), [0, 1], -0.1), "rate is -0.1, expected a probability"),
        (lambda: instance_dependent(np.ones((2, 2)), [0, 0], 0.1), "n_classes is 1"),
        (
            lambda: instance_dependent([[1.0], [np.nan]], [0, 1], 0.1),
            r"X has entries that are not finite at \[\(1, 0\)\]: \[nan\]; fill the gaps",
        ),
        (lambda: instance_dependent([["a"], ["b"]], [0, 1], 0.1), "X has dtype <U1, expected numbers .*'a'.* encode"),
        (lambda: instance_dependent(np.ones((2, 2)), [0, np.nan], 0.1), r"y has missing labels at \[1\]: \[nan\]"),
        (lambda: outside(1), "n_classes is 1, expected at least 2"),
        (lambda: outside(2.0), "n_classes is 2.0"),
        (lambda: outside(3, [[0.5, 0.5]]), r"distributions \(1, 2\), expected \(3, 3\) and \(K\* - K, 3\)"),
        (lambda: outside(2, [[0.5, 0.6]]), r"rows \[0\] of distributions sum to \[1.1\], off by \+0.1"),
        (lambda: outside(2, within=np.eye(3)), r"within has shape \(3, 3\)"),
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
        (lambda: corrupt(np.array(["a", None, "b"], dtype=object), np.eye(2)), r"y has missing labels at \[1\]: \[N"),
        (lambda: corrupt(np.array(["a", pd.NA], dtype=object), np.eye(2)), r"missing labels at \[1\].*leave these"),
        (
            lambda: corrupt([0, 1], "symmetric"),
            r"pi is 'symmetric', expected a matrix of probabilities, such as symmetric\(",
        ),
        (lambda: corrupt([0, 1], [[1.0], [0.5, 0.5]]), r"pi is \[\[1.0\], .*, expected a matrix of probabilities"),
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
