"""AlphaTable against torch.optim.SGD on a dense parameter of the same gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acestimator import AlphaTable
from acestimator._products import WindowProducts

N, K = 7, 3


def schedule(step):
    return 0.5 * (1.0 + math.cos(step / 9.0)) + 0.01


class Dense:
    """The reference: an (N, K) parameter under torch.optim.SGD."""

    def __init__(self, labels=None, **hyperparameters):
        self.labels = labels
        self.parameter = torch.nn.Parameter(torch.zeros(N, K, dtype=torch.float64))
        self.optimizer = torch.optim.SGD([self.parameter], **hyperparameters)

    def step(self, index, grad, lr):
        if self.labels is not None:
            grad = grad * torch.nn.functional.one_hot(self.labels[index], K)
        self.parameter.grad = torch.zeros_like(self.parameter).index_add(0, index, grad)
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()


@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 5e-5, 1e-2, 0.3]),
    variant=st.sampled_from(["AC1", "AC2"]),
    plan=st.lists(st.lists(st.integers(0, N - 2), min_size=1, max_size=5), min_size=1, max_size=60),
    seed=st.integers(0, 2**31),
)
def test_rows_and_dense_equal_torch_sgd(momentum, nesterov, weight_decay, variant, plan, seed):
    """Repeats in and across batches, ragged batches; the last sample is never visited."""
    nesterov = nesterov and momentum > 0
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (N,), generator=generator)
    table = AlphaTable(
        N,
        K,
        variant=variant,
        labels=labels,
        lr=1.0,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        dtype=torch.float64,
    )
    dense = Dense(
        labels if variant == "AC2" else None, lr=1.0, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    for step, batch in enumerate(plan):
        index = torch.tensor(batch)
        expected = dense.parameter.detach()[index]
        torch.testing.assert_close(table.rows(index), expected, rtol=0, atol=1e-12)
        grad = torch.randn(len(batch), K, dtype=torch.float64, generator=generator)
        table.step(index, grad, schedule(step))
        dense.step(index, grad, schedule(step))
    torch.testing.assert_close(table.dense(), dense.parameter.detach(), rtol=0, atol=1e-12)


def test_a_row_that_waited_for_many_windows_is_exact():
    """Blocks of 4 make a window of 12 steps; a row waits 100, and the table sweeps itself in between."""
    table = AlphaTable(N, K, lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.1, dtype=torch.float64)
    table._products = WindowProducts(block=4)
    dense = Dense(lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for step in range(100):
        index = torch.tensor([0, 1]) if step == 0 else torch.tensor([1 + step % 3])
        grad = torch.randn(len(index), K, dtype=torch.float64, generator=generator)
        table.step(index, grad, schedule(step))
        dense.step(index, grad, schedule(step))
        torch.testing.assert_close(table.rows(torch.arange(N)), dense.parameter.detach(), rtol=0, atol=1e-12)


@given(st.integers(1, 200), st.integers(0, 2**31))
def test_window_products_equal_the_product_of_the_steps(n_steps, seed):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.eye(2, dtype=torch.float64) + 0.1 * torch.randn(
        n_steps, 2, 2, dtype=torch.float64, generator=generator
    )
    products = WindowProducts(block=5)
    for matrix in matrices:
        products.advance(tuple(matrix.flatten().tolist()))
    first = max(0, n_steps - products.capacity)
    expected, product = [], torch.eye(2, dtype=torch.float64)
    for time in range(n_steps, first - 1, -1):
        expected.append(product)
        product = product @ matrices[time - 1]
    times = torch.arange(n_steps, first - 1, -1)
    torch.testing.assert_close(products.since(times), torch.stack(expected), rtol=1e-10, atol=1e-12)


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


@pytest.mark.parametrize("variant", ["AC1", "AC2"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_announcing_the_samples_changes_nothing(variant, momentum):
    labels = torch.arange(N) % K
    tables = [AlphaTable(N, K, variant=variant, labels=labels, lr=0.3, momentum=momentum) for _ in range(2)]
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        order = torch.randperm(N, generator=generator)
        tables[0].open(order, [2, 2, 2, 1])
        for index in order.split(2):
            grad = torch.randn(len(index), K, generator=generator)
            assert torch.equal(tables[0].rows(index), tables[1].rows(index))
            for table in tables:
                table.step(index, grad)
        tables[0].close()
    assert torch.equal(tables[0].dense(), tables[1].dense())


def test_announced_samples_are_taken_in_order_or_not_at_all():
    table = AlphaTable(N, K, lr=1.0)
    order = torch.tensor([0, 1, 2, 3])
    table.open(order, [2, 2])
    for other in (torch.tensor([3, 2]), order[2:]):
        with pytest.raises(RuntimeError, match="announced other samples"):
            table.rows(other)
        with pytest.raises(RuntimeError, match="announced other samples"):
            table.step(other, torch.ones(2, K))
    with pytest.raises(RuntimeError, match="call close"):
        table.dense()
    with pytest.raises(RuntimeError, match="called twice"):
        table.open(order, [2, 2])
    table.close()
    assert not table.dense().any()


def test_norm_is_the_root_mean_square_of_the_dense_rows_norms():
    table = AlphaTable(N, K, lr=1.0, momentum=0.9)
    table.step(torch.tensor([0, 2]), torch.randn(2, K, generator=torch.Generator().manual_seed(0)))
    table.step(torch.tensor([1]), torch.ones(1, K))
    assert table.norm() == pytest.approx(float(table.dense().norm(dim=1).square().mean().sqrt()))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"variant": "AC3"}, "'AC3'.*'AC1' or 'AC2'"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"momentum": float("nan")}, "momentum is nan"),
        ({"nesterov": True}, "nesterov needs a momentum"),
        ({"penalty": ("l3", 1.0)}, "penalty is 'l3'.*'l2', 'l1', 'group'"),
        ({"penalty": ("l1", -1.0)}, "strength of penalty 'l1' is -1.0"),
        ({"penalty": ("l1", 1.0), "momentum": 0.9}, "set both to 0"),
        ({"variant": "AC2"}, "give labels, one per sample"),
        ({"variant": "AC2", "labels": torch.zeros(3, dtype=torch.int64)}, r"\(3,\).*7 samples"),
        ({"variant": "AC2", "labels": torch.full((N,), 3)}, "from 3 to 3, expected 0 to 2"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        AlphaTable(N, K, **{"lr": 1.0, **parameters})


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    ("index", "grad", "error", "message"),
    [
        ([0, N], torch.ones(2, K), IndexError, f"0 to {N}, expected positions 0 to {N - 1}"),
        ([-1, 0], torch.ones(2, K), IndexError, "-1 to 0"),
        ([0, 1], torch.ones(2, K + 1), ValueError, r"\(2, 4\), expected \(2, 3\)"),
        ([0, 1], torch.ones(1, K), ValueError, r"\(1, 3\), expected \(2, 3\)"),
    ],
)
def test_a_bad_step_leaves_the_table_as_it_was(momentum, index, grad, error, message):
    table = AlphaTable(N, K, lr=1.0, momentum=momentum)
    table.step(torch.tensor([0, 1]), torch.ones(2, K))
    before = table.dense().clone()
    with pytest.raises(error, match=message):
        table.step(torch.tensor(index), grad)
    assert torch.equal(table.dense(), before)


@pytest.mark.cuda
def test_cuda_equals_cpu():
    tables = [AlphaTable(N, K, lr=0.3, momentum=0.9, weight_decay=0.01, device=device) for device in ("cpu", "cuda")]
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        index = torch.randint(N, (3,), generator=generator)
        grad = torch.randn(3, K, generator=generator)
        for table in tables:
            device = table.dense().device
            table.step(index.to(device), grad.to(device))
    torch.testing.assert_close(tables[1].dense().cpu(), tables[0].dense())
