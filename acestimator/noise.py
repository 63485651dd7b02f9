"""Transition matrices, and labels corrupted by them.

Legend: N samples, D features, K* true categories, K observed ones; ``pi[k, i]`` is the probability that true category k
is labelled i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state, column_or_1d

# How far a row's sum, or two mirrored entries, may be off: room for rounded input, none for a forgotten category.
TOLERANCE = 1e-8
SHOWN = 10  # positions that an error lists
_RATE_SPREAD = 0.1  # of the samples' rates about the given one, before they are truncated: the authors'


def symmetric(n_classes: int, rate: float) -> np.ndarray:
    """Each label is replaced with probability ``rate``, by any of the others alike.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    rate : float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (K, K)
        Rows sum to one.

    Raises
    ------
    ValueError
        If there are fewer than two classes or no whole number, or the rate is not between 0 and 1.
    """
    _check(n_classes, rate)
    pi = np.full((n_classes, n_classes), rate / (n_classes - 1))
    np.fill_diagonal(pi, 1.0 - rate)
    return pi


def pair_flip(n_classes: int, rate: float) -> np.ndarray:
    """Each label is replaced with probability ``rate`` by the next category, the last by the first.

    Parameters, returns and errors as in :func:`symmetric`.
    """
    _check(n_classes, rate)
    identity = np.eye(n_classes)
    return (1.0 - rate) * identity + rate * np.roll(identity, 1, axis=1)


def from_rates(rates: Any, confusions: Any = None) -> np.ndarray:
    r"""Each category has its own rate, and its own distribution over the wrong labels.

    :math:`\pi_{ki} = (1 - r_k) [k = i] + r_k C_{ki}`.

    Parameters
    ----------
    rates : array-like of shape (K,)
        r, the probability that a label of this true category is wrong.
    confusions : array-like of shape (K, K), optional
        C, which wrong label: rows sum to one, the diagonal is zero. By default all wrong labels alike.

    Returns
    -------
    ndarray of shape (K, K)

    Raises
    ------
    ValueError
        If a rate is not between 0 and 1, or the confusions are not such distributions.
    """
    rates = np.asarray(rates)
    if rates.dtype.kind not in "buif" or rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"rates is {rates!r}, expected one probability between 0 and 1 for each category.")
    rates, n_classes = rates.astype(np.float64), len(rates)
    wrong = symmetric(n_classes, 1.0) if confusions is None else check_transition_matrix(confusions, name="confusions")
    if wrong.shape != (n_classes, n_classes) or np.diag(wrong).any():
        raise ValueError(
            f"confusions has shape {wrong.shape} and diagonal {np.diag(wrong)!r}, expected {(n_classes, n_classes)} "
            "and zeros: it says which wrong label is given, and the right one is none of them."
        )
    return np.diag(1.0 - rates) + rates[:, None] * wrong


def class_dependent(n_classes: int, rate: float, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
    r"""Random rates and random confusions of the categories, at a given average rate.

    With :math:`u_k` uniform on (0, 1), category k has the rate :math:`r_k = r + \min(r, 1 - r)(u_k - \bar u)`, which
    stays between 0 and 1 and whose mean over the categories is r exactly; its wrong labels have probabilities drawn
    evenly from all distributions over the other K - 1 (flat Dirichlet). See :func:`from_rates` for given ones.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    rate : float
        r, between 0 and 1: the probability of a wrong label where the categories are equally frequent.
    random_state : int, RandomState or None
        An integer may be the one given to :func:`corrupt`: its numbers are not drawn again.

    Returns
    -------
    ndarray of shape (K, K)

    Raises
    ------
    ValueError
        If there are fewer than two classes, or the rate is not between 0 and 1.
    """
    _check(n_classes, rate)
    rng = _own_stream(random_state)
    u = rng.uniform(size=n_classes)
    confusions = np.zeros((n_classes, n_classes))
    others = rng.dirichlet(np.ones(n_classes - 1), size=n_classes)
    confusions[~np.eye(n_classes, dtype=bool)] = others.ravel()
    return from_rates(np.clip(rate + min(rate, 1.0 - rate) * (u - u.mean()), 0.0, 1.0), confusions)


def instance_dependent(
    X: Any, y: Any, rate: float, random_state: int | np.random.RandomState | None = None
) -> np.ndarray:
    r"""Each sample has its own rate, and wrong labels that depend on its features: part-dependent label noise.

    X. Xia, T. Liu, B. Han, N. Wang, M. Gong, H. Liu, G. Niu, D. Tao, M. Sugiyama, "Part-dependent label noise: towards
    instance-dependent label noise", NeurIPS 2020, the algorithm that makes the noisy labels. For sample n of true
    category y, with a matrix :math:`W_y` (D, K) of standard normal entries for each category,

    .. math:: q_n \sim N(r, 0.1^2) \text{ truncated to } [0, 1], \qquad
        P(i \mid x_n, y) = q_n \, \mathrm{softmax}_{i \ne y}(x_n W_y)_i \text{ for } i \ne y, \qquad
        P(y \mid x_n, y) = 1 - q_n.

    Parameters
    ----------
    X : array-like of shape (N, ...), or sparse matrix or array of shape (N, D)
        Features, taken as they are. Their scale matters: where :math:`x_n` is long the softmax is close to one wrong
        label, the same for similar samples (the authors take pixels from 0 to 255); where it is short, all wrong labels
        are alike.
    y : array-like of shape (N,)
        True labels. The sorted distinct ones are the K categories.
    rate : float
        r, between 0 and 1. Truncation moves the mean of :math:`q_n` away from 0 and 1: it is 0.129 at a rate of 0.1,
        0.206 at 0.2, and within 0.0005 of the rate from 0.3 to 0.7.
    random_state : int, RandomState or None
        An integer may be the one given to :func:`corrupt`: its numbers are not drawn again.

    Returns
    -------
    ndarray of shape (N, 1, K)
        For :func:`corrupt`: of each sample's matrix the one row that is needed, that of its true label. Memory is that
        of N K numbers, not the N K K of whole matrices.

    Raises
    ------
    ValueError
        If X and y differ in length, X has entries that are no finite numbers, y has missing labels, there are fewer
        than two classes, or the rate is not between 0 and 1.
    """
    from scipy.stats import truncnorm

    X, (classes, true) = _numbers(X), _categories(y)
    if X.shape[0] != len(true):
        raise ValueError(f"X has {X.shape[0]} samples and y {len(true)} labels, expected one label for each sample.")
    n_classes = len(classes)
    _check(n_classes, rate)
    rng = _own_stream(random_state)
    low, high = -rate / _RATE_SPREAD, (1.0 - rate) / _RATE_SPREAD
    q = truncnorm.rvs(low, high, loc=rate, scale=_RATE_SPREAD, size=len(true), random_state=rng)
    pi = np.empty((len(true), 1, n_classes))
    for k in range(n_classes):
        members = np.flatnonzero(true == k)
        x = X[members].astype(np.float64)
        x = x if issparse(x) else x.reshape(len(members), -1)
        logits = x @ rng.normal(size=(x.shape[1], n_classes))
        logits[:, k] = -np.inf  # the true label is none of the wrong ones
        wrong = np.exp(logits - logits.max(axis=1, keepdims=True))
        pi[members, 0] = q[members, None] * wrong / wrong.sum(axis=1, keepdims=True)
        pi[members, 0, k] = 1.0 - q[members]
    return pi


def outside(n_classes: int, distributions: Any = None, within: Any = None) -> np.ndarray:
    r"""True categories outside of the category set, :math:`K^* > K`, each labelled by a distribution over the set.

    The case "outside of the category set" of the paper's Definition 1. The K categories of the model come first.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    distributions : array-like of shape (K* - K, K), optional
        A row for each category outside. By default there is one, given each label alike.
    within : array-like of shape (K, K), optional
        Process inside the set. By default labels are right there, as in the paper's definition.

    Returns
    -------
    ndarray of shape (K*, K)

    Raises
    ------
    ValueError
        If the rows are no distributions over K labels.
    """
    _check(n_classes, 0.0)
    inner = np.eye(n_classes) if within is None else check_transition_matrix(within, name="within")
    if distributions is None:
        distributions = np.full((1, n_classes), 1.0 / n_classes)
    outer = check_transition_matrix(distributions, name="distributions")
    if inner.shape != (n_classes, n_classes) or outer.shape[1:] != (n_classes,):
        raise ValueError(
            f"within has shape {inner.shape} and distributions {outer.shape}, expected {(n_classes, n_classes)} and "
            f"(K* - K, {n_classes})."
        )
    return np.vstack([inner, outer])


def check_transition_matrix(pi: Any, m: Any = None, *, require_symmetric: bool = False, name: str = "pi") -> np.ndarray:
    """Check that every row is a probability distribution, and that the sizes fit.

    Parameters
    ----------
    pi : array-like of shape (K*, K) or (..., K*, K)
        ``pi[true, observed]``; with leading axes, one matrix per sample.
    m : array-like of shape (..., K*), optional
        True logits that ``pi`` is to be used with. Only the shape is looked at: one logit per row, and leading axes
        that broadcast against those of ``pi``.
    require_symmetric : bool, default=False
        Ask for ``pi[k, i] = pi[i, k]`` too, and so for a square matrix.
    name : str, default="pi"
        What the errors call the matrix.

    Returns
    -------
    ndarray of float64, of pi's shape

    Raises
    ------
    ValueError
        If ``pi`` is no array of numbers, has fewer than two axes or no entries, an entry that is negative or not finite
        (the error says where), a row whose sum is off one by more than 1e-8 (which, and by how much), is not symmetric
        where that is required, or does not fit ``m``.
    """
    try:
        pi = np.asarray(pi, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {pi!r}, expected a matrix of probabilities, such as symmetric(10, 0.2).") from None
    if pi.ndim < 2 or 0 in pi.shape[-2:]:
        raise ValueError(
            f"{name} has shape {pi.shape}, expected (K*, K), the distribution of the observed label in a row for each "
            "true category, or (..., K*, K) with one such matrix per sample."
        )
    _refuse(~np.isfinite(pi), pi, f"{name} has entries that are not finite")
    _refuse(pi < 0, pi, f"{name} has negative entries")
    sums = pi.sum(axis=-1)
    off = np.abs(sums - 1.0) > TOLERANCE
    if off.any():
        excess = ", ".join(f"{e:+.3g}" for e in (sums - 1.0)[off][:SHOWN])
        raise ValueError(
            f"rows {_positions(off)} of {name} sum to {sums[off][:SHOWN].tolist()}, off by {excess}, expected 1: "
            f"{name}[true, observed] holds the probabilities of the observed labels of one true category in a row."
        )
    if require_symmetric:
        if pi.shape[-2] != pi.shape[-1]:
            raise ValueError(
                f"{name} has shape {pi.shape}, expected a square matrix: symmetric says pi[k, i] = pi[i, k]."
            )
        mirrored = np.swapaxes(pi, -2, -1)
        _refuse(np.abs(pi - mirrored) > TOLERANCE, pi, f"{name} is not symmetric: it differs from its transpose")
    if m is not None:
        _check_sizes(pi.shape, np.shape(m), name)
    return pi


def corrupt(y: Any, pi: np.ndarray, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
    """Draw an observed label for every true one.

    Parameters
    ----------
    y : array-like of shape (N,)
        True labels. The sorted distinct labels are the true categories 0..K*-1 of ``pi``, and the first K of them the
        observed ones.
    pi : ndarray of shape (K*, K), (N, K*, K) or (N, 1, K), K at most K*
        Transition matrix, ``pi[true, observed]``; or one per sample; or of each sample's matrix the row of its own true
        label alone. With K below K*, the last labels are outside of the category set and are never given.
    random_state : int, RandomState or None

    Returns
    -------
    ndarray of shape (N,)
        Observed labels, in y's label space.

    Raises
    ------
    ValueError
        If y has missing labels, or ``pi`` another shape, a negative entry, or a row that does not sum to one.
    """
    classes, true = _categories(y)
    pi = check_transition_matrix(pi)
    n_true, n_samples = len(classes), len(true)
    expected = [(n_true,), (n_samples, n_true), (n_samples, 1)]
    if pi.shape[:-1] not in expected or pi.shape[-1] > n_true:
        raise ValueError(
            f"pi has shape {pi.shape} and y {n_true} classes and {n_samples} samples, expected ({n_true}, K) or "
            f"({n_samples}, {n_true}, K) or ({n_samples}, 1, K), with K at most {n_true}."
        )
    draw = check_random_state(random_state).uniform(size=n_samples)
    rows = pi[true] if pi.ndim == 2 else pi[np.arange(n_samples), true if pi.shape[1] == n_true else 0]
    cumulative = np.cumsum(rows, axis=1)
    cumulative /= cumulative[:, -1:]  # exactly one from the last possible label on, so that none is drawn after it
    # The first category whose cumulative probability exceeds the draw.
    return classes[(draw[:, None] >= cumulative).sum(axis=1)]


def _own_stream(random_state: int | np.random.RandomState | None) -> np.random.RandomState:
    """Stream that shares no numbers with that of the same seed.

    A process and the draws of :func:`corrupt` are often given one seed. Sample n's rate and its draw would then be one
    and the same number.
    """
    return np.random.RandomState(check_random_state(random_state).randint(2**31 - 1))


def _check(n_classes: Any, rate: Any) -> None:
    if not (isinstance(n_classes, int | np.integer) and n_classes >= 2):
        raise ValueError(f"n_classes is {n_classes!r}, expected at least 2, a whole number.")
    if not (isinstance(rate, int | float | np.integer | np.floating) and 0.0 <= rate <= 1.0):
        raise ValueError(f"rate is {rate!r}, expected a probability between 0 and 1, such as 0.2 for 20 %.")


def _categories(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct labels, and the number of each sample's among them."""
    y = column_or_1d(y)
    if y.dtype.kind in "fO":
        missing = np.array([_is_missing(label) for label in y.tolist()], dtype=bool)
        _refuse(missing, y, "y has missing labels", "leave these samples out")
    classes, true = np.unique(y, return_inverse=True)
    return classes, true


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)  # NaN does not equal itself
    except TypeError:  # pandas.NA neither does nor does not
        return True


