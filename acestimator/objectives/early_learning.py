r"""A pull of each prediction towards the average of its sample's own past ones.

A network learns what most labels agree on before it learns the wrong ones. The average :math:`t` of a sample's past
predictions remembers that time. The regulariser :math:`\lambda \ln(1 - \langle t, p \rangle)`, by Liu, Niles-Weed,
Razavian and Fernandez-Granda (NeurIPS 2020), holds the network to the average: it strengthens the gradient of a sample
that the network has learnt, and cancels that of a sample whose label the network has contradicted.

Legend: N samples, K classes, B batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.objectives.state import Stateful

DECAY = 0.7  # share that an average keeps at a visit, the authors'
EVERY = 4  # a rare pull acts at one step of so many, and so many times as strongly
_LARGEST = 1.0 - 1e-4  # entry of an average: the regulariser has no bound where a prediction equals a certain one


class PredictionAverages(Stateful):
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

    state = ("values",)

    def __init__(self, n_samples: int, n_classes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.values = torch.zeros(n_samples, n_classes, dtype=dtype, device=device)
        self._gathered: tuple[Tensor, ...] = ()  # of the steps of a block

    def gather(self, index: Tensor, sizes: list[int]) -> None:
        """Gather the averages of the samples (M,) of the coming steps, which have these sizes."""
        past = self.values.index_select(0, index)
        # (M, K): one minus the part that a visit leaves of an average
        self._gathered = torch.split(torch.rsub(past, 1.0, alpha=DECAY), sizes)

    def doubts(self, step: int, probability: Tensor) -> Tensor:
        """One minus the averages (B, K) of a gathered step's samples, after a visit that predicts ``probability``."""
        return torch.sub(self._gathered[step], probability, alpha=1.0 - DECAY)

    def visit(self, index: Tensor, probability: Tensor) -> None:
        """Move the averages of these samples."""
        past = self.values.index_select(0, index)
        self.values.index_copy_(0, index, torch.lerp(probability.clamp(max=_LARGEST), past, DECAY))
        self._gathered = ()


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
