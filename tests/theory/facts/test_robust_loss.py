"""Fact 5: the loss that is left when constants are minimised out, against 60 digits, duality and its own identities.

Logits are at most 1e4, K at most 50. Values are sums of K products of a logit and a difference of probabilities: good
to a few roundings of the logits' size. Probabilities of logits that large are good to the same, for a logit that is
off by one rounding moves them by it. Where nothing is added to the logits, numbers are good to a few roundings of one.
"""

from typing import NamedTuple

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties
from scipy.optimize import brentq
from scipy.special import entr, log_softmax, softmax
from strategies import logits, seeds, sizes

from theory.facts.robust_loss import PENALTIES, dual_value, profile, profile_identities

EPS = np.finfo(float).eps
STRENGTHS = [1e-3, 0.1, 0.5, 1.0, 1.4, 10.0]
properties = Properties()


class Case(NamedTuple):
    m: np.ndarray  # (B, K)
    target: np.ndarray  # (B, K)
    penalty: str
    strength: float


@st.composite
def targets(draw, n_samples, n_classes):
    """Distributions: single labels, zeros among them, nearly single, anything."""
    rng = np.random.RandomState(draw(seeds))
    if draw(st.booleans()):
        return np.eye(n_classes)[rng.randint(n_classes, size=n_samples)]
    q = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.05, 1.0, 20.0]))), n_samples)
    q = np.where(q < draw(st.sampled_from([0.0, 0.1 / n_classes])), 0.0, q)
    return q / q.sum(axis=1, keepdims=True)


@st.composite
def cases(draw, penalties=PENALTIES, n_samples=4):
    k = draw(sizes())
    return Case(
        draw(logits(k, n_samples)),
        draw(targets(n_samples, k)),
        draw(st.sampled_from(penalties)),
        draw(st.sampled_from(STRENGTHS)),
    )


def plain_gradient(m, target):
    return softmax(m, axis=1) - target


def cross_entropy(m, target):
    return -(target * log_softmax(m, axis=1)).sum(axis=1)


def norm(a):
    return np.linalg.norm(a, axis=1)


def value_at(case, alpha):
    """What is minimised: (B,)."""
    m, target, penalty, strength = case
    size = norm(alpha)
    f = size if penalty == "group" else size**2 / 2
    return cross_entropy(m - m.max(axis=1, keepdims=True) + alpha, target) + strength * f


# --- mutants ---


def changed(change):
    """A profile of which parts are changed; what follows from alpha is taken from it, where it is not given."""

    def mutant(m, target, penalty, strength, **options):
        fit = profile(m, target, penalty, strength, **options)
        parts = change(fit, np.asarray(m), np.asarray(target), penalty, strength)
        if "alpha" in parts:
            alpha = parts["alpha"]
            case = Case(m, target, penalty, strength)
            parts = {"value": value_at(case, alpha), "gradient": plain_gradient(m + alpha, target)} | parts
        return fit._replace(**parts)

    return mutant


def clipped(fit, m, target, penalty, strength):
    """The plain gradient, shortened: of the right length, in another direction."""
    g = plain_gradient(m, target)
    return {"gradient": g * np.minimum(1, norm(fit.gradient) / np.maximum(norm(g), 1e-300))[:, None]}


MUTANTS = {
    "no constants": changed(lambda fit, m, q, *_: {"alpha": 0 * fit.alpha}),
    "wrong sign": changed(lambda fit, m, q, *_: {"alpha": -fit.alpha}),
    "a percent too far": changed(lambda fit, m, q, *_: {"alpha": 1.01 * fit.alpha}),
    "one step": changed(lambda fit, m, q, penalty, lam: {"alpha": -plain_gradient(m, q) / lam}),
    "other penalty": lambda m, q, penalty, lam, **_: profile(m, q, PENALTIES[1 - PENALTIES.index(penalty)], lam),
    "half the strength": lambda m, q, penalty, lam, **_: profile(m, q, penalty, lam / 2),
}


# --- optimality ---


