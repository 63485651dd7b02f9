"""The paper's tables: as data, run, stopped, taken up again, reported."""

import json
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest

from acestimator import AutoCleansingClassifier, cli, detection
from acestimator.experiments import TABLES, Job, Options, Run, report, runs, select
from acestimator.experiments.images import source_of
from acestimator.experiments.tables import DROPPED
from acestimator.recipes import find
from acestimator.training.checkpoint import Checkpoint

N_TRAIN, N_TEST = 60, 20
SHORT = ["--epochs", "2", "--device", "cpu", "--seeds", "1"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")
    runs._images.cache_clear()


@pytest.fixture
def data(tmp_path):
    """CIFAR-10's batches, of 60 and 20 images whose classes differ in brightness, and CIFAR-100's."""
    rng = np.random.RandomState(0)

    def batch(n, **labels):
        y = np.arange(n) % 10
        pixels = (25 * y[:, None] + rng.randint(0, 25, size=(n, 3072))).astype(np.uint8)
        return {b"data": pixels, **{key.encode(): y.tolist() for key in labels}}

    ten, hundred = tmp_path / "cifar10" / "cifar-10-batches-py", tmp_path / "cifar100" / "cifar-100-python"
    for folder in (ten, hundred):
        folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        content = batch(N_TEST if name == "test_batch" else N_TRAIN // 5, labels=10)
        (ten / name).write_bytes(pickle.dumps(content, protocol=2))
    for name, n in (("train", N_TRAIN), ("test", N_TEST)):
        content = batch(n, fine_labels=100, coarse_labels=20)
        (hundred / name).write_bytes(pickle.dumps(content, protocol=2))
    (ten / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}, protocol=2))
    return tmp_path


def run(data, *arguments, out="out.jsonl"):
    return cli.main(["experiment", *arguments, "--data", str(data), "--out", str(data / out)])


def records(data, out="out.jsonl"):
    return [json.loads(line) for line in (data / out).read_text().splitlines()]


# ---------------------------------------------------------------------------------------------- the tables


def test_every_training_has_a_recipe():
    for table in TABLES.values():
        for entry in table.entries:
            assert find(entry.run.dataset, entry.run.network)


# Tables 2 to 6 and 8, typed from the paper line by line: an error follows the value that it is of.
PAPER = """
table2 cifar10 wide_resnet_40_2 94.70 95.90 96.30 96.30 - 96.56 ±0.11
table2 cifar10 wide_resnet_28_10 96.13 96.92 97.32 97.30 97.42 97.53 ±0.08
table2 cifar10 shake_shake_26_2x32d 96.45 96.98 97.53 97.50 97.46 97.60 ±0.07
table2 cifar10 shake_shake_26_2x96d 97.14 97.44 98.01 98.00 97.97 98.12 ±0.11
table2 cifar10 shake_shake_26_2x112d 97.18 97.43 98.11 98.10 97.97 98.27 ±0.05
table2 cifar10 pyramidnet_272_a200_shakedrop 97.33 97.69 98.52 98.30 98.54 98.59 ±0.05
table3 cifar100 wide_resnet_40_2 74.00 74.80 79.30 79.40 - 79.94 ±0.20
table3 cifar100 wide_resnet_28_10 81.20 81.59 82.91 82.70 83.27 84.07 ±0.18
table3 cifar100 shake_shake_26_2x96d 82.95 84.00 85.72 85.40 84.69 86.19 ±0.12
table3 cifar100 pyramidnet_272_a200_shakedrop 86.01 87.81 89.33 88.30 89.06 89.40 ±0.11
table4 svhn wide_resnet_28_10 98.50 98.70 98.93 98.90 98.82 98.96
table5 imagenet resnet50 75.30/92.20 77.63/93.82 77.60/93.70 77.71/93.58
table6 cifar10 resnet32 91.9 92.1 92.75 ±0.06
table6 cifar100 resnet32 67.0 68.2 69.13 ±0.24
table8 cifar10 wide_resnet_40_2 96.30 96.56 ±0.11 96.54 ±0.11
table8 cifar10 wide_resnet_28_10 97.32 97.53 ±0.08 97.48 ±0.06
table8 cifar100 wide_resnet_40_2 79.30 79.94 ±0.20 79.86 ±0.19
table8 cifar100 wide_resnet_28_10 82.91 84.07 ±0.18 84.12 ±0.17
"""


