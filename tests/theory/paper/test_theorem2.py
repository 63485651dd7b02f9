"""Theorem 2: each case on what suffices for it, and refusals of what does not.

The claims are read by `theory.paper.theorem2` with tolerances that it derives; a property gives it the constants of an
implementation. No claim catches every mutant: 2.1 does not see logits that are not subtracted, 2.2 and 2.3 do not see
a transposed pi (rows sum to one, and unit columns of a square pi have unit rows), nor 2.3 a wrong sign.
"""

from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import logsumexp
from strategies import (
    logits,
    processes,
    rates,
    seeds,
    single_symmetric_cases,
    sizes,
    symmetric_matrices,
    transition_matrices,
)

from theory.observed import log_observed_probability, observed_probability
from theory.paper.closed_form import GAUGES, optimal_alpha, to_gauge
from theory.paper.theorem2 import general_case, single_symmetric_case, symmetric_case
from theory.paper.transitions import outside, symmetric

EPS = np.finfo(float).eps
FUNCTIONS = {"general": general_case, "symmetric": symmetric_case, "single symmetric": single_symmetric_case}
properties = Properties()


class Labelled(NamedTuple):
    """A process, logits, and the two labels of each sample."""

    pi: np.ndarray  # (K*, K) or (N, K*, K)
    m: np.ndarray  # (N, K*)
    t: np.ndarray  # (N,)
    f: np.ndarray  # (N,)


# --- cases that meet the weaker assumptions ---


@st.composite
def opposed(draw):
    """For 2.1: any process, its labels renamed so that the likelier ones have the smaller logits; any pair t, f."""
    pi, m = draw(processes(samples=True))
    n_samples, n_observed = len(m), pi.shape[-1]
    log_q = log_observed_probability(pi, m)
    pi = np.broadcast_to(pi, (n_samples, *pi.shape[-2:])).copy()
    pairs = []
    for n in range(n_samples):
        falling = np.argsort(-m[n, :n_observed], kind="stable")
        pi[n][:, falling] = pi[n][:, np.argsort(log_q[n], kind="stable")]
        first = draw(st.integers(0, n_observed - 2))
        pairs.append(falling[[first, draw(st.integers(first + 1, n_observed - 1))]])
    return Labelled(pi, m, *np.array(pairs).T)


@st.composite
def likeliest_and_limited(draw):
    """For 2.2: any process with the argmax of K* moved to a category t of K, whose column is cut to a sum of one."""
    pi, m = draw(processes(samples=True))
    n_samples, n_observed = len(m), pi.shape[-1]
    pi, m = np.broadcast_to(pi, (n_samples, *pi.shape[-2:])).copy(), m.copy()
    t = np.array([draw(st.integers(0, n_observed - 1)) for _ in range(n_samples)])
    f = (t + 1) % n_observed
    for n in range(n_samples):
        top = m[n].argmax()
        m[n, [top, t[n]]] = m[n, [t[n], top]]
        column = pi[n][:, t[n]]
        kept = column / max(column.sum(), 1.0)
        pi[n][:, f[n]] += column - kept
        pi[n][:, t[n]] = kept
    return Labelled(pi, m, t, f)


@st.composite
def symmetric_and_likeliest(draw):
    """For 2.2, the paper's own: symmetric pi, t the argmax; f any other."""
    pi = draw(symmetric_matrices())
    m = draw(logits(len(pi), draw(st.integers(1, 4))))
    t = m.argmax(axis=1)
    return Labelled(pi, m, t, (t + draw(st.integers(1, len(pi) - 1))) % len(pi))


@st.composite
def unit_columns(draw):
    """For 2.3: true categories t, f and any outside of the set are labelled t or f, all others right."""
    k, n_outside, n_samples = draw(sizes()), draw(st.integers(0, 5)), draw(st.integers(1, 3))
    pi, t, f = draw(single_symmetric_cases(k))
    share = np.random.RandomState(draw(seeds)).uniform(size=2 + n_outside)
    share[: 1 + draw(st.integers(0, 1))] = draw(rates)
    rows = np.zeros((2 + n_outside, k))
    rows[:, t], rows[:, f] = share, 1 - share
    pi = np.vstack([pi, rows[2:]])
    pi[[t, f]] = rows[:2]
    return Labelled(pi, draw(logits(k + n_outside, n_samples)), np.full(n_samples, t), np.full(n_samples, f))


