"""AdamW that moves a feature's weights when a sample next has it: the numbers are those of the dense optimiser."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acestimator.backbones import mlp
from acestimator.backbones.sparse_linear import SparseLinear
from acestimator.rows import SparseRows
from acestimator.training import lazy
from acestimator.training.lazy import Drift, LazyAdamW, drift
from acestimator.training.optimizers import FusedAdamW

D, K, SETTINGS = 30, 3, {"beta1": 0.9, "weight_decay": 0.5}


def batch(rng, n_rows=4, n_features=6):
    """Sparse rows of a few features; the second row is empty."""
    columns = [np.sort(rng.choice(D, n_features if i != 1 else 0, replace=False)) for i in range(n_rows)]
    starts = torch.tensor([0, *np.cumsum([len(c) for c in columns])])
    values = torch.from_numpy(rng.normal(size=int(starts[-1])))
    return SparseRows(torch.from_numpy(np.concatenate(columns)), values, starts, D)


def networks(dtype=torch.float64):
    torch.manual_seed(0)
    dense = mlp.build((D,), K).to(dtype)
    return dense, mlp.taking_sparse_rows(mlp.build((D,), K)).to(dtype)


def weights(network):
    first = network[0].weight.detach()
    return [first.T if isinstance(network[0], SparseLinear) else first, *(p.detach() for p in network[1:].parameters())]


def same(ours, theirs, atol=1e-8):
    for one, two in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=atol)


def copy_weights(ours, theirs):
    theirs.load_state_dict({**ours.state_dict(), "0.weight": ours[0].weight.detach().T.contiguous()})


def steps(n_steps, ours, theirs, first, second, seed=0):
    rng = np.random.RandomState(seed)
    for step in range(n_steps):
        rows, lr = batch(rng), 0.01 * (1.0 - step / n_steps)
        gradient = torch.from_numpy(rng.normal(size=(len(rows), K)))
        first.descend(ours(first.look_up(rows.dense())), gradient, lr)
        second.descend(theirs(second.look_up(rows)), gradient, lr)


# ------------------------------------------------------------------ the layer


def test_the_layer_is_linear_of_sparse_and_of_dense_rows_alike():
    rows = batch(np.random.RandomState(0))
    linear = nn.Linear(D, 5).double()
    layer = SparseLinear(linear)
    dense = rows.dense().requires_grad_()
    for x in (rows, dense):
        torch.testing.assert_close(layer(x), linear(dense), rtol=1e-12, atol=1e-12)
        ours = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
        theirs = torch.autograd.grad(linear(dense).square().sum(), list(linear.parameters()))
        torch.testing.assert_close(ours[0], theirs[0].T, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-12, atol=1e-12)


@given(st.lists(st.integers(0, 4), max_size=6), st.integers(0, 10))
def test_rows_are_split_as_a_tensor_is(sizes, start):
    rows = batch(np.random.RandomState(0), n_rows=max(sum(sizes), 2))
    rows = rows[: sum(sizes)]
    parts = rows.split(sizes)
    assert all(map(torch.equal, (part.dense() for part in parts), torch.split(rows.dense(), sizes)))
    assert torch.equal(rows[start:].dense(), rows.dense()[start:])


# ------------------------------------------------------------------ the optimiser


@pytest.mark.parametrize("longest", [3, 1024])
def test_steps_are_those_of_the_dense_optimiser(monkeypatch, longest):
    """With all that is between two visits: momentum, decay, rates that fall, moves of all weights in between."""
    monkeypatch.setattr(lazy, "_LONGEST", longest)
    monkeypatch.setattr(lazy, "_CHUNK", 7 * 256)
    ours, theirs = networks()
    copy_weights(ours, theirs)
    first, second = FusedAdamW(ours.parameters(), **SETTINGS), LazyAdamW(theirs, **SETTINGS)
    steps(60, ours, theirs, first, second)
    second.settle()
    same(ours, theirs)
    for moment, other in zip(first.state_dict()["moments"], second.state_dict()["moments"], strict=True):
        torch.testing.assert_close(other[0].T, moment[0], rtol=1e-6, atol=1e-12)
    settled = [weight.clone() for weight in weights(theirs)]
    second.settle()
    assert all(map(torch.equal, weights(theirs), settled))


def test_between_two_visits_a_weight_lies_where_it_was():
    """What is tested above is not the dense optimiser by another name."""
    _, theirs = networks()
    optimizer = LazyAdamW(theirs, **SETTINGS)
    rows = SparseRows(torch.tensor([4, 9]), torch.ones(2, dtype=torch.float64), torch.tensor([0, 1, 2]), D)
    before = theirs[0].weight.detach().clone()
    optimizer.descend(theirs(optimizer.look_up(rows)), torch.ones(2, K, dtype=torch.float64), 0.01)
    changed = (theirs[0].weight != before).any(dim=1).nonzero().squeeze(1)
    assert changed.tolist() == [4, 9]
    optimizer.settle()
    assert (theirs[0].weight != before).any(dim=1).all()  # the decay moves them all
    assert theirs[0].looked_up is None


def test_a_state_goes_on_in_another_optimiser():
    one, two = networks()[1], networks()[1]
    first, second = LazyAdamW(one, **SETTINGS), LazyAdamW(two, **SETTINGS)
    rng = np.random.RandomState(0)
    batches = [batch(rng) for _ in range(12)]

    def go(network, optimizer, some):
        for rows in some:
            optimizer.descend(network(optimizer.look_up(rows)), torch.ones(len(rows), K, dtype=torch.float64), 0.01)
        optimizer.settle()

    go(one, first, batches[:7])
    two.load_state_dict(one.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    go(one, first, batches[7:])
    go(two, second, batches[7:])
    assert all(map(torch.equal, weights(one), weights(two)))


def test_rows_without_a_single_number_are_a_step_too():
    ours, theirs = networks()
    copy_weights(ours, theirs)
    first, second = FusedAdamW(ours.parameters(), **SETTINGS), LazyAdamW(theirs, **SETTINGS)
    steps(3, ours, theirs, first, second)
    empty = batch(np.random.RandomState(0), n_features=0)
    gradient = torch.ones(len(empty), K, dtype=torch.float64)
    first.descend(ours(empty.dense()), gradient, 0.01)
    second.descend(theirs(second.look_up(empty)), gradient, 0.01)
    steps(3, ours, theirs, first, second, seed=1)
    second.settle()
    same(ours, theirs)


@given(
    st.lists(st.sampled_from([0.0, 1e-4, 1e-3, 0.5]), min_size=1, max_size=12),
    st.integers(0, 300),
    st.sampled_from([0.0, 0.5, 0.9]),
    st.floats(-6, 2),
)
def test_a_drift_is_the_steps_one_by_one(rates, before, beta1, exponent):
    """At gradients from a hundred epsilon on: what is left out is of the second order in their ratio."""
    scale = 10.0**exponent
    weight, first = torch.tensor([[0.3, -2.0]]).double(), scale * torch.tensor([[0.1, -0.05]]).double()
    second = scale**2 * torch.tensor([[0.01, 0.4]]).double() * (1.0 - 0.999 ** max(before, 1))
    drifts = Drift(beta1, 0.2, len(rates))
    drifts.begin(before)
    expected = [part.clone() for part in (weight, first, second)]
    for t, lr in enumerate(rates, start=before + 1):
        drifts.step(lr)
        w, m, v = expected
        m, v = beta1 * m, 0.999 * v
        w = (1.0 - lr * 0.2) * w - lr / (1.0 - beta1**t) * m / ((v / (1.0 - 0.999**t)).sqrt() + 1e-8)
        expected = [w, m, v]
    drift(weight, first, second, drifts.since(np.array([before])))
    for part, wanted in zip((weight, first, second), expected, strict=True):
        torch.testing.assert_close(part, wanted, rtol=1e-6, atol=1e-30)
