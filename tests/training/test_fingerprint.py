"""Descriptions: the same for the same thing in every process, others for what acts otherwise, none for what hides."""

import copy
import dataclasses
import enum
import functools
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acestimator import augment, recipes
from acestimator.training.fingerprint import describe

WIDTH = 3


def helper(x):
    return x + WIDTH


def of_source(source, **known):
    """What a source calls ``made``, in a module of its own."""
    module = types.ModuleType("a_users_module")
    vars(module).update(known)
    exec(source, vars(module))
    return module.made


def closing_over(value):
    def make(shape, n):
        return shape, n, value

    return make


FUNCTION = "def made(x, n=2, *, k=1):\n    return x.sin() * 3 + n"

CHANGED = {
    "constant": FUNCTION.replace("3", "4"),
    "kind of a constant": FUNCTION.replace("3", "3.0"),
    "operator": FUNCTION.replace("+", "-"),
    "method called": FUNCTION.replace("sin", "cos"),
    "default": FUNCTION.replace("n=2", "n=5"),
    "default by name": FUNCTION.replace("k=1", "k=2"),
    "order of arguments": FUNCTION.replace("x, n=2", "n, x=2"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_functions_are_told_apart_by_their_code(change):
    assert describe(of_source(FUNCTION)) == describe(of_source("# elsewhere\n\n" + FUNCTION))
    assert describe(of_source(FUNCTION)) != describe(of_source(CHANGED[change]))


def test_lambdas_are_told_apart():
    one, same, other = (lambda x: x + 1), (lambda x: x + 1), (lambda x: x + 2)
    assert describe(one) == describe(same) != describe(other)
    assert describe(one).startswith("function test_lambdas_are_told_apart.<locals>.<lambda>, digest ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        (torch.zeros(2), torch.ones(2)),
        ([1, {"a": 2}], [1, {"a": 3}]),
        (lambda x: x, lambda x: -x),
        (closing_over(1), closing_over(2)),
        (nn.Linear(2, 2, bias=False), nn.Linear(2, 2)),
        (functools.partial(helper, 1), functools.partial(helper, 2)),
        (nn.ReLU, nn.Tanh),
        (torch.sin, torch.cos),
        ("a".join, "b".join),
    ],
)
def test_functions_are_told_apart_by_what_they_close_over(one, other):
    assert describe(closing_over(one)) == describe(closing_over(copy.deepcopy(one)))
    assert describe(closing_over(one)) != describe(closing_over(other))
    assert describe(functools.partial(helper, one)) != describe(functools.partial(helper, other))


def test_functions_are_told_apart_by_the_globals_that_they_use():
    source = "def made(x):\n    return f(x) * W"
    one = of_source(source, W=1, f=helper, unused=1)
    assert describe(one) == describe(of_source(source, W=1, f=helper, unused=2))
    assert describe(one) != describe(of_source(source, W=2, f=helper))
    assert describe(one) != describe(of_source(source, W=1, f=lambda x: x))
    nested = "def made(x):\n    def inner(y):\n        return y * W\n    return inner(x)"
    assert describe(of_source(nested, W=1)) != describe(of_source(nested, W=2))


def test_functions_are_told_apart_by_what_they_use_of_a_users_module():
    texts = []
    for width in (1, 1, 2):
        models = types.ModuleType("a_users_models")
        models.width, models.unused = width, len(texts)
        texts.append(describe(of_source("def made(n):\n    return m.width * n", m=models)))
    assert texts[0] == texts[1] != texts[2]


def test_a_decorator_of_a_library_shows_what_it_decorates():
    one, same, other = (torch.no_grad()(f) for f in (lambda x: x + 1, lambda x: x + 1, lambda x: x + 2))
    assert describe(one) == describe(same) != describe(other)


CLASS = """
class made(base):
    rate = 1

    @staticmethod
    def helper(x):
        return x

    @property
    def half(self):
        return self.rate / 2

    def forward(self, x):
        return super().forward(x) * 2
"""


@pytest.mark.parametrize(
    ("old", "new"), [("rate = 1", "rate = 2"), ("return x\n", "return -x\n"), ("/ 2", "/ 3"), ("* 2", "* 3")]
)
def test_classes_are_told_apart_by_their_methods_and_attributes(old, new):
    one, same, other = (of_source(source, base=nn.Linear) for source in (CLASS, CLASS, CLASS.replace(old, new)))
    assert describe(one) == describe(same) != describe(other)
    torch.manual_seed(0)
    module = one(2, 2)
    changed = other(2, 2)
    changed.load_state_dict(module.state_dict())
    assert describe(module) != describe(changed)


def test_names_are_enough_for_libraries():
    assert describe(nn.Linear) == "torch.nn.modules.linear.Linear"
    assert describe(F.relu) == "function torch.nn.functional.relu"
    assert describe(describe) == "function acestimator.training.fingerprint.describe"
    assert describe(recipes.RecipeNetwork("cifar10", "resnet32")) == repr(recipes.RecipeNetwork("cifar10", "resnet32"))
    pipeline = augment.pipeline("autoaugment", "cifar10")
    assert describe(pipeline) == repr(pipeline)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rate, self._hidden, self.act = 0.5, [1, 2], F.relu
        self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)
        self.two.load_state_dict(self.one.state_dict())
        self.register_buffer("seen", torch.zeros(2, dtype=torch.bfloat16), persistent=False)
        self.drop = nn.Dropout(0.1)


