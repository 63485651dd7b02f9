"""Steps that were announced: known by their place, and equal to the same steps without."""

import contextlib
import math

import pytest
import torch
from motions import MOTIONS
from tables import private_table

from acestimator import AlphaTable

N, K = 7, 3
MANY = torch.tensor([[0.0, 0, 1], [0, 2, 0], [3, 0, 0], [0, 4, 0], [0, 0, 5], [6, 0, 0]])


def table_of(**parameters):
    table = AlphaTable(N, K, **{"lr": 1.0, "momentum": 0.9, **parameters})
    table.step(torch.arange(N), torch.randn(N, K, generator=torch.Generator().manual_seed(0)))
    return table


def test_steps_are_known_by_their_place():
    table = table_of()
    expected = table.rows(torch.arange(N))
    with table.announce(torch.tensor([5, 3, 1, 0]), [1, 2, 1]) as steps:
        assert [step.number for step in steps] == [0, 1, 2]
        assert [step.index.tolist() for step in steps] == [[5], [3, 1], [0]]
        assert steps[-1].index.tolist() == [0]
        assert len(steps) == 3
        torch.testing.assert_close(steps[0].rows(), expected[[5]])
        with pytest.raises(IndexError):
            steps[3]


def test_no_other_rows_can_be_had_or_moved():
    """Parts of the index were once known by their memory: every other sample was taken for the next ones."""
    table, index = table_of(momentum=0), torch.arange(4)
    with table.announce(index, [2, 2]) as steps:
        for use in (
            lambda: table.rows(index[::2]),
            lambda: table.step(index[::2], torch.ones(2, K)),
            lambda: table.gradient(torch.zeros(2, K), index[:2] % K, index[:2]),
            lambda: table.cross_entropy(torch.zeros(2, K), index[:2] % K, index[:2]),
            table.dense,
            table.norm,
            table.flush,
            lambda: table.extend(1),
            lambda: table.announce(index, [4]).__enter__(),
        ):
            with pytest.raises(RuntimeError, match=r"steps are announced.*use these steps, or leave the with block"):
                use()
        before = [step.rows().clone() for step in steps]
    assert torch.equal(torch.cat(before), table.rows(index))


