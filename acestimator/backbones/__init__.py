"""Networks by name. One file a family; each registers its builders here.

A builder is called as ``builder(input_shape, n_classes)`` and returns a module from ``(B, *input_shape)``
to (B, n_classes).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from acestimator.backbones import mlp, small_resnet

Builder = Callable[[tuple[int, ...], int], nn.Module]

_BUILDERS: dict[str, Builder] = {"mlp": mlp.build, "small_resnet": small_resnet.build}


def available() -> list[str]:
    """Names that :func:`build` knows, sorted."""
    return sorted(_BUILDERS)


def build(name: str, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build the network of that name.

    Parameters
    ----------
    name : str
        One of :func:`available`, or "auto": "mlp" for vectors, "small_resnet" for images.
    input_shape : tuple of int
        Shape of one sample: (D,) or (C, H, W).
    n_classes : int
        Outputs.

    Returns
    -------
    torch.nn.Module
        Initialised from torch's global generator.

    Raises
    ------
    ValueError
        If the name is unknown, or the network does not take samples of that shape.
    """
    if name == "auto":
        name = "mlp" if len(input_shape) == 1 else "small_resnet"
    if name not in _BUILDERS:
        known = ", ".join(map(repr, ["auto", *available()]))
        raise ValueError(
            f"backbone is {name!r}, expected one of {known}, a torch.nn.Module, or a callable "
            "(input_shape, n_classes) -> torch.nn.Module."
        )
    return _BUILDERS[name](input_shape, n_classes)


def draws_in_training(backbone: Any) -> bool:
    """Whether it may draw random numbers in training."""
    return not isinstance(backbone, str)


def make(backbone: Any, trial: Tensor, n_classes: int) -> nn.Module:
    """Build or copy a backbone, and try it on a few samples before any training.

    Parameters
    ----------
    backbone : str, nn.Module or callable
        A name for :func:`build`; a module, which is copied; or a callable ``(input_shape, n_classes) -> module``.
    trial : Tensor of float32, shape (n, ...)
        Samples to try it on, on the CPU.
    n_classes : int

    Returns
    -------
    torch.nn.Module
        On the CPU, in float32, lazy parameters made.

    Raises
    ------
    ValueError
        If it is no module, fails, or does not map the samples to (n, n_classes).
    """
    input_shape = tuple(trial.shape[1:])
    if isinstance(backbone, nn.Module):
        network = copy.deepcopy(backbone)
    elif isinstance(backbone, str):
        network = build(backbone, input_shape, n_classes)
    else:
        network = backbone(input_shape, n_classes)
        if not isinstance(network, nn.Module):
            raise ValueError(f"the callable backbone returned {type(network).__name__}, expected a torch.nn.Module.")
    network = network.cpu().float()
    expected = f"expected ({len(trial)}, {n_classes}): one logit for each of the {n_classes} classes."
    try:
        with torch.no_grad():
            output = network.eval()(trial)
    except Exception as error:  # whatever a user's module raises
        raise ValueError(
            f"the backbone failed on samples of shape {tuple(trial.shape)} ({error}), {expected}"
        ) from error
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if got != (len(trial), n_classes):
        raise ValueError(f"the backbone maps {tuple(trial.shape)} to {got}, {expected}")
    return network
