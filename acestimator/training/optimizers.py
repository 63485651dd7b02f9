"""The network's gradients and optimisers: torch's engine and fused kernels without the bookkeeping around them.

``torch.optim`` spends longer on collecting its state at every step than its fused kernel takes on a small network
(54 us against 40 us for an MLP 256-256 on one core). In a plain fit that state never changes shape, so it is collected
once here. The numbers are torch.optim's, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

ADAM_BETA2, ADAM_EPS = 0.999, 1e-8
_ENGINE: Any = getattr(torch.autograd.Variable, "_execution_engine", None)  # None, should a torch rename it


def parameter_gradients(
    output: Tensor, output_gradient: Tensor, parameters: tuple[Tensor, ...]
) -> Sequence[Tensor | None]:
    """``torch.autograd.grad(output, parameters, output_gradient, allow_unused=True)``.

    The engine is called without that function's checks of its arguments, which take 12 us, 2 % of a step of a small
    network.
    """
    if _ENGINE is None:
        return torch.autograd.grad(output, parameters, output_gradient, allow_unused=True)
    gradients: Sequence[Tensor | None] = _ENGINE.run_backward(
        (output,), (output_gradient,), False, False, parameters, allow_unreachable=True, accumulate_grad=False
    )
    return gradients


class FusedOptimizer(ABC):
    """Takes gradients and learning rate step by step.

    Parameters
    ----------
    parameters : iterable of Tensor
        Leaves of one device and dtype.
    n_moments : int
        Tensors of state that each parameter has, beside its count of steps.
    """

    def __init__(self, parameters: Iterable[Tensor], n_moments: int) -> None:
        self._leaves = tuple(parameters)
        # Detached they share memory with the leaves, and may be written to where gradients are recorded.
        self._parameters = [p.detach() for p in self._leaves]
        self._moments = [[torch.zeros_like(p) for p in self._parameters] for _ in range(n_moments)]
        self._counts = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self._parameters[:1]]
        self._counts *= len(self._parameters)  # one count for all, until a step leaves some of them out
        self._formats = [_memory_format(p) for p in self._parameters]
        self._all_plain = None not in self._formats

    def descend(self, output: Tensor, output_gradient: Tensor, lr: float) -> None:
        """Step along the gradients that this gradient in the network's output has in the parameters."""
        self.step(parameter_gradients(output, output_gradient, self._leaves), lr)

    def step(self, grads: Sequence[Tensor | None], lr: float) -> None:
        """Move every parameter that has a gradient; the others are left alone, as by torch.optim."""
        if self._all_plain and all(map(_lies_in, grads, self._formats)):
            self._counts[0].add_(1)
            self._move(self._parameters, grads, self._moments, self._counts, lr)  # type: ignore[arg-type]
        else:
            self._step_some(grads, lr)

    def _step_some(self, grads: Sequence[Tensor | None], lr: float) -> None:
        """Step where some parameters have no gradient, or one that lies otherwise in memory."""
        reached = [i for i, grad in enumerate(grads) if grad is not None]
        if not reached:
            return
        # Each parameter counts its own steps from here on.
        self._all_plain = False
        if self._counts[0] is self._counts[-1]:
            self._counts = [self._counts[0].clone() for _ in self._counts]
        counts = [self._counts[i] for i in reached]
        torch._foreach_add_(counts, 1)
        parameters = [self._parameters[i] for i in reached]
        # The kernels go through memory as it lies; autograd may hand out a gradient that lies otherwise.
        laid = [
            grad if grad.stride() == p.stride() else torch.empty_like(p).copy_(grad)
            for p, grad in zip(parameters, (grad for grad in grads if grad is not None), strict=True)
        ]
        self._move(parameters, laid, [[moment[i] for i in reached] for moment in self._moments], counts, lr)

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts of steps; the tensors themselves, not copies."""
        return {"moments": self._moments, "counts": self._counts, "all_plain": self._all_plain}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, of an optimiser of the same parameters."""
        for ours, theirs in zip(self._moments, state["moments"], strict=True):
            for moment, saved in zip(ours, theirs, strict=True):
                moment.copy_(saved)
        self._counts, self._all_plain = state["counts"], state["all_plain"]

    @abstractmethod
    def _move(
        self,
        parameters: list[Tensor],
        grads: list[Tensor],
        moments: list[list[Tensor]],
        counts: list[Tensor],
        lr: float,
    ) -> None:
        """Run the kernel."""


def _memory_format(parameter: Tensor) -> torch.memory_format | None:
    """How its numbers lie; None if otherwise than the kernels can follow without a look at the strides."""
    formats = (torch.contiguous_format, torch.channels_last)
    return next((way for way in formats if parameter.is_contiguous(memory_format=way)), None)


def _lies_in(grad: Tensor | None, way: torch.memory_format | None) -> bool:
    return grad is not None and way is not None and grad.is_contiguous(memory_format=way)


class FusedAdamW(FusedOptimizer):
    """``torch.optim.AdamW(parameters, betas=(beta1, 0.999), weight_decay=weight_decay, fused=True)``."""

    def __init__(self, parameters: Iterable[Tensor], *, beta1: float, weight_decay: float) -> None:
        super().__init__(parameters, n_moments=2)
        self.beta1, self.weight_decay = beta1, weight_decay

    def _move(
        self,
        parameters: list[Tensor],
        grads: list[Tensor],
        moments: list[list[Tensor]],
        counts: list[Tensor],
        lr: float,
    ) -> None:
        torch._fused_adamw_(
            parameters,
            grads,
            moments[0],
            moments[1],
            [],
            counts,
            lr=lr,
            beta1=self.beta1,
            beta2=ADAM_BETA2,
            weight_decay=self.weight_decay,
            eps=ADAM_EPS,
            amsgrad=False,
            maximize=False,
        )


class FusedSGD(FusedOptimizer):
    """``torch.optim.SGD(parameters, momentum=momentum, nesterov=True, weight_decay=weight_decay, fused=True)``.

    Without momentum there is no Nesterov form, and it is plain SGD.
    """

    def __init__(self, parameters: Iterable[Tensor], *, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, n_moments=1)
        self.momentum, self.weight_decay = momentum, weight_decay

    def _move(
        self,
        parameters: list[Tensor],
        grads: list[Tensor],
        moments: list[list[Tensor]],
        counts: list[Tensor],
        lr: float,
    ) -> None:
        torch._fused_sgd_(
            parameters,
            grads,
            moments[0] if self.momentum else [],
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self.momentum > 0,
            maximize=False,
            # The buffers start at zero, from where the first step is that of any other.
            is_first_step=False,
        )
