"""Statistics of records against references."""

import numpy as np
import pytest
from comparison_records import over_seeds, record
from scipy.stats import sem

from acestimator.comparison import Comparison, cells
from acestimator.comparison.results import gap_closed, relative_seconds


def test_means_errors_and_paired_differences():
    a, b = [0.9, 0.91, 0.95, 0.93], [0.9, 0.89, 0.96]
    c = Comparison([*over_seeds(a, "x"), *over_seeds(b, "y")[::-1], record("y", seed=3, error="no")])
    setting = ("digits", "symmetric_20")
    assert c.mean("accuracy", "x", setting) == pytest.approx(np.mean(a))
    assert c.standard_error("accuracy", "x", setting) == pytest.approx(sem(a))
    np.testing.assert_allclose(c.difference("accuracy", "x", "y", setting), np.subtract(a[:3], b))
    assert np.isnan(c.mean("auroc", "x", setting))
    assert np.isnan(c.standard_error("accuracy", "z", setting))


def test_gap_closed_is_on_seeds_that_all_have():
    c = Comparison(
        [*over_seeds([0.7, 0.9], "cross_entropy"), *over_seeds([0.9, 1.0], "oracle"), *over_seeds([0.85], "x")]
    )
    assert gap_closed(c, "x", ("digits", "symmetric_20")) == pytest.approx(0.75)
    assert gap_closed(c, "oracle", ("digits", "symmetric_20")) == 1
    assert np.isnan(gap_closed(c, "y", ("digits", "symmetric_20")))
    no_gap = Comparison([*over_seeds([0.9], "cross_entropy"), *over_seeds([0.9], "oracle")])
    assert np.isnan(gap_closed(no_gap, "cross_entropy", ("digits", "symmetric_20")))


def test_relative_seconds_pairs_seeds():
    seconds = {"cross_entropy": [1.0, 10.0, 2.0], "x": [2.0, 30.0, 8.0]}
    c = Comparison([record(m, seed=i, seconds=s) for m, values in seconds.items() for i, s in enumerate(values)])
    assert relative_seconds(c, "x") == 3.0


def test_the_order_of_records_does_not_matter():
    wanted = list(
        cells(["own", "iris", "digits"], ["outside_20", "symmetric_40", "symmetric_20", "none"], [0], ["gce"])
    )
    records = [record(c.method, c.dataset, c.process) for c in wanted] + [record("AutoCleansing"), record("oracle")]
    c = Comparison(records)
    assert c.datasets == ["digits", "iris", "own"]
    assert [p for d, p in c.settings if d == "own"] == ["none", "symmetric_20", "symmetric_40", "outside_20"]
    assert c.methods == ["AutoCleansing", "oracle", "gce"]
    assert c.peers == ["gce"]
    assert Comparison(records[::-1]).settings == c.settings
