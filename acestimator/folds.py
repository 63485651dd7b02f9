"""Folds of a training set: stratified by label, equal samples together, and weights counted as copies.

Legend: N samples, K classes, D numbers of a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK_ELEMENTS = 1 << 22  # numbers that are hashed at one go
# Odd numbers near 2^64 over the golden ratio, and of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), as signed ones
_STEP, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685


def folds(
    labels: Tensor, n_folds: int, generator: torch.Generator, keys: Tensor | None = None, weight: Tensor | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Positions in all folds but one, and in that one.

    Each class is put in an order that is drawn, and cut into parts of equal weight. Nothing that is drawn depends on
    the number of samples: a sample of weight 2 and the sample twice give the same folds.

    Parameters
    ----------
    labels : Tensor of int64, shape (N,)
    n_folds : int
        At least 2.
    generator : torch.Generator
        On the CPU.
    keys : Tensor of int64, shape (N,), optional
        Of a label, samples of the same key are in the same fold; by default no two are.
    weight : Tensor of float64, shape (N,), optional
        Positive.

    Returns
    -------
    list of (Tensor of int64, Tensor of int64)
        Of the folds that have samples, and leave some.
    """
    if keys is None:
        keys = torch.arange(len(labels), device=labels.device)
    weight = torch.ones(len(labels), dtype=torch.float64, device=labels.device) if weight is None else weight.double()
    n_classes = int(labels.max()) + 1
    seed = int(torch.randint(2**62, (), generator=generator))
    first = torch.rand(n_classes, dtype=torch.float64, generator=generator).to(labels.device)  # of a class's parts
    keys = mixed(keys + seed)
    order = torch.argsort(keys, stable=True)
    order = order[torch.argsort(labels[order], stable=True)]
    sorted_labels, sorted_keys, sorted_weight = labels[order], keys[order], weight[order]
    of_class = torch.zeros(n_classes, dtype=torch.float64, device=labels.device).index_add_(0, labels, weight)
    before = torch.cumsum(sorted_weight, 0) - sorted_weight - (torch.cumsum(of_class, 0) - of_class)[sorted_labels]
    share = before / of_class[sorted_labels]
    is_first = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    is_first[1:] = (sorted_keys[1:] != sorted_keys[:-1]) | (sorted_labels[1:] != sorted_labels[:-1])
    group = torch.cumsum(is_first, 0) - 1
    share = share[is_first][group]  # of equal samples, the first one's
    # Rounding must not decide where a class is cut: its sums are of weights in another order, or of copies.
    place = torch.round((share + first[sorted_labels]) * n_folds, decimals=9)
    fold = torch.empty_like(labels)
    fold[order] = place.floor().long() % n_folds
    parts = [(torch.nonzero(fold != k).squeeze(1), torch.nonzero(fold == k).squeeze(1)) for k in range(n_folds)]
    return [(seen, unseen) for seen, unseen in parts if len(seen) and len(unseen)]


def row_keys(features: Tensor) -> Tensor:
    """Number of each sample, int64 (N,), the same for equal ones: other samples hardly have it.

    Numbers in float64 are looked at in float32, so that rounding hardly ever counts.

    Parameters
    ----------
    features : Tensor, shape (N, ...)
    """
    rows = features.flatten(1)  # (N, D)
    factors = mixed(torch.arange(rows.shape[1], device=rows.device)) | 1
    parts = []
    for chunk in torch.split(rows, max(1, _CHUNK_ELEMENTS // max(1, rows.shape[1]))):
        if chunk.is_floating_point():
            chunk = (chunk.float() + 0.0).view(torch.int32)  # zero has no sign then
        parts.append((chunk.long() * factors).sum(dim=1))
    return mixed(torch.cat(parts))


def sparse_row_keys(columns: Tensor, values: Tensor, starts: Tensor, n_columns: int) -> Tensor:
    """Keys as :func:`row_keys` gives them of the same samples with their zeros, which add nothing.

    Parameters
    ----------
    columns : Tensor of int64, shape (E,)
        Of each number that is stored, row by row, none of them twice.
    values : Tensor, shape (E,)
    starts : Tensor of int64, shape (N + 1,)
        Of the rows among the numbers.
    n_columns : int
    """
    factors = mixed(torch.arange(n_columns, device=columns.device)) | 1
    if values.is_floating_point():
        values = (values.float() + 0.0).view(torch.int32)
    rows = torch.repeat_interleave(torch.arange(len(starts) - 1, device=starts.device), starts.diff())
    sums = torch.zeros(len(starts) - 1, dtype=torch.int64, device=columns.device)
    return mixed(sums.index_add_(0, rows, values.long() * factors[columns]))


def mixed(keys: Tensor) -> Tensor:
    """Keys (int64) as other numbers, one to one, such that near ones become far ones: splitmix64."""
    keys = keys + _STEP
    keys = (keys ^ _shifted(keys, 30)) * _FIRST
    keys = (keys ^ _shifted(keys, 27)) * _SECOND
    return keys ^ _shifted(keys, 31)


def _shifted(keys: Tensor, n_bits: int) -> Tensor:
    """All bits so much lower, and zeros above: torch's own shift repeats the sign, which two keys would share."""
    return (keys >> n_bits) & ((1 << (64 - n_bits)) - 1)
