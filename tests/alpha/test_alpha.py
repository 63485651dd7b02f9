"""AlphaTable against torch.optim.SGD on a dense parameter of the same gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import MOTIONS
from tables import private_table

from acestimator import AlphaTable
from acestimator.alpha.window import WindowProducts

N, K = 7, 3
rates = st.sampled_from([0.0, 0.01, 0.3, 1.0])
plans = st.lists(st.tuples(st.lists(st.integers(0, N - 2), min_size=1, max_size=5), rates), min_size=1, max_size=60)


def schedule(step):
    return 0.5 * (1.0 + math.cos(step / 9.0)) + 0.01


class Dense:
    """The reference: an (N, K) parameter under torch.optim.SGD."""

    def __init__(self, n_samples=N, n_classes=K, labels=None, dtype=torch.float64, **hyperparameters):
        self.labels = labels
        self.parameter = torch.nn.Parameter(torch.zeros(n_samples, n_classes, dtype=dtype))
        self.optimizer = torch.optim.SGD([self.parameter], **hyperparameters)

    @property
    def value(self):
        return self.parameter.detach()

    def step(self, index, grad, lr):
        if self.labels is not None:
            grad = grad * torch.nn.functional.one_hot(self.labels[index], grad.shape[1])
        self.parameter.grad = torch.zeros_like(self.parameter).index_add(0, index, grad)
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()


@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 5e-5, 1e-2, 0.3]),
    layout=st.sampled_from(["AC1", "AC2", "all rivals"]),
    plan=plans,
    block=st.sampled_from([3, 256]),
    seed=st.integers(0, 2**31),
)
def test_rows_and_dense_equal_torch_sgd(momentum, nesterov, weight_decay, layout, plan, block, seed):
    """Repeats in and across batches, ragged batches, any rates, a window of 6 steps or a long one.

    The last sample is never visited. Sparse AC1 that keeps all rivals drops nothing.
    """
    nesterov = nesterov and momentum > 0
    hyperparameters = {"lr": 1.0, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (N,), generator=generator)
    table = private_table(
        N,
        K,
        window=block,
        variant="AC2" if layout == "AC2" else "AC1",
        rivals=K - 1 if layout == "all rivals" else None,
        labels=labels,
        dtype=torch.float64,
        **hyperparameters,
    )
    dense = Dense(labels=labels if layout == "AC2" else None, **hyperparameters)
    for batch, lr in plan:
        index = torch.tensor(batch)
        torch.testing.assert_close(table.rows(index), dense.value[index], rtol=0, atol=1e-12)
        grad = torch.randn(len(batch), K, dtype=torch.float64, generator=generator)
        table.step(index, grad, lr)
        dense.step(index, grad, lr)
    torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=1e-12)


@settings(max_examples=12, deadline=None)
@given(
    momentum=st.sampled_from([0.0, 0.9, 0.99]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 5e-5, 1e-2]),
    variant=st.sampled_from(["AC1", "AC2"]),
    seed=st.integers(0, 2**31),
)
def test_a_thousand_steps_of_float32_stay_within_5e_5(momentum, nesterov, weight_decay, variant, seed):
    """Constants up to 10: the gradient pulls outwards, and back from beyond it. 20 samples, two of them a step."""
    n_samples = 20
    nesterov = nesterov and momentum > 0
    hyperparameters = {"lr": 1.0, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (n_samples,), generator=generator)
    table = AlphaTable(n_samples, K, variant=variant, labels=labels, **hyperparameters)
    dense = Dense(n_samples, labels=labels if variant == "AC2" else None, dtype=torch.float32, **hyperparameters)
    largest = 0.0
    for step in range(1000):
        index = torch.randperm(n_samples, generator=generator)[:2]
        lr = 3.0 * (1.0 - momentum) * schedule(step)
        now = dense.value[index]
        noise = torch.rand(now.shape, generator=generator)
        grad = torch.where(now.abs() < 9.0, -torch.sign(now + 1e-3) * noise, now / 9.0 * noise)
        torch.testing.assert_close(table.rows(index), now, rtol=0, atol=5e-5)
        table.step(index, grad, lr)
        dense.step(index, grad, lr)
        largest = max(largest, float(dense.value.abs().max()))
    assert largest > 8.0
    torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=5e-5)


@pytest.mark.parametrize("clock", [2**24 - 3, 2**53 - 300])
def test_a_late_clock_is_as_exact_as_an_early_one(clock):
    """Beyond these counts a float32, and a float64, has no odd numbers."""
    hyperparameters = {"lr": 1.0, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
    table = private_table(N, K, clock=clock, dtype=torch.float64, **hyperparameters)
    dense, generator = Dense(**hyperparameters), torch.Generator().manual_seed(0)
    for step in range(600):
        index = torch.randint(N - 1, (2,), generator=generator)
        grad = torch.randn(2, K, dtype=torch.float64, generator=generator)
        torch.testing.assert_close(table.rows(index), dense.value[index], rtol=0, atol=1e-12)
        table.step(index, grad, schedule(step))
        dense.step(index, grad, schedule(step))
    assert table.clock == clock + 600
    torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=1e-12)


def test_a_row_that_waited_for_many_windows_is_exact():
    """Blocks of 4 make a window of 12 steps; a row waits 100, and the table sweeps itself in between."""
    hyperparameters = {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
    table = private_table(N, K, window=4, dtype=torch.float64, **hyperparameters)
    dense, generator = Dense(**hyperparameters), torch.Generator().manual_seed(0)
    for step in range(100):
        index = torch.tensor([0, 1]) if step == 0 else torch.tensor([1 + step % 3])
        grad = torch.randn(len(index), K, dtype=torch.float64, generator=generator)
        table.step(index, grad, schedule(step))
        dense.step(index, grad, schedule(step))
        torch.testing.assert_close(table.rows(torch.arange(N)), dense.value, rtol=0, atol=1e-12)


@given(st.integers(1, 200), st.integers(0, 2**31))
def test_window_products_equal_the_product_of_the_steps(n_steps, seed):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.eye(2, dtype=torch.float64) + 0.1 * torch.randn(
        n_steps, 2, 2, dtype=torch.float64, generator=generator
    )
    products = WindowProducts.empty(block=5)
    for matrix in matrices:
        products.advance([tuple(matrix.flatten().tolist())])
    first = max(0, n_steps - products.capacity)
    expected, product = [], torch.eye(2, dtype=torch.float64)
    for time in range(n_steps, first - 1, -1):
        expected.append(product)
        product = product @ matrices[time - 1]
    times = torch.arange(n_steps, first - 1, -1)
    torch.testing.assert_close(
        products.since(times), torch.stack(expected).transpose(1, 2).reshape(-1, 4), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("name", ["l2", "l1", "group"])
def test_lazy_penalties_equal_a_proximal_step_on_every_row(name):
    """Against the dense iteration a <- prox(a - lr g), each penalty's prox from its own definition."""
    strength = 0.05

    def prox(a, t):
        if name == "l2":
            return a / (1.0 + t)
        if name == "l1":
            return torch.nn.functional.softshrink(a, t)
        norm = a.norm(dim=1, keepdim=True)
        return torch.where(norm > t, a * (1.0 - t / norm.clamp(min=t)), torch.zeros_like(a))

    generator = torch.Generator().manual_seed(3)
    table = AlphaTable(N, K, lr=1.0, penalty=(name, strength), dtype=torch.float64)
    dense = torch.zeros(N, K, dtype=torch.float64)
    for step in range(80):
        index = torch.randint(N - 1, (3,), generator=generator)
        grad = torch.randn(3, K, dtype=torch.float64, generator=generator)
        torch.testing.assert_close(table.rows(index), dense[index], rtol=0, atol=1e-12)
        table.step(index, grad, schedule(step))
        dense = prox(dense.index_add(0, index, grad, alpha=-schedule(step)), schedule(step) * strength)
    torch.testing.assert_close(table.dense(), dense, rtol=0, atol=1e-12)