def test_numbers_of_the_paper():
    lines = PAPER.strip().splitlines()
    assert len(lines) == sum(len(table.rows) for name, table in TABLES.items() if name.startswith("table"))
    for line in lines:
        name, dataset, network, *values = line.split()
        found = {entry.column: entry for entry in TABLES[name].entries if entry.row == f"{dataset} {network}"}
        ours = []
        for column in TABLES[name].columns:
            entry = found.get(column)
            ours.append("-" if entry is None else entry.paper)
            if entry is not None and entry.error is not None:
                ours.append(entry.error)
        typed = ["-" if v == "-" else float(v[1:]) if v[0] == "±" else tuple(map(float, v.split("/"))) for v in values]
        assert ours == typed, line


@pytest.mark.parametrize("method", ["AC1", "AC2"])
@pytest.mark.parametrize("network", ["pyramidnet_272_a200_shakedrop", "resnet32"])
def test_trainings_are_the_recipe_s(tmp_path, network, method):
    job = Job(Run("cifar10", network, "autoaugment", method), 3, Options(tmp_path, tmp_path, precision="bfloat16"))
    expected = AutoCleansingClassifier.from_recipe(
        *("cifar10", network),
        augment="autoaugment",
        variant=method,
        random_state=3,
        precision="bfloat16",
        checkpoint=job.file(".checkpoint"),
    )
    assert repr(runs.make_estimator(job).get_params()) == repr(expected.get_params())


def test_tables_that_share_a_cell_share_its_number():
    numbers = {}
    for table in TABLES.values():
        for entry in table.entries:
            if entry.paper is not None:
                assert (
                    numbers.setdefault(entry.run, (entry.paper, entry.error or numbers.get(entry.run, (0, None))[1]))[0]
                    == entry.paper
                )


def test_dashes_of_the_paper_are_no_entries():
    assert [entry.column for entry in select("table2", ["wide_resnet_40_2"]).entries] == [
        "Baseline",
        "Cutout",
        "AA",
        "FAA",
        "AC1+AA",
    ]
    assert len(TABLES["table2"].entries) == 6 * 6 - 1
    assert len(TABLES["figure3"].entries) == 2 * (len(DROPPED) + 1)


def test_a_row_is_selected_by_its_data_set_and_not_by_a_part_of_its_name():
    assert select("table6", ["cifar10"]).rows == ["cifar10 resnet32"]
    with pytest.raises(ValueError, match="row is 'cifar', expected one of 'cifar10 resnet32', 'cifar100 resnet32'"):
        select("table6", ["cifar"])
    with pytest.raises(ValueError, match="column is 'AC3', expected one of 'Baseline', 'AUM', 'AC1'"):
        select("table6", columns=["AC3"])


# ---------------------------------------------------------------------------------------------- the runner


def test_table_6_is_run_reported_and_not_run_again(data, capsys):
    assert run(data, "table6", "--rows", "cifar10", *SHORT) == 0
    printed = capsys.readouterr().out
    found = records(data)
    assert [record["method"] for record in found] == ["cross_entropy", "aum", "AC1"]
    for record in found:
        assert (record["seed"], record["epochs"], record["recipe_epochs"], record["shortened"]) == (0, 2, 300, True)
        assert (record["n_train"], record["n_test"], record["source"]) == (N_TRAIN, N_TEST, data.name)
        assert 0 <= record["test_accuracy"] <= 100
        assert "torch" in record["versions"]
        assert record["parameters"]["learning_rate"] == "0.1"
        assert f"{record['test_accuracy']:.2f} (1)" in printed
    assert "SHORTENED" in printed
    assert "92.75 ± 0.06" in printed
    assert "2 of the paper's 300 epochs" in printed
    assert {path.suffix for path in (data / "out-files").iterdir()} == {".npz"}  # the checkpoints are gone
    before = (data / "out.jsonl").read_bytes()
    assert run(data, "table6", "--rows", "cifar10", *SHORT) == 0
    assert (data / "out.jsonl").read_bytes() == before
    assert capsys.readouterr().out == printed


