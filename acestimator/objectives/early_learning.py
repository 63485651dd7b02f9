r"""A pull of each prediction towards the average of its sample's own past ones.

A network learns what most labels agree on before it learns the wrong ones, and its predictions of then outlive it in
their average :math:`t`. The regulariser :math:`\lambda \ln(1 - \langle t, p \rangle)`, by Liu, Niles-Weed, Razavian and
Fernandez-Granda (NeurIPS 2020), holds the network to them: of a sample that it has learnt it strengthens the gradient,
and of one whose label it has contradicted it cancels it.

Legend: N samples, K classes, B batch.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

DECAY = 0.7  # share that an average keeps at a visit, the authors'
EVERY = 4  # steps, on the first of which a rare pull acts with the strength of all
_LARGEST = 1.0 - 1e-4  # entry of an average: the regulariser has no bound where a prediction equals a certain one


class PredictionAverages:
    """Averages over the visits of N samples' probabilities, zero at first.

    Parameters
    ----------
    n_samples, n_classes : int
    dtype : torch.dtype
    device : torch.device

    Attributes
    ----------
    values : Tensor, shape (N, K)
    """

    def __init__(self, n_samples: int, n_classes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.values = torch.zeros(n_samples, n_classes, dtype=dtype, device=device)
        self._kept: tuple[Tensor, ...] = ()

    def open(self, index: Tensor, sizes: list[int]) -> None:
        """Gather the averages of the samples (M,) of coming steps of these sizes."""
        past = self.values.index_select(0, index)
        kept = torch.rsub(past, 1.0, alpha=DECAY)  # (M, K) one minus the part that a visit leaves of an average
        self._kept = torch.split(kept, sizes)

    def doubts(self, step: int, probability: Tensor) -> Tensor:
        """One minus the averages (B, K) of a step's samples after a visit that predicts ``probability`` (B, K)."""
        return torch.sub(self._kept[step], probability, alpha=1.0 - DECAY)

    def visit(self, index: Tensor, probability: Tensor) -> None:
        """Move the averages of these samples."""
        past = self.values.index_select(0, index)
        self.values.index_copy_(0, index, torch.lerp(probability.clamp(max=_LARGEST), past, DECAY))


class StepNumbers:
    """Which step of a block takes which samples: by where their positions lie in memory, until a hook is told."""

    def __init__(self, index: Tensor, sizes: list[int]) -> None:
        self._index, stride = index, index.element_size() * index.stride(0)  # kept, so that none other lies there
        starts = itertools.accumulate(sizes[:-1], initial=0)
        self._at = {index.data_ptr() + start * stride: step for step, start in enumerate(starts)}

    def of(self, index: Tensor) -> int:
        """Number of the step over the samples (B,), a part of the block's index."""
        return self._at[index.data_ptr()]


def add_pull_(grad: Tensor, probability: Tensor, doubts: Tensor, strength: float) -> Tensor:
    r"""Add to a gradient, in place, that of :math:`\lambda \ln(1 - \langle t, p \rangle)` in the logits.

    It is :math:`\lambda (q - p)`, with q in proportion to :math:`p (1 - t)`; the average t is not differentiated.

    Parameters
    ----------
    grad : Tensor, shape (B, K)
    probability, doubts : Tensor, shape (B, K)
        p, and 1 - t, positive.
    strength : float
        :math:`\lambda`; no entry of what is added is larger.

    Returns
    -------
    Tensor, shape (B, K)
        ``grad``.
    """
    q = probability * doubts
    return grad.addcdiv_(q, q.sum(dim=1, keepdim=True), value=strength).sub_(probability, alpha=strength)
