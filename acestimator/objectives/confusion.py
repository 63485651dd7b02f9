"""Which category is mistaken for which, as the labels that are probably wrong show it.

Legend: K categories, M samples of a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestimator.objectives.state import Stateful

PRIOR = 10.0  # samples of each category that are mistaken evenly, before any is counted
LARGEST_CONFUSION = 4096  # categories; for more, all mistakes count alike


class Confusion(Stateful):
    r"""The matrix R, without its scale: :math:`\pi_{ky} / \bar\pi` off the diagonal.

    Parameters
    ----------
    n_classes : int
        K.

    Attributes
    ----------
    relative : Tensor, shape (K, K), or None
        R, of zero diagonal; None for one everywhere.
    """

    state = ("relative",)

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.relative: Tensor | None = None
        self._counts: Tensor | None = None  # (K, K), of true category and label, in the epoch that runs

    def count(self, labels: Tensor, p: Tensor, wrong: Tensor, weight: Tensor | None) -> None:
        """Add a block's wrong labels to the counts, each shared out by p over the other categories.

        Parameters
        ----------
        labels : Tensor of int64, shape (M,)
        p : Tensor, shape (M, K)
            Probabilities of the categories.
        wrong : Tensor, shape (M,)
            Probability that the label is wrong.
        weight : Tensor, shape (M,), or None
        """
        if self.n_classes > LARGEST_CONFUSION:
            return
        if self._counts is None:
            self._counts = torch.zeros(self.n_classes, self.n_classes, dtype=p.dtype, device=p.device)
        # (M, K): the true category, given that it is not the label; and the label, given that it is right
        share = p.scatter(1, labels[:, None], 0.0)
        share *= (wrong / share.sum(dim=1).clamp(min=torch.finfo(p.dtype).tiny))[:, None]
        share.scatter_(1, labels[:, None], (1.0 - wrong)[:, None])
        if weight is not None:
            share *= weight.to(share.dtype)[:, None]
        self._counts.index_add_(1, labels, share.T)

    def learn(self) -> None:
        """Turn the epoch's counts into R; without any, R stays."""
        if self._counts is None:
            return
        counts, self._counts = self._counts, None
        total = counts.sum()
        rate = (total - counts.diagonal().sum()) / total
        pi = counts + PRIOR * rate / (self.n_classes - 1)
        pi = pi / pi.sum(dim=1, keepdim=True).clamp(min=1e-12)
        pi.fill_diagonal_(0.0)
        mean = pi.sum() / (self.n_classes * (self.n_classes - 1))
        self.relative = pi / mean if mean > 0 else None
