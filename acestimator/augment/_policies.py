"""The published policies, read from their files, with each magnitude in the unit of its operation.

An operation with a random sign is a pair, one for each sign; one without is a pair of the same.
"""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any, NamedTuple

from acestimator.augment._operations import GEOMETRIC, Operation

ENHANCEMENTS = ("Brightness", "Color", "Contrast", "Sharpness")
_TOP = 9  # highest level on ImageNet: ranges are divided in ten
# Data sets whose policies were searched on another one.
_ALIASES = {
    "autoaugment": {"cifar100": "cifar10"},
    "fast_autoaugment": {"cifar100": "cifar10"},
    "pba": {"cifar10": "cifar", "cifar100": "cifar"},
}

Pair = tuple[Operation, Operation]


class Entry(NamedTuple):
    """An operation of a policy, and how probable it is."""

    probability: float
    pair: Pair


def available(method: str) -> list[str]:
    """Data sets that the method has a policy for."""
    return sorted({*_read(method)["policies"], *_ALIASES[method]})


def autoaugment(policy: str) -> list[list[Entry]]:
    """AutoAugment's sub-policies for that data set."""
    make = _imagenet if policy == "imagenet" else cifar
    return [[Entry(p, make(name, level)) for name, p, level in sub] for sub in _policy("autoaugment", policy)]


def fast_autoaugment(policy: str) -> list[list[Entry]]:
    """Fast AutoAugment's sub-policies for that data set."""
    return [[Entry(p, _share(name, m)) for name, p, m in sub] for sub in _policy("fast_autoaugment", policy)]


def pba(policy: str) -> tuple[int, list[tuple[int, list[Entry]]]]:
    """Epochs that the schedule was made for, and its stages: their number of epochs, and 30 entries each."""
    content = _policy("pba", policy)
    names = 2 * _read("pba")["ops"]
    stages = []
    for n_epochs, numbers in content["schedule"]:
        # Probability in tenths and level, in turn.
        triples = zip(names, numbers[::2], numbers[1::2], strict=True)
        stages.append((n_epochs, [Entry(tenths / 10, cifar(name, level)) for name, tenths, level in triples]))
    return content["epochs"], stages


def cifar(name: str, level: int | None) -> Pair:
    """Magnitudes of AutoAugment on CIFAR and SVHN, and of Population Based Augmentation: levels are tenths."""
    if level is None or name in ("AutoContrast", "Equalize", "Invert"):
        return _same(Operation(name))
    if name in ("ShearX", "ShearY"):
        return _signed(name, level * 0.3 / 10)
    if name in ("TranslateX", "TranslateY"):
        return _signed(name, level)
    if name == "Rotate":
        return _signed(name, level * 3)
    if name in ENHANCEMENTS:
        return _same(Operation(name, level * 1.8 / 10 + 0.1))
    values = {"Posterize": 4 - 4 * level // 10, "Solarize": 256 - 256 * level // 10, "Cutout": 2 * level}
    return _same(Operation(name, values[name]))


def _imagenet(name: str, level: int | None) -> Pair:
    """Magnitudes of AutoAugment on ImageNet: ten values that include the range's ends."""
    if level is None:
        return _same(Operation(name))
    share = level / _TOP
    if name in ("ShearX", "ShearY"):
        return _signed(name, 0.3 * share)
    if name in ("TranslateX", "TranslateY"):
        return _signed(name, 150 / 331 * share, relative=True)
    if name == "Rotate":
        return _signed(name, 30 * share)
    if name in ENHANCEMENTS:
        return Operation(name, 1 + 0.9 * share), Operation(name, 1 - 0.9 * share)
    values = {"Posterize": 8 - round(level / (9 / 4)), "Solarize": 255 - 255 * share}
    return _same(Operation(name, values[name]))


def _share(name: str, magnitude: float) -> Pair:
    """Magnitudes of Fast AutoAugment: a share of the operation's range.

    The authors turn the sign of geometric operations with probability 1/2, although their ranges have both.
    """
    low, high = _read("fast_autoaugment")["ranges"][name]
    value = low + magnitude * (high - low)
    if name in GEOMETRIC:
        return _signed(name, value, relative=name.startswith("Translate"))
    return _same(Operation(name, int(value) if name == "Posterize" else value, relative=name == "Cutout"))


def _signed(name: str, value: float, relative: bool = False) -> Pair:
    return Operation(name, value, relative), Operation(name, -value, relative)


def _same(operation: Operation) -> Pair:
    return operation, operation


def _policy(method: str, policy: str) -> Any:
    known = _read(method)["policies"]
    name = _ALIASES[method].get(policy, policy)
    if name not in known:
        raise ValueError(
            f"policy is {policy!r}, expected a data set that one was published for: "
            f"{', '.join(map(repr, available(method)))}."
        )
    return known[name]


@functools.cache
def _read(method: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        files("acestimator.augment").joinpath("policies", f"{method}.json").read_text()
    )
    return content
