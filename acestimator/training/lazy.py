r"""AdamW that moves the weights of a feature when a sample next has it, by all the steps that they missed.

A batch of short texts has a few hundred of tens of thousands of words. Without a gradient a step of AdamW is

.. math:: w \leftarrow (1 - \eta_t \lambda) w - \frac{\eta_t}{1 - \beta_1^t}
    \frac{\beta_1 m}{\sqrt{\beta_2 v / (1 - \beta_2^t)} + \epsilon}, \qquad m \leftarrow \beta_1 m, \quad
    v \leftarrow \beta_2 v,

so that from step s to t, with :math:`R_j = \beta_2^{(j-s)/2} / \sqrt{1 - \beta_2^j}`,

.. math:: w_t = D w_s - \sum_{j=s+1}^t a_j \frac{m_s}{\sqrt{v_s} + \epsilon / R_j}
    \approx D w_s - A \frac{m_s}{\sqrt{v_s} + \epsilon E / A}, \qquad
    a_j = \frac{\eta_j \beta_1^{j-s}}{(1 - \beta_1^j) R_j} \prod_{i=j+1}^t (1 - \eta_i \lambda),

where A is the sum of the :math:`a_j`, E that of :math:`a_j / R_j`, and D the product of all
:math:`1 - \eta_i \lambda`. What is left out is of the second order in :math:`\epsilon / \sqrt{v_s}`. A, E and D depend
on s and t alone: a number each for every s since all weights were last moved.

Legend: D features, H units, n features of a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from acestimator.backbones.sparse_linear import SparseLinear
from acestimator.rows import Rows, SparseRows
from acestimator.training.optimizers import ADAM_BETA2, ADAM_EPS, FusedAdamW, Tensors, parameter_gradients

_LONGEST = 1024  # steps between two moves of all weights
_CHUNK = 1 << 18  # weights that are moved at one go: what a processor's cache has room for


class Drift:
    """What the steps since a start make of weights that have no gradient in them, by when these last had one.

    Parameters
    ----------
    beta1, weight_decay : float
    longest : int
        Steps from a start, at most.
    """

    def __init__(self, beta1: float, weight_decay: float, longest: int) -> None:
        self.beta1, self.weight_decay = beta1, weight_decay
        self._numbers = np.empty((5, longest + 1))  # D, A, E, beta1^k and beta2^k, for each s
        self.begin(0)

    def begin(self, now: int) -> None:
        """All weights are where they belong after so many steps."""
        self.start = self.now = now
        self._numbers[:, 0] = 1.0, 0.0, 0.0, 1.0, 1.0

    def step(self, lr: float) -> None:
        """One more step, at this rate."""
        self.now += 1
        n = self.now - self.start
        decay, moved, eps, first, second = self._numbers[:, :n]
        first *= self.beta1
        second *= ADAM_BETA2
        ratio = np.sqrt(second / (1.0 - ADAM_BETA2**self.now))  # R
        move = lr / (1.0 - self.beta1**self.now) * first / ratio
        keep = 1.0 - lr * self.weight_decay
        decay *= keep
        moved *= keep
        moved += move
        eps *= keep
        eps += move / ratio
        self._numbers[:, n] = 1.0, 0.0, 0.0, 1.0, 1.0

    def since(self, times: np.ndarray) -> np.ndarray:
        """D, A, epsilon E / A, and the factors of both moments, (5, n), for weights that stand at these times (n,)."""
        numbers = self._numbers[:, times - self.start]
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers[2] = ADAM_EPS * np.where(numbers[1] > 0.0, numbers[2] / numbers[1], 1.0)
        return numbers


def drift(weight: Tensor, first: Tensor, second: Tensor, factors: np.ndarray) -> None:
    """Move weights and moments, (n, H) each, in place by the factors (5, n) of :meth:`Drift.since`."""
    decay, moved, eps, of_first, of_second = torch.from_numpy(factors).to(weight.dtype)[:, :, None]
    weight.mul_(decay).addcdiv_(first * moved, second.sqrt().add_(eps), value=-1.0)
    first.mul_(of_first)
    second.mul_(of_second)


class _Table:
    """Weights (D, H) of a layer, with their moments, and when each feature's were last moved."""

    def __init__(self, layer: SparseLinear, place: int, first: Tensor, second: Tensor) -> None:
        self.layer, self.place = layer, place  # among all parameters
        self.parts = [layer.weight.detach(), first, second]
        # Numpy copies whole rows, where torch's index_copy_ goes number by number.
        self.arrays = [part.numpy() for part in self.parts]
        self.times = np.zeros(len(first), dtype=np.int64)

    def look_up(self, features: np.ndarray, drifts: Drift) -> list[Tensor]:
        """Weights and moments (n, H) of some features, moved to now: copies."""
        found = [torch.from_numpy(array.take(features, axis=0)) for array in self.arrays]
        drift(found[0], found[1], found[2], drifts.since(self.times[features]))
        return found

    def store(self, features: np.ndarray, found: list[Tensor], now: int) -> None:
        for array, part in zip(self.arrays, found, strict=True):
            array[features] = part.numpy()
        self.times[features] = now

    def settle(self, drifts: Drift) -> None:
        """Move all weights to now."""
        n_rows = max(1, _CHUNK // self.arrays[0].shape[1])
        for start in range(0, len(self.times), n_rows):
            part = slice(start, start + n_rows)
            weight, first, second = (each[part] for each in self.parts)
            drift(weight, first, second, drifts.since(self.times[part]))
        self.times[:] = drifts.now


class LazyAdamW(FusedAdamW):
    """:class:`~acestimator.training.optimizers.FusedAdamW` for networks that are given sparse rows, on the CPU.

    Between :meth:`settle` and the next step all numbers are as that one's, to rounding.

    Parameters
    ----------
    network : nn.Module
        Every parameter is reached by every step.
    beta1, weight_decay : float
    """

    def __init__(self, network: nn.Module, *, beta1: float, weight_decay: float) -> None:
        parameters = [p for p in network.parameters() if p.requires_grad]
        super().__init__(parameters, beta1=beta1, weight_decay=weight_decay)
        places = {id(p): place for place, p in enumerate(parameters)}
        layers = [module for module in network.modules() if isinstance(module, SparseLinear)]
        self._tables = [
            _Table(layer, place, *(moment[place] for moment in self._moments))
            for layer in layers
            if (place := places.get(id(layer.weight))) is not None
        ]
        self._drift = Drift(beta1, weight_decay, _LONGEST)
        self._features: np.ndarray | None = None
        self._found: list[list[Tensor]] = []  # weights and moments of each table

    def look_up(self, inputs: Rows) -> Rows:
        """Give the layers the weights of the features that these rows have; the same rows, of these columns alone."""
        assert isinstance(inputs, SparseRows)
        self._features, columns = np.unique(inputs.columns.numpy(), return_inverse=True)
        self._found = [table.look_up(self._features, self._drift) for table in self._tables]
        for table, (weight, *_) in zip(self._tables, self._found, strict=True):
            table.layer.looked_up = weight.requires_grad_()
        return SparseRows(torch.from_numpy(columns), inputs.values, inputs.starts, len(self._features))

    def descend(self, output: Tensor, output_gradient: Tensor, lr: float) -> None:
        """Step along these gradients, with the weights that were looked up."""
        assert self._features is not None
        leaves, parameters = list(self._leaves), list(self._parameters)
        moments = [list(moment) for moment in self._moments]
        for table, (weight, first, second) in zip(self._tables, self._found, strict=True):
            leaves[table.place], parameters[table.place] = weight, weight.detach()
            moments[0][table.place], moments[1][table.place] = first, second
        grads = parameter_gradients(output, output_gradient, tuple(leaves), self._privates.run_backward)
        self._counts[0].add_(1)
        self._move(Tensors(parameters, list(grads), moments, self._counts), lr)  # type: ignore[arg-type]
        self._drift.step(lr)
        for table, (weight, *both) in zip(self._tables, self._found, strict=True):
            table.store(self._features, [weight.detach(), *both], self._drift.now)
            table.layer.looked_up = None
        self._features, self._found = None, []
        if self._drift.now - self._drift.start == _LONGEST:
            self.settle()

    def settle(self) -> None:
        """Move all weights to where they belong by now."""
        for table in self._tables:
            table.settle(self._drift)
        self._drift.begin(self._drift.now)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, after :meth:`settle`."""
        super().load_state_dict(state)
        self._drift.begin(int(self._counts[0]))
        for table in self._tables:
            table.times[:] = self._drift.now
