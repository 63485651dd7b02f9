"""Products of 2 x 2 step matrices over a sliding window, for the lazy optimiser of :mod:`acestimator.alpha`.

Legend: b entries a block, W entries in the window (b * b), n steps.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

Matrix = tuple[float, float, float, float]  # m00, m01, m10, m11

BLOCK = 256  # b; the window is b * b = 65,536 steps, and an advance costs two rows of b products
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0)


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
    lives : Tensor of float64, shape (2, 2 * b, 2, 2)
        The live products, twice, transposed: an advance reads one and writes the other, so that a process that is
        killed meanwhile leaves those of before. Given, because they may lie in a file.
    archive : Tensor of float64, shape (b * b + 1, 2, 2)
        The others, transposed. An advance writes where no product of before is.
    clock : int
        Time now. All times that will be asked for are at least this, or were in the window of the given state.
    which : int
        Which of the live products count. Who keeps the time keeps this, too.

    Notes
    -----
    Memory is fixed: ``(W + 4 b)`` matrices and one, 2.1 MB, however long the run and whatever is visited.
    The owner keeps all of its times within the last ``capacity`` steps.
    """

    def __init__(self, lives: Tensor, archive: Tensor, clock: int, which: int) -> None:
        self.block = lives.shape[1] // 2
        self.clock, self.which = clock, which
        # live: entries 0..b-1 are times of the current block, b..2b-1 ends of blocks (a ring). Transposed, because then
        # all of them times a step is one matrix product, and each of them lies in one piece.
        self._lives, self.archive = lives, archive
        self._identity = torch.eye(2, dtype=lives.dtype, device=lives.device)

    @classmethod
    def empty(cls, block: int = BLOCK) -> WindowProducts:
        """Products of no step yet, in memory of their own."""
        lives, archive = (torch.zeros(shape, dtype=torch.float64) for shape in window_shapes(block).values())
        products = cls(lives, archive, clock=0, which=0)
        products.start()
        return products

    def start(self) -> None:
        """Begin in zeros: there is no step yet."""
        self.live[self.clock % self.block] = self.archive[-1] = self._identity

    @property
    def live(self) -> Tensor:
        """The live products, (2 * b, 2, 2)."""
        return self._lives[self.which]

    @property
    def capacity(self) -> int:
        """How far back a time may lie: all blocks of the ring but the one being written."""
        return self.block * (self.block - 1)

    def advance(self, matrices: Sequence[Matrix]) -> None:
        """Multiply every product of the window from the left by these steps' matrices, the first one first."""
        room = self.block - self.clock % self.block  # steps to the start of the next block
        source, target = self._lives[self.which], self._lives[1 - self.which]
        self._advance_in_block(matrices[:room], source, target)
        for start in range(room, len(matrices), self.block):
            self._advance_in_block(matrices[start : start + self.block], target.clone(), target)
        self.which = 1 - self.which

    def _advance_in_block(self, matrices: Sequence[Matrix], source: Tensor, target: Tensor) -> None:
        """Advance by steps of which the last one may open the next block."""
        products = from_floats(suffix_products(matrices)).view(-1, 2, 2).to(target.device)
        torch.matmul(source.view(-1, 2), products[0], out=target.view(-1, 2))
        first = self.clock % self.block + 1
        self.clock += len(matrices)
        stop = min(first + len(matrices), self.block)
        target[first:stop] = products[1 : 1 + stop - first]
        if self.clock % self.block == 0:
            done = (self.clock // self.block - 1) % self.block
            self.archive[done * self.block : (done + 1) * self.block] = target[: self.block]
            target[self.block + done] = target[0] = self._identity

    def since(self, times: Tensor) -> Tensor:
        """Products from each time to now.

        Parameters
        ----------
        times : Tensor of int64, shape (B,)
            Between ``clock - capacity`` and ``clock``.

        Returns
        -------
        Tensor of float64, shape (B, 4)
            The entries 00, 10, 01, 11 of the product: column after column, as they are stored.
        """
        slot = times - (self.clock - self.clock % self.block)  # in the current block, or below zero
        if times.device.type == "cpu" and len(times) and int(slot.min()) >= 0:
            return self.live.view(-1, 4).index_select(0, slot)
        current, slot = slot >= 0, times % self.block
        ring = times // self.block % self.block
        # A time of the current block has one factor alone: the archive ends with an identity for the other.
        to_block_end = torch.where(current, len(self.archive) - 1, ring * self.block + slot)
        from_there = torch.where(current, slot, ring + self.block)
        products = torch.bmm(self.archive.index_select(0, to_block_end), self.live.index_select(0, from_there))
        return products.view(-1, 4)


def window_shapes(block: int = BLOCK) -> dict[str, tuple[int, ...]]:
    """Shapes of the two tensors behind :class:`WindowProducts`."""
    return {"lives": (2, 2 * block, 2, 2), "archive": (block * block + 1, 2, 2)}


def from_floats(lines: Sequence[Sequence[float]]) -> Tensor:
    """``torch.tensor`` of lines of floats, as float64, (n, d); in a third of the time."""
    return torch.frombuffer(array("d", chain.from_iterable(lines)), dtype=torch.float64).view(len(lines), -1)


def suffix_products(matrices: Sequence[Matrix]) -> list[Matrix]:
    """``[M_n ... M_1, M_n ... M_2, ..., M_n, I]`` of ``[M_1, ..., M_n]``, transposed."""
    m00, m01, m10, m11 = IDENTITY
    products = [IDENTITY]
    for a, b, c, d in reversed(matrices):
        m00, m01, m10, m11 = m00 * a + m01 * c, m00 * b + m01 * d, m10 * a + m11 * c, m10 * b + m11 * d
        products.append((m00, m10, m01, m11))
    return products[::-1]