LAYOUTS = {"AC1": {}, "AC2": {"variant": "AC2"}, "sparse": {"rivals": 2}}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_announcing_the_samples_changes_nothing(motion, layout):
    """Rates change from step to step; the last of the announced steps is not taken."""
    labels, n_classes = torch.arange(N) % K, 6
    parameters = {"labels": labels, "lr": 0.3, "dtype": torch.float64, **MOTIONS[motion], **LAYOUTS[layout]}
    tables = [private_table(N, n_classes, window=4, **parameters) for _ in range(2)]
    generator = torch.Generator().manual_seed(1)
    for epoch in range(9):
        order = torch.randperm(N, generator=generator)
        rates = [schedule(4 * epoch + step) for step in range(4)]
        with tables[0].announce(order, [2, 2, 2, 1], rates) as steps:
            for step in list(steps)[:3]:
                grad = torch.randn(len(step.index), n_classes, dtype=torch.float64, generator=generator)
                torch.testing.assert_close(step.rows(), tables[1].rows(step.index), rtol=0, atol=1e-12)
                step.step(grad)
                tables[1].step(step.index, grad, rates[step.number])
    torch.testing.assert_close(tables[0].dense(), tables[1].dense(), rtol=0, atol=1e-12)
    assert tables[0].dense().abs().max() > 0.1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_a_table_on_another_device_takes_the_same_steps(motion, layout):
    """The path beside a GPU, on the CPU: rows are fetched and sent back, in steps and in blocks."""
    labels, n_classes = torch.arange(N) % K, 6
    parameters = {"labels": labels, "lr": 0.3, "dtype": torch.float64, **MOTIONS[motion], **LAYOUTS[layout]}
    tables = [AlphaTable(N, n_classes, **parameters) for _ in range(2)]
    tables[0]._rows.transfer.local = tables[0]._rows._one_addition = False
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        index = torch.randint(N, (3,), generator=generator)
        order = torch.randperm(N, generator=generator)
        grad = torch.randn(N, n_classes, dtype=torch.float64, generator=generator)
        for table in tables:
            table.rows(index)
            table.step(index, grad[:3])
            with table.announce(order, [4, 3]) as steps:
                for step in steps:
                    step.step(grad[step.index])
    torch.testing.assert_close(tables[0].dense(), tables[1].dense(), rtol=0, atol=1e-12)


