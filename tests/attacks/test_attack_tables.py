"""Tables in files under attack: what a kill leaves is the table after one of the steps; one process at a time.

``nox -s attacks`` makes 300 kills and 220 flipped bits.
"""

import logging
import os
import random
import time

import pytest
import torch
from attack_tools import child, count, flipped, killed, status_of

from acestimator import AlphaTable

LOG = logging.getLogger(__name__)
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # forked children compute alone

N, K, BLOCK, N_STEPS = 40, 6, 4, 4000
TABLES = {
    "still": {},
    "momentum": {"momentum": 0.9, "weight_decay": 0.02},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "l1": {"penalty": ("l1", 0.01)},
    "AC2": {"variant": "AC2", "momentum": 0.9},
    "rivals": {"rivals": 2, "weight_decay": 0.01},
}


def make(name, **file):
    labels = torch.arange(N) % K
    return AlphaTable(N, K, labels=labels, lr=0.3, dtype=torch.float64, **TABLES[name], **file)


def batches():
    """Index (B,) and gradient (B, K) of each step; every eighth time a block of steps is announced at once."""
    generator = torch.Generator().manual_seed(0)
    while True:
        index = torch.randperm(N, generator=generator)[: 4 * BLOCK]
        yield index, torch.randn(4 * BLOCK, K, dtype=torch.float64, generator=generator)


