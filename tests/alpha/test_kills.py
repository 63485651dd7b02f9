"""A table in a file after a kill, at every write: the file is copied whenever a line of the package has changed it.

A line may be killed half way, too: what it changes is then there for some words of eight bytes, and not for others.
"""

import copy
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from motions import MOTIONS
from tables import private_table

import acestimator.alpha
from acestimator import AlphaTable

PACKAGE = str(Path(acestimator.alpha.__file__).parent)
N, K, FIRST_ID = 8, 5, 100
NO_SAMPLES, NO_GRADIENT = torch.empty(0, dtype=torch.int64), torch.empty(0, K, dtype=torch.float64)
TABLES = {
    **MOTIONS,
    "AC2": {"variant": "AC2", "momentum": 0.9, "weight_decay": 0.02},
    "AC2, still": {"variant": "AC2"},
    "sparse": {"rivals": 2, "momentum": 0.9},
    "ids": {"momentum": 0.9},
}


def make(name, **private):
    """A table that keeps products for six steps, so that it sweeps itself every few steps."""
    ids = range(FIRST_ID, FIRST_ID + N) if name == "ids" else None
    labels, settings = torch.arange(N) % K, {"lr": 0.3, "dtype": torch.float64, "window": 3}
    return private_table(N, K, labels=labels, ids=ids, **settings, **TABLES[name], **private)


def journal_of(n_rows, name):
    """Bytes of a journal of so many rows."""
    specs = make(name)._rows.storage.specs
    return n_rows * (8 + sum(spec.nbytes(1) for spec in specs.values() if spec.by_row))


def step(table, index, grad, lr=0.5):
    table.step(index if table._ids is None else index + FIRST_ID, grad, lr)


def batches(generator, rng, n_batches=7):
    """Steps of all sizes, over different samples or over some that stand there twice."""
    for number in range(n_batches):
        n = rng.randint(0, N)
        different = torch.randperm(N, generator=generator)[:n]
        index = different if number % 2 else torch.randint(N, (n,), generator=generator)
        yield index, torch.randn(n, K, dtype=torch.float64, generator=generator), rng.choice([0.1, 0.5, 1.0])


