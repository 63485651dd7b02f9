r"""Theta and the constants learned together: what the penalty, or else the rates of descent, make of the flat manifold.

Without a penalty every theta has constants of least loss (fact 2 in `identifiability`), so that where descent ends is
decided by the way it takes. That is solved here in closed form, and compared with descent by the project's own table.

Legend: N inputs, D features, K categories, L numbers of labels; w are the inputs' probabilities, :math:`W` their
diagonal matrix, X the inputs (N, D), :math:`P = I - 11^T/K` centres a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from acestimator import AlphaTable
from acestimator.detection import mean_centered_gauge
from theory.claim import ClaimResult
from theory.facts.identifiability import contaminated, feasible_alpha
from theory.facts.least_squares import l2_minimizer
from theory.facts.robust_loss import profile
from theory.paper.theorem1 import bias
from theory.population import Population
from theory.trained.learned import SamplingError, draw_counts, judge_line

STEP_TOLERANCE = 1e-13


class Descent(NamedTuple):
    """Where joint descent ended."""

    theta: np.ndarray  # (D, K)
    alpha: np.ndarray  # (N, K)
    n_steps: int


def descend_jointly(
    population: Population,
    start: np.ndarray,
    *,
    theta_lr: float = 1.0,
    alpha_lr: float = 1.0,
    penalty: tuple[str, float] | None = None,
    tolerance: float = STEP_TOLERANCE,
    max_steps: int = 50_000,
) -> Descent:
    r"""Gradient descent on the expected loss in theta and, with the project's table, in alpha from zero.

    A step is :math:`\theta \leftarrow \theta - \eta_\theta \sum_n w_n x_n g_n^T`,
    :math:`\alpha_n \leftarrow \alpha_n - \eta_\alpha g_n` with :math:`g_n = \mathrm{softmax}(c_n) - Q_n`, and the
    penalty's proximal step on alpha: rows move by :math:`g_n`, not by :math:`w_n g_n`, as they do by visits. Without a
    penalty :math:`\sqrt{w_n} c_n` moves by minus :math:`\eta_\alpha I + \eta_\theta \sqrt W X X^T \sqrt W` times the
    gradient in it, and the curvature in a row of logits is at most 1/2: descent is stable where :math:`\eta_\alpha +
    \eta_\theta \sigma < 4`, with the largest eigenvalue :math:`\sigma` of :math:`X^T W X`.

    Parameters
    ----------
    population : Population
    start : ndarray of shape (D, K)
        Theta to begin with.
    theta_lr, alpha_lr : float, default=1.0
    penalty : tuple (name, strength), optional
        Of the table; the loss is then :math:`\sum_n w_n (\mathrm{CE}_n + \lambda f(\alpha_n))`.
    tolerance : float, default=1e-13
        Descent ends when a step moves nothing by more than this.
    max_steps : int, default=50000

    Returns
    -------
    Descent

    Raises
    ------
    RuntimeError
        If it has not ended after ``max_steps``.
    """
    x, q, weights = (torch.tensor(a) for a in (population.x, population.q, population.weights))
    weighted, theta, index = (x * weights[:, None]).T, torch.tensor(start), torch.arange(len(x))
    table = AlphaTable(*q.shape, lr=alpha_lr, penalty=penalty, dtype=torch.float64)
    alpha = table.rows(index)
    for n_steps in range(1, max_steps + 1):
        g = torch.softmax(x @ theta + alpha, dim=1) - q
        move = theta_lr * (weighted @ g)
        theta = theta - move
        table.step(index, g)
        before, alpha = alpha, table.rows(index)
        moved = max(float(move.abs().max()), float((alpha - before).abs().max()))
        if moved <= tolerance:
            return Descent(theta.numpy(), alpha.numpy(), n_steps)
    raise RuntimeError(
        f"step {max_steps} still moved something by {moved:.1e}, expected at most {tolerance:.1e}: allow more steps; "
        "where alpha_lr + theta_lr * sigma is 4 or more, lower the rates; where Q is zero, there is no end."
    )


def ridge_limit(population: Population, start: np.ndarray, ratio: float) -> np.ndarray:
    r"""Where joint descent without a penalty ends: a ridge regression of the centred ln Q, towards the start.

    All along the way :math:`\theta - \theta_0 = \rho \sum_n w_n x_n \alpha_n^T`, with :math:`\rho = \eta_\theta /
    \eta_\alpha`, for alpha starts at zero and both sides sum the same gradients. At its end alpha is
    :math:`P(\ln Q_n - \theta^T x_n)`: rows stay centred, as every gradient is. The two equations have one solution,

    .. math:: \theta P = (I + \rho X^T W X)^{-1} (\theta_0 + \rho X^T W \ln Q) P, \qquad
        \theta (I - P) = \theta_0 (I - P),

    the minimiser of :math:`\frac1\rho \lVert\theta - \theta_0\rVert^2 + \sum_n w_n \lVert P(\ln Q_n - \theta^T
    x_n)\rVert^2`. Slow constants (large rho): least squares. Fast ones: theta stays where it was.

    Parameters
    ----------
    population : Population
        Q positive.
    start : ndarray of shape (D, K)
        Theta_0.
    ratio : float
        Rho.

    Returns
    -------
    ndarray of shape (D, K)

    Raises
    ------
    ValueError
        If Q is zero somewhere: descent has no end there.
    """
    centered = mean_centered_gauge(start)
    fit: np.ndarray = _solver(population, ratio) @ feasible_alpha(population, 0.0)
    shrunk: np.ndarray = np.linalg.solve(_ridge_matrix(population, ratio), centered)
    return fit + shrunk + (start - centered)


def _ridge_matrix(population: Population, ratio: float) -> np.ndarray:
    x = population.x
    matrix: np.ndarray = np.eye(x.shape[1]) + ratio * x.T @ (population.weights[:, None] * x)
    return matrix


def _solver(population: Population, ratio: float) -> np.ndarray:
    """Linear map (D, N) from the centred ln Q to the ridge's theta, from zero."""
    weighted = population.x.T * population.weights
    solver: np.ndarray = ratio * np.linalg.solve(_ridge_matrix(population, ratio), weighted)
    return solver