@pytest.mark.parametrize("motion", MOTIONS)
def test_memory_of_the_caller_can_be_used_again_at_once(motion):
    """Of the index, and of each gradient."""
    tables = [AlphaTable(N, K, lr=1.0, dtype=torch.float64, **MOTIONS[motion]) for _ in range(2)]
    index, grad = torch.tensor([4, 2, 0, 6, 1]), torch.empty(2, K, dtype=torch.float64)
    with tables[0].announce(index, [2, 2, 1]) as steps:
        index.fill_(5)
        for step in steps:
            part = grad[: len(step.index)].copy_(MANY[2 * step.number :][: len(step.index)])
            step.step(part)
            grad.fill_(torch.nan)
    for number, part in enumerate(torch.tensor([4, 2, 0, 6, 1]).split(2)):
        tables[1].step(part, MANY[2 * number :][: len(part)].double())
    torch.testing.assert_close(tables[0].dense(), tables[1].dense(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
def test_cross_entropy_of_a_step_is_that_of_the_table(variant):
    labels = torch.arange(N) % K
    tables = [table_of(variant=variant, labels=labels) for _ in range(2)]
    logits = [torch.randn(N, K, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]
    index = torch.tensor([4, 2, 0, 6])
    with tables[0].announce(index, [3, 1], [0.5, 0.2]) as steps:
        for step in steps:
            loss = step.cross_entropy(logits[0][step.index], labels[step.index])
            other = tables[1].cross_entropy(logits[1][step.index], labels[step.index], step.index)
            torch.testing.assert_close(loss, other)
            loss.backward()
            other.backward()
            step.step()
            tables[1].step_pending([0.5, 0.2][step.number])
    torch.testing.assert_close(logits[0].grad, logits[1].grad)
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())
    for reduction in ("sum", "none"):
        with tables[0].announce(index, [4]) as steps:
            loss = steps[0].cross_entropy(logits[0][index], labels[index], reduction=reduction)
        torch.testing.assert_close(
            loss, tables[0].cross_entropy(logits[0][index], labels[index], index, reduction=reduction)
        )


def test_a_step_takes_what_backward_left_to_it():
    table = AlphaTable(N, K, lr=1.0)
    logits, labels = torch.zeros(2, K, requires_grad=True), torch.tensor([0, 1])
    with table.announce(torch.tensor([0, 1, 2, 3]), [2, 2]) as (first, second):
        second.cross_entropy(logits, labels).backward()  # before its turn
        with pytest.raises(RuntimeError, match=r"step 0 has no gradient: give one, or call backward\(\)"):
            first.step()
        first.step(torch.zeros(2, K))
        loss = second.cross_entropy(logits, labels)
        with pytest.warns(UserWarning, match=r"backward\(\) was called twice for step 1, which takes the sum"):
            loss.backward()
        second.step()
    expected = torch.full((2, K), -1 / 3).scatter_(1, labels[:, None], 2 / 3)
    torch.testing.assert_close(table.dense()[2:4], 2 * expected)
    assert not table.dense()[:2].any()


def test_steps_are_taken_in_order_and_once():
    table = table_of()
    with table.announce(torch.tensor([0, 1, 2, 3]), [2, 2]) as (first, second):
        with pytest.raises(RuntimeError, match=r"step 1 was to be taken, and the next is step 0"):
            second.step(torch.ones(2, K))
        first.step(torch.ones(2, K))
        with pytest.raises(RuntimeError, match=r"step 0 was to be taken, and the next is step 1"):
            first.step(torch.ones(2, K))
        with pytest.raises(ValueError, match=r"grad has shape \(2, 2\), expected \(2, 3\)"):
            second.step(torch.ones(2, 2))
        with pytest.raises(ValueError, match=r"logits has shape \(1, 3\).* index has 2 entries"):
            second.cross_entropy(torch.ones(1, K), torch.tensor([0]))
        second.step(torch.ones(2, K))
    assert table.clock == 3
    for use in (first.rows, lambda: second.step(torch.ones(2, K))):
        with pytest.raises(RuntimeError, match="these steps are over"):
            use()


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_exception_leaves_the_steps_that_were_taken(error):
    tables = [table_of(), table_of()]
    with contextlib.suppress(error), tables[0].announce(torch.tensor([3, 1, 0]), [2, 1]) as steps:
        steps[0].step(MANY[:2])
        raise error
    tables[1].step(torch.tensor([3, 1]), MANY[:2])
    assert tables[0].clock == tables[1].clock
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("stops", [False, True])
def test_the_steps_before_a_gradient_that_is_not_finite_are_taken(stops, row):
    """An exception of the loop's own is not replaced."""
    tables = [table_of(), table_of()]

    def diverge():
        with tables[0].announce(torch.tensor([3, 1, 0, 2, 4]), [2, 2, 1]) as steps:
            steps[0].step(MANY[:2])
            steps[1].step(torch.zeros(2, K).index_fill(0, torch.tensor(row), math.inf))
            steps[2].step(MANY[:1])
            if stops:
                raise KeyError("stop")

    message = "stop" if stops else f"grad of step 1 is NaN or infinite in row {row}"
    with pytest.raises(KeyError if stops else ValueError, match=message):
        diverge()
    tables[1].step(torch.tensor([3, 1]), MANY[:2])
    assert tables[0].clock == tables[1].clock
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("announced", [False, True])
def test_a_gradient_may_hang_on_the_graph_of_the_network(announced, motion):
    """It once became a part of the constants, with all of its graph, or left the table in the middle of a block."""
    tables, index = (AlphaTable(N, K, lr=0.5, **MOTIONS[motion]), AlphaTable(N, K, lr=0.5, **MOTIONS[motion])), [3, 1]
    grad = 2 * MANY[:2].clone().requires_grad_()
    if announced:
        with tables[0].announce(index, [1, 1]) as steps:
            for step, part in zip(steps, grad.split(1), strict=True):
                step.step(part)
        for number in (0, 1):
            tables[1].step(index[number : number + 1], grad[number : number + 1].detach())
    else:
        tables[0].step(index, grad)
        tables[1].step(index, grad.detach())
    assert not tables[0].dense().requires_grad
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())


def test_samples_can_be_announced_by_their_ids():
    table = AlphaTable(3, K, lr=1.0, ids=["a", "b", "c"])
    with table.announce(["c", "a"], [1, 1]) as steps:
        assert [step.index for step in steps] == [["c"], ["a"]]
        steps[0].step(torch.ones(1, K))
    assert table.dense().any(dim=1).tolist() == [False, False, True]


def test_announcements_that_cannot_be_kept():
    table = private_table(N, K, window=3, lr=1.0, momentum=0.9)
    for index, sizes, rates, message in (
        ([0, 1, 0], [2, 1], None, "stands twice in index"),
        ([0, 1, 2], [2, 2], None, "add up to 4 and index has 3"),
        ([0, 1, 2], [2, 1], [0.1], "1 rates and 2 sizes"),
        ([0, 1, 2], [3, 0], None, "a size is 0, expected an integer of at least 1"),
        ([0, 1, 2], [2, 1], [0.1, math.nan], "a rate is nan"),
        ([0, 1, 2], [2.0, 1], None, r"a size is 2\.0"),
        ([], [], None, "sizes is empty"),
        ([0, 1, 2, 3], [1, 1, 1, 1], None, "4 steps were announced, expected at most 3"),
    ):
        with pytest.raises(ValueError, match=message), table.announce(torch.tensor(index), sizes, rates):
            pass
    with pytest.raises(ValueError, match=r"index is list of no numbers, .* made with ids"), table.announce(["a"], [1]):
        pass
    with pytest.raises(IndexError, match="expected positions 0 to 6"), table.announce(torch.tensor([N]), [1]):
        pass
    table.cross_entropy(torch.zeros(1, K, requires_grad=True), torch.tensor([0]), torch.tensor([0])).backward()
    with pytest.raises(RuntimeError, match="gradients are pending"), table.announce(torch.tensor([0]), [1]):
        pass
    assert table.clock == 0


@pytest.mark.parametrize("stops", [False, True])
def test_all_steps_can_be_taken_by_one_gradient(stops):
    """As the package's own loop does. At the end of the context there is then nothing left to do."""
    tables = table_of(), table_of()
    with (
        contextlib.suppress(ZeroDivisionError),
        tables[0].announce(torch.tensor([3, 1, 0]), [2, 1]) as steps,
    ):
        steps.finish(MANY[:3])
        if stops:
            raise ZeroDivisionError
    tables[1].step(torch.tensor([3, 1]), MANY[:2])
    tables[1].step(torch.tensor([0]), MANY[2:3])
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())


