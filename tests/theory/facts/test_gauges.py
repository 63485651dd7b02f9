"""Fact 1: in which gauge the signs of Theorem 2 hold."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from references import EPS, rounding_of_gauge
from scipy.special import logsumexp
from strategies import (
    dirichlet_matrices,
    logits,
    rates,
    seeds,
    single_symmetric_cases,
    sizes,
    symmetric_matrices,
    transition_matrices,
)

from theory.facts import gauges
from theory.facts.gauges import sign_gauge
from theory.paper.closed_form import GAUGES, optimal_alpha, to_gauge
from theory.paper.counterexamples import GAUGE
from theory.paper.transitions import outside, pair_flip

properties = Properties()


def moved_to(gauge):
    return lambda alpha, m: to_gauge(alpha, gauge, m)


OTHER_GAUGES = {"first constant zero": moved_to("first_zero"), "mean zero": moved_to("mean_centered")}


# --- 2.2 ---


@st.composite
def likeliest(draw, matrices=None):
    """(pi, m, t, alpha): t is the argmax of m over K*, column t sums to at most one; alpha* in any gauge."""
    pi = draw(transition_matrices() if matrices is None else matrices).copy()
    m = draw(logits(len(pi)))
    t = draw(st.integers(0, pi.shape[1] - 1))
    total = pi[:, t].sum()
    if total > 1 + 1e-12:  # what is above one goes to the next label
        pi[:, t - 1] += pi[:, t] * (1 - 1 / total)
        pi[:, t] /= total
    top = int(m.argmax())
    m[[t, top]] = m[[top, t]]
    return pi, m, t, optimal_alpha(pi, m) + draw(st.sampled_from([0.0, -3.0, 100.0]))


@properties.add(moved_to("partition"), likeliest(), OTHER_GAUGES)
def the_true_labels_constant_is_at_most_zero_in_the_partition_gauge(gauge, case):
    _, m, t, alpha = case
    moved = gauge(alpha, m)
    assert moved[t] <= rounding_of_gauge(m, alpha, moved)


def doubly_stochastic_matrices():
    """Symmetric ones, more often of three categories of which two are confused, and one that is not."""
    three = single_symmetric_cases(3).map(lambda case: case.pi)
    return st.one_of(symmetric_matrices(), three, st.builds(pair_flip, sizes(), rates))


@properties.add(
    moved_to("mean_centered"),
    likeliest(doubly_stochastic_matrices()),
    {"first constant zero": moved_to("first_zero"), "least constant zero": lambda alpha, m: alpha - alpha.min()},
)
def with_mean_zero_it_is_for_doubly_stochastic_pi(gauge, case):
    _, m, t, alpha = case
    moved = gauge(alpha, m)
    assert moved[t] <= rounding_of_gauge(m, alpha, moved)


@properties.add(
    optimal_alpha,
    st.tuples(doubly_stochastic_matrices(), seeds, st.sampled_from([0.1, 3.0, 1e3])),
    {
        "wrong sign": lambda pi, m: -optimal_alpha(pi, m),
        "logits subtracted twice": lambda pi, m: optimal_alpha(pi, m) - m,
    },
)
def the_mean_constant_of_doubly_stochastic_pi_is_not_negative(optimal_alpha, case):
    """Jensen's inequality, which the property above rests on."""
    pi, seed, scale = case
    m = scale * np.random.RandomState(seed).normal(size=len(pi))
    alpha = optimal_alpha(pi, m)
    assert alpha.mean() >= -rounding_of_gauge(m, alpha)


@properties.add(
    to_gauge,
    likeliest(sizes(2).flatmap(lambda n_true: dirichlet_matrices(n_true, 2))),
    {
        "wrong sign": lambda alpha, gauge, m: -to_gauge(alpha, gauge, m),
        "not moved": lambda alpha, gauge, m: alpha,
    },
)
def with_two_categories_it_is_in_every_gauge(to_gauge, case):
    """Since alpha_f is at least zero then: K* may be larger."""
    _, m, t, alpha = case
    for gauge in GAUGES:
        moved = to_gauge(alpha, gauge, m)
        assert moved[t] <= rounding_of_gauge(m, alpha, moved)


