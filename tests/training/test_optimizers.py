"""The network's optimisers against torch.optim: bit for bit, and also where torch's private functions are missing."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.nn import functional as F

from acestimator import AutoCleansingClassifier
from acestimator.training import optimizers
from acestimator.training.optimizers import FusedAdamW, FusedSGD, Privates, parameter_gradients

K = 4
PUBLIC = Privates()  # none of them
KINDS = {
    "sgd": (FusedSGD, {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "plain sgd": (FusedSGD, {"momentum": 0.0}, torch.optim.SGD, {}),
    "adamw": (FusedAdamW, {"beta1": 0.9}, torch.optim.AdamW, {}),
    "adamw without momentum": (FusedAdamW, {"beta1": 0.0}, torch.optim.AdamW, {"betas": (0.0, 0.999)}),
}


def make(kind, parameters, privates=None):
    ours, settings, _, _ = KINDS[kind]
    return ours(parameters, **settings, weight_decay=0.1, privates=privates)


def make_torchs(kind, parameters, **others):
    _, _, theirs, settings = KINDS[kind]
    return theirs(parameters, lr=1.0, weight_decay=0.1, **settings, **others)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(29, 5, generator=generator), torch.randint(K, (29,), generator=generator)


class Perceptron(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, K))


class Einsum(nn.Module):
    """Its weight's gradient is laid out the other way round."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(K, 5))

    def forward(self, x):
        return torch.einsum("bi,oi->bo", x, self.weight)


class Summed(nn.Module):
    """The gradient of the gain is one number, expanded."""

    def __init__(self):
        super().__init__()
        self.linear, self.gain = nn.Linear(5, K), nn.Parameter(torch.full((100,), 0.01))

    def forward(self, x):
        return self.linear(x) * self.gain.sum()


