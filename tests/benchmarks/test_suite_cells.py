"""Which cells the suite has, what is measured of one, and that a stopped run goes on."""

import json

import numpy as np
import pytest
import suite
from suite_parts import measure, plan, sets, sources, tables
from suite_parts.rows import Row

from acestimator import AutoCleansingClassifier
from acestimator.comparison import Cell, Comparison, load, make_task

NOWHERE = sources.Sources(None, sources.Path("nowhere"))
FAST = {"max_epochs": 3}

# ---------------------------------------------------------------- plan


def test_quick_cells_are_cells_of_the_full_suite():
    full = set(plan.plan(plan.choose()))
    assert set(plan.plan(plan.choose(), quick=True)) < full
    assert {cell.dataset for cell in plan.plan(plan.choose(), quick=True)} == set(plan.QUICK)


def test_held_out_sets_are_not_run_by_accident():
    assert not any(data.group == sets.HELD_OUT for data in plan.choose())
    with pytest.raises(ValueError, match="give --groups held_out"):
        plan.choose(names=["crx"])
    assert [data.name for data in plan.choose(sets.HELD_OUT, ["crx"])] == ["crx"]
    assert {data.name for data in plan.choose(plan.ALL)} == set(sets.SETS)


def test_two_classes_have_no_pairs_and_spare_none():
    wanted = plan.plan(plan.choose(plan.ALL), processes=["pair_30", "outside_20", "human_random1"])
    for cell in wanted:
        assert sets.SETS[cell.dataset].n_classes > 2
        assert not cell.process.startswith("human") or cell.dataset.startswith("cifar")
    assert {cell.process for cell in wanted} == {"pair_30", "outside_20", "human_random1"}


def test_seeds_come_one_after_the_other_and_cleanlab_has_few_where_it_takes_long():
    wanted = plan.plan(plan.choose(names=["iris", "fashion_10000"]))
    assert [cell.seed for cell in wanted] == sorted(cell.seed for cell in wanted)
    n = {name: len({c.seed for c in wanted if c.dataset == name and c.method == "cleanlab"}) for name in sets.SETS}
    assert n["iris"] == 3
    assert n["fashion_10000"] == 1


def test_seeds_are_added_where_the_difference_is_uncertain_or_to_our_disadvantage():
    wanted = plan.plan(plan.choose(names=["wine", "iris", "digits", "segment"]), processes=["none"])
    spread = {"wine": [-0.001, 0.0, 0.001], "iris": [-0.1, 0.0, 0.1], "digits": [-0.02] * 12, "segment": [-0.1] * 20}
    records = [
        {"dataset": name, "process": "none", "seed": seed, "method": method, "n_test": 5000}
        | {"accuracy": 0.9 + (d if method == "AutoCleansing" else 0.0)}
        for name, differences in spread.items()
        for seed, d in enumerate(differences)
        for method in ("AutoCleansing", "cross_entropy")
    ]
    added = plan.more_cells(Comparison(records), wanted)
    assert {c.method for c in added} == {"AutoCleansing", "cross_entropy"}
    seeds = {name: {c.seed for c in added if c.dataset == name} for name in spread}
    assert seeds == {"wine": set(), "iris": set(range(6)), "digits": set(range(20)), "segment": set()}


# ---------------------------------------------------------------- data


def test_columns_of_text_are_categories_and_others_numbers():
    X, y = tables.read("a,b,label\n3,u,no\n1.5,v,yes\n2,u,no\n")
    assert X.tolist() == [[3.0, 1.0, 0.0], [1.5, 0.0, 1.0], [2.0, 1.0, 0.0]]
    assert y.tolist() == [0, 1, 0]


def test_gaps_are_filled_from_training_rows_alone(tmp_path):
    rng = np.random.RandomState(0)
    rows = [f"{a:.3f},{b:.3f},{k % 2}" for k, (a, b) in enumerate(rng.normal(size=(200, 2)))]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "made.csv").write_text("a,b,label\n" + "\n".join(rows), encoding="utf-8")
    here = sources.Sources(tmp_path, tmp_path)
    whole, mended = tables.table("made", 0, here), tables.table("made", 0, here, gaps=True)
    assert np.array_equal(whole.y_train, mended.y_train)
    changed, changed_test = mended.X_train != whole.X_train, mended.X_test != whole.X_test
    assert 0.02 < np.r_[changed, changed_test].mean() < 0.09
    for j in range(2):
        (filled,) = np.unique(np.r_[mended.X_train[changed[:, j], j], mended.X_test[changed_test[:, j], j]])
        assert filled == pytest.approx(np.median(whole.X_train[~changed[:, j], j]))