# --- 2.3 ---


@st.composite
def confused_pairs(draw):
    """(pi, m, t, f, alpha): t and f are labelled t or f, at any rates, as are categories outside of the set."""
    k = draw(sizes(3))
    t, f = draw(st.permutations(range(k)).map(lambda order: order[:2]))
    within = np.eye(k)
    within[np.ix_([t, f], [t, f])] = draw(dirichlet_matrices(2, 2))
    distributions = np.zeros((draw(st.integers(1, 4)), k))
    distributions[:, [t, f]] = draw(dirichlet_matrices(len(distributions), 2))
    pi = outside(k, distributions, within) if draw(st.booleans()) else within
    m = draw(logits(len(pi)))
    return pi, m, t, f, optimal_alpha(pi, m) + draw(st.sampled_from([0.0, -3.0, 100.0]))


@properties.add(moved_to("partition"), confused_pairs(), OTHER_GAUGES)
def other_constants_are_zero_in_the_partition_gauge(gauge, case):
    _, m, t, f, alpha = case
    moved = gauge(alpha, m)
    assert np.abs(np.delete(moved, [t, f])).max() <= rounding_of_gauge(m, alpha, moved)


@properties.add(
    to_gauge,
    st.tuples(sizes(3).flatmap(single_symmetric_cases), seeds, st.sampled_from([0.1, 3.0, 1e3])),
    {
        "partition gauge for all": lambda alpha, gauge, m: to_gauge(alpha, "partition", m),
        "wrong sign": lambda alpha, gauge, m: -to_gauge(alpha, gauge, m),
        "sum for mean": lambda alpha, gauge, m: alpha - alpha.sum() if gauge[0] == "m" else to_gauge(alpha, gauge, m),
    },
)
def in_another_gauge_they_are_what_it_adds(to_gauge, case):
    """-alpha_1, and -(alpha_t + alpha_f) / K, with the constants of t and f by hand."""
    (pi, t, f), seed, scale = case
    m = scale * np.random.RandomState(seed).normal(size=len(pi))
    alpha = optimal_alpha(pi, m)
    with np.errstate(divide="ignore"):
        of_t, of_f = (np.logaddexp(np.log(pi[i, i]), np.log(pi[j, i]) + m[j] - m[i]) for i, j in ((t, f), (f, t)))
    added = {"first_zero": -{t: of_t, f: of_f}.get(0, 0.0), "mean_centered": -(of_t + of_f) / len(m)}
    for gauge, number in added.items():
        moved = np.delete(to_gauge(alpha, gauge, m), [t, f])
        np.testing.assert_allclose(moved, number, rtol=0, atol=rounding_of_gauge(m, alpha))
    # single-symmetric pi is doubly stochastic; the sum of both is strictly positive where they can be told apart
    assert added["mean_centered"] <= rounding_of_gauge(m, alpha)
    if 0.01 < pi[t, f] < 0.99 and np.abs(m[t] - m[f]) > 0.01:
        assert added["mean_centered"] < -1e-7 / len(m)


