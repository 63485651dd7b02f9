"""Labels to codes and back; samples of weight 0 take no part and keep what they were given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.estimators.labels import TrainingLabels

KINDS = [
    np.array(["ape", "bee", "cow"]),
    np.array(["ape", "bee", "a longer name"], dtype=object),
    np.array([-7, 3, 100]),
    np.array([0.0, 1.0, 2.0]),
    np.array([False, True, True]),
]
tables = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 3.0])), min_size=2, max_size=12)


@given(tables, st.sampled_from(KINDS), st.booleans())
def test_decoded_codes_are_the_labels_that_were_given(table, names, weighted):
    codes, weight = map(np.array, zip(*table, strict=True))
    y = names[codes]
    used = weight > 0 if weighted else np.ones(len(y), dtype=bool)
    if len(set(y[used])) < 2:
        return
    labels = TrainingLabels.encode(y, weight if weighted else None)
    assert labels.classes.tolist() == sorted(set(y[used]))
    np.testing.assert_array_equal(labels.classes[labels.codes], y[used])
    np.testing.assert_array_equal(labels.decode(labels.codes), y)
    assert labels.decode(labels.codes).dtype == y.dtype
    turned = labels.decode((labels.codes + 1) % len(labels.classes))
    np.testing.assert_array_equal(turned != y, used)
    if weighted:
        np.testing.assert_array_equal(labels.weight, weight[used])
    values = np.arange(2.0 * used.sum()).reshape(-1, 2) + 1
    scattered = labels.scatter(values, -1.0)
    np.testing.assert_array_equal(scattered[used], values)
    assert (scattered[~used] == -1.0).all()


def test_where_all_are_used_nothing_is_copied():
    labels = TrainingLabels.encode(np.array([1, 0, 1]), np.ones(3))
    assert labels.used is None
    values = np.zeros((3, 2))
    assert labels.scatter(values, 1.0) is values


def test_a_longer_label_of_weight_zero_is_not_cut_off():
    y = np.array(["a", "b", "a very long name"])
    labels = TrainingLabels.encode(y, np.array([1.0, 1.0, 0.0]))
    assert labels.decode(labels.codes).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (np.ones(4), None, r"the one class 1\.0, expected at least 2 classes"),
        (np.array([0, 1, 0]), np.array([1.0, 0.0, 1.0]), "the one class 0 once the 1 samples of weight 0 are left out"),
        (np.array([0, 1]), np.zeros(2), "no class at all once the 2 samples of weight 0 are left out"),
        (np.array([0.1, 0.7]), None, "Unknown label type"),
    ],
)
def test_labels_that_nothing_can_be_learned_from(y, weight, message):
    with pytest.raises(ValueError, match=message):
        TrainingLabels.encode(y, weight)
