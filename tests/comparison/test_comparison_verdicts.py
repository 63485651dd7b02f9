"""Tests of differences against references, and each target reached and missed on made-up records."""

import re

import numpy as np
import pytest
from comparison_records import SEEDS, ideal, over_seeds, record
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from acestimator.comparison import Comparison, verdicts
from acestimator.comparison.verdicts import holm, p_below


@given(st.lists(st.sampled_from([0.001, 0.004, 0.0125, 0.02, 0.025, 0.05, 0.2, 1.0]), max_size=8))
def test_holm_against_adjusted_p_values(p_values):
    rejected = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        assert rejected[i] == (largest <= 0.05 + 1e-15)


def test_holm_stops_at_the_first_that_is_not_rejected():
    np.testing.assert_array_equal(holm([0.03, 0.01, 0.04]), [False, True, False])
    np.testing.assert_array_equal(holm([0.049]), [True])


def test_p_value_is_the_one_sided_paired_t_tests():
    rng = np.random.RandomState(0)
    a, b = rng.normal(size=(2, 5))
    assert p_below(a - b) == pytest.approx(ttest_rel(a, b, alternative="less").pvalue)
    assert p_below(b - a) == pytest.approx(1 - p_below(a - b))


def test_p_value_of_equal_differences():
    assert p_below(np.full(5, -0.01)) == 0  # the same each time: nothing is surer
    assert p_below(np.array([0.93 - 0.94, 0.92 - 0.93, 0.91 - 0.92])) == 0  # though not to the last bit
    assert p_below(np.full(5, 0.01)) == 1
    assert p_below(np.zeros(5)) == 1
    assert p_below(np.array([-0.5])) == 1
    assert p_below(np.empty(0)) == 1


# ---------------------------------------------------------------- verdicts


def judged(records):
    found = {v.what: v for v in verdicts(Comparison(list(records.values())))}
    assert len(found) == len(verdicts(Comparison(list(records.values()))))
    return found


def change(metric, by, method="AutoCleansing", dataset=None, process=None, to=None):
    """Records with the metric of one method moved, or set, where it was measured."""
    records = ideal()
    for (m, d, p, _), values in records.items():
        if m == method and dataset in (None, d) and process in (None, p) and metric in values:
            values[metric] = values[metric] + by if to is None else to
    return records


def test_all_targets_reached():
    for what, verdict in judged(ideal()).items():
        assert verdict.reached is True, what
        assert str(verdict).startswith("reached")


@pytest.mark.parametrize(
    ("missed", "records", "measured"),
    [
        ("settings significantly below", change("accuracy", 0.016, "gce", "digits", "pair_30"), "pair_30 .best: gce."),
        # Two of six settings 0.4 points below, which is 67 %.
        (
            "settings at most 0.3 points below",
            change("accuracy", 0.014, "gce", None, "pair_30"),
            r"67% of 6 settings of 5 seeds \(worst: \w+ pair_30, -0.40 against gce\)",
        ),
        ("average lead over the single best peer", change("accuracy", 0.0051, "gce"), r"\+0.49 \(gce\)"),
        ("oracle, symmetric and pair", change("accuracy", -0.04, "AutoCleansing", None, "pair_30"), "0.909, mean of 4"),
        ("oracle, instance", change("accuracy", -0.04, "AutoCleansing", None, "instance_40"), "mean of 2"),
        ("digits, clean, less plain", change("accuracy", -0.0031, "AutoCleansing", "digits", "none"), "-0.31"),
        ("AUROC less cleanlab's", change("auroc", 0.0181, "cleanlab", "digits", "pair_30"), "-0.0031 at worst .digits"),
        ("AUROC less aum's", change("auroc", 0.0151, "aum"), "-0.0001 on average of 6"),
        ("AUROC, digits pair 30 %", change("auroc", -0.006, "AutoCleansing", "digits", "pair_30"), "0.989, mean of 5"),
        ("F1 of the flagged set", change("f1 both", 0.11, "cleanlab"), r"0.900 against 0.910 \(both\), 6 settings"),
        ("noise rate is within", change("noise_rate", 0.011, "AutoCleansing", None, "pair_30"), "0.750, mean of 8"),
        ("calibration error", change("ece", 0.011), "0.051"),
        ("time against plain", change("seconds", 0.11), "1.11"),
    ],
)
def test_each_target_missed(missed, records, measured):
    found = judged(records)
    (verdict,) = [v for what, v in found.items() if missed in what]
    assert verdict.reached is False
    assert str(verdict).startswith("MISSED")
    assert re.search(measured, verdict.measured), verdict.measured


def test_single_changes_miss_nothing_else():
    for metric, by in (("ece", 0.011), ("seconds", 0.11), ("noise_rate", 0.02)):
        assert sum(v.reached is False for v in judged(change(metric, by)).values()) == 1


def test_limits_are_reached():
    assert judged(change("accuracy", 0.005, "gce"))["average lead over the single best peer"].reached
    assert judged(change("accuracy", -0.003, "AutoCleansing", "digits", "none"))["digits, clean, less plain"].reached
    assert judged(change("accuracy", 0.013, "gce"))["settings at most 0.3 points below their best peer"].reached
    assert judged(change("seconds", 0.1))["time against plain cross-entropy"].reached
    assert judged(change("ece", 0.01))["calibration error of mislabel_proba_"].reached


def test_a_small_but_certain_loss_is_significant_and_an_uncertain_one_is_not():
    values = {"AutoCleansing": np.full(5, 0.90), "gce": 0.901 + 0.0001 * np.arange(5), "elr": np.array([0.8] * 5)}
    records = [r for m, v in values.items() for r in over_seeds(v, m)]
    what = "settings significantly below their best peer"
    assert next(v for v in verdicts(Comparison(records)) if v.what == what).reached is False
    values["gce"] = 0.901 + np.array([-0.02, 0.02, -0.01, 0.01, 0.0])
    records = [r for m, v in values.items() for r in over_seeds(v, m)]
    assert next(v for v in verdicts(Comparison(records)) if v.what == what).reached is True


def test_nothing_measured():
    for records in ([], [record("gce", accuracy=0.9)], over_seeds([0.9] * 5, "AutoCleansing")):
        for verdict in verdicts(Comparison(records)):
            assert verdict.reached is None
            assert "not measured" in str(verdict)


def test_a_peer_with_some_of_the_seeds_is_no_match():
    records = ideal()
    for key in [k for k in records if k[0] == "gce" and k[3] > 0]:
        del records[key]
    records["gce", "digits", "pair_30", 0]["accuracy"] = 1.0  # lucky once
    found = judged(records)
    assert found["settings significantly below their best peer"].reached
    assert "(cleanlab; not in all: gce)" in found["average lead over the single best peer"].measured


def test_a_setting_that_is_not_possible_is_not_judged():
    records = ideal()
    for method in {key[0] for key in records}:
        for seed in SEEDS:
            records[method, "breast_cancer", "outside_20", seed] = record(
                method, "breast_cancer", "outside_20", seed, not_possible="two classes"
            )
    assert all(v.reached for v in judged(records).values())
    for seed in SEEDS:
        records["gce", "digits", "pair_30", seed] = record("gce", "digits", "pair_30", seed, error="ValueError: no")
    assert all(v.reached for v in judged(records).values())
