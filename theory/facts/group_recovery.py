r"""Fact 4: where few inputs are contaminated, a row-group penalty finds the true parameters exactly.

Of all :math:`(\theta, \alpha)` of least loss (fact 2) take the one with the least
:math:`\sum_n \lVert\alpha_n\rVert_2`: with :math:`y_n = P \ln Q_n` and a linear model, minimise

.. math:: f(\theta) = \sum_n \lVert y_n - \theta^T x_n \rVert .

At theta* the residual of an input with right labels is zero. Legend: N inputs, D features, K categories, P centres a
row, S the contaminated inputs with residuals :math:`r_n = P \alpha^*_n \ne 0` and :math:`u_n = r_n / \lVert
r_n\rVert`, T draws at once.

**When.** f is convex, and along a direction :math:`\Delta` its slope at theta* is

.. math:: f'(\theta^*; \Delta)
    = \sum_{n \notin S} \lVert\Delta^T x_n\rVert - \sum_{n \in S} \langle u_n, \Delta^T x_n\rangle .

So theta* is a minimiser if, and only if, this is negative for no :math:`\Delta`, and the only one if it is positive
for all :math:`\Delta \ne 0`. Whatever the labels of S are, that is so where, for all these,
:math:`\sum_S \lVert\Delta^T x_n\rVert < \sum_{\notin S} \lVert\Delta^T x_n\rVert`. One input more in S makes no slope
larger: what is broken stays so.

**Certificates.** For any :math:`v_n` with :math:`\lVert v_n\rVert \le 1` and :math:`\sum_n x_n v_n^T = 0`,
:math:`f(\theta) \ge \sum_n \langle v_n, y_n\rangle` for all theta. Theta* is a minimiser if, and only if, there is
such v with :math:`v_n = u_n` on S, and the only one if v is shorter than one off S and the inputs there have rank D.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from theory.claim import ClaimResult
from theory.facts.identifiability import TOLERANCE, contaminated, feasible_alpha
from theory.facts.least_squares import least_squares_theta
from theory.population import Population


class GroupFit(NamedTuple):
    """Minimisers of f for T draws; see :func:`group_fit`."""

    theta: np.ndarray  # (T, D, K)
    dual: np.ndarray  # (T, N, K), the certificate v
    value: np.ndarray  # (T,), f
    gap: np.ndarray  # (T,), f less the certificate's bound


def group_fit(x: Any, y: Any, max_iter: int = 2000, tolerance: float = 1e-12) -> GroupFit:
    r"""Minimise :math:`\sum_n \lVert y_n - \theta^T x_n\rVert` by iteratively reweighted least squares, certified.

    An iterate is the least-squares fit with the weights :math:`1 / \sqrt{\lVert r_n\rVert^2 + \epsilon^2}` of the
    residuals before; :math:`\epsilon` follows the duality gap down, so that it never outruns the fit.

    Parameters
    ----------
    x : array-like of shape (T, N, D)
        Of rank D in every draw.
    y : array-like of shape (T, N, K)
    max_iter : int, default=2000
    tolerance : float, default=1e-12
        Of the duality gap, relative to f at theta = 0.

    Returns
    -------
    GroupFit
        The iterate with the least gap. A draw that ran out of iterations shows it by its gap.

    Raises
    ------
    ValueError
        If sizes disagree, or x is not of rank D.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 3 or y.ndim != 3 or x.shape[:2] != y.shape[:2]:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}, expected (T, N, D) and (T, N, K).")
    if (np.linalg.matrix_rank(x) < x.shape[2]).any():
        raise ValueError(f"x has a draw of rank less than D = {x.shape[2]}, expected D: leave out redundant features.")
    scale = np.linalg.norm(y, axis=2).sum(axis=1)
    best = GroupFit(np.zeros((len(x), x.shape[2], y.shape[2])), np.zeros_like(y), scale.copy(), scale.copy())
    epsilon, weights = scale / x.shape[1], np.ones(x.shape[:2])
    live = np.flatnonzero(scale > 0)
    for _ in range(max_iter):
        if not len(live):
            break
        xl, yl, w = x[live], y[live], weights[live][:, :, None]
        xw = np.swapaxes(xl * w, 1, 2)
        gram = xw @ xl
        theta = np.linalg.solve(gram, xw @ yl)
        r = yl - xl @ theta
        # The normal equations say sum_n x_n (w_n r_n)^T = 0: scaled to the unit ball it is a certificate. Weights of up
        # to 1e12 blow up the rounding of r, which a second solution takes away.
        v = r * w
        v -= w * (xl @ np.linalg.solve(gram, np.swapaxes(xl, 1, 2) @ v))
        v /= np.maximum(np.linalg.norm(v, axis=2).max(axis=1), 1.0)[:, None, None]
        size = np.linalg.norm(r, axis=2)
        value = size.sum(axis=1)
        gap = value - (v * yl).sum(axis=(1, 2))
        better = gap < best.gap[live]
        for kept, new in zip(best, (theta, v, value, gap), strict=True):
            kept[live[better]] = new[better]
        open_ = best.gap[live] > tolerance * scale[live]  # of the others epsilon may be zero
        live, size = live[open_], size[open_]
        epsilon[live] = np.minimum(epsilon[live], best.gap[live] / x.shape[1])
        weights[live] = 1.0 / np.sqrt(size**2 + epsilon[live][:, None] ** 2)
    return best


