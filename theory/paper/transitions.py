"""Labelling processes: how a true category becomes an observed label (Section 3.1, Definition 1).

Legend: K* true categories, of which the first K are the model's; ``pi[true, observed]`` is (K*, K) and its rows sum to
one. A process that depends on x is a stack (..., K*, K), one matrix per sample. `acestimator.noise.corrupt` takes the
same arrays to draw labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from acestimator.noise import check_transition_matrix, outside, pair_flip, symmetric
from acestimator.noise import from_rates as class_dependent

__all__ = [
    "InstanceDependent",
    "check_transition_matrix",
    "class_dependent",
    "compose",
    "instance_dependent",
    "multiple_objects",
    "outside",
    "pair_flip",
    "random_dirichlet",
    "random_symmetric",
    "single_symmetric",
    "symmetric",
]


def single_symmetric(n_classes: int, t: int, f: int, rate: float) -> np.ndarray:
    """Categories t and f are taken for each other with probability ``rate``; all others are labelled right.

    The single-symmetric case of Theorem 2.3: row and column j are unit vectors for every j but t and f.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    t, f : int
        Two different categories, 0..K-1.
    rate : float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (K, K)

    Raises
    ------
    ValueError
        If t and f are not two different categories, or as in :func:`symmetric`.
    """
    pi = symmetric(n_classes, 0.0)
    _check_members((t, f), n_classes, "t and f are")
    pi[np.ix_([t, f], [t, f])] = symmetric(2, rate)
    return pi


@dataclass(frozen=True)
class InstanceDependent:
    r"""A process :math:`\pi(x) = \sum_j w_j(x) \pi^{(j)}` that depends on the sample; see :func:`instance_dependent`.

    Parameters
    ----------
    labellers : ndarray of shape (J, K*, K)
        One matrix per labeller.
    weights : callable
        x of N samples to (N, J): the probability that labeller j labels this x. Rows sum to one.
    """

    labellers: np.ndarray
    weights: Callable[[Any], Any]

    def __call__(self, x: Any) -> np.ndarray:
        """Matrices (N, K*, K) of N samples, to be used with logits m (N, K*)."""
        weights = check_transition_matrix(self.weights(x), name="weights")
        if weights.shape[-1] != len(self.labellers):
            raise ValueError(f"weights has {weights.shape[-1]} columns and there are {len(self.labellers)} labellers.")
        return np.tensordot(weights, self.labellers, axes=1)


def instance_dependent(labellers: Sequence[Any], weights: Callable[[Any], Any]) -> InstanceDependent:
    r"""Each x is labelled by one of several labellers; which one depends on x. The paper's :math:`\pi(y|y^*, x)`.

    Every process that depends on x can be written so, with the unit-row matrices as labellers.

    Parameters
    ----------
    labellers : sequence of J array-likes of shape (K*, K)
    weights : callable
        x of N samples to (N, J), rows summing to one.

    Returns
    -------
    InstanceDependent
        Called with x of N samples, gives (N, K*, K).

    Raises
    ------
    ValueError
        If a matrix is no transition matrix; when called, if the weights are no distributions over the labellers.
    """
    return InstanceDependent(check_transition_matrix(np.stack(list(labellers)), name="labellers"), weights)


def multiple_objects(
    n_classes: int, combinations: Sequence[Sequence[int]], shares: Sequence[Sequence[float]] | None = None
) -> np.ndarray:
    r"""Samples that show several objects, each labelled by one of them: :math:`K^* = K^+ = K \cup S`, Definition 1.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    combinations : sequence of sequences of int
        S: for each combination the categories, 0..K-1, that it shows. Combinations come after the K categories.
    shares : sequence of sequences of float, optional
        For each combination, the probability that each of its members, in the order given, becomes the label. By
        default all alike.

    Returns
    -------
    ndarray of shape (K*, K), K* = K + number of combinations

    Raises
    ------
    ValueError
        If a combination does not have two or more different categories, or shares that do not fit it.
    """
    if shares is not None and len(shares) != len(combinations):
        raise ValueError(f"shares has {len(shares)} entries and there are {len(combinations)} combinations.")
    rows = np.zeros((len(combinations), n_classes))
    for s, members in enumerate(combinations):
        _check_members(members, n_classes, f"combination {s} is")
        share = np.full(len(members), 1.0 / len(members)) if shares is None else np.asarray(shares[s], dtype=np.float64)
        if share.shape != (len(members),):
            raise ValueError(f"combination {s} has {len(members)} members and {share.size} shares.")
        rows[s, list(members)] = share
    return outside(n_classes, rows) if len(rows) else symmetric(n_classes, 0.0)


def random_dirichlet(
    n_true: int,
    n_observed: int,
    concentration: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Rows drawn from a symmetric Dirichlet distribution.

    Parameters
    ----------
    n_true, n_observed : int
        K* and K.
    concentration : float, default=1.0
        Positive. Small: each row is close to a unit vector. Large: close to uniform.
    random_state : int, RandomState or None

    Returns
    -------
    ndarray of shape (K*, K)
    """
    weights = _gamma((n_true, n_observed), concentration, random_state)
    return weights / weights.sum(axis=1, keepdims=True)