def test_a_sparse_row_is_the_dense_one_cut_to_the_largest_rivals_after_each_visit():
    """The label stays, whatever its size; two rivals of five are kept."""
    n_classes, rivals, lr = 6, 2, 0.3
    labels = torch.arange(N) % n_classes
    table = AlphaTable(N, n_classes, labels=labels, rivals=rivals, lr=lr, dtype=torch.float64)
    expected, generator = torch.zeros(N, n_classes, dtype=torch.float64), torch.Generator().manual_seed(0)
    for _ in range(50):
        index = torch.randperm(N, generator=generator)[:3]
        grad = torch.randn(3, n_classes, dtype=torch.float64, generator=generator)
        torch.testing.assert_close(table.rows(index), expected[index], rtol=0, atol=1e-12)
        table.step(index, grad)
        for i, g in zip(index.tolist(), grad, strict=True):
            moved = expected[i] - lr * g
            others = [j for j in moved.abs().argsort(descending=True).tolist() if j != labels[i]]
            moved[others[rivals:]] = 0.0
            expected[i] = moved
    torch.testing.assert_close(table.dense(), expected, rtol=0, atol=1e-12)


def test_rows_changed_in_place_are_not_taken_for_those_of_the_table():
    table = AlphaTable(N, K, lr=1.0, momentum=0.9)
    index = torch.tensor([0, 1])
    table.step(index, torch.ones(2, K))
    before = table.rows(index).clone()
    table.rows(index).zero_()
    assert torch.equal(table.rows(index), before)


def test_an_index_whose_memory_was_used_again_is_looked_up_again():
    table = AlphaTable(N, K, lr=1.0, momentum=0.9)
    index = torch.tensor([0, 1])
    table.rows(index)
    index.data[:] = torch.tensor([2, 3])
    table.step(index, torch.ones(2, K))
    assert table.dense().any(dim=1).tolist() == [False, False, True, True, False, False, False]


@pytest.mark.parametrize("mask", [torch.tensor([False, True]), torch.tensor([0.0, 1.0])])
def test_what_equals_the_last_positions_is_no_position(mask):
    table = AlphaTable(N, K, lr=1.0, momentum=0.9)
    table.rows(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="expected positions of samples"):
        table.step(mask, torch.ones(2, K))


