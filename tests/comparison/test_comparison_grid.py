"""The grid: what is run, told before, tried again."""

import json

import pytest
from comparison_records import record

from acestimator.comparison import Cell, Comparison, cells, finished, grid

FAST = {"max_epochs": 3}


@pytest.fixture
def counted(monkeypatch):
    """Runs that take no time, and the cells they were called for."""
    called = []

    def quick(method, task, seed, settings=None):
        called.append((method, seed))
        if method == "gce" and len(called) < 4:
            raise FloatingPointError("loss is nan")
        return {"seconds": 1.0, "accuracy": 0.5}

    monkeypatch.setattr(grid, "run_method", quick)
    return called


WANTED = list(cells(["iris"], ["none", "symmetric_20"], [0], ["cross_entropy", "gce"]))


def test_cells_have_all_methods_of_a_seed_first():
    assert [c.seed for c in cells(["a", "b"], ["none"], range(2), ["x", "y"])] == [0] * 4 + [1] * 4


def test_resumes_and_tries_again_what_failed(tmp_path, counted):
    path = tmp_path / "new" / "results.jsonl"
    records = grid.run_grid([*WANTED, *WANTED], path)
    assert [m for m, _ in counted] == ["cross_entropy", "gce", "cross_entropy", "gce"]
    assert [r.get("error") for r in records] == [None, "FloatingPointError: loss is nan", None, None]
    assert finished(path) == records
    assert "torch" in records[0]["versions"]
    records = grid.run_grid(WANTED, path)
    assert len(counted) == 5
    assert len(records) == 4
    assert all("accuracy" in r for r in records)
    assert finished(path) == records  # the failure is still in the file, and no longer counts
    assert len(path.read_text().splitlines()) == 5
    grid.run_grid(WANTED, path)
    assert len(counted) == 5


def test_a_file_that_holds_something_else_is_left_alone(tmp_path, counted):
    path = tmp_path / "results.jsonl"
    path.write_text('{"dataset": "iris"}\n' + json.dumps(record("gce")) + "\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"line 1, is no record of a cell"):
        grid.run_grid(WANTED, path)
    assert path.read_bytes() == before
    assert not counted


def test_what_is_not_possible_is_not_tried_again(tmp_path, counted):
    wanted = [Cell("breast_cancer", "outside_20", 0, "cross_entropy")]
    for _ in range(2):
        (found,) = grid.run_grid(wanted, tmp_path / "results.jsonl")
        assert found["not_possible"].startswith("there are 2 classes")
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    assert Comparison([found]).state("cross_entropy", ("breast_cancer", "outside_20")) == "not possible"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell("iris", "none", 0, "nothing"), "method is 'nothing'"),
        (Cell("iris", "pairs_20", 0, "gce"), "process is 'pairs_20'"),
        (Cell("irises", "none", 0, "gce"), "data set is 'irises'"),
        (Cell("fashion_mnist_100", "none", 0, "gce"), "--data"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(tmp_path, counted, cell, message):
    with pytest.raises(ValueError, match=message):
        grid.run_grid([*WANTED, cell], tmp_path / "results.jsonl")
    assert not counted
    assert not (tmp_path / "results.jsonl").exists()
    with pytest.raises(ValueError, match="n_jobs is 0"):
        grid.run_grid(WANTED, tmp_path / "results.jsonl", n_jobs=0)


def test_several_processes_give_what_one_gives(tmp_path):
    wanted = list(cells(["iris"], ["symmetric_20"], [0], ["cross_entropy", "AutoCleansing"]))
    one, two = (grid.run_grid(wanted, tmp_path / f"{n}.jsonl", n_jobs=n, settings=FAST) for n in (1, 2))
    for found in (*one, *two):
        assert found.pop("seconds") > 0
    assert sorted(one, key=str) == sorted(two, key=str)
