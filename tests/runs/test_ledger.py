"""Many runs are taken up where they stopped: what is finished, what is missing, what is refused, and in which order."""

import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acestimator.runs.ledger import Ledger, attempt, records_of


@dataclass(frozen=True)
class Run:
    """Its record begins with ``kind``."""

    kind: Any
    seed: Any = 0

    def key(self):
        return {"kind": self.kind, "seed": self.seed}


ITEMS = [Run(kind, seed) for seed in range(2) for kind in ("a", "b")]


def ledger(path):
    return Ledger(path, ("kind", "seed"), "record of a run")


def complete(path, items=ITEMS, run=None, check=lambda missing: None, **options):
    return ledger(path).complete(items, run or quick, check=check, **options)


def quick(item):
    return {**item.key(), "value": f"{item.kind} {item.seed}"}


def counting(called, fails=()):
    """Runs that note what they were called for, and fail for some."""

    def run(item):
        called.append(item)
        return attempt(item.key(), lambda: {"value": 1 // (item not in fails)})

    return run


def test_what_is_finished_is_not_run_again(tmp_path):
    path, called = tmp_path / "new" / "runs.jsonl", []
    first = complete(path, ITEMS[:3], counting(called))
    records = complete(path, [*ITEMS[::-1], *ITEMS], counting(called))
    assert called == ITEMS  # each once
    assert records[:3] == first
    assert ledger(path).records() == records
    written = path.read_bytes()
    assert complete(path, ITEMS[:1], counting(called)) == records  # those that are not wanted, too
    assert (len(called), path.read_bytes()) == (4, written)


def test_what_failed_is_tried_again_and_then_forgotten(tmp_path):
    path, called = tmp_path / "runs.jsonl", []
    records = complete(path, run=counting(called, fails=ITEMS[1:2]))
    assert [record.get("error") for record in records] == [
        None,
        "ZeroDivisionError: integer division or modulo by zero",
        None,
        None,
    ]
    assert "torch" in records[1]["versions"]
    records = complete(path, run=counting(called))
    assert called[4:] == ITEMS[1:2]
    assert [record["value"] for record in records] == [1] * 4  # in the place of the failure
    assert ledger(path).records() == records
    assert len(path.read_text().splitlines()) == 5  # where the failure still stands


def test_all_that_is_missing_is_checked_before_anything_is_run(tmp_path):
    path, called, checked = tmp_path / "runs.jsonl", [], []

    def check(missing):
        checked.append(list(missing))
        if Run("bad") in missing:
            raise OSError("no such data")

    complete(path, ITEMS[:2], counting(called), check)
    with pytest.raises(OSError, match="no such data"):
        complete(path, [*ITEMS, Run("bad")], counting(called), check)
    assert checked == [ITEMS[:2], [*ITEMS[2:], Run("bad")]]
    assert called == ITEMS[:2]


@pytest.mark.parametrize(
    "entry", [np.int64(3), float("nan"), (1, 2), [1], {"a": 1}, Path("x"), b"x"], ids=lambda entry: repr(entry)
)
def test_keys_that_would_not_be_found_again_are_refused_before_anything_is_run(tmp_path, entry):
    called = []
    with pytest.raises(ValueError, match=r"^seed is .* in Run.*, expected text, a number of Python's own"):
        complete(tmp_path / "runs.jsonl", [*ITEMS, Run("a", entry)], counting(called))
    assert not called
    assert not (tmp_path / "runs.jsonl").exists()


@pytest.mark.parametrize("n_jobs", [0, -1, 1.5, True])
def test_processes_are_counted(tmp_path, n_jobs):
    with pytest.raises(ValueError, match="n_jobs is "):
        complete(tmp_path / "runs.jsonl", n_jobs=n_jobs)
    assert not (tmp_path / "runs.jsonl").exists()


entries = st.one_of(
    st.text(max_size=3), st.integers(-(2**60), 2**60), st.booleans(), st.none(), st.floats(allow_nan=False)
)


@given(st.lists(st.builds(Run, entries, entries), max_size=6, unique_by=lambda run: (run.kind, run.seed)), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_off_anywhere_is_completed(tmp_path, items, data):
    path = tmp_path / "runs.jsonl"
    path.unlink(missing_ok=True)
    complete(path, items)
    whole = path.read_bytes() if items else b""
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    n_whole = sum(cut >= end for end in ends_of(whole))
    assert [record["value"] for record in ledger(path).records()] == [quick(item)["value"] for item in items[:n_whole]]
    called = []
    records = complete(path, items, lambda item: called.append(item) or quick(item))
    assert called == items[n_whole:]
    assert records == [quick(item) for item in items]
    assert path.read_bytes() == whole


def ends_of(whole):
    """Places behind the last byte of each record, its line's end aside."""
    ends, at = [], 0
    for line in whole.splitlines(keepends=True):
        at += len(line)
        ends.append(at - 1)
    return ends


def test_an_interrupt_leaves_what_was_finished(tmp_path):
    def run(item):
        if item == ITEMS[2]:
            raise KeyboardInterrupt
        return attempt(item.key(), dict)

    with pytest.raises(KeyboardInterrupt):
        complete(tmp_path / "runs.jsonl", run=run)
    assert len(ledger(tmp_path / "runs.jsonl").records()) == 2


def test_a_stage_begins_when_the_one_before_is_finished(tmp_path):
    called = []
    complete(tmp_path / "runs.jsonl", run=counting(called), stage=lambda item: -1 if item.kind == "b" else 7)
    assert called == [ITEMS[1], ITEMS[3], ITEMS[0], ITEMS[2]]


def test_this_process_has_one_thread_if_it_is_to(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for one_thread, expected in ((True, 1), (False, 2)):
            (record,) = complete(
                tmp_path / f"{expected}.jsonl",
                ITEMS[:1],
                lambda item: {**item.key(), "threads": torch.get_num_threads()},
                one_thread=one_thread,
            )
            assert record["threads"] == expected
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def in_processes(item):
    """Of the first stage; or of the second, which ends its process once the other is finished."""
    path, _, kind = item.kind.rpartition(" ")
    if kind == "dies":
        while not any(record["kind"].endswith("later") for record in ledger(Path(path)).records()):
            time.sleep(0.02)
        os._exit(1)  # as a process that is killed for want of memory
    n_before = len(ledger(Path(path)).records())
    return {
        **item.key(),
        "before": n_before,
        "threads": torch.get_num_threads(),
        "here": multiprocessing.parent_process() is None,
    }


def test_several_processes_keep_the_stages_and_may_die(tmp_path):
    path = tmp_path / "runs.jsonl"
    early = [Run(f"{path} early", seed) for seed in range(2)]
    late = [Run(f"{path} later"), Run(f"{path} dies")]
    with pytest.raises(
        RuntimeError, match=r"a process died, .*what was finished is in .*runs\.jsonl, and the same call"
    ):
        complete(path, [*late, *early], in_processes, stage=lambda item: not item.kind.endswith("early"), n_jobs=2)
    records = {tuple(record.values())[:2]: record for record in ledger(path).records()}
    assert records.keys() == {tuple(item.key().values()) for item in [*early, late[0]]}
    assert records[late[0].kind, 0]["before"] == 2
    assert all(record["threads"] == 1 and not record["here"] for record in records.values())


def test_records_of_some(tmp_path):
    records = complete(tmp_path / "runs.jsonl")
    assert records_of([ITEMS[2], Run("c"), ITEMS[1]], records) == [records[1], records[2]]
    assert records_of([], records) == []


def test_what_cannot_be_sent_to_another_process_is_refused_and_does_not_wait_for_ever(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be sent to another process \(.*lambda.*take one process"):
        complete(tmp_path / "runs.jsonl", run=lambda item: quick(item), n_jobs=2)
    assert ledger(tmp_path / "runs.jsonl").records() == []
