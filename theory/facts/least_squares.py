r"""Fact 3: on the flat manifold an l2 penalty picks the least-squares fit of the centred ln Q, which is not theta*.

Legend: N inputs, D features, K categories, L strengths; :math:`P = I - 11^T/K` centres a row, w are the inputs'
probabilities, all positive, :math:`\lVert a\rVert_w^2 = \sum_n w_n \lVert a_n\rVert^2`, and :math:`X^+ y` is the
least-squares fit of y, the theta of least :math:`\lVert y - X\theta\rVert_w`.

**Why.** Let :math:`(\theta_\lambda, \alpha_\lambda)` minimise the cross-entropy with
:math:`\frac{\lambda}{2} \lVert\alpha\rVert_w^2`; let :math:`\ell = P \ln Q`,
:math:`c = X\theta_\lambda + \alpha_\lambda` and :math:`p = \mathrm{softmax}(c)`. The gradient in theta and in
alpha is zero: :math:`\sum_n w_n x_n (p_n - Q_n)^T = 0` and :math:`p_n - Q_n = -\lambda \alpha_{\lambda,n}`. So the
constants are orthogonal to the inputs: they are the residuals of a least-squares fit, :math:`\theta_\lambda = X^+ c`,
as :math:`\theta_0 = X^+ \ell` is with the residuals :math:`\alpha_0`. At :math:`(\theta_0, \alpha_0)` the cross-entropy
is least; so :math:`\lVert\alpha_\lambda\rVert_w \le \lVert\alpha_0\rVert_w`, and p tends to Q, c to :math:`\ell`,
:math:`\theta_\lambda` to :math:`\theta_0`. How fast is in :func:`least_squares_limit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from acestimator.detection import mean_centered_gauge
from theory.claim import ClaimResult
from theory.facts.identifiability import feasible_alpha
from theory.facts.robust_loss import profile
from theory.paper.theorem1 import bias
from theory.population import Population, softmax_curvature

STRENGTHS = tuple(10.0**-power for power in range(9))


def least_squares_theta(population: Population) -> np.ndarray:
    r"""Least-squares fit of the centred :math:`\ln Q` by the linear model, :math:`\theta_0 = X^+ P \ln Q`.

    Of all :math:`(\theta, \alpha)` of least loss it has the least :math:`\sum_n w_n \lVert\alpha_n\rVert^2`.

    Parameters
    ----------
    population : Population
        Q positive. If x is not of rank D the least-norm fit is returned.

    Returns
    -------
    ndarray of shape (D, K)
        Rows centred.

    Raises
    ------
    ValueError
        If Q is zero somewhere.
    """
    root = np.sqrt(population.weights)[:, None]
    fit: np.ndarray = np.linalg.lstsq(root * population.x, root * feasible_alpha(population, 0.0))[0]
    return fit


def l2_minimizer(population: Population, strength: float, max_iter: int = 100) -> tuple[np.ndarray, np.ndarray]:
    r"""Joint minimiser of :math:`\sum_n w_n [\mathrm{CE}_n + \frac{\lambda}{2} \lVert\alpha_n\rVert^2]`, linear model.

    Newton's method on theta with alpha minimised out (:func:`theory.facts.robust_loss.profile`), everything divided by
    lambda: the gradient is then :math:`-\sum_n w_n x_n \alpha_n^T` and the Hessian
    :math:`\sum_n w_n x_n x_n^T \otimes B_n (B_n + \lambda)^{-1}` with :math:`B_n = \mathrm{diag}\,p_n - p_n p_n^T`, and
    both have limits as lambda goes to zero.

    Parameters
    ----------
    population : Population
        Q positive, x of rank D, or theta is not unique.
    strength : float
        Lambda, positive.
    max_iter : int, default=100

    Returns
    -------
    theta : ndarray of shape (D, K)
        Rows centred. The search ends at a Newton decrement of 1e-26, theta then being known to about 1e-13; or where
        rounding stops it, at 1e-16 at most.
    alpha : ndarray of shape (N, K)
        Rows centred.

    Raises
    ------
    ValueError
        If x is not of rank D, Q is zero somewhere, or lambda is not positive.
    RuntimeError
        If the search does not end.
    """
    x, q, weights = population.x, population.q, population.weights
    rank = np.linalg.matrix_rank(x[weights > 0])
    if rank < x.shape[1]:
        raise ValueError(f"x has rank {rank} and {x.shape[1]} features, expected equal: the minimiser is not unique.")
    theta, ones = least_squares_theta(population), np.full((q.shape[1], q.shape[1]), 1.0 / q.shape[1])
    fit, last = profile(x @ theta, q, "l2", strength), np.inf
    for _ in range(max_iter):
        # Of two equal forms, the one that loses fewer digits.
        alpha = fit.alpha if strength < 1 else -fit.gradient / strength
        gradient = -x.T @ (weights[:, None] * alpha)
        # 11^T/K, which no centred row sees, makes both matrices regular: B is zero on the ones.
        b = softmax_curvature(q + fit.gradient)
        curvature = np.linalg.solve(b + strength * np.eye(q.shape[1]) + ones, b) + ones
        matrix = np.einsum("n,na,nij,nb->aibj", weights, x, curvature, x, optimize=True)
        direction = np.linalg.solve(matrix.reshape(theta.size, theta.size), gradient.ravel()).reshape(theta.shape)
        decrement, rate, value = float((gradient * direction).sum()), 1.0, float(weights @ fit.value)
        if decrement <= 1e-26 or last / 4 < decrement <= 1e-16:  # the second: it stands still, at rounding
            return theta, alpha
        for _ in range(60):
            moved = mean_centered_gauge(theta - rate * direction)
            fit = profile(x @ moved, q, "l2", strength)
            if weights @ fit.value <= value - 1e-4 * rate * strength * decrement + 1e-15 * (1 + abs(value)):
                break
            rate /= 2
        theta, last = moved, decrement
    raise RuntimeError(
        f"the search did not end in {max_iter} steps: last decrement {decrement:.1e}, expected at most 1e-16. Where Q, "
        f"here at least {q.min():.1e}, is far below lambda, rounding may not allow it."
    )


@dataclass(frozen=True)
class LeastSquaresLimit(ClaimResult):
    r"""How the l2-penalised minimiser tends to the least-squares fit; see :func:`least_squares_limit`.

    Parameters
    ----------
    strengths : ndarray of shape (L,)
        Lambda.
    gaps : ndarray of shape (L,)
        :math:`\lVert\theta_\lambda - \theta_0\rVert`.
    bounds : ndarray of shape (L,)
        What the theorem allows for the gaps; infinite where lambda is too large for it.
    first_order : float
        :math:`\lVert X^+ P(\alpha_0 / Q)\rVert`, the limit of gap / lambda.
    deviations : ndarray of shape (L,)
        :math:`\lVert\theta_\lambda - \theta_0 + \lambda X^+ P(\alpha_0 / Q)\rVert`.
    remainders : ndarray of shape (L,)
        What the theorem allows for the deviations; infinite as ``bounds``.
    errors : dict of str to float
        Distance to theta* of "least squares" and of plain "cross-entropy".
    """

    strengths: np.ndarray
    gaps: np.ndarray
    bounds: np.ndarray
    first_order: float
    deviations: np.ndarray
    remainders: np.ndarray
    errors: dict[str, float]


def least_squares_limit(population: Population, theta: np.ndarray, strengths: Any = STRENGTHS) -> LeastSquaresLimit:
    r"""Fact 3: :math:`\theta_\lambda \to \theta_0`, the least-squares fit, at a rate linear in lambda.

    Let :math:`\sigma` be the least singular value of :math:`\sqrt w\, x`, :math:`q = \min Q`, and
    :math:`s = \lVert\alpha_0\rVert_w`. If :math:`\lambda s \le \frac{1}{2} q \min_n \sqrt{w_n}`, then

    .. math:: \lVert\theta_\lambda - \theta_0\rVert \le \frac{2 \lambda s}{\sigma q}, \qquad
        \lVert\theta_\lambda - \theta_0 + \lambda X^+ P(\alpha_0 / Q)\rVert
        \le \frac{\lambda^2 s}{\sigma q^2} (2 + s / \min_n \sqrt{w_n}) .

    Proof, with the module's: :math:`\delta = -\lambda\alpha_\lambda = p - Q` has :math:`\lVert\delta\rVert_w \le
    \lambda s`, so that on the condition no :math:`|\delta_{ni} / Q_{ni}|` is above 1/2, where
    :math:`|\ln(1 + u)| \le 2 |u|` and :math:`|\ln(1 + u) - u| \le u^2`. The first gives
    :math:`\lVert c - \ell\rVert_w \le 2 \lambda s / q`, since :math:`c - \ell = P \ln (1 + \delta / Q)`, and with
    :math:`\theta_\lambda - \theta_0 = X^+ (c - \ell)` the bound. The second gives :math:`c - \ell` to first order,
    :math:`P (\delta / Q)`, with :math:`\lVert(\delta / Q)^2\rVert_w` for its error; there :math:`\delta` is
    :math:`-\lambda \alpha_0` but for :math:`\lambda \lVert\alpha_\lambda - \alpha_0\rVert_w \le \lambda \lVert c -
    \ell\rVert_w`.

    How far :math:`\theta_0` is from theta*, and the minimiser of plain cross-entropy, is in ``errors``: neither is
    consistent. Least squares is the nearer one in most draws of :func:`theory.facts.identifiability.contaminated`, but
    not where some labels are nearly never given, so that entries of :math:`\ln Q` are far below those of :math:`m^*`.

    Parameters
    ----------
    population : Population
        Q and weights positive, x of rank D.
    theta : ndarray of shape (D, K)
        theta*.
    strengths : array-like of shape (L,), default=1, 0.1, ..., 1e-8

    Returns
    -------
    LeastSquaresLimit
        Cases: the lambda that meet the condition. Margin: the least of bound minus gap and remainder minus deviation;
        ``worst_case`` is the index of lambda. Tolerance: what theta is known to, :math:`10^{-12} / \sigma`.

    Raises
    ------
    ValueError, RuntimeError
        As in :func:`l2_minimizer`; ValueError if a weight is zero.
    """
    strengths = np.asarray(strengths, dtype=np.float64)
    x, least = population.x, float(population.q.min())
    root = np.sqrt(population.weights)[:, None]
    if not root.all():
        raise ValueError("an input has weight 0, expected positive weights: leave the input out.")
    limit = least_squares_theta(population)
    alpha = feasible_alpha(population, x @ limit)
    size, sigma = float(np.linalg.norm(root * alpha)), float(np.linalg.svd(root * x, compute_uv=False).min())
    slope = -np.linalg.lstsq(root * x, root * mean_centered_gauge(alpha / population.q))[0]  # d theta / d lambda at 0
    shifts = np.array([l2_minimizer(population, strength)[0] - limit for strength in strengths])
    gaps = np.linalg.norm(shifts, axis=(1, 2))
    deviations = np.linalg.norm(shifts - strengths[:, None, None] * slope, axis=(1, 2))
    met = strengths * size <= least * root.min() / 2
    bounds = np.where(met, 2 * strengths * size / (sigma * least), np.inf)
    remainders = np.where(met, strengths**2 * size / (sigma * least**2) * (2 + size / root.min()), np.inf)
    slack = np.minimum(bounds - gaps, remainders - deviations)
    worst, tolerance = int(slack.argmin()), 1e-12 / sigma
    return LeastSquaresLimit(
        "Fact 3: as lambda -> 0 the l2-penalised minimiser tends to the least-squares fit of ln Q, at a linear rate",
        ("Q > 0", "linear model", "x of rank D", "lambda |alpha_0| <= min Q min sqrt(w) / 2"),
        int(met.sum()),
        float(slack[worst]),
        (worst,),
        tolerance,
        bool(slack[worst] >= -tolerance),
        strengths,
        gaps,
        bounds,
        float(np.linalg.norm(slope)),
        deviations,
        remainders,
        {
            "least squares": float(np.linalg.norm(limit - mean_centered_gauge(theta))),
            "cross-entropy": bias(population, theta).distance,
        },
    )