@properties.add(profile, cases(), MUTANTS | {"plain gradient, shortened": changed(clipped)})
def no_constants_are_better(profile, case):
    """Duality, written out here: the value meets a bound that no constants can pass, and alpha has that value."""
    m, q, penalty, strength = case
    fit = profile(*case)
    g, scale = fit.gradient, 1 + np.abs(m - m.max(axis=1, keepdims=True)).max(axis=1)
    p = q + g
    assert (p >= 0).all()
    assert np.abs(g.sum(axis=1)).max() <= 100 * EPS
    bound = (g * log_softmax(m, axis=1)).sum(axis=1) + entr(p).sum(axis=1)
    if penalty == "l2":
        bound -= norm(g) ** 2 / (2 * strength)
    else:
        assert (norm(g) <= strength + 32 * EPS).all()
    tolerance = 64 * EPS * scale
    assert (np.abs(fit.value - bound) <= tolerance).all()
    # alpha is off by a rounding of the logits, the penalty by strength times that
    assert (np.abs(fit.value - value_at(case, fit.alpha)) <= tolerance * (1 + strength)).all()
    assert np.abs(fit.alpha.mean(axis=1) / scale).max() <= 8 * EPS


@properties.add(
    profile,
    cases(),
    MUTANTS
    | {
        "cap of one": changed(
            lambda fit, *_: {"gradient": fit.gradient / np.maximum(norm(fit.gradient), 1e-9)[:, None]}
        )
    },
)
def the_gradient_is_capped_or_is_what_the_constants_weigh(profile, case):
    """||g|| = min(lambda, ||softmax(m) - q||) or lambda ||alpha||; and g = -lambda alpha (over ||alpha||)."""
    m, q, penalty, strength = case
    fit = profile(*case)
    scale = 1 + np.abs(m - m.max(axis=1, keepdims=True)).max(axis=1)
    if penalty == "group":
        plain = norm(plain_gradient(m, q))
        np.testing.assert_allclose(norm(fit.gradient), np.minimum(strength, plain), rtol=0, atol=32 * EPS)
        assert not fit.alpha[plain <= strength].any()
        # alpha, known to roundings of the logits and of its own terms, may be short: its direction is then unsure
        error = strength * norm(fit.alpha) * norm(fit.gradient) + strength * (fit.alpha * fit.gradient).sum(axis=1)
        error = error[plain > strength]
        assert (error <= 64 * EPS * scale[plain > strength]).all()
    else:
        off = norm(fit.gradient + strength * fit.alpha)
        assert (off <= 64 * EPS * (1 + strength) * scale).all()


@properties.add(
    profile,
    cases(),
    {
        "no constants": changed(lambda fit, *_: {"alpha": 0 * fit.alpha, "gradient": fit.gradient}),
        "wrong sign": changed(lambda fit, *_: {"alpha": -fit.alpha, "gradient": fit.gradient}),
        "kappa of one": changed(lambda fit, *_: {"kappa": np.ones_like(fit.kappa)}),
        "plain gradient": changed(lambda fit, m, q, *_: {"gradient": plain_gradient(m, q)}),
        "plain gradient, shortened": changed(clipped),
    },
)
def the_gradient_is_that_of_the_shifted_logits(profile, case):
    """And kappa is the ratio of the constants to it."""
    fit = profile(*case)
    m = case.m - case.m.max(axis=1, keepdims=True)
    scale = 1 + np.abs(m).max(axis=1)
    assert (norm(plain_gradient(m + fit.alpha, case.target) - fit.gradient) <= 64 * EPS * scale).all()
    assert (norm(fit.alpha + fit.kappa[:, None] * fit.gradient) <= 64 * EPS * (scale + fit.kappa)).all()


# --- as a loss of the logits ---


@st.composite
def two_points(draw):
    """A case and other logits, near or far."""
    case = draw(cases())
    rng = np.random.RandomState(draw(seeds))
    return case, case.m + draw(st.sampled_from([1e-3, 1.0, 100.0])) * rng.normal(size=case.m.shape)


@properties.add(
    profile,
    two_points(),
    {name: MUTANTS[name] for name in ("wrong sign", "one step")}
    | {
        "half the gradient": changed(lambda fit, *_: {"gradient": fit.gradient / 2}),
        "plain gradient": changed(lambda fit, m, q, *_: {"gradient": plain_gradient(m, q)}),
        "plain gradient, shortened": changed(clipped),
    },
)
def the_value_is_convex_with_that_gradient(profile, case):
    """It lies above its tangents, and the gradient of either point rises no faster than it may.

    The Hessian of the cross-entropy, at most 1/2, becomes B (B + lambda)^{-1} lambda with l2, at most
    lambda / (1 + 2 lambda); with the group penalty it is at most B.
    """
    case, other = case
    a, b = profile(*case), profile(other, *case[1:])
    step = other - case.m
    scale = 1 + np.abs(case.m - case.m.max(axis=1, keepdims=True)).max(axis=1) + np.abs(step).max(axis=1)
    rise = (a.gradient * step).sum(axis=1)
    assert (b.value - a.value - rise >= -128 * EPS * scale).all()
    lam = case.strength
    smooth = lam / (1 + 2 * lam) if case.penalty == "l2" else 0.5
    assert (b.value - a.value - rise <= smooth / 2 * norm(step) ** 2 + 128 * EPS * scale).all()
    assert (norm(b.gradient - a.gradient) <= smooth * norm(step) + 64 * EPS * scale).all()


