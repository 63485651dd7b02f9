"""Rows to look at: the suspects, likeliest wrong first, and some drawn at random, by which the rest can be judged.

Who looks at suspects alone learns how many of them are wrong, and nothing about the rows that were not suspected. Rows
drawn at random within strata of the probability tell that: see :mod:`acestimator.audit.rates`.

Legend: N rows, S strata.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acestimator.audit.decisions import Stratum

BOUNDS = (0.0, 0.1, 0.5, 1.0)  # of the strata: hardly suspected, somewhat, and suspects
_FEWEST = 5  # rows of a stratum that are drawn, if it has them


@dataclass(frozen=True)
class Drawn:
    """Rows to show.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        In the order of showing.
    stratum : ndarray of int64, shape (n,)
        -1 of rows that could not be drawn.
    is_drawn : ndarray of bool, shape (n,)
        Whether it was drawn; others are shown for their suspicion alone.
    strata : tuple of Stratum
        All S.
    """

    rows: np.ndarray
    stratum: np.ndarray
    is_drawn: np.ndarray
    strata: tuple[Stratum, ...]


def strata_of(probability: np.ndarray) -> np.ndarray:
    """Stratum (N,) of each row, 0..S-1, by the probability (N,) that its label is wrong."""
    return np.clip(np.searchsorted(BOUNDS, probability, side="left") - 1, 0, len(BOUNDS) - 2)


def draw(probability: np.ndarray, suspects: np.ndarray, n_random: int, random_state: int) -> Drawn:
    """Choose the rows to show, and mix them.

    Parameters
    ----------
    probability : ndarray of float64, shape (N,)
        That each label is wrong; NaN of rows that are not to be drawn.
    suspects : ndarray of int64, shape (n_suspects,)
        Rows to show for their suspicion, in order.
    n_random : int
        Rows to draw, in proportion to the strata's sizes, but a few of each at least.
    random_state : int

    Returns
    -------
    Drawn
        The order of the suspects is kept. Rows that were drawn are spread evenly at random over the first half of the
        list, since people seldom come to its end.
    """
    rng = np.random.default_rng(random_state)
    population = np.flatnonzero(~np.isnan(probability))
    stratum = np.full(len(probability), -1)
    stratum[population] = strata_of(probability[population])
    sizes = np.bincount(stratum[population], minlength=len(BOUNDS) - 1)  # (S,)
    counts = allocate(sizes, n_random)
    chosen = [
        rng.choice(np.flatnonzero(stratum == s), size=count, replace=False) for s, count in enumerate(counts.tolist())
    ]
    drawn = rng.permutation(np.concatenate(chosen))
    others = suspects[~np.isin(suspects, drawn)]
    places = np.concatenate([np.arange(len(others)), rng.uniform(0, max(len(others), 1) / 2, size=len(drawn))])
    rows = np.concatenate([others, drawn])
    order = np.argsort(places, kind="stable")
    rows, is_drawn = rows[order], (np.arange(len(rows)) >= len(others))[order]
    strata = tuple(Stratum(BOUNDS[s], BOUNDS[s + 1], int(sizes[s]), int(counts[s])) for s in range(len(BOUNDS) - 1))
    return Drawn(rows, stratum[rows], is_drawn, strata)


def allocate(sizes: np.ndarray, n_random: int) -> np.ndarray:
    """Rows to draw of each stratum (S,): in proportion to its size (S,), but a few of each, and no more than it has.

    They sum up to ``n_random``, to rounding and those few.
    """
    if n_random == 0 or sizes.sum() == 0:
        return np.zeros_like(sizes)
    even = np.rint(n_random * sizes / sizes.sum()).astype(sizes.dtype)
    return np.minimum(np.maximum(even, min(_FEWEST, n_random)), sizes)
