"""What an objective keeps in a checkpoint: by name, of all its bases; and what it must not forget."""

import numpy as np
import pytest
import torch
from torch import nn

from acestimator.objectives.state import Stateful, Watch


class Counter(Stateful):
    state = ("count", "means")

    def __init__(self):
        self.count, self.means = 0, torch.zeros(3)


class Drawing(Counter):
    state = ("torchs", "numpys", "inner", "nothing")

    def __init__(self):
        super().__init__()
        self.torchs, self.numpys = torch.Generator().manual_seed(1), np.random.default_rng(1)
        self.inner, self.nothing = Counter(), None

    def draw(self):
        self.count += 1
        self.inner.count += 2
        self.means += torch.rand(3, generator=self.torchs)
        return self.numpys.normal()


def test_a_state_goes_on_as_the_object_did(tmp_path):
    one, other = Drawing(), Drawing()
    one.draw()
    torch.save(one.state_dict(), tmp_path / "state")
    expected = one.draw(), one.count, one.inner.count, one.means
    generator = other.torchs
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert other.torchs is generator  # a method shares it with its phases
    assert (other.draw(), other.count, other.inner.count) == expected[:3]
    assert torch.equal(other.means, expected[3])


def test_a_subclass_keeps_what_its_bases_keep():
    assert list(Drawing().state_dict()) == ["count", "means", "torchs", "numpys", "inner", "nothing"]


class Forgetful(Stateful):
    """Its state is empty, and everything may change."""

    def __init__(self):
        self.tensor, self.array, self.number, self.nan = torch.zeros(2), np.zeros(2), 1.0, float("nan")
        self.parts, self.module = {"a": [torch.zeros(2)]}, nn.Linear(2, 2)
        self.torchs, self.numpys = torch.Generator(), np.random.default_rng(0)
        self.inner = type("Inner", (), {"state_dict": lambda self: self.kept, "kept": {"a": torch.zeros(1)}})()


def move_module(watched):
    with torch.no_grad():
        watched.module.weight += 1.0


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda w: w.tensor.add_(0.0), "tensor"),
        (lambda w: setattr(w, "tensor", w.tensor.clone()), "tensor"),
        (lambda w: w.array.__setitem__(0, 1.0), "array"),
        (lambda w: setattr(w, "number", 2.0), "number"),
        (lambda w: w.parts["a"][0].add_(1.0), "parts"),
        (lambda w: w.parts.update(b=1), "parts"),
        (move_module, "module"),
        (lambda w: torch.rand(1, generator=w.torchs), "torchs"),
        (lambda w: w.numpys.normal(), "numpys"),
        (lambda w: w.inner.kept["a"].add_(1.0), "inner"),
        (lambda w: setattr(w, "new", 1.0), "new"),
    ],
)
def test_what_changes_and_is_not_in_the_state_is_noticed(change, name):
    watched = Forgetful()
    watch = Watch(watched)
    watch.check()
    change(watched)
    with pytest.raises(TypeError, match=rf"Forgetful\.{name} changes while .* Add '{name}' to state"):
        watch.check()


def test_what_is_in_the_state_may_change_and_parts_are_watched_too():
    watched = Drawing()
    watch = Watch(watched)
    watched.draw()
    watch.check()
    watched.inner.forgotten = 1
    with pytest.raises(TypeError, match=r"Counter\.forgotten"):
        watch.check()
