r"""A pull of each prediction towards the average of its sample's own past ones.

A network learns what most labels agree on before it learns the wrong ones, and its predictions of then outlive it in
their average :math:`t`. The regulariser :math:`\lambda \ln(1 - \langle t, p \rangle)`, by Liu, Niles-Weed, Razavian and
Fernandez-Granda (NeurIPS 2020), holds the network to them: of a sample that it has learnt it strengthens the gradient,
and of one whose label it has contradicted it cancels it.

Legend: N samples, K classes, B batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

DECAY = 0.7  # share that an average keeps at a visit, the authors'
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

    def moved(self, index: Tensor, probability: Tensor) -> Tensor:
        """Averages (B, K) of the samples (B,) after a visit that predicts ``probability`` (B, K). Pure."""
        return torch.lerp(probability, self.values.index_select(0, index), DECAY)

    def visit(self, index: Tensor, probability: Tensor) -> None:
        """Move the averages of these samples."""
        self.values.index_copy_(0, index, self.moved(index, probability.clamp(max=_LARGEST)))


def pull_gradient(probability: Tensor, average: Tensor, strength: float) -> Tensor:
    r"""Gradient of :math:`\lambda \ln(1 - \langle t, p \rangle)` in the logits: :math:`\lambda p (a - t) / (1 - a)`.

    :math:`a = \langle t, p \rangle`; the average t is not differentiated.

    Parameters
    ----------
    probability, average : Tensor, shape (B, K)
        p, and t with a below one.
    strength : float
        :math:`\lambda`.

    Returns
    -------
    Tensor, shape (B, K)
        Each row sums to zero.
    """
    product = probability * average
    agreement = product.sum(dim=1, keepdim=True)  # (B, 1)
    return (probability * agreement).sub_(product).mul_(strength / (1.0 - agreement))
