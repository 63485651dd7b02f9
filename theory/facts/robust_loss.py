r"""Fact 5: what the constants of one sample leave behind when they are minimised out is a robust loss.

Legend: B samples, K classes. ``target`` (B, K) holds distributions: one-hot rows for single labels, or Q.

Minimising over alpha is a problem of its own for every sample, and convex. With
:math:`p = \mathrm{softmax}(m + \alpha)` and the target q its optimum obeys

.. math:: \ln p_i = \ln \mathrm{softmax}(m)_i - Z - \kappa (p_i - q_i), \qquad \alpha = \kappa (q - p),

with :math:`\kappa = 1/\lambda` for the l2 penalty and :math:`\kappa = \lVert\alpha\rVert / \lambda` for the group
penalty. For given :math:`\kappa` and Z each :math:`p_i` is a value of Wright's omega function,
:math:`\kappa p_i = \omega(\ln \mathrm{softmax}(m)_i + \kappa q_i + \ln \kappa - Z)`, so two numbers per sample are all
that is to be found.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr, log_softmax, logsumexp, wrightomega, xlogy

from acestimator.noise import symmetric
from theory.claim import ClaimResult
from theory.observed import observed_probability

EPS = float(np.finfo(float).eps)
PENALTIES = ("group", "l2")
# Sums of a few dozen numbers of the size of the logits, a few roundings each; the tightest strength, 0.01, divides the
# rounding of p by it.
IDENTITY_TOLERANCE = 1e-12
_MAX_ITER = 200


class Profile(NamedTuple):
    """Cross-entropy plus penalty, minimised over the constants."""

    alpha: np.ndarray  # (B, K), the minimiser, centred
    value: np.ndarray  # (B,), the minimum
    gradient: np.ndarray  # (B, K), of the minimum in the logits: softmax(m + alpha) - target
    kappa: np.ndarray  # (B,), alpha = -kappa gradient
    z: np.ndarray  # (B,), logarithm of the normalising sum


def profile(
    m: Any, target: Any, penalty: str, strength: Any, *, start: Profile | None = None, tolerance: float = 8 * EPS
) -> Profile:
    r"""Minimum over alpha of :math:`-\sum_i q_i \ln \mathrm{softmax}(m + \alpha)_i + \lambda f(\alpha)`, per sample.

    The envelope theorem makes :math:`g = \mathrm{softmax}(m + \alpha) - q` its gradient in m. With
    :math:`g_0 = \mathrm{softmax}(m) - q`, the plain gradient,

    - group, :math:`f = \lVert\alpha\rVert`: :math:`\lVert g \rVert = \min(\lambda, \lVert g_0 \rVert)`, and the minimum
      is the largest convex function below the cross-entropy with no slope above lambda (Pasch-Hausdorff envelope);
    - l2, :math:`f = \lVert\alpha\rVert^2 / 2`: :math:`g = -\lambda\alpha`, and the minimum is the Moreau envelope of
      the cross-entropy, :math:`\min_c \mathrm{CE}(c) + \frac\lambda2 \lVert c - m \rVert^2`.

    Parameters
    ----------
    m : array-like of shape (B, K)
        Logits, finite.
    target : array-like of shape (B, K)
        q, distributions.
    penalty : {"group", "l2"}
    strength : float or array-like of shape (B,)
        Lambda, positive.
    start : Profile, optional
        Of logits nearby: the result does not depend on it, the time does.
    tolerance : float
        How far the norm of g may be off lambda, for the group penalty.

    Returns
    -------
    Profile

    Raises
    ------
    ValueError
        If the penalty is unknown or its strength not positive, sizes disagree, a logit is not finite, or a target is no
        distribution.
    """
    m, q = np.asarray(m, dtype=np.float64), np.asarray(target, dtype=np.float64)
    lam = np.asarray(strength, dtype=np.float64)
    if penalty not in PENALTIES or not (lam > 0).all():
        raise ValueError(f"penalty is {penalty!r} of strength {strength!r}, expected one of {PENALTIES}, positive.")
    if m.ndim != 2 or m.shape != q.shape or not np.isfinite(m).all():
        raise ValueError(f"m has shape {m.shape} and target {q.shape}, expected both (B, K), and finite logits.")
    if not (q >= 0).all() or not (np.abs(q.sum(axis=1) - 1.0) <= 1e-12).all():
        raise ValueError("target has a row that is no distribution, expected numbers >= 0 that sum to 1.")
    lam = np.broadcast_to(lam, m.shape[:1])
    log_s = log_softmax(m, axis=1)
    alpha, gradient = np.zeros_like(m), np.exp(log_s) - q
    kappa, z = (np.zeros(len(m)), np.zeros(len(m))) if start is None else (start.kappa.copy(), start.z.copy())
    # With the group penalty a sample whose plain gradient is no longer than lambda needs no constants.
    needed = (_norm(gradient) > lam) | (penalty == "l2")
    kappa[~needed], z[~needed] = 0.0, 0.0
    at = np.flatnonzero(needed)
    if len(at):
        if penalty == "l2":
            kappa = 1.0 / lam
            p, z = _tilted(log_s, q, kappa, z)
        else:
            kappa[at], p, z[at] = _capped(log_s[at], q[at], lam[at], kappa[at], z[at], tolerance)
        gradient[at] = p - q[at]
        alpha[at] = _constants(log_s[at], q[at], kappa[at], p, z[at])
    size = _norm(alpha)
    value = -(q * log_softmax(log_s + alpha, axis=1)).sum(axis=1) + lam * (size if penalty == "group" else size**2 / 2)
    return Profile(alpha, value, gradient, kappa, z)


def dual_value(m: Any, target: Any, gradient: Any, penalty: str, strength: float) -> np.ndarray:
    r"""Lower bound of the minimum over alpha, from any g with :math:`p = q + g` a distribution.

    By Fenchel duality :math:`\min_\alpha \mathrm{CE}(m + \alpha) + \lambda f(\alpha) \ge \langle g, m \rangle -
    \sum_i p_i \ln p_i - \lambda f^*(g / \lambda)`, where the last term is :math:`\lVert g\rVert^2 / 2 \lambda` for l2
    and, for the group penalty, nothing where :math:`\lVert g\rVert \le \lambda`; elsewhere there is no bound (-inf).

    Parameters
    ----------
    m, target, gradient : array-like of shape (B, K)
    penalty : {"group", "l2"}
    strength : float

    Returns
    -------
    ndarray of shape (B,)
    """
    g = np.asarray(gradient, dtype=np.float64)
    p = np.asarray(target, dtype=np.float64) + g
    bound = (g * log_softmax(m, axis=1)).sum(axis=1) + entr(p).sum(axis=1)
    if penalty == "l2":
        return bound - _norm(g) ** 2 / (2 * strength)
    return np.where(_norm(g) <= strength + 1e-14, bound, -np.inf)


def profile_identities(n_samples: int = 200, random_state: int = 0) -> ClaimResult:
    """Fact 5's identities over sizes, scales and strengths, for single labels and for distributions.

    Checked: the norm of the gradient; that alpha is minus kappa times it, and that softmax(m + alpha) gives it; and,
    for optimality, that the minimum and its bound by duality agree, which no wrong solver could bring about.

    Parameters
    ----------
    n_samples : int, default=200
        Of each combination of size, scale, target, strength and penalty.
    random_state : int, default=0

    Returns
    -------
    ClaimResult
        Margin: minus the largest error, relative to 1 + the largest logit. Tolerance: 1e-12.
    """
    rng = np.random.RandomState(random_state)
    errors = []
    for n_classes, scale in itertools.product((2, 4, 20), (0.1, 1.0, 10.0, 100.0)):
        m = scale * rng.normal(size=(n_samples, n_classes))
        single = np.eye(n_classes)[rng.randint(n_classes, size=n_samples)]
        mixed = observed_probability(symmetric(n_classes, 0.3), rng.normal(size=m.shape))
        for target, strength, penalty in itertools.product((single, mixed), (0.01, 0.3, 1.0, 1.4), PENALTIES):
            errors.append(_identity_error(m, target, penalty, strength))
    worst = int(np.argmax(errors))
    return ClaimResult(
        "Fact 5: minimised over alpha, a group penalty caps the logit gradient at its strength, and an l2 penalty "
        "gives the Moreau envelope",
        ("softmax", "any target distribution"),
        n_samples * len(errors),
        -errors[worst],
        (worst,),
        IDENTITY_TOLERANCE,
        errors[worst] <= IDENTITY_TOLERANCE,
    )


def _identity_error(m: np.ndarray, target: np.ndarray, penalty: str, strength: float) -> float:
    """Largest error of the identities, relative to the numbers that they are sums of."""
    alpha, value, g, kappa, _ = profile(m, target, penalty, strength)
    norm, scale = _norm(g), 1.0 + np.abs(m).max(axis=1)
    if penalty == "group":
        norm_error = np.abs(norm - np.minimum(strength, _norm(np.exp(log_softmax(m, axis=1)) - target)))
    else:
        norm_error = np.abs(norm - strength * _norm(alpha)) / scale
    moved = np.exp(log_softmax(m + alpha, axis=1)) - target
    gap = (value - dual_value(m, target, g, penalty, strength)) / scale
    errors = (norm_error, _norm(moved - g) / scale, _norm(alpha + kappa[:, None] * g) / scale, np.abs(gap))
    return float(max(e.max() for e in errors))


def _capped(
    log_s: np.ndarray, q: np.ndarray, lam: np.ndarray, kappa: np.ndarray, z: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Kappa (B,), p (B, K) and Z (B,) with :math:`\lVert p - q \rVert = \lambda`, the plain norm being larger.

    The norm falls strictly in kappa. Newton's method on one over the norm, which is nearly linear, inside a bracket;
    :math:`\lambda \lVert\alpha\rVert` is at most what it saves, :math:`KL(q, \mathrm{softmax}(m))`, and bounds kappa.
    """
    low, high = np.zeros(len(lam)), (xlogy(q, q) - q * log_s).sum(axis=1) / lam**2
    kappa = np.clip(kappa, low, high)
    p, z = _tilted(log_s, q, kappa, z)
    for _ in range(_MAX_ITER):
        g = p - q
        norm = _norm(g)
        if (np.abs(norm - lam) <= tolerance).all():
            break
        low, high = np.where(norm > lam, kappa, low), np.where(norm < lam, kappa, high)
        weight = p / (1.0 + kappa[:, None] * p)  # dp = -weight (g - mean) dkappa, dZ = -mean dkappa
        mean = (weight * g).sum(axis=1) / weight.sum(axis=1)
        slope = (weight * g * (g - mean[:, None])).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            proposed = kappa + (norm / lam - 1.0) * norm**2 / slope
        proposed = np.where((proposed > low) & (proposed < high), proposed, (low + high) / 2)
        if (np.abs(proposed - kappa) <= 2 * EPS * kappa).all():
            break
        z = z - mean * (proposed - kappa)
        kappa = proposed
        p, z = _tilted(log_s, q, kappa, z)
    return kappa, p, z