@properties.add(profile, cases(), MUTANTS)
def the_value_lies_below_the_cross_entropy(profile, case):
    """By as much as tangents at m and at m + alpha say; and above the entropy of the target, which is the least."""
    m, q, penalty, strength = case
    fit = profile(*case)
    plain, g = cross_entropy(m, q), plain_gradient(m, q)
    rounding = 64 * EPS * (1 + np.abs(m - m.max(axis=1, keepdims=True)).max(axis=1))
    assert (fit.value <= plain + rounding).all()
    assert (fit.value >= entr(q).sum(axis=1) - rounding).all()
    if penalty == "l2":
        assert (fit.value >= plain - norm(g) ** 2 / (2 * strength) - rounding).all()
        assert (fit.value <= plain - norm(fit.gradient) ** 2 / (2 * strength) + rounding).all()
    else:
        saved = np.maximum(norm(g) - strength, 0) * norm(fit.alpha)
        assert (fit.value >= plain - saved - rounding).all()


@st.composite
def symmetric_cases(draw):
    """A case, another number added to every row of logits, and an order of the categories."""
    case = draw(cases())
    rng = np.random.RandomState(draw(seeds))
    return case, rng.normal(size=(len(case.m), 1)) * draw(st.sampled_from([1.0, 1e4])), rng.permutation(case.m.shape[1])


@properties.add(
    profile,
    symmetric_cases(),
    {
        "first logit weighs more": lambda m, q, penalty, lam: profile(m + 0.1 * np.eye(1, m.shape[1]), q, penalty, lam),
        "logits in units of their size": lambda m, q, penalty, lam: profile(m / (1 + np.abs(m)), q, penalty, lam),
    },
)
def only_differences_of_logits_matter_and_no_order(profile, case):
    (m, q, penalty, strength), shift, order = case
    there, here = profile((m + shift)[:, order], q[:, order], penalty, strength), profile(m, q, penalty, strength)
    scale = 1 + np.abs(m).max(axis=1) + np.abs(shift[:, 0])
    assert (np.abs(there.value - here.value) <= 64 * EPS * scale).all()
    assert (norm(there.gradient - here.gradient[:, order]) <= 64 * EPS * scale).all()


@properties.add(
    profile,
    two_points(),
    {"from the guess itself": lambda *case, start=None: profile(*case) if start is None else start},
)
def where_the_search_begins_does_not_matter(profile, case):
    case, other = case
    cold = profile(*case)
    warm = profile(*case, start=profile(other, *case[1:]))
    scale = 1 + np.abs(case.m - case.m.max(axis=1, keepdims=True)).max(axis=1)
    assert (np.abs(warm.value - cold.value) <= 64 * EPS * scale).all()
    assert (norm(warm.gradient - cold.gradient) <= 64 * EPS * scale).all()


@st.composite
def dual_points(draw):
    """A case, constants, and a gradient: all anything that is allowed."""
    case = draw(cases())
    rng = np.random.RandomState(draw(seeds))
    g = draw(targets(*case.m.shape)) - case.target
    if case.penalty == "group":
        g *= np.minimum(1, case.strength * (1 - 1e-9) / np.maximum(norm(g), 1e-300))[:, None]
    alpha = draw(st.sampled_from([0.0, 0.1, 10.0, 1e4])) * rng.normal(size=case.m.shape)
    return case, alpha, g


@properties.add(
    dual_value,
    dual_points(),
    {
        "wrong sign of the entropy": lambda m, q, g, *rest: dual_value(m, q, g, *rest) - 2 * entr(q + g).sum(axis=1),
        "primal gradient of opposite sign": lambda m, q, g, *rest: dual_value(-m, q, g, *rest),
        "one too much": lambda *point: dual_value(*point) + 1,
    },
)
def every_gradient_bounds_every_constant(dual_value, case):
    """Weak duality; and no bound where the gradient is longer than the cap or leaves the simplex."""
    case, alpha, g = case
    m, q, penalty, strength = case
    bound = dual_value(m, q, g, penalty, strength)
    scale = 1 + np.abs(m - m.max(axis=1, keepdims=True)).max(axis=1) + np.abs(alpha).max(axis=1)
    assert (value_at(case, alpha) >= bound - 64 * EPS * scale * (1 + strength)).all()
    # it is finite, and the bound of the optimum is the value
    assert np.isfinite(bound).all()
    fit = profile(*case)
    assert (np.abs(dual_value(m, q, fit.gradient, penalty, strength) - fit.value) <= 64 * EPS * scale).all()