@pytest.mark.parametrize("motion", MOTIONS)
def test_norm_is_the_root_mean_square_of_the_dense_rows_norms(motion):
    table = AlphaTable(N, K, lr=1.0, **MOTIONS[motion])
    table.step(torch.tensor([0, 2]), torch.randn(2, K, generator=torch.Generator().manual_seed(0)))
    table.step(torch.tensor([1]), torch.ones(1, K))
    norm = table.norm()
    assert norm == pytest.approx(float(table.dense().norm(dim=1).square().mean().sqrt()))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variant": "AC3"}, "'AC3'.*'AC1' or 'AC2'"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lr": "0.3"}, "lr is '0.3', expected a finite number"),
        ({"lr": True}, "lr is True"),
        ({"momentum": float("nan")}, "momentum is nan"),
        ({"momentum": 1.5}, "momentum is 1.5, expected a number from 0 to below 1"),
        ({"momentum": 1}, "momentum is 1.0, expected"),
        ({"weight_decay": np.bool_(True)}, "weight_decay is .*True"),
        ({"nesterov": "yes", "momentum": 0.9}, "nesterov is 'yes', expected True or False"),
        ({"seed": "x"}, "seed is 'x', expected an integer"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"nesterov": True}, "nesterov needs a momentum"),
        ({"penalty": ("l3", 1.0)}, "penalty is 'l3'.*'l2', 'l1', 'group'"),
        ({"penalty": ("l1", -1.0)}, "strength of penalty 'l1' is -1.0"),
        ({"penalty": ("l1", True)}, "strength of penalty 'l1' is True"),
        ({"penalty": ("l1", "2")}, "strength of penalty 'l1' is '2'"),
        ({"penalty": "l2"}, "penalty is 'l2', expected a pair"),
        ({"penalty": 0.1}, "penalty is 0.1, expected a pair"),
        ({"penalty": (np.ones(2), 0.1)}, "penalty is array.*expected one of 'l2'"),
        ({"penalty": ("l1", 1.0), "momentum": 0.9}, "set both to 0"),
        ({"variant": "AC2"}, "give labels, one per sample"),
        ({"variant": "AC2", "labels": torch.zeros(3, dtype=torch.int64)}, r"\(3,\).*7 samples"),
        ({"variant": "AC2", "labels": torch.full((N,), 3)}, "from 3 to 3, expected 0 to 2"),
        ({"n_samples": -1}, "n_samples is -1, expected an integer of at least 0"),
        ({"n_samples": 7.0}, "n_samples is 7.0"),
        ({"n_classes": 0}, "n_classes is 0, expected an integer of at least 1"),
        ({"rivals": 1}, "give labels, one per sample"),
        ({"rivals": K, "labels": [0] * N}, "rivals is 3, expected an integer from 1 to 2"),
        ({"rivals": True, "labels": [0] * N}, "rivals is True, expected an integer of at least 1"),
        ({"n_samples": True}, "n_samples is True"),
        ({"n_classes": np.float64(3)}, "n_classes is .*3.0"),
        ({"rivals": 1, "variant": "AC2"}, "rivals is 1 with variant 'AC2'"),
        ({"dtype": torch.int8}, "dtype is torch.int8, expected one of torch.float32"),
        ({"storage": "disk"}, "storage is 'disk', expected 'device' or 'pinned'"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        AlphaTable(**{"n_samples": N, "n_classes": K, "lr": 1.0, **parameters})


@pytest.mark.parametrize(
    "number", [np.float32, np.float64, np.float16, torch.tensor], ids=lambda number: number.__name__
)
@pytest.mark.parametrize("integer", [np.int8, np.uint16, np.int32, np.int64], ids=lambda integer: integer.__name__)
def test_numbers_may_be_numpys(number, integer, tmp_path):
    """In a file, too, where they are Python's."""
    for motion in (
        {"momentum": number(0.5), "weight_decay": number(0.25), "nesterov": np.bool_(True)},
        {"penalty": ["l1", number(0.5)]},
    ):
        path = tmp_path / str(len(motion))
        sizes = {"n_samples": integer(N), "n_classes": integer(K), "rivals": integer(1), "seed": integer(3)}
        table = AlphaTable(**sizes, lr=number(0.25), labels=[0] * N, file=path, **motion)
        table.step(torch.tensor([0]), torch.ones(1, K), number(0.125))
        with table.announce(torch.tensor([1]), [integer(1)], [number(0.125)]) as steps:
            steps[0].step(torch.ones(1, K))
        table.extend(integer(2), labels=[0, 1])
        dense = table.dense().clone()
        table.close()
        again = AlphaTable.resume(path, verify=True)
        assert torch.equal(again.dense(), dense)
        assert again.n_samples == N + 2
        assert again.lr == 0.25
        assert {type(value) for value in again.state_dict()["hyperparameters"].values()} <= {
            int,
            float,
            str,
            bool,
            tuple,
            type(None),
        }


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize(
    ("index", "grad", "lr", "error", "message"),
    [
        ([0, N], torch.ones(2, K), None, IndexError, f"0 to {N}, expected positions 0 to {N - 1}"),
        ([-1, 0], torch.ones(2, K), None, IndexError, "-1 to 0"),
        ([0, 1], torch.ones(2, K + 1), None, ValueError, r"\(2, 4\), expected \(2, 3\)"),
        ([0, 1], torch.ones(1, K), None, ValueError, r"\(1, 3\), expected \(2, 3\)"),
        ([0, 1], torch.tensor([[0.0] * K, [0.0, math.nan, 0.0]]), None, ValueError, "NaN or infinite in row 1"),
        ([0, 1], torch.tensor([[math.inf] * K, [0.0] * K]), None, ValueError, "NaN or infinite in row 0"),
        ([0, 1], torch.ones(2, K), math.nan, ValueError, "lr is nan"),
        ([0.0, 1.0], torch.ones(2, K), None, ValueError, "index is torch.float32"),
        ([[0], [1]], torch.ones(2, K), None, ValueError, r"of shape \(2, 1\)"),
    ],
)
def test_a_bad_step_leaves_the_table_as_it_was(motion, index, grad, lr, error, message):
    table = AlphaTable(N, K, lr=1.0, **MOTIONS[motion])
    table.step(torch.tensor([0, 1]), torch.ones(2, K))
    table.step(torch.tensor([2]), torch.ones(1, K))
    before = {name: array.clone() for name, array in table.state_dict()["arrays"].items()}
    with pytest.raises(error, match=message):
        table.step(torch.tensor(index), grad, lr)
    for name, array in table.state_dict()["arrays"].items():
        assert torch.equal(array, before[name]), name


def test_gradients_whose_sum_overflows_are_no_error():
    table = AlphaTable(N, K, lr=1e-38)
    table.step(torch.tensor([0]), torch.full((1, K), 3e38))
    torch.testing.assert_close(table.dense()[0], torch.full((K,), -3.0))


def test_an_empty_batch_is_a_step_without_gradients():
    table, dense = AlphaTable(N, K, lr=1.0, momentum=0.9, dtype=torch.float64), Dense(lr=1.0, momentum=0.9)
    for index in (torch.tensor([0, 1]), torch.tensor([], dtype=torch.int64), torch.tensor([1])):
        assert table.rows(index).shape == (len(index), K)
        grad = torch.ones(len(index), K, dtype=torch.float64)
        table.step(index, grad, 0.1)
        dense.step(index, grad, 0.1)
    torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=1e-12)