def change(module, **changes):
    for name, value in changes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    "changed",
    [
        lambda m: change(m, rate=0.6),
        lambda m: change(m, _hidden=[1, 3]),
        lambda m: change(m, act=F.gelu),
        lambda m: change(m, act=lambda x: x),
        lambda m: change(m, seen=torch.ones(2, dtype=torch.bfloat16)),
        lambda m: change(m, two=m.one),
        lambda m: change(m, another=1),
        lambda m: m.drop.__setattr__("p", 0.2) or m,
        lambda m: m.one.requires_grad_(False) and m,
        lambda m: m.one.register_forward_hook(lambda *_: None) and m,
        lambda m: m.one.weight.data.add_(1e-3) is not None and m,
    ],
)
def test_modules_are_told_apart_by_attributes_and_tensors(changed):
    assert describe(Network()) == describe(Network())
    assert describe(changed(Network())) != describe(Network())


def test_a_module_is_the_same_wherever_it_has_been():
    module = Network()
    expected = describe(module)
    assert describe(copy.deepcopy(module).eval()) == expected
    assert describe(Network().train()) == expected
    hooks = [Network().one.register_forward_hook(print) for _ in range(3)]  # a process counts them
    assert len(hooks) == 3
    texts = set()
    for _ in range(2):
        module = Network()
        module.one.register_forward_hook(helper)
        texts.add(describe(module))
    assert len(texts) == 1


class Flip(augment.Augmentation):
    def __init__(self, rate, table):
        super().__init__()
        self.rate, self.table = rate, table

    def _draw(self, n, height, width):
        return None

    def _apply(self, images, decisions):
        return images


@dataclasses.dataclass
class Scale:
    factor: float
    function: object = None

    def __call__(self, x):
        return self.factor * x


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate):
        self.rate = rate


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    "make",
    [
        lambda rate: Flip(rate, np.arange(2)),
        lambda rate: augment.Compose([augment.Baseline(), Flip(rate, np.arange(2))]),
        lambda rate: Scale(rate),
        lambda rate: Scale(1.0, closing_over(rate)),
        lambda rate: Scale(rate).__call__,
        Slotted,
        lambda rate: Colour(1 + (rate == 1.0)),
        lambda rate: types.SimpleNamespace(rate=rate),
        lambda rate: {"a": (rate,), "b": None},
        lambda rate: np.array([rate, "a"], dtype=object),
        lambda rate: slice(rate),
        lambda rate: Path(str(rate)),
    ],
)
def test_objects_are_told_apart_by_what_they_hold(make):
    assert describe(make(0.5)) == describe(make(0.5))
    assert describe(make(0.5)) != describe(make(1.0))


def test_numbers_and_containers():
    assert describe(np.float32(0.25)) == describe(0.25) == "0.25"
    assert describe(np.int16(3)) == describe(3) == "3"
    assert describe(np.bool_(True)) == describe(True) == "True"
    assert describe((150, np.int64(225))) == "(150, 225)"
    assert describe((1,)) == "(1,)"
    assert describe({"b": 1, "a": None}) == "{'a': None, 'b': 1}"
    assert describe({"b", "a"}) == "set({'a', 'b'})"
    assert describe(np.arange(3)) == describe(np.arange(3)) != describe(np.arange(3.0))
    assert describe(np.arange(4).reshape(2, 2)) != describe(np.arange(4))
    assert describe(["ab", "c"]) != describe(["a", "bc"])


def test_what_refers_to_itself_has_an_end():
    def factorial(n):
        return n * factorial(n - 1) if n else 1

    endless = [1]
    endless.append(endless)
    assert describe(factorial) == describe(factorial)
    assert describe(endless) == "[1, <0>]"


class Holder:
    def __init__(self, held):
        self.held = held


GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "hidden", [object(), threading.Lock(), GENERATOR, GENERATOR.normal, torch.Generator(), iter([])]
)
@pytest.mark.parametrize(
    ("within", "part"),
    [
        (lambda hidden: hidden, "backbone"),
        (lambda hidden: [hidden], r"backbone\[0\]"),
        (closing_over, "backbone.value"),
        (Holder, r"backbone\['held'\]"),
        (lambda hidden: functools.partial(helper, hidden), r"backbone.args\[0\]"),
        (lambda hidden: change(nn.ReLU(), held=hidden), "backbone.held"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_by_name(hidden, within, part):
    with pytest.raises(
        ValueError, match=rf"{part} is .*, which cannot be told from others .* leave checkpoint at None"
    ):
        describe(within(hidden), "backbone")


def test_loggers_and_the_like_do_not_matter_where_a_function_uses_them():
    source = "def made(x):\n    lock.acquire()\n    return x"
    assert describe(of_source(source, lock=threading.Lock())) == describe(of_source(source, lock=threading.Lock()))


def test_it_is_the_same_in_every_process():
    """With other hashes and addresses."""
    script = """
import torch
from torch import nn
from acestimator.training.fingerprint import describe

class Net(nn.Module):
    names = {"a", "b", "c", "dd"}
    def __init__(self):
        super().__init__()
        self.kinds, self.act = frozenset("abcdef"), torch.relu
        self.table = nn.Parameter(torch.arange(3.0))
    def forward(self, x):
        return x if x in {"p", "q", "r"} else Net

def make(shape, n, known={"x", "y", "z"}):
    return Net() if n in {"u", "v", "w"} else object()

print(describe([make, Net, Net(), lambda x: make(x, 1), {"k": {1, 2}, "j": {"s", "t"}}]))
"""
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