def test_a_draw_has_no_row_twice_and_the_shares_of_the_classes():
    y = np.repeat([0, 1], [900, 2100])
    train, test = sources.draw(y, 0, 1000)
    assert len(train) == 1000
    assert len(np.unique(np.r_[train, test])) == 3000
    assert y[train].mean() == pytest.approx(0.7)


@pytest.mark.parametrize(
    "name", ["eleven", "fifteen", "embedding_100", "rare_1", "blobs_100_of_3000", "half_plane:linear"]
)
def test_generated_sets_are_anew_by_seed_and_the_same_for_one(name):
    read = sets.SETS[name].read
    first, again, other = read(0, NOWHERE), read(0, NOWHERE), read(1, NOWHERE)
    assert np.array_equal(first.X_train, again.X_train)
    assert not np.array_equal(first.X_train, other.X_train)
    assert first.X_train.dtype == first.X_test.dtype == np.float32
    assert len(np.unique(first.y_train)) == sets.SETS[name].n_classes


def test_every_setting_of_a_users_own_is_taken_by_the_estimator():
    for name, data in sets.SETS.items():
        if data.setting:
            cell = Cell(name, "none", 0, "AutoCleansing")
            split = data.read(0, NOWHERE)
            parameters = measure.own_settings(cell, split) | {"max_epochs": 1}
            clf = AutoCleansingClassifier(random_state=0, **parameters).fit(split.X_train[:200], split.y_train[:200])
            assert clf.predict(split.X_test[:2]).shape == (2,)


# ---------------------------------------------------------------- a cell


def test_recall_by_class_is_none_where_there_is_nobody():
    assert measure.recalls(np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2])) == [0.5, None, 1.0]


def test_a_cell_from_end_to_end():
    cell = Cell("iris", "symmetric_20", 1, "AutoCleansing")
    found = measure.run_cell(cell, NOWHERE, FAST)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    data = load("iris", 1)
    data = data._replace(X_train=data.X_train.astype(np.float32), X_test=data.X_test.astype(np.float32))
    task = make_task(data, "symmetric_20", 1)
    with measure.warnings.catch_warnings(record=True) as caught:
        measure.warnings.simplefilter("always")
        clf = AutoCleansingClassifier(random_state=1, **FAST).fit(task.X_train, task.observed)
    assert found["accuracy"] == clf.score(task.X_test, task.y_test)
    assert found["accuracy"] == pytest.approx(np.mean(found["recall"]))  # as many test samples of each class
    assert found["noise_rate"] == clf.noise_rate_
    assert found["given_right"] == pytest.approx(1 - found["true_rate"])
    assert found["suggested_right"] == np.mean(clf.suggested_labels_ == data.y_train)
    assert sum(found["flagged_per_class"]) == (clf.mislabel_proba_ > 0.5).sum()
    assert sum(found["rows_per_class"]) == sum(n for *_, n in found["bins"]) == len(task.observed)
    assert found["warnings"] == sorted({warning.category.__name__ for warning in caught})
    assert found["seconds"] > 0
    assert found["cpu_seconds"] > 0
    assert hasattr(clf, "noise_rate_interval_") == ("noise_rate_interval" in found)


def test_warnings_of_a_fit_are_told(monkeypatch):
    fit = AutoCleansingClassifier.fit

    def warns(self, X, y, sample_weight=None):
        measure.warnings.warn("look at this", FutureWarning, stacklevel=2)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(AutoCleansingClassifier, "fit", warns)
    found = measure.run_cell(Cell("iris", "none", 0, "AutoCleansing"), NOWHERE, {"max_epochs": 1})
    assert found["warnings"] == ["AutoCleansingWarning", "FutureWarning"]


