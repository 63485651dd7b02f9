"""Products of 2 x 2 step matrices over a sliding window, for the lazy optimiser of :mod:`acestimator.alpha`.

Legend: b entries a block, W entries in the window (b * b).
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256  # b; the window is b * b = 65,536 steps, and an advance costs two rows of b products


class WindowProducts:
    r"""For every past time s in the window, the product :math:`M_t M_{t-1} \cdots M_{s+1}`.

    The products are kept in two levels. The *live* ones run to the current step: one for every
    time of the current block, and one for the end of every finished block. The *archive* holds, for
    every time of a finished block, the product up to that block's end. The product since s is then
    ``live[block of s] @ archive[s]``, and an advance multiplies only the ``2 b`` live products:
    O(sqrt(W)), by one small matrix product.

    Prefix products and an inverse would need no window, but are useless: the prefix product is
    singular to machine precision after a few hundred steps of momentum.

    Parameters
    ----------
    device : torch.device or str
        Where the products live. Always float64.

    Notes
    -----
    Memory is fixed: ``(W + 4 b)`` matrices, 2.1 MB, however long the run and whatever is visited.
    The owner keeps all of its times within the last ``capacity`` steps.
    """

    def __init__(self, device: torch.device | str = "cpu", block: int = BLOCK) -> None:
        self.block = block
        self.clock = 0
        # [row, entry, column]: entries 0..b-1 times of the current block, b..2b-1 ends of blocks (a ring)
        self._live = torch.zeros(2, 2 * block, 2, dtype=torch.float64, device=device)
        self._spare = torch.empty_like(self._live)
        self._archive = torch.zeros(block, block, 2, 2, dtype=torch.float64, device=device)
        self._identity = torch.eye(2, dtype=torch.float64, device=device)
        self._live[:, 0, :] = self._identity

    @property
    def capacity(self) -> int:
        """How far back a time may lie: all blocks of the ring but the one being written."""
        return self.block * (self.block - 1)

    def advance(self, matrix: tuple[float, float, float, float]) -> None:
        """Multiply every product of the window from the left by ``[[m00, m01], [m10, m11]]``."""
        step = torch.tensor(matrix, dtype=torch.float64).view(2, 2).to(self._live.device, non_blocking=True)
        torch.matmul(step, self._live.view(2, -1), out=self._spare.view(2, -1))
        self._live, self._spare = self._spare, self._live
        self.clock += 1
        slot = self.clock % self.block
        if slot == 0:
            done = (self.clock // self.block - 1) % self.block
            self._archive[done] = self._live[:, : self.block].transpose(0, 1)
            self._live[:, self.block + done, :] = self._identity
        self._live[:, slot, :] = self._identity

    def since(self, times: Tensor) -> Tensor:
        """Products from each time to now.

        Parameters
        ----------
        times : Tensor of int64, shape (B,)
            Between ``clock - capacity`` and ``clock``.

        Returns
        -------
        Tensor of float64, shape (B, 2, 2)
        """
        block, slot = times // self.block, times % self.block
        current = self._live[:, slot].transpose(0, 1)  # (B, 2, 2)
        ring = block % self.block
        outer = self._live[:, self.block + ring].transpose(0, 1)  # (B, 2, 2)
        finished = torch.matmul(outer, self._archive[ring, slot])
        is_current = (block == self.clock // self.block)[:, None, None]
        return torch.where(is_current, current, finished)