def certificate_norm(x: Any, residual: Any, dual: Any) -> np.ndarray:
    r"""How long a certificate of theta* is off S, the one that is nearest to a given v there.

    With :math:`v_n = u_n` on S, :math:`\sum_n x_n v_n^T = 0` asks of the others for a change, and the least one is
    made. What is returned is the largest :math:`\lVert v_n \rVert, n \notin S`. Below one, theta* is the only minimiser
    of f. Above one, theta* may still be a minimiser, by another v.

    Parameters
    ----------
    x : array-like of shape (T, N, D)
    residual : array-like of shape (T, N, K)
        At theta*; zero off S.
    dual : array-like of shape (T, N, K)
        Such as :func:`group_fit` finds.

    Returns
    -------
    ndarray of shape (T,)
        Infinite where the inputs off S are not of rank D.
    """
    x, residual = np.asarray(x, dtype=np.float64), np.asarray(residual, dtype=np.float64)
    size = np.linalg.norm(residual, axis=2, keepdims=True)
    clean = size == 0
    v = np.where(clean, dual, residual / np.where(clean, 1.0, size))
    x_clean = x * clean
    gram = np.swapaxes(x_clean, 1, 2) @ x_clean
    v -= x_clean @ (np.linalg.pinv(gram, hermitian=True) @ (np.swapaxes(x, 1, 2) @ v))
    longest = np.linalg.norm(v * clean, axis=2).max(axis=1)
    return np.where(np.linalg.matrix_rank(gram, hermitian=True) == x.shape[2], longest, np.inf)


def directional_derivative(x: Any, residual: Any, direction: Any) -> float:
    r"""Slope of f along a direction, :math:`f'(\theta; \Delta)`, from the residuals at theta.

    Parameters
    ----------
    x : array-like of shape (N, D)
    residual : array-like of shape (N, K)
        Rows of zeros are where f has a kink.
    direction : array-like of shape (D, K)

    Returns
    -------
    float
    """
    residual, moved = np.asarray(residual), np.asarray(x) @ np.asarray(direction)
    size = np.linalg.norm(residual, axis=1)
    smooth = (residual * moved).sum(axis=1) / np.where(size == 0, 1.0, size)
    return float(np.where(size == 0, np.linalg.norm(moved, axis=1), -smooth).sum())