def _numbers(X: Any) -> Any:
    """Features as an array of finite numbers, or as CSR if they are sparse."""
    if issparse(X):
        X = X.tocsr()
        _numbers(X.data)
        return X
    X = np.asarray(X)
    if X.dtype.kind not in "buif":
        try:
            X = X.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"X has dtype {X.dtype}, expected numbers ({error}): encode categories.") from None
    _refuse(~np.isfinite(X), X, "X has entries that are not finite", "fill the gaps, or leave these samples out")
    return X


def _check_sizes(pi_shape: tuple[int, ...], m_shape: tuple[int, ...], name: str) -> None:
    """One logit per row, and leading axes that broadcast."""
    n_logits = m_shape[-1] if m_shape else 0
    if n_logits != pi_shape[-2]:
        raise ValueError(
            f"m has {n_logits} logits and {name} {pi_shape[-2]} rows, expected one logit per row of {name}."
        )
    try:
        np.broadcast_shapes(pi_shape[:-2], m_shape[:-1])
    except ValueError:
        raise ValueError(
            f"m has leading axes {m_shape[:-1]} and {name} {pi_shape[:-2]}, expected axes that broadcast."
        ) from None


def _refuse(bad: np.ndarray, values: np.ndarray, problem: str, cure: str = "") -> None:
    if bad.any():
        end = f"; {cure}" if cure else ""
        raise ValueError(f"{problem} at {_positions(bad)}: {values[bad][:SHOWN].tolist()}{end}.")


def _positions(mask: np.ndarray) -> str:
    """The first positions where the mask is set: numbers for one axis, tuples for several."""
    where = np.argwhere(mask)
    shown = [int(p[0]) if len(p) == 1 else tuple(p.tolist()) for p in where[:SHOWN]]
    return f"{shown}" + (f" and {len(where) - SHOWN} more" if len(where) > SHOWN else "")