def test_what_a_loop_of_the_package_asks_for():
    """All constants at once, gradients by number, and one gradient for all of the steps."""
    tables, index = [table_of(), table_of()], torch.tensor([3, 1, 0])
    logits, labels = torch.randn(3, K, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 2, 1])
    steps = tables[0].announced(index, [2, 1], [0.5, 0.2])
    assert steps.sizes == [2, 1]
    grads = []
    for number, part in enumerate((slice(0, 2), slice(2, 3))):
        torch.testing.assert_close(steps.constants[part], tables[1].rows(index[part]))
        for ours, theirs in zip(
            steps.gradient(number, logits[part], labels[part]),
            tables[1].gradient(logits[part], labels[part], index[part]),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)
        grads.append(steps.gradient(number, logits[part], labels[part])[0])
        tables[1].step(index[part], grads[number], [0.5, 0.2][number])
    steps.finish(torch.cat(grads))
    with pytest.raises(RuntimeError, match="these steps are over"):
        steps.finish(torch.cat(grads))
    torch.testing.assert_close(tables[0].dense(), tables[1].dense())


def test_norm_can_be_that_of_the_last_visits():
    table = table_of()
    before = table.dense().clone()
    for _ in range(3):
        table.step(torch.tensor([], dtype=torch.int64), torch.empty(0, K))
    assert table.norm(as_visited=True) == pytest.approx(float(before.norm(dim=1).square().mean().sqrt()))
    assert table.norm() > 1.5 * table.norm(as_visited=True)
