"""The network's gradients and optimisers: torch's engine and fused kernels without the bookkeeping around them.

``torch.optim`` spends longer on collecting its state at every step than its fused kernel takes on a small network
(54 us against 40 us for an MLP 256-256 on one core). In a plain fit that state never changes shape, so it is collected
once here. The numbers are torch.optim's, bit for bit.

The engine and the kernels are private functions of torch. One that a torch does not have is replaced by the public
function that stands before it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from acestimator.ranks import ALONE, Ranks
from acestimator.rows import Rows

ADAM_BETA2, ADAM_EPS = 0.999, 1e-8

Function = Callable[..., Any]


class Tensors(NamedTuple):
    """What a step moves, and by what."""

    parameters: list[Tensor]
    grads: list[Tensor]
    moments: list[list[Tensor]]
    counts: list[Tensor]  # of steps


Move = Callable[[Tensors, float], None]  # with the rate


@dataclass(frozen=True)
class Privates:
    """The private functions of torch that are used here; None for one that is missing, or not wanted."""

    adamw: Function | None = None
    sgd: Function | None = None
    add: Function | None = None
    run_backward: Function | None = None

    @classmethod
    def of_torch(cls) -> Privates:
        """Those that this torch has."""
        engine = getattr(torch.autograd.Variable, "_execution_engine", None)
        return cls(
            adamw=getattr(torch, "_fused_adamw_", None),
            sgd=getattr(torch, "_fused_sgd_", None),
            add=getattr(torch, "_foreach_add_", None),
            run_backward=getattr(engine, "run_backward", None),
        )


def parameter_gradients(
    output: Tensor, output_gradient: Tensor, parameters: tuple[Tensor, ...], run_backward: Function | None
) -> Sequence[Tensor | None]:
    """``torch.autograd.grad(output, parameters, output_gradient, allow_unused=True)``.

    The engine's ``run_backward``, if it is given, is called without that function's checks of its arguments, which take
    12 us, 2 % of a step of a small network.
    """
    if run_backward is None:
        return torch.autograd.grad(output, parameters, output_gradient, allow_unused=True)
    gradients: Sequence[Tensor | None] = run_backward(
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
    privates : Privates, optional
        By default, those that torch has.
    """

    ranks: Ranks = ALONE  # over which gradients are summed

    def __init__(self, parameters: Iterable[Tensor], n_moments: int, privates: Privates | None = None) -> None:
        self._privates = Privates.of_torch() if privates is None else privates
        self._leaves = tuple(parameters)
        # Detached they share memory with the leaves, and may be written to where gradients are recorded.
        self._parameters = [p.detach() for p in self._leaves]
        self._moments = [[torch.zeros_like(p) for p in self._parameters] for _ in range(n_moments)]
        self._counts = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self._parameters[:1]]
        self._counts *= len(self._parameters)  # one count for all, until a step leaves some of them out
        self._formats = [_memory_format(p) for p in self._parameters]
        self._all_plain = None not in self._formats
        # How torch's public function is to move them; None for its private kernel. Not the method itself, with which
        # the optimiser would refer to itself, and its moments outlive it.
        self._fuses: bool | None = None
        if not self._has_kernel():
            self._fuses = self._runs(functools.partial(self._by_public, fused=True))

    def look_up(self, inputs: Rows) -> Rows:
        """Prepare for a step on these inputs; what to give the network in their place."""
        return inputs

    def settle(self) -> None:  # noqa: B027 -- nothing is put off here
        """Make all parameters what they are after the last step, for whoever looks at them between two steps."""

    def descend(self, output: Tensor, output_gradient: Tensor, lr: float) -> None:
        """Step along the gradients that this gradient in the network's output has in the parameters."""
        grads = parameter_gradients(output, output_gradient, self._leaves, self._privates.run_backward)
        self.step(self.ranks.sum_gradients(self._parameters, grads) if self.ranks.size > 1 else grads, lr)

    def follow(self, lr: float) -> None:
        """Step along the gradients of the other processes, where this one has no sample in the batch."""
        self.step(self.ranks.sum_gradients(self._parameters, [None] * len(self._parameters)), lr)

    def step(self, grads: Sequence[Tensor | None], lr: float) -> None:
        """Move every parameter that has a gradient; the others are left alone, as by torch.optim."""
        if self._all_plain and all(map(_lies_in, grads, self._formats)):
            self._counts[0].add_(1)
            self._move(Tensors(self._parameters, grads, self._moments, self._counts), lr)  # type: ignore[arg-type]
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
        if self._privates.add is not None:
            self._privates.add(counts, 1)
        else:
            for count in counts:
                count.add_(1)
        parameters = [self._parameters[i] for i in reached]
        # The kernels go through memory as it lies; autograd may hand out a gradient that lies otherwise.
        laid = [
            grad if grad.stride() == p.stride() else torch.empty_like(p).copy_(grad)
            for p, grad in zip(parameters, (grad for grad in grads if grad is not None), strict=True)
        ]
        moments = [[moment[i] for i in reached] for moment in self._moments]
        self._move(Tensors(parameters, laid, moments, counts), lr)

    def _move(self, tensors: Tensors, lr: float) -> None:
        if self._fuses is None:
            self._by_kernel(tensors, lr)
        else:
            self._by_public(tensors, lr, fused=self._fuses)

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts of steps; the tensors themselves, not copies."""
        return {"moments": self._moments, "counts": self._counts, "all_plain": self._all_plain}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, of an optimiser of the same parameters."""
        for ours, theirs in zip(self._moments, state["moments"], strict=True):
            for moment, saved in zip(ours, theirs, strict=True):
                moment.copy_(saved)
        self._counts, self._all_plain = state["counts"], state["all_plain"]

    def _runs(self, move: Move) -> bool:
        """Whether this torch can move such parameters so, tried on a number."""
        for p in self._parameters[:1]:
            number, count = p.new_zeros(1), p.new_ones((), dtype=torch.float32)
            try:
                move(Tensors([number], [number.clone()], [[number.clone()] for _ in self._moments], [count]), 0.0)
            except Exception:  # a torch may raise what it likes
                return False
        return True

    @abstractmethod
    def _has_kernel(self) -> bool:
        """Whether torch has the private kernel."""

    @abstractmethod
    def _by_kernel(self, tensors: Tensors, lr: float) -> None:
        """Run torch's private kernel."""

    @abstractmethod
    def _by_public(self, tensors: Tensors, lr: float, *, fused: bool) -> None:
        """Run torch's public function."""