test_property, test_mutant_is_caught = properties.tests()


# --- against 60 digits ---


def reference(m, q, penalty, strength, alpha):
    """Newton's method in 60 digits from a guess; the optimum is unique, so that where it ends does not depend on it."""
    k = len(m)
    m, a = ([mp.mpf(float(v)) for v in vector] for vector in (m, alpha))
    q = [mp.mpf(float(v)) for v in q]
    total, mean = mp.fsum(q), mp.fsum(a) / k
    q, a, lam = [v / total for v in q], mp.matrix([v - mean for v in a]), mp.mpf(float(strength))
    for _ in range(12):
        top = max(m[i] + a[i] for i in range(k))
        e = [mp.exp(m[i] + a[i] - top) for i in range(k)]
        z = mp.fsum(e)
        p, size = [v / z for v in e], mp.norm(a)
        weight = lam / size if penalty == "group" else lam
        residual = mp.matrix([p[i] - q[i] + weight * a[i] for i in range(k)])
        if mp.norm(residual) < mp.mpf(10) ** -45:
            value = top + mp.log(z) - mp.fsum(q[i] * (m[i] + a[i]) for i in range(k))
            value += lam * (size if penalty == "group" else size**2 / 2)
            return a, [p[i] - q[i] for i in range(k)], value
        matrix = mp.matrix(k, k)
        for i in range(k):
            for j in range(k):
                radial = weight * a[i] * a[j] / size**2 if penalty == "group" else 0
                matrix[i, j] = (p[i] + weight) * (i == j) - p[i] * p[j] - radial + mp.mpf(1) / k
        a -= mp.lu_solve(matrix, residual)
    raise AssertionError(f"no optimum near {alpha}: {mp.nstr(mp.norm(residual), 3)}")


@pytest.mark.parametrize("scale", [1, 30, 1000])
@pytest.mark.parametrize(("penalty", "strength"), [("group", 0.01), ("group", 0.7), ("l2", 0.01), ("l2", 1.0)])
def test_sixty_digits(scale, penalty, strength):
    """Values to roundings of the logits, gradients to roundings of one, up to logits of some thousands.

    Constants are kappa times the gradient: kappa of its roundings, and some of the logits.
    """
    rng = np.random.RandomState(scale)
    checked = 0
    with mp.workdps(60):
        for k in (2, 3, 6):
            m = scale * rng.normal(size=(2, k))
            q = np.stack([np.eye(k)[rng.randint(k)], rng.dirichlet(np.ones(k))])
            fit = profile(m, q, penalty, strength)
            for b in np.flatnonzero(fit.kappa):
                alpha, gradient, value = reference(m[b], q[b], penalty, strength, fit.alpha[b])
                size = 1 + np.abs(m[b]).max()
                off = max(abs(exact - mp.mpf(float(found))) for exact, found in zip(alpha, fit.alpha[b], strict=True))
                assert off <= 8 * EPS * (size + fit.kappa[b])
                off = max(
                    abs(exact - mp.mpf(float(found))) for exact, found in zip(gradient, fit.gradient[b], strict=True)
                )
                assert off <= 16 * EPS
                assert abs(value - mp.mpf(float(fit.value[b]))) <= 16 * EPS * size
                checked += 1
    assert checked >= 2


# --- by example ---