@st.composite
def paper_cases(draw):
    """For all three, as the paper has them: single-symmetric, t the argmax, f likelier as most labels are wrong."""
    k = draw(sizes())
    pi, t, f = draw(single_symmetric_cases(k))
    rate = draw(st.one_of(st.sampled_from([0.5, 0.75, 1.0]), st.floats(0.5, 1)))
    pi[np.ix_([t, f], [t, f])] = symmetric(2, rate)
    m = draw(logits(k))
    top = m.argmax()
    m[[top, t]] = m[[t, top]]
    return Labelled(pi, m, np.int64(t), np.int64(f))


# --- mutants ---


def transposed(pi, m):
    return logsumexp(np.log(np.swapaxes(pi, -2, -1)) + m[..., :, None], axis=-2) - m


def averaged(pi, m):
    """The missing log-sum-exp: logits averaged by pi."""
    return np.einsum("...k,...ki->...i", m, pi) - m[..., : pi.shape[-1]]


def sum_alone(pi, m):
    """Ln of the sum over k of pi_ki exp(m_k), and no more."""
    return log_observed_probability(pi, m) + logsumexp(m, axis=-1, keepdims=True)


def partition_dropped(pi, m):
    return log_observed_probability(pi, m) - m[..., : pi.shape[-1]]


def in_gauge(gauge, pi, m):
    return to_gauge(optimal_alpha(pi, m), gauge)


def zeros_replaced(pi, m):
    with np.errstate(divide="ignore"):
        log_pi = np.log(np.maximum(pi, 1e-12))
    return logsumexp(log_pi + (m[..., :, None] - m[..., None, : pi.shape[-1]]), axis=-2)


MUTANTS = {
    "wrong sign": lambda pi, m: -optimal_alpha(pi, m),
    "transposed pi": transposed,
    "no log-sum-exp": averaged,
    "logits not subtracted": sum_alone,
    "partition dropped": partition_dropped,
    "sorted": lambda pi, m: np.sort(optimal_alpha(pi, m), axis=-1),
    "zeros of pi replaced": zeros_replaced,
}


def mutants(*names):
    return {name: MUTANTS[name] for name in names}


# --- the claims ---


@properties.add(
    optimal_alpha,
    opposed(),
    mutants("wrong sign", "transposed pi", "no log-sum-exp", "sorted")
    | {"logits added": lambda pi, m: sum_alone(pi, m) + m[..., : pi.shape[-1]]},
)
def true_label_has_the_smaller_constant(optimal_alpha, case):
    """2.1."""
    pi, m, t, f = case
    result = general_case(pi, m, t, f, alpha=optimal_alpha(pi, m))
    assert result.holds, str(result)
    assert result.n_cases == len(m)


@properties.add(
    optimal_alpha,
    likeliest_and_limited(),
    mutants("wrong sign", "logits not subtracted", "partition dropped", "sorted")
    | {
        "last K, not first": lambda pi, m: optimal_alpha(pi, m) + m[..., : pi.shape[-1]] - m[..., -pi.shape[-1] :],
        "in the first_zero gauge": lambda pi, m: in_gauge("first_zero", pi, m),
    },
)
def constant_of_the_true_label_is_not_positive(optimal_alpha, case):
    """2.2, of any pi with a column t that sums to at most one, K* larger than K, and pi depending on x."""
    pi, m, t, _ = case
    result = symmetric_case(pi, m, t, alpha=optimal_alpha(pi, m))
    assert result.holds, str(result)