def _memory_format(parameter: Tensor) -> torch.memory_format | None:
    """How its numbers lie; None if otherwise than the kernels can follow without a look at the strides."""
    formats = (torch.contiguous_format, torch.channels_last)
    return next((way for way in formats if parameter.is_contiguous(memory_format=way)), None)


def _lies_in(grad: Tensor | None, way: torch.memory_format | None) -> bool:
    return grad is not None and way is not None and grad.is_contiguous(memory_format=way)


class FusedAdamW(FusedOptimizer):
    """``torch.optim.AdamW(parameters, betas=(beta1, 0.999), weight_decay=weight_decay, fused=True)``."""

    def __init__(
        self, parameters: Iterable[Tensor], *, beta1: float, weight_decay: float, privates: Privates | None = None
    ) -> None:
        self._settings: dict[str, Any] = {
            "beta1": beta1,
            "beta2": ADAM_BETA2,
            "weight_decay": weight_decay,
            "eps": ADAM_EPS,
        }
        super().__init__(parameters, 2, privates)

    def _has_kernel(self) -> bool:
        return self._privates.adamw is not None

    def _by_kernel(self, tensors: Tensors, lr: float) -> None:
        assert self._privates.adamw is not None
        parameters, grads, (first, second), counts = tensors
        self._privates.adamw(
            parameters, grads, first, second, [], counts, lr=lr, amsgrad=False, maximize=False, **self._settings
        )

    def _by_public(self, tensors: Tensors, lr: float, *, fused: bool) -> None:
        parameters, grads, (first, second), counts = tensors
        before = [count - 1 for count in counts]  # the public function counts the step itself
        adamw(
            parameters,
            grads,
            first,
            second,
            [],
            before,
            fused=fused,
            lr=lr,
            amsgrad=False,
            maximize=False,
            **self._settings,
        )


class FusedSGD(FusedOptimizer):
    """``torch.optim.SGD(parameters, momentum=momentum, nesterov=True, weight_decay=weight_decay, fused=True)``.

    Without momentum there is no Nesterov form, and it is plain SGD.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, momentum: float, weight_decay: float, privates: Privates | None = None
    ) -> None:
        self._settings: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay, "dampening": 0.0}
        self._nesterov = momentum > 0
        super().__init__(parameters, 1, privates)

    def _has_kernel(self) -> bool:
        return self._privates.sgd is not None

    def _by_kernel(self, tensors: Tensors, lr: float) -> None:
        assert self._privates.sgd is not None
        self._privates.sgd(
            tensors.parameters,
            tensors.grads,
            tensors.moments[0] if self._nesterov else [],
            lr=lr,
            nesterov=self._nesterov,
            maximize=False,
            # The buffers start at zero, from where the first step is that of any other.
            is_first_step=False,
            **self._settings,
        )

    def _by_public(self, tensors: Tensors, lr: float, *, fused: bool) -> None:
        parameters, grads, (velocities,), _ = tensors
        buffers: list[Tensor | None] = list(velocities)
        sgd(parameters, grads, buffers, fused=fused, lr=lr, nesterov=self._nesterov, maximize=False, **self._settings)
