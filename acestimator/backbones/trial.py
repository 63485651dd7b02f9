"""A user's network, copied, and tried on a few samples before it is trained.

Legend: n samples, K classes.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, is_lazy


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module, lazy layers included: torch's own copy stops at the buffers of a lazy batch normalisation."""
    new: Any = UninitializedBuffer  # torch's types do not know its arguments
    memo: dict[int, Any] = {
        id(buffer): new(requires_grad=False, device=buffer.device, dtype=buffer.dtype)
        for buffer in module.buffers()
        if is_lazy(buffer)
    }
    return copy.deepcopy(module, memo)


def try_evaluation(network: nn.Module, trial: Tensor, n_classes: int) -> None:
    """Show a network some samples (n, ...) in evaluation mode, which makes its lazy parameters.

    Raises
    ------
    ValueError
        If it fails, or does not map them to (n, K).
    """
    expected = _expected(trial, n_classes)
    try:
        with torch.no_grad():
            output = network.eval()(trial)
    except Exception as error:  # whatever a user's module raises
        raise ValueError(
            f"the backbone failed on samples of shape {tuple(trial.shape)} ({error}), {expected}"
        ) from error
    if not _is_of(output, trial, n_classes):
        raise ValueError(f"the backbone maps {tuple(trial.shape)} to {_got(output)}, {expected}")


def try_training(network: nn.Module, trial: Tensor, n_classes: int) -> None:
    """Show a copy of a network the same in training mode, in which some have other outputs, as auxiliary heads.

    The network, its statistics and torch's random numbers are left as they are. What cannot be copied is not tried, and
    what fails on two samples may train on a batch: a step of the training then looks at the outputs itself.

    Raises
    ------
    ValueError
        If it does not map them to (n, K) numbers.
    """
    try:
        tried = copy.deepcopy(network).train()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = tried(trial)
    except Exception:
        return
    if not _is_of(output, trial, n_classes) or not output.is_floating_point():
        raise ValueError(
            f"in training mode the backbone maps {tuple(trial.shape)} to {_got(output)}, {_expected(trial, n_classes)} "
            "A network with auxiliary heads has their outputs beside its own in training: build it without "
            "(aux_logits=False), or wrap it in a module that returns its own alone."
        )


def _is_of(output: Any, trial: Tensor, n_classes: int) -> bool:
    return isinstance(output, Tensor) and output.shape == (len(trial), n_classes)


def _expected(trial: Tensor, n_classes: int) -> str:
    return f"expected ({len(trial)}, {n_classes}): one logit for each of the {n_classes} classes."


def _got(output: Any) -> str:
    if not isinstance(output, Tensor):
        return type(output).__name__
    return f"{tuple(output.shape)}" if output.is_floating_point() else f"{tuple(output.shape)} of {output.dtype}"
