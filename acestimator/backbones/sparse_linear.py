"""First layer of a network that takes the rows of a sparse matrix as they are.

Legend: B samples, D features, H units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acestimator.rows import Rows


class SparseLinear(nn.Module):
    """A linear layer (B, D) to (B, H) that touches the weights of those features alone which some sample has.

    Parameters
    ----------
    linear : nn.Linear
        Whose numbers it starts from.

    Attributes
    ----------
    weight : nn.Parameter, shape (D, H)
        Transposed against ``nn.Linear``'s, so that the weights of a feature lie in one piece.
    bias : nn.Parameter, shape (H,)
    looked_up : Tensor, shape (D', H), or None
        In place of ``weight`` for sparse rows of D' columns: see :class:`acestimator.training.lazy.LazyAdamW`.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().T.contiguous())
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.looked_up: Tensor | None = None

    def forward(self, x: Rows) -> Tensor:  # noqa: D102
        if isinstance(x, Tensor):
            return torch.addmm(self.bias, x, self.weight)
        weight = self.weight if self.looked_up is None else self.looked_up
        summed = F.embedding_bag(
            x.columns, weight, x.starts, mode="sum", per_sample_weights=x.values, include_last_offset=True
        )
        return summed + self.bias