@dataclass(frozen=True)
class Recovery(ClaimResult):
    r"""One draw of :func:`recovery`.

    Parameters
    ----------
    error : float
        Largest difference of an entry of theta and theta*.
    least_squares_error : float
        The same of the least-squares fit, which an l2 penalty gives (fact 3).
    clean_dual : float
        :func:`certificate_norm`: below one, and theta* is the only minimiser.
    slope : float
        :math:`f'(\theta^*; \theta - \theta^*)`, the direction scaled to norm one: negative where theta* is no
        minimiser. NaN where theta is theta*.
    gap : float
        Duality gap, relative to f at theta = 0.
    """

    error: float
    least_squares_error: float
    clean_dual: float
    slope: float
    gap: float


def recovery(
    n_contaminated: int = 20,
    n_inputs: int = 60,
    n_features: int = 3,
    n_classes: int = 4,
    random_state: int | np.random.RandomState | None = 0,
) -> Recovery:
    """Fact 4 on one draw: whether theta* is recovered, and by how much if not.

    Parameters
    ----------
    n_contaminated : int, default=20
    n_inputs, n_features, n_classes : int, default=60, 3, 4
    random_state : int, RandomState or None, default=0

    Returns
    -------
    Recovery
        Margin: minus the error. Tolerance: 1e-10.
    """
    population, theta = contaminated(n_inputs, n_features, n_classes, n_contaminated, random_state)
    x, y, residual = _problem(population)
    fit = group_fit(x[None], y[None])
    difference = fit.theta[0] - theta
    error = float(np.abs(difference).max())
    recovered = error <= TOLERANCE
    return Recovery(
        _CLAIM,
        (f"{n_contaminated} of {n_inputs} inputs contaminated", "Q > 0", "linear model"),
        1,
        -error,
        (0,),
        TOLERANCE,
        recovered,
        error,
        float(np.abs(least_squares_theta(population) - theta).max()),
        float(certificate_norm(x[None], residual[None], fit.dual)[0]),
        np.nan if recovered else directional_derivative(x, residual, difference / np.linalg.norm(difference)),
        float(fit.gap[0] / np.linalg.norm(y, axis=1).sum()),
    )