@properties.add(
    optimal_alpha,
    symmetric_and_likeliest(),
    mutants("wrong sign", "logits not subtracted", "sorted") | {"off": lambda pi, m: optimal_alpha(pi, m) + 1e-9},
)
def symmetric_pi_serves_in_two_gauges(optimal_alpha, case):
    """2.2 as the paper states it, in the partition gauge; and with mean zero, by Jensen's inequality."""
    pi, m, t, _ = case
    alpha = optimal_alpha(pi, m)
    # a mean is known as well as its terms, constants off by what logits and ln pi are rounded by, and K additions
    error = EPS * (16 + len(pi)) * (1 + np.abs(alpha).max() + np.abs(m).max())
    for moved in (alpha, to_gauge(alpha, "mean_centered")):
        result = symmetric_case(pi, m, t, alpha=moved, error=error)
        assert result.holds, str(result)
    assert (alpha.mean(axis=-1) >= -error).all()


@properties.add(
    optimal_alpha,
    unit_columns(),
    mutants("logits not subtracted", "partition dropped", "sorted", "zeros of pi replaced")
    | {f"in the {gauge} gauge": lambda pi, m, g=gauge: in_gauge(g, pi, m) for gauge in ("first_zero", "mean_centered")},
)
def other_constants_are_zero(optimal_alpha, case):
    """2.3, of any pi with unit columns but t and f: not symmetric, K* larger than K, t not the argmax."""
    pi, m, t, f = case
    result = single_symmetric_case(pi, m, t, f, alpha=optimal_alpha(pi, m))
    assert result.holds, str(result)
    assert result.n_cases == len(m) * (pi.shape[-1] - 2)


@properties.add(
    optimal_alpha,
    paper_cases(),
    mutants("wrong sign", "logits not subtracted", "partition dropped", "sorted"),
)
def all_three_hold_as_the_paper_states_them(optimal_alpha, case):
    alpha = optimal_alpha(case.pi, case.m)
    for function in FUNCTIONS.values():
        result = function(*case, assume="paper", alpha=alpha)
        assert result.holds, str(result)


# --- what suffices is also needed ---


@properties.add(
    optimal_alpha,
    transition_matrices(),
    mutants("wrong sign", "no log-sum-exp", "partition dropped", "sorted")
    | {"normalised": lambda pi, m: optimal_alpha(pi, m) - np.log(pi.sum(axis=0).max())},
)
def a_column_above_one_breaks_the_symmetric_case(optimal_alpha, pi):
    """Where all logits are equal any t is an argmax, and alpha_t is ln of the sum of its column: the bound is met."""
    alpha = optimal_alpha(pi, np.zeros(len(pi)))
    with np.errstate(divide="ignore"):
        expected = np.log(pi.sum(axis=0))
    # a logarithm of a sum of K* terms, by another order of operations; ln pi is at most 800 in size here
    np.testing.assert_allclose(alpha, expected, rtol=0, atol=EPS * (5000 + len(pi)))
    above = int(pi.sum(axis=0).argmax())
    if pi.sum(axis=0)[above] > 1 + 1e-8:
        assert alpha[above] > 0
        assert refused(symmetric_case, pi, np.zeros(len(pi)), above)


@properties.add(
    optimal_alpha,
    transition_matrices(),
    mutants("transposed pi", "logits not subtracted") | {"zero": lambda pi, m: np.zeros(pi.shape[-1])},
)
def a_column_off_unit_breaks_the_single_symmetric_case(optimal_alpha, pi):
    """For such a j, equal logits or a raised m_j give a constant that is not zero."""
    unit = np.eye(*pi.shape)
    for j in range(pi.shape[1]):
        off = np.abs(pi[:, j] - unit[:, j]).max()
        if off > 1e-3:  # further than rounding, which the constants' own error then is far below
            raised = np.where(np.arange(len(pi)) == j, 1.0, 0.0)
            largest = max(abs(optimal_alpha(pi, m)[j]) for m in (np.zeros(len(pi)), raised))
            # If ln of the column's sum is 0, pi_jj = 1 - d, and alpha_j = ln(1 - d (1 - 1/e)), d at least off / K*.
            assert largest > 1e-6


# --- the evaluation itself ---