@pytest.mark.parametrize("penalty", PENALTIES)
def test_differences_and_autograd(penalty):
    """Central differences of the value; and autograd through Newton-free descent on alpha, to its own precision."""
    rng = np.random.RandomState(0)
    m, q, strength = rng.normal(size=(3, 4)), np.eye(4)[[0, 1, 3]], 0.4
    fit, step = profile(m, q, penalty, strength), 1e-5
    for j in range(4):
        up, down = (profile(m + sign * step * np.eye(4)[j], q, penalty, strength).value for sign in (1, -1))
        # third derivatives are at most of order one: the square of the step, and rounding over it
        np.testing.assert_allclose((up - down) / (2 * step), fit.gradient[:, j], rtol=0, atol=2e-10)
    logits_ = torch.tensor(m, requires_grad=True)
    alpha = torch.zeros_like(logits_)
    for _ in range(2000):  # proximal descent, of which every step is differentiable where alpha is not zero
        alpha = alpha - 2 * (torch.softmax(logits_ + alpha, dim=1) - torch.tensor(q))
        if penalty == "l2":
            alpha = alpha / (1 + 2 * strength)
        else:
            size = alpha.norm(dim=1, keepdim=True)
            alpha = alpha * (1 - 2 * strength / size).clamp(min=0)
    size = alpha.norm(dim=1)
    value = -(torch.tensor(q) * torch.log_softmax(logits_ + alpha, dim=1)).sum(dim=1)
    value = value + strength * (size if penalty == "group" else size**2 / 2)
    value.sum().backward()
    np.testing.assert_allclose(value.detach().numpy(), fit.value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(logits_.grad.numpy(), fit.gradient, rtol=0, atol=1e-10)


def test_strength_at_both_ends():
    """A cap of sqrt(2) is none, and l2 without limit is none; with no strength left, the entropy of the target."""
    rng = np.random.RandomState(0)
    m, q = 5 * rng.normal(size=(50, 6)), rng.dirichlet(np.ones(6), 50)
    plain = cross_entropy(m, q)
    np.testing.assert_allclose(profile(m, q, "group", np.sqrt(2)).value, plain, rtol=1e-14)
    np.testing.assert_allclose(profile(m, q, "l2", 1e12).value, plain, rtol=0, atol=1e-11)
    entropy = entr(q).sum(axis=1)
    # what is left is at most what the constants ln q - m cost, of norm 100 at most here
    for penalty, most in (("group", 1e2), ("l2", 1e4 / 2)):
        left = profile(m, q, penalty, 1e-8).value - entropy
        assert (left >= -1e-13).all()
        assert (left <= 1e-8 * most).all()


def test_a_strength_per_sample():
    rng = np.random.RandomState(0)
    m, q, strengths = rng.normal(size=(3, 4)), np.eye(4)[[0, 1, 3]], np.array([0.1, 0.5, 2.0])
    together = profile(m, q, "group", strengths)
    for b, strength in enumerate(strengths):
        alone = profile(m[b : b + 1], q[b : b + 1], "group", strength)
        np.testing.assert_allclose(alone.gradient[0], together.gradient[b], rtol=0, atol=8 * EPS)


@pytest.mark.parametrize("share", [0.55, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("strength", [0.3, 0.9, 1.2])
def test_what_single_labels_of_two_categories_come_to(share, strength):
    r"""The capped loss in expectation, labels 1 with probability Q > 1/2: not Q, but 1 - c (1 - Q) / Q if Q > c.

    c = lambda / sqrt(2) caps the probability that a label is short of. The larger of two probabilities stays so.
    """

    def slope(margin):
        m = np.array([[margin / 2, -margin / 2]] * 2)
        return np.array([share, 1 - share]) @ profile(m, np.eye(2), "group", strength).gradient[:, 0]

    p = 1 / (1 + np.exp(-brentq(slope, -30, 30, xtol=1e-13)))
    c = strength / np.sqrt(2)
    assert p == pytest.approx(share if share <= c else 1 - c * (1 - share) / share, abs=1e-11)
    assert p > 0.5


def test_profile_identities():
    result = profile_identities(n_samples=50)
    assert result.holds
    assert result.n_cases == 50 * 3 * 4 * 2 * 4 * 2


def test_no_bound_from_a_gradient_that_is_too_long_or_leaves_the_simplex():
    m, q = np.zeros((1, 2)), np.array([[0.5, 0.5]])
    assert dual_value(m, q, [[0.4, -0.4]], "group", 0.5)[0] == -np.inf
    assert np.isfinite(dual_value(m, q, [[0.4, -0.4]], "group", 0.6)[0])
    assert dual_value(m, q, [[0.6, -0.6]], "group", 1.0)[0] == -np.inf


ONE = np.array([[0.0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ONE, ONE, "l1", 1.0), "penalty is 'l1' of strength 1.0"),
        ((ONE, ONE, "group", 0.0), "strength 0.0, expected one of .* positive"),
        ((ONE, np.eye(2), "group", 1.0), r"m has shape \(1, 2\) and target \(2, 2\)"),
        ((ONE * np.nan, ONE, "group", 1.0), "finite logits"),
        ((ONE, 2 * ONE, "group", 1.0), "no distribution"),
        ((ONE, np.array([[-1.0, 2.0]]), "group", 1.0), "no distribution"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        profile(*arguments)