def exact_recovery(counts: Sequence[int] = (11, 20), n_draws: int = 10, **sizes: int) -> ClaimResult:
    """Fact 4 on several draws each, seeds 0, 1, ...: theta* is recovered in all of them.

    Parameters
    ----------
    counts : sequence of int, default=(11, 20)
        Contaminated inputs.
    n_draws : int, default=10
    **sizes
        As in :func:`recovery`.

    Returns
    -------
    ClaimResult
        Margin: minus the largest error. Tolerance: 1e-10.
    """
    draws = [recovery(count, random_state=seed, **sizes) for count in counts for seed in range(n_draws)]
    worst = int(np.argmin([draw.worst_margin for draw in draws]))
    contaminated_inputs = f"{' or '.join(map(str, counts))} of {sizes.get('n_inputs', 60)} inputs contaminated"
    return ClaimResult(
        _CLAIM,
        (contaminated_inputs, "Q > 0", "linear model"),
        len(draws),
        draws[worst].worst_margin,
        (counts[worst // n_draws], worst % n_draws),
        TOLERANCE,
        all(draw.holds for draw in draws),
    )


@dataclass(frozen=True)
class PhaseTransition(ClaimResult):
    """Where recovery breaks; see :func:`phase_transition`.

    Parameters
    ----------
    fractions : ndarray of shape (F,)
        Of contaminated inputs.
    dimensions : ndarray of int, shape (G,)
        D.
    success : ndarray of shape (G, F)
        Share of draws in which theta* was recovered.
    half : ndarray of shape (G,)
        Fraction at which half of the draws are recovered, interpolated; NaN where the grid does not show it.
    undecided : int
        Draws that are certified neither way; they count as not recovered.
    """

    fractions: np.ndarray
    dimensions: np.ndarray
    success: np.ndarray
    half: np.ndarray
    undecided: int


def phase_transition(
    fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7),
    dimensions: Sequence[int] = (1, 2, 4, 8, 16),
    *,
    n_inputs: int = 60,
    n_classes: int = 4,
    n_draws: int = 20,
    max_iter: int = 400,
    random_state: int = 0,
) -> PhaseTransition:
    r"""Share of draws in which theta* is recovered, over the fraction of contaminated inputs and the dimension.

    A draw keeps its inputs, theta* and contaminated inputs from one fraction to the next, which adds some. It is
    recovered where :func:`certificate_norm` is below one, and broken where f is larger at theta* than at the fit.

    Parameters
    ----------
    fractions : sequence of float
        Rising; rounded to whole inputs.
    dimensions : sequence of int
        Rising.
    n_inputs, n_classes, n_draws : int, default=60, 4, 20
    max_iter : int, default=400
        Of :func:`group_fit`. Close to the transition it converges slowly.
    random_state : int, default=0
        Seed of the first draw.

    Returns
    -------
    PhaseTransition
        Claim: what is broken stays so as the fraction rises, which is a theorem, and the share of recovered draws, over
        all fractions, falls with the dimension, which is an observation. Margin: the lesser of minus the number of
        draws that are recovered after they were broken, and the least fall of the share.
    """
    shape = (len(dimensions), len(fractions), n_draws)
    recovered, broken = np.empty(shape, dtype=bool), np.empty(shape, dtype=bool)
    for (g, d), (f, fraction) in itertools.product(enumerate(dimensions), enumerate(fractions)):
        count, seeds = round(fraction * n_inputs), range(random_state, random_state + n_draws)
        draws = [_problem(contaminated(n_inputs, d, n_classes, count, seed)[0]) for seed in seeds]
        x, y, residual = (np.stack(part) for part in zip(*draws, strict=True))
        fit = group_fit(x, y, max_iter)
        at_truth = np.linalg.norm(residual, axis=2).sum(axis=1)
        recovered[g, f] = certificate_norm(x, residual, fit.dual) < 1.0 - 1e-12
        broken[g, f] = at_truth - fit.value > 1e-12 * np.linalg.norm(y, axis=2).sum(axis=1)
    mended = int((recovered & (np.cumsum(broken, axis=1) > 0)).sum())
    success = recovered.mean(axis=2)
    margin = float(min(-mended, -np.diff(success.mean(axis=1)).max()))
    return PhaseTransition(
        "Fact 4: recovery breaks, and stays broken, as the contaminated fraction grows; the sooner, the more features",
        (f"{n_inputs} inputs", "Q > 0", "linear model"),
        recovered.size,
        margin,
        (),
        0.0,
        margin >= 0,
        np.asarray(fractions),
        np.asarray(dimensions),
        success,
        np.array([_crossing(np.asarray(fractions), row) for row in success]),
        int((~recovered & ~broken).sum()),
    )


_CLAIM = "Fact 4: the row-group penalty recovers theta*"


def _problem(population: Population) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, residuals at theta*); the residuals of inputs with right labels are zero, without rounding."""
    right = (population.pi == np.eye(population.q.shape[1])).all(axis=(1, 2))
    residual = np.where(right[:, None], 0.0, feasible_alpha(population, population.m))
    return population.x, feasible_alpha(population, 0.0), residual


def _crossing(fractions: np.ndarray, shares: np.ndarray) -> float:
    """Fraction at which the shares first fall to one half, between grid points by a straight line."""
    below = np.flatnonzero(shares <= 0.5)
    if not len(below) or below[0] == 0:
        return np.nan
    j = below[0]
    rest = (shares[j - 1] - 0.5) / (shares[j - 1] - shares[j])
    return float(fractions[j - 1] + rest * (fractions[j] - fractions[j - 1]))