@properties.add(
    lambda alpha, m, k: to_gauge(alpha, "partition", m[:k]),
    transition_matrices().flatmap(lambda pi: st.tuples(st.just(pi), logits(len(pi)))),
    {
        "partition function of K*": lambda alpha, m, k: to_gauge(alpha, "partition", m),
        "not moved": lambda alpha, m, k: alpha,
        "wrong sign": lambda alpha, m, k: 2 * alpha - to_gauge(alpha, "partition", m[:k]),
    },
)
def the_logits_of_K_alone_lower_every_constant_by_the_chance_of_K(gauge, case):  # noqa: N802
    """What can be done for learned constants: 2.2 then holds a fortiori, and 2.3 up to ln P(K|x)."""
    pi, m = case
    k = pi.shape[1]
    alpha = optimal_alpha(pi, m)
    moved = gauge(alpha + 5.0, m, k)
    chance = logsumexp(m[:k]) - logsumexp(m)
    seen = np.isfinite(alpha)
    # The expected number is a difference of two log-sum-exps of logits of this size.
    atol = rounding_of_gauge(m, alpha, moved) + 16 * EPS * np.abs(m).max()
    np.testing.assert_allclose(moved[seen], alpha[seen] + chance, rtol=0, atol=atol)
    assert np.isneginf(moved[~seen]).all()


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


def in_fractions(example):
    """(exp(alpha) in the partition gauge, sums of the labels, pi), exactly."""
    pi = [[Fraction(p) for p in row] for row in example.pi]
    weights = [Fraction(w) for w in example.exp_m]
    labels = [sum(row[i] * w for row, w in zip(pi, weights, strict=True)) for i in range(len(pi))]
    return [label / w for label, w in zip(labels, weights, strict=True)], labels, pi


@pytest.fixture(scope="module")
def signs():
    return sign_gauge()


def test_where_the_signs_hold(signs):
    assert signs.holds
    assert -1e-14 <= signs.worst_margin <= 0
    assert {part: {g for g, share in shares.items() if share} for part, shares in signs.broken.items()} == {
        "2.2, paper": {"first_zero"},
        "2.2, weaker": {"first_zero", "mean_centered"},
        "2.3, paper": {"first_zero", "mean_centered"},
        "2.3, weaker": {"first_zero", "mean_centered"},
    }
    # of the drawn cases 4, 8, 40, 41 % fail in the paper's gauge; no rare accident
    assert all(shares["first_zero"] > 0.01 for shares in signs.broken.values())


@pytest.mark.parametrize(
    ("part", "gauge"),
    [("2.2, paper", "first_zero"), *((p, g) for p in ("2.2, weaker", "2.3, paper", "2.3, weaker") for g in GAUGES[1:])],
)
def test_printed_counterexamples_by_hand(signs, part, gauge):
    """In fractions: premises, and a sign or a zero that is wrong. With mean zero alpha_i is ln of a K-th root."""
    example = signs.counterexamples[part][gauge]
    alpha, labels, pi = in_fractions(example)
    t, f, k = example.t, example.f, len(pi)
    assert k == 3
    assert all(sum(row) == 1 for row in pi)
    if part[:3] == "2.2":
        assert example.exp_m[t] == max(example.exp_m)
        assert sum(row[t] for row in pi) <= 1
        assert alpha[t] <= 1  # as it is in the partition gauge
        assert alpha[t] > alpha[0] if gauge == "first_zero" else alpha[t] ** k > prod(alpha)
    else:
        (j,) = set(range(3)) - {t, f}
        assert [row[j] for row in pi] == [int(i == j) for i in range(3)]
        assert alpha[j] == 1
        assert alpha[0] != 1 if gauge == "first_zero" else prod(alpha) != 1
    if "paper" in part:
        assert pi == [list(column) for column in zip(*pi, strict=True)]
        assert labels[f] >= labels[t]
        assert example.exp_m[t] == max(example.exp_m)
        assert set(example.dropped_of_paper) == set()
    assert example.dropped == GAUGE
    assert example.margin < 0
    assert "pi = [" in str(example)


@pytest.mark.parametrize(
    "wrong", [{"partition": "first_zero"}, {"mean_centered": "partition"}, {"partition": "mean_centered"}]
)
def test_the_claim_of_the_gauges_can_fail(monkeypatch, wrong):
    monkeypatch.setattr(gauges, "to_gauge", lambda a, gauge, m: to_gauge(a, wrong.get(gauge, gauge), m))
    assert not sign_gauge(n_draws=100).holds