def test_the_oracle_says_of_right_labels_what_can_be_told():
    found = measure.run_cell(Cell("wine", "none", 0, "oracle"), NOWHERE)
    assert found["can_be_told"] is True
    assert len(found["anchors_per_class"]) == 3
    assert found["held_out_accuracy"] > 0.9


def test_a_sample_of_no_class_has_no_right_label():
    found = measure.run_cell(Cell("digits", "outside_20", 0, "AutoCleansing"), NOWHERE, {"max_epochs": 1})
    assert found["given_right"] == pytest.approx(1 - found["true_rate"])
    assert found["true_rate"] == pytest.approx(0.2, abs=0.01)


def test_what_a_set_cannot_have_is_not_possible_and_what_fails_is_an_error():
    assert "not_possible" in measure.run_cell(Cell("breast_cancer", "outside_20", 0, "elr"), NOWHERE)
    assert "optimizer" in measure.run_cell(Cell("iris", "none", 0, "elr"), NOWHERE, {"optimizer": "none"})["error"]


# ---------------------------------------------------------------- the command


@pytest.fixture
def counted(monkeypatch):
    """Runs that take no time, of which the third fails and the sixth is interrupted."""
    called = []

    def quick(cell, sources, settings=None):
        called.append(cell)
        if len(called) == 3:
            raise FloatingPointError("loss is nan")
        if len(called) == 6:
            raise KeyboardInterrupt
        return {"accuracy": 0.5, "cpu_seconds": 1.0}

    monkeypatch.setattr(measure, "measure", quick)
    return called


def test_a_stopped_run_goes_on_and_tries_again_what_failed(tmp_path, counted, capsys):
    path = tmp_path / "suite.jsonl"
    call = ["--sets", "iris", "--noises", "symmetric_20", "--methods", "elr", "gce", "--seeds", "4", "--out", str(path)]
    assert suite.main(call) == 130
    assert "goes on from" in capsys.readouterr().err
    assert len(path.read_text().splitlines()) == 5
    assert suite.main(call) == 0
    wanted = plan.plan(plan.choose(names=["iris"]), processes=["symmetric_20"], methods=["elr", "gce"], n_seeds=4)
    assert counted == [*wanted[:6], wanted[2], *wanted[5:]]
    assert suite.main(call) == 0
    assert len(counted) == 10
    assert "iris  4    4" in capsys.readouterr().out
    assert suite.main(["--report", str(path)]) == 0
    assert "failed" not in capsys.readouterr().out


def test_settling_adds_seeds_of_the_default_and_plain_training_up_to_the_most(tmp_path, monkeypatch, capsys):
    def quick(cell, sources, settings=None):
        return {"accuracy": 0.5 + 0.1 * (-1) ** cell.seed * (cell.method == "AutoCleansing"), "n_test": 45}

    monkeypatch.setattr(measure, "measure", quick)
    path = tmp_path / "suite.jsonl"
    call = ["--sets", "iris", "--noises", "symmetric_20", "--out", str(path)]
    assert suite.main(call) == 0
    assert "iris  3              3       3              3    3" in capsys.readouterr().out
    assert suite.main([*call, "--settle"]) == 0
    assert "iris  20             3       20             3    3" in capsys.readouterr().out


def test_sets_whose_files_are_missing_are_left_out_and_said_so(tmp_path, counted, capsys):
    call = ["--sets", "pima", "iris", "--noises", "none", "--methods", "elr", "--seeds", "1"]
    assert suite.main([*call, "--out", str(tmp_path / "suite.jsonl")]) == 0
    assert "left out: pima: tables/pima.csv is read from disk" in capsys.readouterr().out
    assert [cell.dataset for cell in counted] == ["iris"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["--sets", "irises"], "set is 'irises'"),
        (["--sets", "crx"], "held out must not be chosen on"),
        (["--methods", "nothing"], "method is 'nothing'"),
        (["--noises", "pairs_20"], "process is 'pairs_20'"),
        (["--report", "nowhere.jsonl"], "nowhere.jsonl is not there"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(tmp_path, counted, capsys, call, message):
    assert suite.main([*call, "--out", str(tmp_path / "suite.jsonl")]) == 2
    assert message in capsys.readouterr().err
    assert not counted


def test_a_row_without_cells_is_not_run():
    assert Row("what", "target").word == "not run"