@dataclass(frozen=True)
class JointLearning(ClaimResult):
    """Where joint descent ends, by its start, rates and penalty; see :func:`joint_learning`.

    Parameters
    ----------
    off : dict of str to float
        Distance of the end from what the theory predicts.
    errors : dict of str to float
        Distance of the end from theta*; and of the minimiser of plain "cross-entropy".
    steps : dict of str to int
    """

    off: dict[str, float]
    errors: dict[str, float]
    steps: dict[str, int]


def joint_learning(n_inputs: int = 60, n_contaminated: int = 15, random_state: int = 0) -> JointLearning:
    r"""Theta and alpha learned together: where descent ends is what the penalty, or else the rates, make of it.

    Parameters
    ----------
    n_inputs, n_contaminated : int, default=60, 15
        Of a linear population of 3 features and 4 categories (:func:`theory.facts.identifiability.contaminated`).
    random_state : int, default=0

    Returns
    -------
    JointLearning
        Without a penalty the prediction is :func:`ridge_limit`; with l2, it is
        :func:`theory.facts.least_squares.l2_minimizer`; with the group penalty, that the gradient in theta of the loss
        with alpha minimised out is zero, which makes theta a minimiser, for that loss is convex. Margin: minus the
        largest distance from it. Tolerance: 1e-13 times the most steps that a descent made. Its last steps shrink by a
        factor r each, so that what is left is less than the last step, 1e-13, over 1 - r; and n steps, that shrank the
        distance by far more than e, had :math:`n (1 - r) > 1`.
    """
    population, truth = contaminated(n_inputs, 3, 4, n_contaminated, random_state, scale=0.5)
    zero = np.zeros_like(truth)
    starts = {
        "no penalty, from zero": (zero, 1.0, 1.0),
        "no penalty, from theta*": (truth, 1.0, 1.0),
        "no penalty, slow constants": (zero, 1.0, 0.1),
        "no penalty, fast constants": (zero, 0.05, 1.0),
    }
    found, off = {}, {}
    for name, (start, theta_lr, alpha_lr) in starts.items():
        found[name] = descend_jointly(population, start, theta_lr=theta_lr, alpha_lr=alpha_lr)
        off[name] = float(np.abs(found[name].theta - ridge_limit(population, start, theta_lr / alpha_lr)).max())
    for kind, strength in (("l2", 0.1), ("l2", 0.01), ("group", 0.1), ("group", 0.01)):
        name = f"{kind} {strength:g}"
        end = found[name] = descend_jointly(population, zero, penalty=(kind, strength))
        if kind == "l2":
            off[name] = float(np.abs(end.theta - l2_minimizer(population, strength)[0]).max())
        else:
            reduced = profile(population.x @ end.theta, population.q, kind, strength)
            off[name] = float(np.abs(population.x.T @ (population.weights[:, None] * reduced.gradient)).max())
    worst = max(off, key=lambda name: off[name])
    tolerance = STEP_TOLERANCE * max(end.n_steps for end in found.values())
    return JointLearning(
        f"Joint descent ends where its penalty or its rates say; farthest off: {worst}",
        ("linear model", "Q > 0", "alpha starts at zero", "constant rates, no momentum"),
        len(off),
        -off[worst],
        (list(off).index(worst),),
        tolerance,
        off[worst] <= tolerance,
        off,
        {"cross-entropy": bias(population, truth).distance}
        | {name: float(np.linalg.norm(end.theta - truth)) for name, end in found.items()},
        {name: end.n_steps for name, end in found.items()},
    )