def held(path, act):
    """What the file held before ``act``, and after each line of the package that changed it, each with its inode."""

    def read():
        return (path.stat().st_ino, path.read_bytes()) if path.exists() else (0, b"")

    contents = [read()]

    def look(frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if (now := read()) != contents[-1]:
            contents.append(now)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        act()
    finally:
        sys.settrace(before)
    contents.append(read())
    return contents


def kills(path, act, rng):
    """What a kill during ``act`` may leave: each content, and between two of them some that have words of both."""
    for (inode, first), (other, second) in itertools.pairwise(held(path, act)):
        yield first
        if inode != other or len(first) != len(second):
            continue  # a file is replaced, and made larger, at one go
        old, new = (torch.frombuffer(bytearray(content), dtype=torch.int64) for content in (first, second))
        changed = (old != new).nonzero().squeeze(1)
        for share in (0.3, 0.7) if len(changed) > 1 else ():
            some = changed[torch.tensor([rng.random() < share for _ in changed], dtype=torch.bool)]
            yield old.index_copy(0, some, new[some]).numpy().tobytes()
    yield second


class Left:
    """What a kill has left, by what it is and where it goes."""

    def __init__(self, content, folder):
        path = folder / "left"
        path.write_bytes(content)
        try:  # its checksum is right, or said to be of before
            AlphaTable.resume(path, verify=True)
        except ValueError as error:
            if "has no checksum" not in str(error):
                raise
        table = AlphaTable.resume(path)
        self.clock, self.n_samples, self.course = table.clock, table.n_samples, course(table)


def course(table):
    """(2, N, K) constants of a table now, and after a step without a gradient, which velocities show up in."""
    now = table.dense().clone()
    step(table, NO_SAMPLES, NO_GRADIENT)
    return torch.stack([now, table.dense()])


def assert_each_row_is_of(left, *courses):
    same = [(left.course - other).abs().amax(dim=(0, 2)) < 1e-11 for other in courses]  # (N,) each
    assert torch.stack(same).any(dim=0).all()


@pytest.mark.parametrize("kept", [N, 3])
@pytest.mark.parametrize("name", TABLES)
def test_a_killed_step_leaves_rows_that_are_whole(name, kept, tmp_path):
    """All of the table is as before the step or as after it, if the journal holds the batch.

    Where it does not, each row of the step has moved by its gradient or not, and all else is as after it.
    """
    generator, rng, n_kills = torch.Generator().manual_seed(0), random.Random(0), 0
    table, memory = make(name, file=tmp_path / "alpha", journal=journal_of(kept, name)), make(name)
    assert table._rows.storage.at_once == kept
    for index, grad, lr in batches(generator, rng):
        before, without = course(copy.deepcopy(memory)), copy.deepcopy(memory)
        step(without, NO_SAMPLES, NO_GRADIENT, lr)
        step(memory, index, grad, lr)
        after = [course(copy.deepcopy(memory))] + [course(without)] * (kept < N)
        for content in kills(tmp_path / "alpha", lambda: step(table, index, grad, lr), rng):  # noqa: B023
            left = Left(content, tmp_path)
            assert left.clock in (memory.clock - 1, memory.clock)
            assert_each_row_is_of(left, *(after if left.clock == memory.clock else [before]))
            n_kills += 1
    assert n_kills > 60


@pytest.mark.parametrize("name", TABLES)
def test_announced_steps_that_are_killed_are_taken_or_not(name, tmp_path):
    generator, rng = torch.Generator().manual_seed(1), random.Random(1)
    table, memory = make(name, file=tmp_path / "alpha"), make(name)
    for _ in range(5):
        index = torch.randperm(N, generator=generator)[:6] + FIRST_ID * (name == "ids")
        grads = torch.randn(3, 2, K, dtype=torch.float64, generator=generator)

        def take(table, index=index, grads=grads):
            with table.announce(index, [2, 2, 2], [0.5, 0.2, 0.1]) as steps:
                for each, grad in zip(steps, grads, strict=True):
                    each.step(grad)

        before = course(copy.deepcopy(memory))
        take(memory)
        after = course(copy.deepcopy(memory))
        for content in kills(tmp_path / "alpha", lambda: take(table), rng):
            left = Left(content, tmp_path)
            assert left.clock in (memory.clock - 3, memory.clock)
            assert_each_row_is_of(left, after if left.clock == memory.clock else before)


@pytest.mark.parametrize("kept", [N, 3])
@pytest.mark.parametrize("name", ["all", "group", "AC2", "sparse"])
def test_a_killed_flush_changes_nothing(name, kept, tmp_path):
    generator, rng = torch.Generator().manual_seed(2), random.Random(2)
    table, memory = make(name, file=tmp_path / "alpha", journal=journal_of(kept, name)), make(name)
    for index, grad, lr in batches(generator, rng, 5):
        for each in (table, memory):
            step(each, index, grad, lr)
        expected = course(copy.deepcopy(memory))
        for content in kills(tmp_path / "alpha", table.flush, rng):
            left = Left(content, tmp_path)
            assert left.clock == memory.clock
            assert_each_row_is_of(left, expected)


@pytest.mark.parametrize("name", ["all", "ids", "AC2"])
def test_a_killed_extension_adds_all_samples_or_none(name, tmp_path):
    """Within the room of the file, and in a larger one that replaces it."""
    table, memory, rng = make(name, file=tmp_path / "alpha"), make(name), random.Random(3)
    for more in (1, 1, 2):
        for each in (table, memory):
            step(each, torch.tensor([4, 0, 7]), torch.ones(3, K, dtype=torch.float64))
        first = memory.n_samples
        labels = torch.arange(first, first + more) % K
        ids = range(FIRST_ID + first, FIRST_ID + first + more) if name == "ids" else None
        before = course(copy.deepcopy(memory))
        memory.extend(more, labels=labels, ids=ids)
        after = course(copy.deepcopy(memory))
        extend = lambda: table.extend(more, labels=labels, ids=ids)  # noqa: B023, E731
        for content in kills(tmp_path / "alpha", extend, rng):
            left = Left(content, tmp_path)
            assert left.n_samples in (first, first + more)
            assert_each_row_is_of(left, before if left.n_samples == first else after)


def test_a_table_half_made_or_half_loaded_is_an_error(tmp_path):
    rng, made = random.Random(4), []
    other = make("all", clock=7)
    step(other, torch.tensor([1]), torch.ones(1, K, dtype=torch.float64))
    for act, clocks in (
        (lambda: made.append(make("all", file=tmp_path / "alpha")), {0}),
        (lambda: made[0].load_state_dict(other.state_dict()), {0, 8}),
    ):
        seen = set()
        for content in kills(tmp_path / "alpha", act, rng):
            try:
                left = Left(content, tmp_path)
            except ValueError as error:
                seen.add(
                    next(part for part in ("not whole", "is damaged", "not a file", "was cut") if part in str(error))
                )
            else:
                seen.add(left.clock)
                assert_each_row_is_of(left, course(copy.deepcopy(other if left.clock else make("all"))))
        assert seen & {0, 8} == clocks
        assert "not whole" in seen


def test_a_checksum_is_never_of_something_else(tmp_path):
    """It is written by sync(), and given up by the first write after it."""
    rng, table = random.Random(5), make("all", file=tmp_path / "alpha")
    index, grad = torch.tensor([3, 1]), torch.ones(2, K, dtype=torch.float64)
    acts = [
        table.sync,
        lambda: table.rows(index),
        lambda: step(table, index, grad),
        table.sync,
        table.flush,
        table.close,
    ]
    for act in acts:
        for content in kills(tmp_path / "alpha", act, rng):
            Left(content, tmp_path)
    AlphaTable.resume(tmp_path / "alpha", verify=True)


def kill_many(folder, n_kills):
    """Kill processes that take steps, at random times; each goes on where the last one ended."""
    torch.set_num_threads(1)
    path, rng, n_samples, n_classes = Path(folder) / "alpha", random.Random(6), 300, 40
    settings = {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.02, "window": 4}
    private_table(n_samples, n_classes, file=path, **settings).close()

    def go_on(table):
        generator = torch.Generator().manual_seed(table.clock)
        index = torch.randperm(n_samples, generator=generator)[:32]
        table.step(index, torch.randn(32, n_classes, generator=generator))
        if table.clock % 7 == 0:
            table.flush()

    memory = private_table(n_samples, n_classes, **settings)
    for _ in range(n_kills):
        steps, stepped = os.pipe()
        child = os.fork()
        if not child:
            table = AlphaTable.resume(path)
            while True:
                go_on(table)
                os.write(stepped, b".")
        os.close(stepped)
        for _ in range(2):  # however slow the machine is, there is something to lose
            assert os.read(steps, 1)
        time.sleep(rng.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(steps)
        before = memory.clock
        with AlphaTable.resume(path) as table:
            while memory.clock < table.clock:
                go_on(memory)
            assert memory.clock > before + 1
            torch.testing.assert_close(copy.deepcopy(memory).dense(), table.dense(), rtol=0, atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_are_killed_leave_whole_steps(tmp_path):
    paths = [os.path.dirname(__file__), str(Path(PACKAGE).parents[1])]
    code = f"from test_kills import kill_many; kill_many({str(tmp_path)!r}, 12)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