def exact_differences(pi, m, t, f):
    """Ln Q(f) - ln Q(t) in 50 digits, from the definition."""
    with mpmath.workdps(50):
        weights = [mpmath.exp(mpmath.mpf(v)) for v in m.tolist()]
        q_t, q_f = (mpmath.fdot(pi[:, i].tolist(), weights) for i in (t, f))
        if not q_t:
            return np.inf if q_f else 0.0
        return float(mpmath.log(q_f / q_t)) if q_f else -np.inf


@st.composite
def pairs(draw):
    """One sample, a process and two different labels, whatever they meet."""
    pi, m = draw(processes())
    t = draw(st.integers(0, pi.shape[1] - 1))
    return pi, m, t, (t + draw(st.integers(1, pi.shape[1] - 1))) % pi.shape[1]


def refused(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        assert "assumes that" in str(error), error  # noqa: PT017 (refusing is what is tested)
        return True
    return False


def never_refusing(function):
    """A claim function that reads every case as one that it knows to be good."""
    return lambda pi, m, t, f=None: function(np.eye(2), [0.0, 0.0], 0, 1)


def exchanged(function):
    return lambda pi, m, t, f=None: function(pi, m, f, t)


@properties.add(
    general_case,
    pairs(),
    {
        "never": never_refusing(general_case),
        "t and f exchanged": exchanged(general_case),
        "likelihood ignored": lambda pi, m, t, f: general_case(np.eye(len(m)), np.where(m[t] < m[f], m, 0), t, f),
    },
)
def general_case_refuses_what_it_does_not_cover(general_case, case):
    """And nothing else: 50 digits decide, where it is not a tie. What is covered has the margin of the proof."""
    _, m, t, f = case
    difference = exact_differences(*case)
    # as large as two log-sum-exps of terms at most 2e4 in size can be off: 4 EPS of the size each, and 60 terms
    tie = 1e-10
    if abs(difference) <= tie:
        return
    assert refused(general_case, *case) == (difference < 0 or m[t] < m[f])
    if difference > 0 and m[t] >= m[f]:
        assert general_case(*case).worst_margin == pytest.approx(difference + m[t] - m[f], abs=tie)


@properties.add(
    symmetric_case,
    pairs(),
    {
        "never": never_refusing(symmetric_case),
        "argmax of K": lambda pi, m, t, f: symmetric_case(np.eye(pi.shape[1]), m[: pi.shape[1]], t),
        "column ignored": lambda pi, m, t, f: symmetric_case(np.eye(len(m)), m, t),
        "rows": lambda pi, m, t, f: symmetric_case(pi.T / pi.T.sum(axis=1, keepdims=True), m, t),
    },
)
def symmetric_case_refuses_what_it_does_not_cover(symmetric_case, case):
    pi, m, t, f = case
    total = pi[:, t].sum()
    if abs(total - 1) > 2e-8 or abs(total - 1) < 1e-12:  # further from the tolerance than rounding
        assert refused(symmetric_case, pi, m, t, f) == (m[t] < m.max() or total > 1 + 1e-8)


@properties.add(
    single_symmetric_case,
    st.one_of(pairs(), unit_columns().map(lambda case: (case.pi, case.m[0], case.t[0], case.f[0]))),
    {
        "never": never_refusing(single_symmetric_case),
        "diagonal alone": lambda pi, m, t, f: single_symmetric_case(
            np.diag(np.diag(pi)) + np.diag(1 - np.diag(pi)), m, t, f
        ),
        "t looked at too": lambda pi, m, t, f: single_symmetric_case(pi, m, f, (f + 1) % pi.shape[1]),
    },
)
def single_symmetric_case_refuses_what_it_does_not_cover(single_symmetric_case, case):
    pi, _, t, f = case
    others = np.setdiff1d(np.arange(pi.shape[1]), [t, f])
    assert refused(single_symmetric_case, *case) == (pi[:, others] != np.eye(*pi.shape)[:, others]).any()


def with_constants(change):
    """2.1 read from other constants: those of t and f are changed, (N,) each."""

    def changed(pi, m, t, f, alpha):
        alpha, n = alpha.copy(), np.arange(len(t))
        alpha[n, t], alpha[n, f] = change(alpha[n, t], alpha[n, f])
        return general_case(pi, m, t, f, alpha=alpha)

    return changed


@properties.add(
    general_case,
    opposed(),
    {
        "alpha_t alone": with_constants(lambda of_t, of_f: (of_t, 0 * of_f)),
        "alpha_f alone": with_constants(lambda of_t, of_f: (0 * of_t, of_f)),
        "sum": with_constants(lambda of_t, of_f: (-of_t, of_f)),
    },
)
def the_general_case_does_not_see_the_gauge(general_case, case):
    alpha = optimal_alpha(case.pi, case.m)
    if np.isneginf(alpha).any():  # without the other two gauges
        return
    margins = [general_case(*case, alpha=to_gauge(alpha, gauge, case.m)).worst_margin for gauge in GAUGES]
    # a gauge is a handful of additions, and a mean of K, of numbers at most 5e4
    np.testing.assert_allclose(margins, margins[0], rtol=0, atol=EPS * 80 * 5e4)


test_property, test_mutant_is_caught = properties.tests()


# --- what is not needed, by example ---


def test_what_the_paper_assumes_and_the_proofs_do_not_use():
    """2.2 where f is the less likely label, pi asymmetric, dependent on x, and K* larger than K."""
    pi = np.stack(
        [outside(3, [[0.0, 0.5, 0.5]]), outside(3, [[0.0, 0.0, 1.0]], [[0.7, 0.3, 0], [0, 1, 0], [0.2, 0, 0.8]])]
    )
    m = np.array([[2.0, 0.0, 1.0, 0.5], [2.0, 1.0, 0.0, 1.5]])
    assert (log_observed_probability(pi, m)[:, 0] > log_observed_probability(pi, m)[:, 1]).all()
    assert symmetric_case(pi, m, 0).holds
    assert single_symmetric_case(outside(3, [[0.5, 0.5, 0.0]]), m, 0, 1).holds


def test_the_premise_is_never_met_where_categories_are_confused_evenly_and_seldom():
    """Q(f) - Q(t) = (1 - r K / (K - 1)) (P(f) - P(t)): below r = (K - 1) / K the likeliest label stays so."""
    m = np.random.RandomState(0).normal(size=(100, 5))
    p = np.exp(m) / np.exp(m).sum(axis=1, keepdims=True)
    for rate in (0.2, 0.79, 0.81):
        q = observed_probability(symmetric(5, rate), m)
        expected = (1 - rate * 5 / 4) * (p[:, 1] - p[:, 0])
        np.testing.assert_allclose(q[:, 1] - q[:, 0], expected, rtol=0, atol=16 * EPS)
        assert ((q.argmax(axis=1) == m.argmax(axis=1)).all()) == (rate < 0.8)


def test_a_label_that_is_never_given():
    """Constants -inf are ordered as numbers are: alpha_t = -inf is at most anything."""
    pi = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert general_case(pi, [1.0, 0.0, 0.0], 0, 1).worst_margin == np.inf
    assert general_case(pi, [1.0, 0.0, 0.0], 0, 2).worst_margin == 0
    assert symmetric_case(pi, [1.0, 0.0, 0.0], 0).holds


def test_the_worst_case_is_named():
    """Of constants that are given: alpha_f - alpha_t is 3, 1 and 2, and alpha_j of the third 1, 2 and -1."""
    alpha = [[0.0, 3.0, 1.0], [0.0, 1.0, 2.0], [0.0, 2.0, -1.0]]
    ties = np.zeros((3, 3))
    result = general_case(np.eye(3), ties, 0, 1, alpha=alpha)
    assert (result.n_cases, result.worst_margin, result.worst_case, result.holds) == (3, 1.0, (1,), True)
    result = single_symmetric_case(np.eye(3), ties, 0, 1, alpha=alpha)
    assert (result.n_cases, result.worst_margin, result.worst_case, result.holds) == (3, -2.0, (1, 2), False)


def test_the_false_label_is_by_default_the_likeliest_other():
    """The first category is less likely than t, so that only the last one meets the paper's premise."""
    pi = [[0.25, 0.0, 0.75], [0.0, 0.75, 0.25], [0.75, 0.25, 0.0]]
    assert symmetric_case(pi, np.log([4, 5, 1]), 1, assume="paper").holds
    assert refused(lambda: symmetric_case(pi, np.log([4, 5, 1]), 1, 0, assume="paper"))
    # t is the only label that is ever given: the others are alike, and none of them is t
    assert symmetric_case([[0.0, 1.0], [0.0, 1.0]], [1.0, 0.0], 0).holds
    assert refused(lambda: symmetric_case([[1.0, 0.0], [1.0, 0.0]], [1.0, 0.0], 0))


def test_two_categories_leave_nothing_for_the_third_claim():
    result = single_symmetric_case(symmetric(2, 0.3), [0.0, 1.0], 0, 1)
    assert result.holds
    assert (result.n_cases, result.worst_margin) == (0, np.inf)


def test_learned_constants_are_judged_with_their_own_error():
    pi, m = symmetric(3, 0.0), [1.0, 0.0, 0.0]
    assert not symmetric_case(pi, m, 0, alpha=[1e-3, 0.0, 0.0]).holds
    assert symmetric_case(pi, m, 0, alpha=[1e-3, 0.0, 0.0], error=2e-3).holds


FIVE = np.tile([1.0, 0.0, 0.0], (7, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: symmetric_case(outside(2, [[1, 0]]), [[3.0, 0, 0]], 0, 1, assume="paper"),
            r"2.2: .*assumes that pi is symmetric: not so at samples \[0\].*shape \(3, 2\), not square",
        ),
        (
            lambda: single_symmetric_case([[0.5, 0.5], [0.1, 0.9]], [1.0, 0], 0, 1, assume="paper"),
            "2.3: .*assumes that pi is symmetric: not so at the only sample, short by 0.4",
        ),
        (
            lambda: symmetric_case(np.stack([np.eye(2), symmetric(2, 0.5)]), [1.0, 0], 0, 1, assume="paper"),
            r"assumes that pi does not depend on x: not so at samples \[0, 1\], short by 0.5",
        ),
        (
            lambda: single_symmetric_case(symmetric(3, 0.5), [1.0, 0, 0], 0, 1, assume="paper"),
            "assumes that pi_jj = 1 for all j but t and f: not so at the only sample, short by 0.5",
        ),
        (
            lambda: symmetric_case(symmetric(2, 0.1), [1.0, 0], 0, assume="paper"),
            r"assumes that Q\(f\|x\) >= Q\(t\|x\): not so",
        ),
        (
            lambda: symmetric_case(np.eye(3), FIVE, [1, 0, 1, 1, 1, 1, 1]),
            r"assumes that t is the argmax of m\* over K\*: not so at samples \[0, 2, 3, 4, 5\] and 1 more, short by 1",
        ),
        (lambda: general_case(np.eye(2), [0.0, 1.0], 0, 1), r"2.1: .*assumes that m\*_t >= m\*_f"),
        (lambda: general_case(np.eye(2), [0.0, 1.0], 1, 1), "t and f are the same at the only sample"),
        (
            lambda: general_case(np.eye(2), [0.0, 1.0], 2, 1),
            "t is array\\(2\\), expected categories of the model, 0..1",
        ),
        (lambda: general_case(np.eye(2), [0.0, 1.0], 0.0, 1), "t is array"),
        (lambda: symmetric_case(np.eye(2), [1.0, 0.0], 0, assume="all"), "assume is 'all', expected 'weaker' or"),
        (lambda: symmetric_case(np.eye(2), [1.0, 0.0], 0, alpha=[0.0]), r"alpha has shape \(1,\) .* expected \(2,\)"),
        (lambda: symmetric_case(np.eye(2), [1.0, 0.0], 0, alpha=[0.0, np.nan]), r"and 1 entries NaN or \+inf"),
        (lambda: general_case(np.eye(2), [0.0, 0.0], 0, 1, alpha=[np.inf, np.inf]), r"and 2 entries NaN or \+inf"),
        (
            lambda: symmetric_case(np.eye(2), [[1.0, 0.0]] * 3, [0, 0]),
            r"t has shape \(2,\), expected \(3,\), a category per sample, or one",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