def joint_sampling_error(
    n_labels: Sequence[int] = (10_000, 100_000, 1_000_000), *, n_draws: int = 10, random_state: int = 0
) -> SamplingError:
    r"""Theta learned beside the constants from n drawn labels per input is off its limit by :math:`n^{-1/2}`.

    Descent on frequencies :math:`\hat Q` ends at their ridge regression (:func:`ridge_limit`), linear in
    :math:`\ln \hat Q`, whose covariance is :math:`(\mathrm{diag}(1/Q_n) - 11^T) / n` to first order. With the columns
    :math:`t_n` of the linear map, :math:`\rho (I + \rho X^T W X)^{-1} X^T W`,

    .. math:: n\, \mathrm{Cov}(\theta) = \sum_n t_n t_n^T \otimes P\, \mathrm{diag}(1/Q_n) P .

    The limit is the ridge regression of ln Q, not theta*: no number of labels changes that.

    Parameters
    ----------
    n_labels : sequence of int
        n, rising.
    n_draws : int, default=10
        S: descents at each n, each from labels of its own.
    random_state : int, default=0
        The population is the one of :func:`joint_learning`.

    Returns
    -------
    SamplingError
        Errors are roots of the mean over draws of the squared distance of theta from its limit. Their next order has
        the bias of ln Q, :math:`-(1 - Q) / 2nQ`, which adds up over inputs, and a part of at most
        :math:`1.5 / (n \min Q)` of the variance.

    Raises
    ------
    ValueError
        If a label of some input is never drawn.
    """
    population, truth = contaminated(60, 3, 4, 15, random_state, scale=0.5)
    rng, start, q = np.random.default_rng(random_state), np.zeros_like(truth), population.q
    limit, errors = ridge_limit(population, start, 1.0), []
    for n in n_labels:
        squared = []
        for _ in range(n_draws):
            frequencies = draw_counts(population.pi, population.m, n, rng) / n
            # Whatever the true category, the label has this distribution: Q is then the frequencies.
            pi = np.broadcast_to(frequencies[:, None, :], population.pi.shape)
            drawn = Population(population.x, population.m, pi, population.weights)
            feasible_alpha(drawn, 0.0)  # refuses a label that was never drawn, from which descent would not return
            squared.append(((descend_jointly(drawn, start, tolerance=1e-9).theta - limit) ** 2).sum())
        errors.append(np.sqrt(np.mean(squared)))
    solver, center = _solver(population, 1.0), np.eye(q.shape[1]) - 1.0 / q.shape[1]
    covariance = np.einsum("an,bn,ij,nj,jk->aibk", solver, solver, center, 1 / q, center, optimize=True)
    spectrum = np.linalg.eigvalsh(covariance.reshape(truth.size, truth.size))
    biased = solver @ mean_centered_gauge(-(1 - q) / (2 * q))
    next_order = 0.5 * float((biased**2).sum() / spectrum.sum() + 1.5 / q.min())
    return judge_line(
        "Theta learned beside the constants from n labels per input is off its limit by n^(-1/2)",
        ("linear model", "no penalty", "every label is drawn"),
        n_labels,
        np.array(errors),
        np.tile(spectrum, (n_draws, 1)),
        next_order,
    )