def test_a_stopped_training_goes_on_to_the_same_record(data, monkeypatch):
    arguments = ["table8", "--rows", "cifar10 wide_resnet_40_2", "--columns", "AC1+AA", "--epochs", "3", "--seeds", "1"]
    arguments += ["--images", "20", "--device", "cpu"]
    assert run(data, *arguments, out="whole.jsonl") == 0
    save = Checkpoint.save

    def save_and_stop(self, phase, state):
        save(self, phase, state)
        if state is not None and len(state["history"]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr("acestimator.estimators.network.NetworkClassifier._checkpoint_seconds", 0.0)
        patches.setattr(Checkpoint, "save", save_and_stop)
        assert run(data, *arguments) == 130
    assert records(data) == []
    assert any("checkpoint" in path.name for path in (data / "out-files").iterdir())
    assert run(data, *arguments) == 0
    timeless = [{**records(data, out)[0], "seconds": 0} for out in ("whole.jsonl", "out.jsonl")]
    assert timeless[0] == timeless[1]


def test_suspects_are_dropped_as_algorithm_2_lists_them(data, monkeypatch):
    monkeypatch.setitem(TABLES, "figure3", select("figure3", ["cifar10"], ["0.0 % dropped", "0.5 % dropped", "AC1+AA"]))
    seen = []
    fit = runs.AutoCleansingClassifier.fit
    monkeypatch.setattr(
        runs.AutoCleansingClassifier, "fit", lambda self, X, y: seen.append((self.alpha_lr, len(y))) or fit(self, X, y)
    )
    assert run(data, "figure3", "--images", "40", "--picture", str(data / "new" / "figure.png"), *SHORT) == 0
    # AC1 has to come before the training that drops its suspects: 0.5 % of 40 is rounded up to one
    assert seen == [(0.0, 40), (None, 40), (0.0, 39)]
    assert (data / "new" / "figure.png").read_bytes().startswith(b"\x89PNG")
    job = Job(Run("cifar10", "wide_resnet_40_2", "autoaugment", "AC1"), 0, Options(data, data / "out-files", 2, 40))
    alpha, labels = runs.constants(job)
    assert alpha.shape == (40, 10)
    kept = runs._kept(job, 10.0)
    np.testing.assert_array_equal(np.setdiff1d(np.arange(40), kept), np.sort(detection.find_mislabeled(alpha, 10.0)))
    np.testing.assert_array_equal(labels, np.arange(40) % 12 % 10)  # of batches of twelve


def test_suspects_are_drawn_with_their_constants(data, capsys):
    picture = data / "suspects.png"
    arguments = ["suspects", "--picture", str(picture), "--images", "20", *SHORT]
    assert run(data, *arguments) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out
    assert run(data, *arguments, "--positions", "3", "7") == 0
    titles = [ax.get_title() for ax in plt.gcf().axes]
    assert {"3: class 3", "7: class 7"} <= set(titles)
    assert run(data, *arguments, "--positions", "3", "20") == 2
    assert "positions run from 3 to 20, expected 0 to 19" in capsys.readouterr().err


def test_suspects_of_a_failed_training_are_not_drawn(data, capsys, monkeypatch):
    monkeypatch.setattr(runs, "_train_and_test", lambda job: 1 / 0)
    assert run(data, "suspects", "--picture", str(data / "suspects.png"), "--images", "20", *SHORT) == 1
    captured = capsys.readouterr()
    assert "There is no picture" in captured.out
    assert "ZeroDivisionError" in captured.err


def test_a_failed_training_is_named_and_tried_again(data, capsys, monkeypatch):
    with monkeypatch.context() as patches:
        patches.setattr(runs, "_train_and_test", lambda job: 1 / 0)
        assert run(data, "table6", "--rows", "cifar10", "--columns", "AC1", *SHORT) == 1
    captured = capsys.readouterr()
    assert "failed: resnet32 on cifar10, baseline, AC1, seed 0: ZeroDivisionError" in captured.err
    assert "not run" in captured.out
    assert run(data, "table6", "--rows", "cifar10", "--columns", "AC1", *SHORT) == 0


def test_top_5_counts_and_classes_that_were_not_seen(data):
    class Fixed:
        classes_ = np.arange(1, 13)  # class 0 has no training image

        def decision_function(self, X):
            return -np.abs(np.arange(12)[None, :] - X[:, None])

    images = runs.Images(None, None, np.array([0, 0, 3, 3, 11]), np.array([1, 0, 8, 20, 12]), "made up")
    found = runs.test(Fixed(), images)
    assert found["test_accuracy"] == pytest.approx(40.0)  # the first and the last
    assert found["top5"] == pytest.approx(40.0)
    images = runs.Images(None, None, np.array([5, 5]), np.array([8, 9]), "made up")
    assert runs.test(Fixed(), images)["top5"] == pytest.approx(50.0)


def test_two_categories_are_tested_too(data):
    class Two:
        classes_ = np.array([3, 7])

        def decision_function(self, X):
            return X  # (M,), of the second

    images = runs.Images(None, None, np.array([-1.0, 1.0, 1.0, 2.0]), np.array([3, 3, 7, 5]), "made up")
    assert runs.test(Two(), images) == {"test_accuracy": pytest.approx(50.0)}


def test_copies_are_told_apart_by_the_folder_around_them(tmp_path):
    for name in ("jpeg", "lossless"):
        inner = tmp_path / name / "cifar10" / "cifar-10-batches-py"
        inner.mkdir(parents=True)
        assert {source_of("cifar10", folder) for folder in (inner, *list(inner.parents)[:2])} == {name}
    assert source_of("cifar10", tmp_path) == tmp_path.name


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table6", "--seeds", "0"], "--seeds is 0, expected at least 1"),
        (["table6", "--images", "61"], "has 60 training images, and 61 are asked for"),
        (["table6", "--rows", "cifar7"], "row is 'cifar7'"),
        (["table6", "--picture", "x.png"], "--picture is for figure3 and suspects"),
        (["table6", "--positions", "1"], "--positions is for suspects"),
        (["table6", "--device", "gpu"], "device is 'gpu', which this installation of torch cannot use"),
        (["suspects"], "give --picture FILE"),
        (["suspects", "--picture", "x.xyz"], "--picture is x.xyz, expected a file that ends in ."),
        (["suspects", "--picture", "x.png", "--columns", "AC2+AA"], "--columns was given with suspects"),
        (["suspects", "--rows", "svhn", "--picture", "x.png"], "expected of suspects cifar10 or cifar100"),
        (["table4"], "train_32x32.mat"),
        (["table6", "--report"], "is not there: run the experiment"),
    ],
)
def test_errors_come_before_any_training(data, capsys, arguments, message):
    assert run(data, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (data / "out.jsonl").exists()


def test_images_and_labels_of_another_data_set_are_refused(data, capsys):
    (data / "cifar10").rename(data / "other")
    (data / "cifar100").rename(data / "cifar10")
    assert run(data, "table6", "--rows", "cifar10") == 2
    assert "data_batch_1" in capsys.readouterr().err


def test_a_file_of_something_else_is_left_alone(data, capsys):
    (data / "out.jsonl").write_text('{"a": 1}\n{"b": 2}\n')
    assert run(data, "table6", *SHORT) == 2
    assert "line 1, is no record of an experiment" in capsys.readouterr().err
    assert (data / "out.jsonl").read_text() == '{"a": 1}\n{"b": 2}\n'


# ---------------------------------------------------------------------------------------------- the report


def record(method, seed, accuracy, **changes):
    run = Run("cifar10", "resnet32", "baseline", method)
    return {
        **vars(run),
        "seed": seed,
        "epochs": 300,
        "recipe_epochs": 300,
        "images": None,
        "n_train": 50000,
        "n_test": 10000,
        "source": "jpeg",
        "precision": "float32",
        "test_accuracy": accuracy,
        **changes,
    }


def test_means_errors_and_settings_of_a_report():
    found = [record("AC1", seed, accuracy) for seed, accuracy in enumerate((92.0, 92.5, 93.0))]
    found += [record("AC1", 0, 60.0, epochs=3), record("cross_entropy", 0, 91.0, source="lossless", n_test=1000)]
    text = report.as_text(TABLES["table6"], found)
    blocks = text.split("\n\n")
    assert len(blocks) == 4  # three settings, and the row that was not run
    assert "92.50 ± 0.29 (3)" in blocks[0]  # sqrt(.25 / 3)
    assert "50,000 for training, 10,000 for testing. 300 of the paper's 300 epochs" in blocks[0]
    assert "SHORTENED" not in blocks[0]
    assert "SHORTENED" in blocks[1]
    assert "1,000 for testing" in blocks[2]
    assert "91.00 (1)" in blocks[2]
    assert blocks[3].count("not run") == 3
    markdown = report.as_markdown(TABLES["table6"], found)
    assert "| cifar10 resnet32 | not run | not run | 92.50 ± 0.29 (3) |" in markdown


def test_top_5_stands_beside_top_1():
    run = dict(vars(Run("imagenet", "resnet50", "autoaugment", "AC2")))
    found = [record("AC2", 0, 77.0, top5=93.0, **{k: v for k, v in run.items() if k != "method"}, source="imagenet")]
    assert "77.00 (1) / 93.00 (1)" in report.as_text(TABLES["table5"], found)


def test_trainings_without_suspects_make_no_setting_of_their_own():
    shared = {"network": "wide_resnet_40_2", "augment": "autoaugment", "epochs": 200, "recipe_epochs": 200}
    found = [record("AC1", 0, 96.5, **shared), record("trimmed", 0, 96.1, percent=0.5, **{**shared, "n_train": 49750})]
    (setting,) = report.settings(found, "cifar10", "wide_resnet_40_2")
    assert setting.n_train == 50000
    text = report.as_text(select("figure3", ["cifar10"]), found)
    assert "96.10 (1)" in text
    assert len(text.split("\n\n")) == 1