def take(table, index, grad, number):
    """One step, or ``BLOCK`` of them."""
    if number % 8:
        table.step(index, grad)
        return
    with table.announce(index, [len(index) // BLOCK] * BLOCK) as steps:
        for step, part in zip(steps, grad.split(len(index) // BLOCK), strict=True):
            step.step(part)


def go_on(table, first=0):
    for number, (index, grad) in enumerate(batches()):
        if number >= first:
            take(table, index, grad, number)
        if number >= N_STEPS:
            return


def clocks():
    """Clock after each number of batches."""
    clock, found = 0, [0]
    for number in range(N_STEPS + 1):
        clock += 1 if number % 8 else BLOCK
        found.append(clock)
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_killed_table_is_that_after_one_of_its_steps(name, tmp_path):
    """All of it: constants, and velocities, which the steps after it show."""
    rng, after, n_killed = random.Random(name), clocks(), 0
    for number in range(count(3, 50)):
        path = tmp_path / f"{number}.table"
        make(name, file=path).close()
        n_killed += killed(lambda path=path: go_on(AlphaTable.resume(path)), rng.random() * 0.15)
        table, memory = AlphaTable.resume(path), make(name)
        n_taken = after.index(table.clock)  # whole blocks alone
        for taken, (index, grad) in enumerate(batches()):
            if taken == n_taken + 16:
                break
            if taken == n_taken:
                torch.testing.assert_close(table.dense(), memory.dense(), rtol=0, atol=1e-12)
            if taken >= n_taken:
                take(table, index, grad, taken)
            take(memory, index, grad, taken)
        torch.testing.assert_close(table.dense(), memory.dense(), rtol=0, atol=1e-12)
        table.close()
        AlphaTable.resume(path, verify=True).close()
    LOG.info("%s: %d of them were killed", name, n_killed)
    assert n_killed  # the attack was one


def test_no_flipped_bit_of_a_description_is_passed_over(tmp_path):
    path, rng = tmp_path / "alpha.table", random.Random(0)
    make("momentum", file=path).close()
    content = path.read_bytes()
    for _ in range(count(40, 220)):
        path.write_bytes(flipped(content, rng.randrange(8 * 4096)))
        with pytest.raises(ValueError, match=r"is not a file of an alpha table|is damaged|expected"):
            AlphaTable.resume(path)


def test_no_flipped_bit_at_all_is_passed_over_where_it_is_asked_for(tmp_path):
    path, rng = tmp_path / "alpha.table", random.Random(0)
    make("momentum", file=path).close()
    content = path.read_bytes()
    for _ in range(count(40, 220)):
        path.write_bytes(flipped(content, rng.randrange(8 * len(content))))
        try:
            table = AlphaTable.resume(path, verify=True)
        except ValueError:
            continue
        # What lies between two arrays is of no table; and a clear flag of the checksum is told, too.
        assert torch.equal(table.dense(), make("momentum").dense())
        table.close()


def test_a_second_process_at_a_table_is_told_so(tmp_path):
    path = tmp_path / "alpha.table"
    read, write = os.pipe()

    def hold():
        table = make("still", file=path)
        os.write(write, b"held")
        time.sleep(60)
        table.close()

    with child(hold):
        assert os.read(read, 4) == b"held"
        before = path.read_bytes()
        with pytest.raises(BlockingIOError, match=r"alpha\.table is in use: another process has it open. Close it"):
            AlphaTable.resume(path)
        with pytest.raises(BlockingIOError, match="is in use"):  # and not sent to resume
            make("still", file=path)
        assert path.read_bytes() == before
    AlphaTable.resume(path).close()  # a lock ends with its process
    for end in (read, write):
        os.close(end)


def is_free(path):
    """Whether another process can open it."""

    def open_and_close():
        AlphaTable.resume(path).close()

    return status_of(open_and_close) == 0


def test_a_table_is_locked_until_it_is_closed_or_gone_and_while_it_grows(tmp_path, capfd):
    path = tmp_path / "alpha.table"
    table = make("momentum", file=path)
    assert not is_free(path)
    table.extend(10 * N, labels=torch.zeros(10 * N, dtype=torch.int64))  # in another file, which replaces it
    assert not is_free(path)
    again = AlphaTable.resume(path)  # this process may: what it does at once is its own affair
    table.close()
    assert not is_free(path)
    del again
    assert is_free(path)
    with AlphaTable.resume(path):
        assert not is_free(path)
    assert is_free(path)
    assert "BlockingIOError" in capfd.readouterr().err  # of the children


def test_a_child_that_was_forked_does_not_unlock_its_parents_table(tmp_path):
    path = tmp_path / "alpha.table"
    table = make("still", file=path)

    def let_go():
        nonlocal table
        del table

    assert status_of(let_go) == 0
    assert not is_free(path)
    table.close()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_huge_gradient_is_refused_before_it_makes_infinity(dtype, momentum):
    table = AlphaTable(4, 3, lr=1.0, momentum=momentum, dtype=dtype)
    table.step(torch.tensor([0, 1]), torch.ones(2, 3))
    before = table.dense().clone()
    largest = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).max
    huge = torch.tensor([[1.0, 0.0, 0.0], [0.0, -largest, 0.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"in row 1, of which the constants would overflow"):
        table.step(torch.tensor([0, 1]), huge.to(torch.float64 if dtype == torch.float64 else torch.float32))

    def announce():
        with table.announce(torch.tensor([2, 3]), [1, 1]) as steps:
            for step, grad in zip(steps, huge.split(1), strict=True):
                step.step(grad)

    with pytest.raises(ValueError, match=r"grad of step 1 is .* in row 0, of which the constants would overflow"):
        announce()
    table.step(torch.tensor([0]), torch.ones(1, 3))
    assert torch.isfinite(table.dense()).all()
    assert (table.dense()[1] == before[1]).all() or momentum


def test_float16_ends_with_an_error(tmp_path):
    table = AlphaTable(2, 3, lr=1.0, dtype=torch.float16, file=tmp_path / "alpha.table")
    grad = torch.tensor([[30_000.0, 0.0, 0.0]])
    for _ in range(2):
        table.step(torch.tensor([0]), grad)
    before = table.dense().clone()
    with pytest.raises(ValueError, match="constants would be up to 9e\\+04, and float16 ends at 65504"):
        table.step(torch.tensor([0]), grad)
    assert torch.equal(table.dense(), before)
    assert table.clock == 2
    table.close()
