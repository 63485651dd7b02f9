"""What a caller has set in torch for all that follows, put aside while a network of ours is trained or asked."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_AUTOCASTS = ("cpu", "cuda")  # devices of trainings


@contextmanager
def own_surroundings() -> Iterator[None]:
    """No autocast, the CPU for tensors that name no device, and float32 for those that name no type.

    Networks are drawn in float32 then, whatever the caller's default, and the same seed gives the same weights. The
    default type is one for all threads: others have float32 meanwhile, too.
    """
    if torch.get_num_threads() > 1:
        _mind_forks()
    with ExitStack() as stack:
        for device in _AUTOCASTS:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if (default := torch.get_default_dtype()) != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, default)
        yield


@functools.cache
def _mind_forks() -> None:
    """Have children that are forked from here on compute in one thread.

    GNU's OpenMP, torch's threads on the CPU, does not outlive a fork: the child has none of the threads that its parent
    had started, and waits for them at its next parallel loop, for ever.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_take_one_thread)


def _take_one_thread() -> None:
    torch.set_num_threads(1)
