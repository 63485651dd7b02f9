"""One run of a method: metrics against their definitions, parameters that are not the defaults, cleanlab."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator import AutoCleansingClassifier
from acestimator.comparison import available, runs
from acestimator.comparison.runs import CLEANLAB_FILTERS, calibration_error, detection_metrics, run_method
from acestimator.comparison.tasks import NotPossibleError, Task, load, make_task

# ---------------------------------------------------------------- metrics of a run


def test_detection_metrics_against_their_definitions():
    rng = np.random.RandomState(0)
    is_wrong = rng.uniform(size=200) < 0.3
    scores = np.round(is_wrong + rng.normal(size=200), 1)  # with ties
    proba = np.clip(0.3 * is_wrong + rng.uniform(0, 0.7, size=200), 0, 1)
    found = detection_metrics(is_wrong, scores, proba, {"f1 all": np.ones(200, dtype=bool)})
    pairs = scores[is_wrong][:, None] - scores[~is_wrong]
    assert found["auroc"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    precision, recall = [], []
    for threshold in np.unique(scores)[::-1]:
        flagged = scores >= threshold
        precision.append(is_wrong[flagged].mean())
        recall.append((flagged & is_wrong).sum() / is_wrong.sum())
    steps = np.diff([0, *recall])
    assert found["average_precision"] == pytest.approx(np.sum(steps * precision))
    flagged = proba > 0.5
    assert found["f1"] == pytest.approx(2 * (flagged & is_wrong).sum() / (flagged.sum() + is_wrong.sum()))
    assert found["f1 all"] == pytest.approx(2 * is_wrong.sum() / (200 + is_wrong.sum()))
    assert found["true_rate"] == is_wrong.mean()


def test_where_all_labels_are_right_nothing_can_be_found():
    found = detection_metrics(np.zeros(10, dtype=bool), np.arange(10), np.full(10, 0.1), {"f1 x": np.ones(10, bool)})
    assert found == {"true_rate": 0.0, "ece": pytest.approx(0.1)}


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_calibration_error_bin_by_bin(samples, n_bins):
    proba, wrong = (np.array(column) for column in zip(*samples, strict=True))
    expected, place = 0.0, np.minimum((proba * n_bins).astype(int), n_bins - 1)
    for k in range(n_bins):
        members = place == k
        if members.any():
            expected += members.mean() * abs(proba[members].mean() - wrong[members].mean())
    assert calibration_error(proba, wrong, n_bins) == pytest.approx(expected, abs=1e-12)


def test_calibrated_probabilities_have_no_calibration_error():
    wrong = np.arange(1000) % 4 == 0
    assert calibration_error(np.full(1000, 0.25), wrong) == pytest.approx(0, abs=1e-12)
    assert calibration_error(wrong.astype(float), wrong) == 0
    assert calibration_error(1.0 - wrong, wrong) == 1


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def task():
    return make_task(load("iris", 0), "symmetric_20", 0)


FAST = {"max_epochs": 3}


def test_a_run_is_the_estimators_fit(task):
    found = run_method("AutoCleansing", task, 4, FAST)
    clf = AutoCleansingClassifier(random_state=4, **FAST).fit(task.X_train, task.observed)
    assert found["accuracy"] == clf.score(task.X_test, task.y_test)
    assert found["noise_rate"] == clf.noise_rate_
    assert found["auroc"] == detection_metrics(task.is_wrong, clf.mislabel_scores_)["auroc"]
    assert found["seconds"] > 0
    assert set(found) == {"seconds", "accuracy", "noise_rate", "true_rate", "auroc", "average_precision", "ece", "f1"}


def test_the_oracle_sees_the_right_labels_only(task):
    hidden = Task(np.where(task.is_wrong[:, None], 1e3, task.X_train), *list(vars(task).values())[1:])
    assert run_method("oracle", task, 0, FAST)["accuracy"] == run_method("oracle", hidden, 0, FAST)["accuracy"]
    assert set(run_method("oracle", task, 0, FAST)) == {"seconds", "accuracy"}


def test_labels_as_given(task):
    unknown = Task(task.X_train, task.observed, None, task.X_test, task.y_test)
    assert set(run_method("gce", unknown, 0, FAST)) == {"seconds", "accuracy", "noise_rate"}
    with pytest.raises(NotPossibleError, match="nobody knows"):
        run_method("oracle", unknown, 0)


def test_parameters_that_are_not_the_defaults(task):
    def parameters(method, of):
        return runs._estimator(method, of, 0, {}).get_params()

    assert parameters("co_teaching", task)["params"] == {"noise_rate": task.is_wrong.mean()}
    assert (
        parameters("co_teaching", Task(task.X_train, task.observed, None, task.X_test, task.y_test))["params"] is None
    )
    assert parameters("trimmed", task)["params"] == {"percent": None}
    assert parameters("sop, rates of 100", task)["params"] == {"lr_u": 100.0, "lr_v": 100.0}
    assert parameters("sop", task)["params"] is None
    assert parameters("AutoCleansing AC2", task)["variant"] == "AC2"
    for method in set(available()) - {"cleanlab", "oracle", "AutoCleansing", "AutoCleansing AC2", "sop, rates of 100"}:
        assert parameters(method, task)["method"] == method


def test_cleanlab_has_a_flagged_set_for_each_filter(task):
    pytest.importorskip("cleanlab")
    found = run_method("cleanlab", task, 0, {"max_epochs": 20})
    assert {f"f1 {name}" for name in CLEANLAB_FILTERS} < set(found)
    assert found["auroc"] > 0.8
    assert "ece" not in found
    assert found["accuracy"] == run_method("cleanlab", task, 0, {"max_epochs": 20})["accuracy"]


def test_cleanlab_that_is_not_installed(task, monkeypatch):
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install acestimator\[peers\]"):
        run_method("cleanlab", task, 0)
    with pytest.raises(ValueError, match="method is 'nothing', expected one of 'AutoCleansing', "):
        run_method("nothing", task, 0)
