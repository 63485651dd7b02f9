r"""Table 1: the paper's three examples as data, its constants reproduced, and the same constants learned.

Each part gives the output of the true model m*, that of the biased model c, and :math:`\alpha = c - m^*`. The printed
outputs are taken as logits, as everywhere in the paper.

**Where text and table disagree.** Section 3.1 says that the constants "are assumed to be optimal such that C = m* - c".
The table has :math:`\alpha = c - m^*`, the other sign, and so has the text itself two lines on, "c = m* + C", and the
model (2). It is the table that agrees with Theorems 1 and 2: with m* - c the true label of part (A) would have the
larger constant.

**Learned.** The biased model fits the labels, so that c stands for a label distribution :math:`Q = \mathrm{softmax}(c)`
over K. Descent on the expected loss in :math:`\alpha`, m* held, ends where :math:`\mathrm{softmax}(m^* + \alpha) = Q`:
at :math:`c - m^*` up to a number per row. That number is known: a gradient softmax - Q sums to zero, so a row that
starts at zero keeps mean zero, and what is learned is the table in the mean-centred gauge.

In part (A), :math:`\alpha` is Theorem 1's, in the partition gauge, for categories 1 and 3 that are always taken for
each other: ``single_symmetric(3, 0, 2, 1.0)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from acestimator import AlphaTable

DISAGREEMENT = (
    'Text and table disagree: Section 3.1 has "C = m* - c", Table 1 and "c = m* + C" have alpha = c - m*. '
    "Theorems 1 and 2 agree with the table."
)


@dataclass(frozen=True)
class Part:
    """One of the three parts, as printed.

    Parameters
    ----------
    name, title : str
    observed : int
        Category that is observed, as printed: from 1.
    true : tuple of int
        True categories, from 1.
    n_observed : int
        K: the model's categories are the first K of the columns.
    m, c, alpha : tuple of float, (K*,)
        Outputs of the true and of the biased model, and the constants.
    """

    name: str
    title: str
    observed: int
    true: tuple[int, ...]
    n_observed: int
    m: tuple[float, ...]
    c: tuple[float, ...]
    alpha: tuple[float, ...]


TABLE1 = (
    Part("A", "Incorrect label", 1, (3,), 3, (0.1, 0.1, 0.8), (0.8, 0.1, 0.1), (0.7, 0.0, -0.7)),
    Part("B", "Outside of category set", 1, (4,), 3, (0.1, 0.1, 0.1, 0.7), (0.8, 0.1, 0.1, 0.0), (0.7, 0.0, 0.0, -0.7)),
    Part("C", "Multiple objects", 1, (1, 3), 3, (0.8, 0.1, 0.8), (0.8, 0.1, 0.1), (0.0, 0.0, -0.7)),
)


def printed(values: Sequence[float] | np.ndarray) -> tuple[str, ...]:
    """Numbers with the table's one decimal; a zero has no sign."""
    return tuple(f"{value + 0.0:.1f}" for value in np.round(np.asarray(values, dtype=np.float64), 1))


def constants(m: Sequence[float] | np.ndarray, c: Sequence[float] | np.ndarray) -> np.ndarray:
    r"""Constants of the table, :math:`\alpha = c - m^*`.

    Parameters
    ----------
    m, c : array-like of shape (..., K*)

    Returns
    -------
    ndarray of shape (..., K*)
        That of a category outside of the set is printed too (part B), "not estimated" since the model has no such
        output.
    """
    return np.asarray(c, dtype=np.float64) - np.asarray(m, dtype=np.float64)


@dataclass(frozen=True)
class Learned:
    """Constants that were learned, beside the printed ones.

    Parameters
    ----------
    part : Part
    alpha : ndarray of shape (K,)
        As learned, from zero.
    shift : float
        The row's constant: mean of the printed minus mean of the learned.
    error : float
        Largest deviation of ``alpha + shift`` from the printed constants of K.
    """

    part: Part
    alpha: np.ndarray
    shift: float
    error: float


def learn(parts: Sequence[Part] = TABLE1, lr: float = 2.0, n_steps: int = 400) -> list[Learned]:
    r"""Learn the constants of some parts by gradient descent with m* held fixed, one row of an `AlphaTable` each.

    Parameters
    ----------
    parts : sequence of Part
        Of the same K.
    lr : float, default=2.0
        Descent converges below 4: the loss's curvature, diag(p) - p p^T, is at most 1/2.
    n_steps : int, default=400
        The error falls by the factor 1 - lr times the least curvature a step. That is at least the least probability,
        here above 1/5: 400 steps leave 0.6^400, nothing.

    Returns
    -------
    list of Learned

    Raises
    ------
    ValueError
        If the parts differ in K, or there are none.
    """
    counts = sorted({part.n_observed for part in parts})
    if len(counts) != 1:
        raise ValueError(
            f"parts have {' and '.join(map(str, counts)) or 'no'} categories, expected one number for all."
        )
    n_classes = counts[0]
    m = torch.tensor([part.m[:n_classes] for part in parts], dtype=torch.float64)
    target = torch.tensor([part.c[:n_classes] for part in parts], dtype=torch.float64).softmax(dim=1)
    table = AlphaTable(len(parts), n_classes, lr=lr, dtype=torch.float64)
    index = torch.arange(len(parts))
    for _ in range(n_steps):
        table.step(index, torch.softmax(m + table.rows(index), dim=1) - target)
    results = []
    for part, alpha in zip(parts, table.dense().numpy().copy(), strict=True):
        expected = np.array(part.alpha[:n_classes])
        shift = float(expected.mean() - alpha.mean())
        results.append(Learned(part, alpha, shift, float(np.abs(alpha + shift - expected).max())))
    return results


def report() -> str:
    """Table 1 with computed and learned constants, and the note on the sign, as text."""
    lines = []
    for learned in learn():
        part = learned.part
        true = " and ".join(map(str, part.true))
        lines += [
            f"({part.name}) {part.title}: observed {part.observed}, true {true}",
            *(f"  {name:<22}{_row(row)}" for name, row in (("m*", part.m), ("c", part.c))),
            f"  {'alpha, printed':<22}{_row(part.alpha)}",
            f"  {'alpha = c - m*':<22}{_row(constants(part.m, part.c))}",
            f"  {'alpha, learned':<22}{_row(learned.alpha + learned.shift)}   "
            f"row's constant {learned.shift:+.4f}, largest error {learned.error:.1e}",
        ]
    return "\n".join([*lines, DISAGREEMENT])


def _row(values: Sequence[float] | np.ndarray) -> str:
    return "".join(f"{value:>6}" for value in printed(values))