def random_symmetric(
    n_classes: int,
    concentration: float = 1.0,
    random_state: int | np.random.RandomState | None = None,
    max_iter: int = 1000,
) -> np.ndarray:
    r"""Random symmetric, hence doubly stochastic, matrix: the symmetric case of Theorem 2.2 beyond one rate for all.

    A symmetric Sinkhorn iteration on a random symmetric matrix W: :math:`d \leftarrow \sqrt{d / (W d)}` until
    :math:`\pi = \mathrm{diag}(d) W \mathrm{diag}(d)` has unit row sums.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    concentration : float, default=1.0
        Positive: shape of the gamma distribution of W's entries. Small: close to an involution, categories taken for
        each other in pairs.
    random_state : int, RandomState or None
    max_iter : int, default=1000
        What is missing to one after as many steps goes to the diagonal, so that the result is always exact.

    Returns
    -------
    ndarray of shape (K, K)
        Equal to its transpose to the last bit.
    """
    symmetric(n_classes, 0.0)  # checks n_classes
    upper = np.triu(_gamma((n_classes, n_classes), concentration, random_state))
    weights = upper + np.triu(upper, 1).T
    scale = np.ones(n_classes)
    for _ in range(max_iter):
        sums = scale * (weights @ scale)
        if np.abs(sums - 1.0).max() <= 1e-14 * n_classes:  # a sum of K terms is not known better
            break
        scale /= np.sqrt(sums)
    pi = weights * np.outer(scale, scale)
    pi /= pi.sum(axis=1).max()
    # No row is above one now. Where the iteration is slow (near an involution without fixed categories its rate tends
    # to one), the diagonal takes the rest, which keeps the matrix symmetric.
    return pi + np.diag(np.maximum(1.0 - pi.sum(axis=1), 0.0))


def compose(first: Any, second: Any) -> np.ndarray:
    r"""Two processes in a row: a label given by the first is relabelled by the second, :math:`\pi = \pi_1 \pi_2`.

    Parameters
    ----------
    first : array-like of shape (..., K*, J)
        Happens first: its rows are the true categories of the whole.
    second : array-like of shape (..., J, K)

    Returns
    -------
    ndarray of shape (..., K*, K)
        Leading axes broadcast.

    Raises
    ------
    ValueError
        If one is no transition matrix, or the second has not one row for each label that the first gives.
    """
    first, second = check_transition_matrix(first, name="first"), check_transition_matrix(second, name="second")
    if first.shape[-1] != second.shape[-2]:
        raise ValueError(
            f"first gives {first.shape[-1]} labels and second has {second.shape[-2]} rows, expected one row per label."
        )
    return first @ second


def _check_members(members: Sequence[int], n_classes: int, what: str) -> None:
    if len(members) < 2 or len(set(members)) < len(members) or not all(0 <= i < n_classes for i in members):
        raise ValueError(
            f"{what} {tuple(members)!r}, expected different categories, at least two, of 0..{n_classes - 1}."
        )


def _gamma(
    shape: tuple[int, int], concentration: float, random_state: int | np.random.RandomState | None
) -> np.ndarray:
    if not concentration > 0:
        raise ValueError(f"concentration is {concentration!r}, expected a positive number.")
    # Tiny concentrations underflow; a row of zeros could not be normalised.
    return np.maximum(check_random_state(random_state).gamma(concentration, size=shape), 1e-100)