def _tilted(log_s: np.ndarray, q: np.ndarray, kappa: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P (B, K) with ``ln p = log_s - Z - kappa (p - q)``, and the Z (B,) at which it sums to one, from a guess."""
    tilted = kappa > 0
    if not tilted.all():
        p, z = np.exp(log_s), np.where(tilted, z, 0.0)  # at kappa = 0 it is the softmax itself
        if tilted.any():
            p[tilted], z[tilted] = _tilted(log_s[tilted], q[tilted], kappa[tilted], z[tilted])
        return p, z
    scores = log_s + kappa[:, None] * q
    log_kappa = np.log(kappa)[:, None]
    low, high = scores.max(axis=1) - kappa, logsumexp(scores, axis=1)  # p = 1 for the largest; p <= exp(scores - Z)
    for _ in range(_MAX_ITER):
        # The sum is convex and falls in Z: from below Newton's steps never pass the root, and from above the first
        # one lands below it.
        z = np.clip(z, low, high)
        omega = wrightomega(scores + log_kappa - z[:, None])  # kappa p
        excess = omega.sum(axis=1) / kappa - 1.0
        step = excess * kappa / (omega / (1.0 + omega)).sum(axis=1)
        if (np.abs(excess) <= 2 * EPS * q.shape[1]).all() or (np.abs(step) <= 2 * EPS * np.abs(z)).all():
            break
        z = z + step
    return omega / omega.sum(axis=1, keepdims=True), z


def _constants(log_s: np.ndarray, q: np.ndarray, kappa: np.ndarray, p: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Centred alpha: both forms are equal; the difference p - q would lose digits where kappa is large."""
    with np.errstate(divide="ignore"):
        alpha = np.where(p > 1e-290, np.log(p) - log_s + z[:, None], kappa[:, None] * (q - p))
    return alpha - alpha.mean(axis=1, keepdims=True)


def _norm(a: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a, axis=1)
