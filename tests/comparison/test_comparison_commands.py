"""benchmarks/compare.py, and ``acestimator compare`` on samples of one's own."""

import importlib.util
import json
import pathlib
import re
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from comparison_records import SEEDS, partly_run

from acestimator import cli
from acestimator.comparison import available, grid
from acestimator.comparison import own as module_of_own

mpl.use("agg")


@pytest.fixture(scope="module")
def script():
    path = pathlib.Path(__file__).parents[2] / "benchmarks" / "compare.py"
    spec = importlib.util.spec_from_file_location("compare_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_reports_what_a_file_has(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "results.jsonl"
    out.write_text("".join(json.dumps(r | {"versions": "torch 1"}) + "\n" for r in partly_run().records))
    files = [str(tmp_path / name) for name in ("out.png", "out.md", "out.json")]
    options = ["--figure", files[0], "--markdown", files[1], "--json", files[2]]
    monkeypatch.setattr(sys, "argv", ["compare.py", "--report", "--out", str(out), *options])
    assert script.main() == 0
    printed = capsys.readouterr().out
    assert "reached       settings significantly below" in printed
    assert "Measured with torch 1." in printed
    assert "failed: gce on digits outside_20, seed 0 and 4 more" in printed
    assert pathlib.Path(files[0]).read_bytes().startswith(b"\x89PNG")
    markdown = pathlib.Path(files[1]).read_text()
    assert "| fashion_mnist_60000 |" in markdown
    assert "not run" in markdown
    assert json.loads(pathlib.Path(files[2]).read_text())["seeds"] == list(SEEDS)
    plt.close("all")


def test_the_script_runs_and_tells_mistakes(script, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "results.jsonl")
    grid_of_one = ["--datasets", "iris", "--processes", "none", "--seeds", "1", "--methods", "cross_entropy"]
    monkeypatch.setattr(sys, "argv", ["compare.py", "--out", out, *grid_of_one])
    assert script.main() == 0
    assert "1 of 1" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare.py", "--out", out, "--methods", "nothing"])
    assert script.main() == 2
    assert "compare: method is 'nothing'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["compare.py", "--report", "--out", out + "x"])
    assert script.main() == 2
    assert "is not there" in capsys.readouterr().err


@pytest.fixture
def own(tmp_path, small):
    X, y = small
    path = tmp_path / "own.csv"
    rows = [f"{'xyz'[k]},{','.join(map(str, x))}" for x, k in zip(X, y, strict=True)]
    path.write_text("\n".join(["kind,a,b,c,d", *rows]))
    return path


def test_own_labels_as_they_are(own, capsys):
    arguments = ["compare", str(own), "--target", "kind", "--methods", "AutoCleansing", "cross_entropy", "--seeds", "1"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Estimated noise rate" in printed
    assert "Seconds against plain cross-entropy" in printed
    assert "AUROC" not in printed
    assert "Not run: AutoCleansing AC2, oracle" in printed
    assert "some may be wrong" in printed


def test_own_labels_corrupted_and_resumed(own, tmp_path, capsys, monkeypatch):
    out = tmp_path / "results.jsonl"
    arguments = ["compare", str(own), "--target", "kind", "--noise", "symmetric_20", "outside_60", "--seeds", "1"]
    arguments += ["--methods", "cross_entropy", "oracle", "--out", str(out)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Not possible: cross_entropy on own.csv, " in printed
    assert "and 1 more: there are 3 classes, too few to hold out 60% of the training set." in printed
    assert "Detection: AUROC" in printed
    assert "some may be wrong" not in printed
    monkeypatch.setattr(grid, "run_method", lambda *args: pytest.fail("run again"))
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == printed
    own.write_text(own.read_text() + "\nx,0,0,0,0\n")  # another data set
    with pytest.raises(pytest.fail.Exception):
        cli.main(arguments)


def test_another_column_of_labels_is_another_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "run_method", lambda *args: {"accuracy": 0.5})
    path = tmp_path / "own.csv"
    path.write_text("a,b,c\n" + "".join(f"{i},{i % 2},{i % 3}\n" for i in range(30)))
    names = {
        module_of_own.compare(path, target=target, methods=["gce"], n_seeds=1).datasets[0] for target in ("b", "c")
    }
    assert len(names) == 2
    assert all(name.startswith("own.csv, ") for name in names)


def test_own_runs_that_fail(own, monkeypatch, capsys):
    def failing(method, task, seed, settings=None):
        raise FloatingPointError("loss is nan")

    monkeypatch.setattr(grid, "run_method", failing)
    assert cli.main(["compare", str(own), "--target", "kind", "--seeds", "2", "--methods", "gce", "elr"]) == 1
    printed = capsys.readouterr()
    assert "failed: gce on own.csv" in printed.err
    assert "and 3 more: FloatingPointError: loss is nan" in printed.err
    assert "0 of 4, 4 failed" in printed.out


def test_default_methods_are_those_that_can_be_run(own, monkeypatch):
    monkeypatch.setattr(grid, "run_method", lambda *args: {"accuracy": 0.5})
    everything = set(available())
    assert set(module_of_own.compare(own, target="kind", n_seeds=1).methods) >= everything - {"oracle", "cleanlab"}
    monkeypatch.setattr(module_of_own, "find_spec", lambda name: None)
    assert set(module_of_own.compare(own, target="kind", n_seeds=1).methods) == everything - {"oracle", "cleanlab"}
    noisy = module_of_own.compare(own, target="kind", n_seeds=1, processes=["pair_20"])
    assert set(noisy.methods) == everything - {"cleanlab"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "missing.csv"),
        (["OWN", "--target", "z"], "0 columns 'z'"),
        (["OWN"], "has 'x' in column 'kind', expected a finite number"),
        (["OWN", "--target", "kind", "--noise", "pair"], "process is 'pair'"),
        (["OWN", "--target", "kind", "--methods", "nothing"], "method is 'nothing'"),
        (["OWN", "--target", "kind", "--seeds", "0"], "seeds is 0"),
        (["OWN", "--target", "kind", "--jobs", "0"], "n_jobs is 0"),
    ],
)
def test_errors_of_own_files(own, capsys, arguments, message):
    assert cli.main(["compare", *(str(own) if a == "OWN" else a for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("acestimator compare: ")
    assert re.search(message, err)


def test_a_column_that_is_no_label(tmp_path, capsys):
    (tmp_path / "own.csv").write_text("a,b\n" + "".join(f"{i},{i / 7}\n" for i in range(30)))
    assert cli.main(["compare", str(tmp_path / "own.csv")]) == 2
    assert "30 classes with fewer than 3 samples, such as '0.0'; expected" in capsys.readouterr().err
    np.savez(tmp_path / "own.npz", X=np.zeros((9, 2)), y=np.zeros(9))
    assert cli.main(["compare", str(tmp_path / "own.npz")]) == 2
    assert "one class; expected at least 2" in capsys.readouterr().err
    np.savez(tmp_path / "own.npz", X=np.zeros((9, 2)), y=np.linspace(0, 1, 9))
    assert cli.main(["compare", str(tmp_path / "own.npz")]) == 2
    assert "9 classes with fewer than 3 samples, such as 0.0; expected" in capsys.readouterr().err


def test_images_of_ones_own_stay_images(tmp_path, monkeypatch):
    shapes = []

    def shape_of(method, task, seed, settings=None):
        shapes.append(task.X_train.shape)
        return {"accuracy": 0.5}

    monkeypatch.setattr(grid, "run_method", shape_of)
    np.savez(tmp_path / "own.npz", X=np.random.RandomState(0).normal(size=(30, 1, 8, 8)), y=np.arange(30) % 2)
    for process in ("instance_20", "none"):
        arguments = ["--noise", process, "--methods", "gce", "--seeds", "1"]
        assert cli.main(["compare", str(tmp_path / "own.npz"), *arguments]) == 0
    assert shapes == [(21, 1, 8, 8)] * 2


def test_an_interrupt_of_the_command(own, tmp_path, monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(grid, "run_method", interrupted)
    arguments = ["compare", str(own), "--target", "kind", "--methods", "gce"]
    assert cli.main(arguments) == 130
    assert "interrupted; with --out FILE results would have been kept" in capsys.readouterr().err
    assert cli.main([*arguments, "--out", str(tmp_path / "runs.jsonl")]) == 130
    assert "interrupted; the same command goes on from" in capsys.readouterr().err


def test_a_process_that_died_is_no_file_to_go_on_from_without_one(own, tmp_path, monkeypatch, capsys):
    def died(*arguments, **options):
        raise RuntimeError("a process died: go on from the file.")

    monkeypatch.setattr(module_of_own, "run_grid", died)
    assert cli.main(["compare", str(own), "--target", "kind"]) == 1
    assert "take fewer processes, and give a file with --out" in capsys.readouterr().err
    assert cli.main(["compare", str(own), "--target", "kind", "--out", str(tmp_path / "out.jsonl")]) == 1
    assert "go on from the file" in capsys.readouterr().err