CUDA_TABLES = [
    {**motion, **layout, "storage": storage}
    for motion in MOTIONS.values()
    for layout in LAYOUTS.values()
    for storage in ("device", "pinned")
] + [{"fused": True}, {"fused": True, "momentum": 0.9}, {"dtype": torch.bfloat16}]


@pytest.mark.cuda
@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("parameters", CUDA_TABLES)
def test_cuda_equals_cpu(parameters, announced):
    """Rows, gradients and the table, step by step and in blocks; 16 bits to their precision."""
    labels, generator = torch.arange(N) % K, torch.Generator().manual_seed(0)
    tables = {
        device: AlphaTable(N, K, labels=labels, lr=0.3, device=device, **parameters) for device in ("cpu", "cuda")
    }
    # Each of the two rounds a row 20 times, on draws of its own: by at most 2**-6 where it is below 4, with a standard
    # deviation of at most half of that. This is five deviations of the difference.
    atol = 0.25 if parameters.get("dtype") == torch.bfloat16 else 1e-5
    for epoch in range(20):
        order = torch.randperm(N, generator=generator)
        logits = torch.randn(N, K, generator=generator)
        grads: dict[str, list[torch.Tensor]] = {device: [] for device in tables}
        for device, table in tables.items():
            there, logits_there, labels_there = order.to(device), logits.to(device), labels.to(device)
            if announced:
                with table.announce(there, [3, 4], [schedule(epoch)] * 2) as steps:
                    for step in steps:
                        grad, _ = step.gradient(logits_there[step.index], labels_there[step.index])
                        step.step(grad)
                        grads[device].append(grad)
                continue
            for part in there.split([3, 4]):
                grad, _ = table.gradient(logits_there[part], labels_there[part], part)
                table.step(part, grad, schedule(epoch))
                grads[device].append(grad)
        for ours, theirs in zip(grads["cuda"], grads["cpu"], strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, rtol=0, atol=atol)
    torch.testing.assert_close(tables["cuda"].dense().cpu(), tables["cpu"].dense(), rtol=0, atol=atol)