class Partial(nn.Module):
    """Some steps do not reach the second layer, as under stochastic depth, and none the third."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(5, K) for _ in range(3))

    def forward(self, x):
        return self.first(x) + self.second(x) if x[0, 0] > 0 else self.first(x)


MODULES = [Perceptron, Einsum, Summed, Partial]


def trained(network, kind, privates=None, n_steps=6):
    """Parameters after some steps of ours."""
    optimizer = make(kind, network.parameters(), privates)
    device = next(network.parameters()).device
    for step in range(n_steps):
        x, labels = (part.to(device) for part in batch(step))
        output = network(x)
        grad = torch.softmax(output.detach(), dim=1) - F.one_hot(labels, K)
        optimizer.descend(output, grad / len(x), 0.05 / (1 + step))
    return [p.detach() for p in network.parameters()]


def trained_by_torch(network, kind, n_steps=6, **others):
    optimizer = make_torchs(kind, network.parameters(), **others)
    for step in range(n_steps):
        x, labels = batch(step)
        optimizer.param_groups[0]["lr"] = 0.05 / (1 + step)
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()
    return [p.detach() for p in network.parameters()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", MODULES)
def test_steps_are_those_of_torchs_optimizers(module, kind):
    torch.manual_seed(0)
    network = module()
    reference = copy.deepcopy(network)
    torch.testing.assert_close(trained(network, kind), trained_by_torch(reference, kind), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_they_equal_torchs_fused_ones_bit_for_bit(kind):
    generator = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (7,), (3, 7)]
    ours = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    theirs = copy.deepcopy(ours)
    optimizer, torchs = make(kind, ours), make_torchs(kind, theirs, fused=True)
    for lr in (0.01, 0.02, 0.005):
        grads = [torch.randn(shape, generator=generator) for shape in shapes]
        optimizer.step(grads, lr)
        torchs.param_groups[0]["lr"] = lr
        for p, grad in zip(theirs, grads, strict=True):
            p.grad = grad.clone()
        torchs.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", MODULES)
def test_without_privates_it_is_the_same_bit_for_bit_by_public_functions(monkeypatch, module, kind):
    """This torch has fused kernels, which its public functions call, too."""
    torch.manual_seed(0)
    networks, calls = [module() for _ in range(2)], []
    networks[1].load_state_dict(networks[0].state_dict())
    private = trained(networks[0], kind)
    name = "sgd" if "sgd" in kind else "adamw"
    public = getattr(optimizers, name)

    def watched(*args, fused, **settings):
        calls.append(fused)
        return public(*args, fused=fused, **settings)

    monkeypatch.setattr(optimizers, name, watched)
    assert all(torch.equal(a, b) for a, b in zip(trained(networks[1], kind, PUBLIC), private, strict=True))
    assert calls == [True] * 7  # a trial, and six steps


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", MODULES)
def test_on_a_gpu_public_functions_are_the_same_bit_for_bit(module, kind):
    torch.manual_seed(0)
    networks = [module() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    results = [trained(net.cuda(), kind, privates) for net, privates in zip(networks, (None, PUBLIC), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.fixture
def no_privates(monkeypatch):
    """A torch that has none of them, nor calls them itself."""
    for name in ("_fused_adamw_", "_fused_sgd_", "_foreach_add_"):
        monkeypatch.delattr(torch, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", MODULES)
def test_in_a_torch_without_fused_kernels_it_is_the_same_to_rounding(request, module, kind):
    torch.manual_seed(0)
    network = module()
    other = copy.deepcopy(network)
    expected = trained(network, kind)
    request.getfixturevalue("no_privates")
    assert Privates.of_torch() == Privates(run_backward=Privates.of_torch().run_backward)
    torch.testing.assert_close(trained(other, kind), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_whole_fit_in_such_a_torch(request, optimizer):
    X, y = make_blobs(60, centers=3, n_features=4, random_state=0)
    clf = AutoCleansingClassifier(optimizer=optimizer, max_epochs=3, batch_size=16, random_state=0, device="cpu")
    expected = clf.fit(X, y).decision_function(X)
    request.getfixturevalue("no_privates")
    np.testing.assert_allclose(clf.fit(X, y).decision_function(X), expected, atol=1e-5)


@pytest.mark.parametrize("run_backward", [Privates.of_torch().run_backward, None], ids=["private", "public"])
def test_parameter_gradients_are_autograds(run_backward):
    features, _ = batch()
    network = Perceptron()
    parameters = (*network.parameters(), nn.Parameter(torch.ones(2)))
    grad = torch.randn(29, K, generator=torch.Generator().manual_seed(0))
    ours = parameter_gradients(network(features), grad, parameters, run_backward)
    theirs = torch.autograd.grad(network(features), parameters, grad, allow_unused=True)
    assert ours[-1] is theirs[-1] is None
    assert all(torch.equal(a, b) for a, b in zip(ours[:-1], theirs[:-1], strict=True))
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize("privates", [None, PUBLIC], ids=["private", "public"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", [Perceptron, Partial])
def test_a_state_goes_on_with_or_without_privates(tmp_path, module, kind, privates):
    """Written by one kind of torch, and read by the other."""
    torch.manual_seed(0)
    network = module()
    expected = trained(copy.deepcopy(network), kind, n_steps=6)
    first = make(kind, network.parameters())
    for step in range(6):
        if step == 3:
            torch.save(first.state_dict(), tmp_path / "state")
            first = make(kind, network.parameters(), privates)
            first.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
        x, labels = batch(step)
        output = network(x)
        grad = torch.softmax(output.detach(), dim=1) - F.one_hot(labels, K)
        first.descend(output, grad / len(x), 0.05 / (1 + step))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected, strict=True))


@pytest.mark.parametrize("privates", [None, PUBLIC], ids=["private", "public"])
def test_they_can_be_made_for_a_network_that_is_all_frozen(privates):
    """The loop never asks it for a step."""
    assert make("adamw", [], privates).state_dict()["counts"] == []
