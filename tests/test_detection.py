"""Gauges, scores and Algorithm 2, the last against a slow transcription of the paper's pseudocode."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, logsumexp

from acestimator import detection

reals = st.floats(-20, 20, width=32)
tables = st.integers(1, 25).flatmap(
    lambda n: st.integers(2, 6).flatmap(lambda k: arrays(np.float64, (n, k), elements=reals))
)


def algorithm_2(alpha, tau):
    """The pseudocode of A.4, line by line, with dictionaries for "delete from"."""
    n_samples = len(alpha)
    standardized = [[a - sum(row) / len(row) for a in row] for row in alpha.tolist()]
    alpha_max = {n: max(row) for n, row in enumerate(standardized)}
    alpha_min = {n: min(row) for n, row in enumerate(standardized)}
    listed, n_miss = [], tau * n_samples / 100
    while len(listed) < n_miss:
        n = max(alpha_max, key=lambda i: (alpha_max[i], -i))
        del alpha_max[n]
        if n not in listed:
            listed.append(n)
        if len(listed) < n_miss:
            n = min(alpha_min, key=lambda i: (alpha_min[i], i))
            del alpha_min[n]
            if n not in listed:
                listed.append(n)
    return listed


# Quarters are exact in binary, as is their mean over 2 or 4 categories: ties are then ties on both sides.
quarters = st.integers(1, 25).flatmap(
    lambda n: st.sampled_from([2, 4]).flatmap(
        lambda k: arrays(np.float64, (n, k), elements=st.integers(-8, 8).map(lambda i: i / 4))
    )
)


@given(quarters, st.integers(0, 100))
def test_find_mislabeled_is_algorithm_2(alpha, percent):
    assert detection.find_mislabeled(alpha, percent).tolist() == algorithm_2(alpha, percent)


@pytest.mark.parametrize(
    ("n_samples", "percent", "n_listed"), [(1000, 0.7, 7), (300, 0.5, 2), (10, 0, 0), (10, 100, 10)]
)
def test_length_of_the_list(n_samples, percent, n_listed):
    alpha = np.random.RandomState(0).normal(size=(n_samples, 3))
    found = detection.find_mislabeled(alpha, percent)
    assert len(found) == n_listed == len(set(found.tolist()))
    assert n_listed == math.ceil(round(n_samples * percent / 100, 9))


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan"), "ten"])
def test_find_mislabeled_rejects_a_percent_out_of_range(percent):
    with pytest.raises(ValueError, match="expected a number between 0 and 100"):
        detection.find_mislabeled(np.zeros((3, 2)), percent)


@pytest.mark.parametrize(
    ("alpha", "message"),
    [(np.zeros(3), r"alpha has shape \(3,\), expected \(N, K\)"), ([[0, 1], [np.nan, 0]], "in 1 rows, such as 1")],
)
def test_what_is_no_matrix_of_numbers_has_no_order(alpha, message):
    for read in (detection.find_mislabeled, detection.max_min_ranks):
        with pytest.raises(ValueError, match=message):
            read(np.array(alpha))


@given(tables, reals)
def test_ranks_and_scores_do_not_depend_on_the_gauge(alpha, shift):
    rng = np.random.RandomState(0)
    logits, labels = rng.normal(size=alpha.shape), rng.randint(alpha.shape[1], size=len(alpha))
    moved = alpha + shift * rng.normal(size=(len(alpha), 1))
    np.testing.assert_allclose(
        detection.observed_score(moved, logits, labels), detection.observed_score(alpha, logits, labels), atol=1e-10
    )
    np.testing.assert_allclose(detection.mean_centered_gauge(moved), detection.mean_centered_gauge(alpha), atol=1e-11)


@given(tables)
def test_each_gauge_is_what_it_says_and_leaves_the_softmax_alone(alpha):
    logits = np.random.RandomState(1).normal(size=alpha.shape)
    gauged = {
        "first": detection.first_zero_gauge(alpha),
        "mean": detection.mean_centered_gauge(alpha),
        "partition": detection.partition_gauge(alpha, logits),
    }
    np.testing.assert_array_equal(gauged["first"][:, 0], 0)
    np.testing.assert_allclose(gauged["mean"].mean(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(logsumexp(logits + gauged["partition"], axis=1), logsumexp(logits, axis=1), atol=1e-12)
    for constants in gauged.values():
        np.testing.assert_allclose(
            log_softmax(logits + constants, axis=1), log_softmax(logits + alpha, axis=1), atol=1e-11
        )


def test_the_score_is_what_the_constants_add_to_the_log_probability():
    rng = np.random.RandomState(2)
    alpha, logits, labels = rng.normal(size=(9, 4)), rng.normal(size=(9, 4)), rng.randint(4, size=9)
    added = (log_softmax(logits + alpha, axis=1) - log_softmax(logits, axis=1))[np.arange(9), labels]
    np.testing.assert_allclose(detection.observed_score(alpha, logits, labels), added, atol=1e-14)


# ---------------------------------------------------------------- arrays of numpy and of torch


PUBLIC = {
    name: function
    for name, function in vars(detection).items()
    if inspect.isfunction(function) and function.__module__ == detection.__name__ and not name.startswith("_")
}
# Of these numpy's arrays come out, whatever goes in; of all others what went in.
POSITIONS = {"find_mislabeled", "max_min_ranks"}


@st.composite
def arguments(draw):
    """What the public functions take, by the names of their parameters."""
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    labels = arrays(np.int64, n, elements=st.integers(0, k - 1))
    return {
        "alpha": draw(arrays(np.float64, (n, k), elements=reals)),
        "logits": draw(arrays(np.float64, (n, k), elements=reals)),
        "labels": draw(labels),
        "predicted": draw(labels),
        "mislabel_proba": draw(arrays(np.float64, n, elements=st.floats(0.01, 0.99))),
        "values": draw(arrays(np.float64, n, elements=reals)),
        "order": draw(arrays(np.float64, n, elements=reals)),
        "weight": draw(arrays(np.float64, n, elements=st.floats(0.1, 10.0))),
        "share": draw(arrays(np.float64, n, elements=st.floats(0.0, 1.0))),
        "percent": draw(st.floats(0, 100)),
    }


def as_tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", PUBLIC)
@given(data=st.data())
def test_arguments_by_place_and_by_name_of_numpy_and_of_torch_give_the_same(name, data):
    function, known = PUBLIC[name], data.draw(arguments())
    values = {parameter: known[parameter] for parameter in inspect.signature(function).parameters}
    expected = function(*values.values())
    for convert, kind in ((lambda value: value, np.ndarray), (as_tensor, torch.Tensor)):
        for n_places in range(len(values) + 1):
            places = [convert(value) for value in list(values.values())[:n_places]]
            names = {name: convert(values[name]) for name in list(values)[n_places:]}
            found = function(*places, **names)
            if isinstance(expected, np.ndarray):
                assert isinstance(found, np.ndarray if name in POSITIONS else kind)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["partition_gauge", "observed_score"])
@given(data=st.data())
def test_arrays_of_both_kinds_give_a_tensor(name, data):
    known = data.draw(arguments())
    values = {parameter: known[parameter] for parameter in inspect.signature(PUBLIC[name]).parameters}
    expected = PUBLIC[name](*values.values())
    for tensor in values:
        if isinstance(values[tensor], np.ndarray):
            found = PUBLIC[name](**{**values, tensor: as_tensor(values[tensor])})
            assert isinstance(found, torch.Tensor)
            np.testing.assert_array_equal(found, expected)


def test_arrays_that_torch_cannot_share_are_copied():
    alpha = np.random.RandomState(3).normal(size=(5, 3))
    frozen = alpha[::-1]
    frozen.flags.writeable = False
    np.testing.assert_array_equal(detection.first_zero_gauge(frozen), detection.first_zero_gauge(alpha)[::-1])


def test_labels_may_be_names():
    suggested = detection.suggested_labels(np.array(["a", "b"]), np.array(["c", "c"]), np.array([0.9, 0.1]))
    assert suggested.tolist() == ["c", "b"]


def test_constants_that_are_trained_are_read_as_well():
    alpha = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = detection.find_mislabeled(alpha.detach().numpy(), 50)
    np.testing.assert_array_equal(detection.find_mislabeled(alpha, 50), expected)
    assert detection.mean_centered_gauge(alpha).requires_grad


# ---------------------------------------------------------------- ranks and labels


def test_ranks_are_percentiles_and_ties_share_the_better_one():
    alpha = np.array([[0.0, 2.0], [0.0, 6.0], [0.0, 2.0], [0.0, 0.0]])
    max_rank, min_rank = detection.max_min_ranks(alpha)
    np.testing.assert_allclose(max_rank, [50, 25, 50, 100])
    np.testing.assert_allclose(min_rank, [50, 25, 50, 100])


@given(st.integers(0, 1000), st.integers(1, 30))
def test_values_in_the_order_of_others_are_these_values_where_there_are_no_ties(seed, n_samples):
    rng = np.random.RandomState(seed)
    values, order = rng.normal(size=(2, n_samples))
    found = detection.in_order_of(values, order)
    np.testing.assert_allclose(np.sort(found), np.sort(values), rtol=1e-12)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(order))
    np.testing.assert_allclose(detection.in_order_of(values, values), values, rtol=1e-12)
    np.testing.assert_allclose(detection.in_order_of(values, np.exp(order)), found, rtol=1e-12)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_values_in_the_order_of_others_are_equal_where_those_are_and_weights_are_copies(seed, n_samples):
    rng = np.random.RandomState(seed)
    values, order = rng.randint(0, 5, size=(2, n_samples)).astype(float)
    copies = rng.randint(1, 4, size=n_samples)
    rows = np.repeat(np.arange(n_samples), copies)
    found = detection.in_order_of(values, order, copies)
    np.testing.assert_allclose(detection.in_order_of(values[rows], order[rows]), found[rows], rtol=1e-12, atol=1e-12)
    for n in range(n_samples):
        assert len(set(found[order == order[n]])) == 1
        assert found[n] >= found[order < order[n]].max(initial=-np.inf)
    assert values.min() <= found.min() <= found.max() <= values.max()
    assert (detection.in_order_of(np.full(n_samples, 3.0), order, copies) == 3.0).all()


def test_suggested_labels_follow_the_network_above_one_half_only():
    suggested = detection.suggested_labels(np.array([0, 0, 0]), np.array([1, 1, 1]), np.array([0.51, 0.5, 0.49]))
    assert suggested.tolist() == [1, 0, 0]


def test_a_label_is_changed_only_to_one_that_is_likelier_right():
    """Wrong with probability .6; then the network's label is right with .7, which is .42 against .4, or with .6."""
    suggested = detection.suggested_labels(np.zeros(2), np.ones(2), np.full(2, 0.6), np.array([0.7, 0.6]))
    assert suggested.tolist() == [1, 0]


def test_integer_tables_are_read_as_numbers():
    alpha = np.array([[3, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(detection.find_mislabeled(alpha, 100), detection.find_mislabeled(alpha + 0.0, 100))
