"""Names of samples that outlive their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.owners import process

Ids = Tensor | np.ndarray | Sequence[int] | Sequence[str]


class SampleIds:
    """Which position a sample has, by an integer or a string of the user's own.

    Parameters
    ----------
    ids : Tensor, array or sequence of int or of str, shape (N,)
        All different.
    n_samples : int
        N.

    Raises
    ------
    ValueError
        If they are not N, if one stands there twice, or if they are neither integers nor strings.
    """

    def __init__(self, ids: Ids, n_samples: int) -> None:
        self.values = as_ids(ids)
        if len(self.values) != n_samples:
            raise ValueError(f"ids has {len(self.values)} entries and there are {n_samples} samples: give one each.")
        self._order = np.argsort(self.values, kind="stable")
        self._sorted = self.values[self._order]
        twice = self._sorted[1:] == self._sorted[:-1]
        if twice.any():
            raise ValueError(
                f"id {self._sorted[1:][twice][0].item()!r} stands twice in ids, expected one row for each."
            )

    def positions(self, ids: Ids) -> Tensor:
        """Positions (B,) of samples, int64, on the CPU.

        Raises
        ------
        IndexError
            If one is not known.
        """
        wanted = as_ids(ids)
        if not len(wanted):
            return torch.empty(0, dtype=torch.int64)
        if wanted.dtype.kind != self.values.dtype.kind:
            raise IndexError(f"ids such as {_first(wanted)} were asked for, expected such as {_first(self.values)}.")
        at = np.searchsorted(self._sorted, wanted).clip(max=max(len(self.values) - 1, 0))
        known = self._sorted[at] == wanted if len(self.values) else np.zeros(len(wanted), dtype=bool)
        if not known.all():
            rank, n_processes = process()
            cure = "extend() adds some."
            if n_processes > 1:
                cure = f"this is process {rank} of {n_processes}, and OwnerSampler keeps samples with their owners."
            raise IndexError(f"id {wanted[~known][0].item()!r} is none of the {len(self.values)} of this table: {cure}")
        return torch.from_numpy(self._order[at])

    def extended(self, ids: Ids, n_samples: int) -> SampleIds:
        """Ids of these rows and of ``n_samples`` after them."""
        more = as_ids(ids)
        if len(more) != n_samples:
            raise ValueError(f"ids has {len(more)} entries and {n_samples} samples are to be added: give one each.")
        if more.dtype.kind != self.values.dtype.kind:
            raise ValueError(f"new ids are such as {_first(more)}, expected such as {_first(self.values)}.")
        both = np.concatenate((self.values, more))
        return SampleIds(both, len(both))


def as_ids(ids: Ids) -> np.ndarray:
    """int64 or unicode array, shape (B,)."""
    array = ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.ndim == 1 and array.dtype.kind == "O" and all(isinstance(i, str) for i in array):
        array = array.astype(str)
    if array.shape == (0,):
        return array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError(f"ids are {array.dtype} of shape {array.shape}, expected integers or strings of shape (N,).")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def positions(index: Tensor | Ids, n_samples: int) -> Tensor:
    """``index`` (B,) as int64, or an error if it holds no positions of N samples."""
    try:
        at = torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"index is {type(index).__name__} of no numbers, expected positions of samples, int64 of shape (B,). Ids "
            "are taken by a table that was made with ids."
        ) from error
    if at.shape == (0,):  # torch takes an empty list for floats
        return at.long()
    if at.dim() != 1 or at.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"index is {at.dtype} of shape {tuple(at.shape)}, expected positions of samples, int64 of shape (B,)."
        )
    ends = torch.aminmax(at)  # on a GPU each look waits: one for both
    low, high = [end.item() for end in ends] if at.device.type == "cpu" else torch.stack(ends).tolist()
    if low < 0 or high >= n_samples:
        raise IndexError(
            f"index holds {low} to {high}, expected positions 0 to {n_samples - 1} "
            f"of the {n_samples} training samples of this table."
        )
    return at.long()


def has_repeats(at: Tensor) -> bool:
    """Whether a position stands twice in (B,)."""
    ordered: Any = np.sort(at.numpy()) if at.device.type == "cpu" else at.sort().values
    return bool((ordered[1:] == ordered[:-1]).any())


def _first(ids: np.ndarray) -> str:
    return repr(ids[0].item()) if len(ids) else "none"
