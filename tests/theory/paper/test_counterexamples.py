"""Counterexamples to Theorem 2, by hand: every number again in fractions, and every assumption dropped alone.

All numbers of the examples are fractions of small denominators, exact in float64, so that the fractions decide without
a tolerance what is met and what fails. Floating point is off by a logarithm, an exponential and a dozen roundings of
numbers below ten.
"""

import math
from dataclasses import replace
from fractions import Fraction
from operator import attrgetter

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from mutations import Properties

from theory.paper.closed_form import GAUGES, optimal_alpha, to_gauge
from theory.paper.counterexamples import (
    COUNTEREXAMPLES,
    FREQUENCIES,
    GAUGE,
    LOGITS,
    WIDTH,
    Counterexample,
    not_needed,
    of_case,
    positive_for_another_label,
    table,
)
from theory.paper.theorem2 import ASSUMPTIONS, CASES, general_case, single_symmetric_case, symmetric_case

EPS = np.finfo(float).eps
FUNCTIONS = {"general": general_case, "symmetric": symmetric_case, "single symmetric": single_symmetric_case}
# Two examples need an asymmetric pi for another drop: the argmax outside of K has K* > K, and the mean-centred claim is
# true of symmetric pi.
NOT_SYMMETRIC_EITHER = ("2.2, the argmax of K but not of K*", "2.2, mean zero")
examples = st.sampled_from(list(COUNTEREXAMPLES.values()))
properties = Properties()


# --- by hand ---


def column(example, i):
    return [Fraction(row[i]) for row in example.pi]


def weighed(example):
    """[sum_k pi_ki exp(m_k) for i in K]: Q, times a number."""
    n_observed = len(example.pi[0])
    return [sum(p * w for p, w in zip(column(example, i), example.exp_m, strict=True)) for i in range(n_observed)]


def exponentials_by_hand(example):
    """exp(alpha) in the partition gauge, and in any other up to a factor: labels over exp(logits), times the sum."""
    sums = example.exp_m if example.exp_logits is None else example.exp_logits
    q = [w / sum(example.exp_m) for w in weighed(example)] if example.frequencies is None else example.frequencies
    return [Fraction(v) * sum(sums) / e for v, e in zip(q, sums, strict=False)]


def alpha_by_hand(example):
    exponentials = exponentials_by_hand(example)
    if example.gauge == "mean_centered":
        logarithms = np.log([float(v) for v in exponentials])
        return logarithms - logarithms.mean()
    unit = exponentials[0] if example.gauge == "first_zero" else 1
    return np.array([math.log(v / unit) if v else -math.inf for v in exponentials])


def met_by_hand(example):
    """Each of ASSUMPTIONS, from the definition and without its tolerance, and the three of the module."""
    pi, (t, f) = [[Fraction(p) for p in row] for row in example.pi], (example.t, example.f)
    k_true, k = len(pi), len(pi[0])
    others = [j for j in range(k) if j not in (t, f)]
    q = weighed(example)
    return {
        "Q(f|x) >= Q(t|x)": q[f] >= q[t],
        "m*_t >= m*_f": example.exp_m[t] >= example.exp_m[f],
        "t is the argmax of m* over K*": example.exp_m[t] == max(example.exp_m),
        "column t of pi sums to at most 1": sum(column(example, t)) <= 1,
        "column j of pi is unit, for all j but t and f": all(
            column(example, j) == [int(i == j) for i in range(k_true)] for j in others
        ),
        "pi is symmetric": k_true == k and all(pi[a][b] == pi[b][a] for a in range(k) for b in range(k)),
        "pi does not depend on x": True,
        "pi_jj = 1 for all j but t and f": all(pi[j][j] == 1 for j in others),
        FREQUENCIES: example.frequencies is None,
        GAUGE: example.gauge == "partition",
        LOGITS: example.exp_logits is None,
    }


# --- properties, each of all examples ---


@properties.add(
    attrgetter("alpha"),
    examples,
    {
        "wrong sign": lambda e: -e.alpha,
        "rows reversed": lambda e: replace(e, pi=e.pi[::-1]).alpha,
        "gauge forgotten": lambda e: replace(e, gauge="partition").alpha,
        "frequencies forgotten": lambda e: replace(e, frequencies=None).alpha,
        "logits forgotten": lambda e: replace(e, exp_logits=None).alpha,
        "partition function of K": lambda e: e.alpha - np.log(sum(e.exp_m) / sum(e.exp_m[: len(e.alpha)])),
    },
)
def constants_are_those_found_by_hand(alpha, example):
    found = alpha(example)
    np.testing.assert_allclose(found, alpha_by_hand(example), rtol=0, atol=32 * EPS)


@properties.add(
    lambda e: (e.margin, e.alpha),
    examples,
    {
        "t and f exchanged": lambda e: (replace(e, t=e.f, f=e.t).margin, e.alpha),
        "frequencies forgotten": lambda e: (replace(e, frequencies=None).margin, e.alpha),
        "gauge forgotten": lambda e: (replace(e, gauge="partition").margin, e.alpha),
        "another case": lambda e: (
            replace(e, case={"general": "symmetric", "symmetric": "single symmetric"}.get(e.case, "general")).margin,
            e.alpha,
        ),
    },
)
def the_claim_fails_by_its_margin(evaluated, example):
    """By more than 0.05, so that no printed margin is a matter of rounding."""
    margin, alpha = evaluated(example)
    others = [j for j in range(len(alpha)) if j not in (example.t, example.f)]
    violations = {
        "general": lambda: alpha[example.t] - alpha[example.f],
        "symmetric": lambda: alpha[example.t],
        "single symmetric": lambda: max(abs(alpha[j]) for j in others),
    }
    assert violations[example.case]() == -margin
    assert margin < -0.05


@properties.add(
    attrgetter("met"),
    examples,
    {
        "all": lambda e: dict.fromkeys(e.met, True),
        "rows reversed": lambda e: replace(e, pi=e.pi[::-1]).met,
        "t and f exchanged": lambda e: replace(e, t=e.f, f=e.t).met,
        "those that suffice": lambda e: {a: m for a, m in e.met.items() if a not in CASES[e.case].paper},
        "gauge forgotten": lambda e: replace(e, gauge="partition").met,
    },
)
def assumptions_are_met_as_a_hand_finds_them(met, example):
    case, found = CASES[example.case], met(example)
    assert set(found) == {
        *case.weaker,
        *case.paper,
        FREQUENCIES,
        LOGITS,
        *([GAUGE] if example.case != "general" else []),
    }
    by_hand = met_by_hand(example)
    assert found == {name: by_hand[name] for name in found}


@properties.add(
    attrgetter("met", "dropped", "dropped_of_paper"),
    examples,
    {
        "two at once": lambda e: (e.met | {LOGITS: False, FREQUENCIES: False}, e.dropped, e.dropped_of_paper),
        "what is met": lambda e: (e.met, next(a for a, met in e.met.items() if met), e.dropped_of_paper),
        "the paper's forgotten": lambda e: (e.met, e.dropped, ()),
        "the paper's, all": lambda e: (e.met, e.dropped, CASES[e.case].paper),
    },
)
def one_assumption_is_dropped_alone(read, example):
    """Of those that suffice and the module's exactly one; of the paper's the one that implies it, and no other."""
    met, dropped, of_paper = read(example)
    case = CASES[example.case]
    unmet = [name for name, is_met in met.items() if not is_met]
    assert [name for name in unmet if name in case.weaker or name not in case.paper] == [dropped]
    assert set(of_paper) == set(unmet) & set(case.paper)
    expected = 1 if dropped in ASSUMPTIONS else 0
    assert len(of_paper) == expected + (example.name in NOT_SYMMETRIC_EITHER)


def told(example, **changes):
    """The verdict on the example, some of it put right: does its claim hold, or is it refused, and why?"""
    whole = replace(example, **changes)
    try:
        return FUNCTIONS[whole.case](whole.pi, whole.m, whole.t, whole.f, alpha=whole.alpha).holds
    except ValueError as error:
        return str(error)


@properties.add(
    told,
    examples,
    {
        "always true": lambda e, **changes: True,
        "never refused": lambda e, **changes: False,
        "nothing put right": lambda e, **changes: told(e),
    },
)
def the_theorem_refuses_it_or_finds_the_failure(told, example):
    """Refused for what is dropped, where that is seen; else the claim fails, and holds again with that put right."""
    verdict = told(example)
    if example.dropped in ASSUMPTIONS:
        assert f"assumes that {example.dropped}: not so at the only sample" in str(verdict)
    else:
        assert verdict is False
        assert told(example, gauge="partition", exp_logits=None, frequencies=None) is True


test_property, test_mutant_is_caught = properties.tests()


# --- all together ---


@pytest.mark.parametrize("name", COUNTEREXAMPLES)
def test_the_gradient_in_alpha_is_zero(name):
    """By autograd, and with other logits too: what the claim is about is a minimiser of the loss."""
    example = COUNTEREXAMPLES[name]
    labels = torch.tensor([float(v) for v in example.frequencies or weighed(example)], dtype=torch.float64)
    labels /= labels.sum()
    logits = torch.log(torch.tensor(example.exp_logits or example.exp_m, dtype=torch.float64))[: len(labels)]
    alpha = torch.tensor(example.alpha, requires_grad=True)
    log_p = torch.log_softmax(logits + alpha, dim=0)
    loss = -torch.where(labels > 0, labels * log_p, 0.0).sum()
    (gradient,) = torch.autograd.grad(loss, alpha)
    assert gradient.abs().max() <= 16 * EPS


def test_every_assumption_has_a_counterexample():
    """Each that suffices, each of the module, both other gauges; and each of the paper's that its proof uses."""
    of_module = {"general": (FREQUENCIES, LOGITS), "symmetric": (FREQUENCIES, LOGITS, GAUGE)}
    for key, case in CASES.items():
        found = of_case(key)
        assert {example.dropped for example in found} == {*case.weaker, *of_module.get(key, of_module["symmetric"])}
        alone = {example.dropped_of_paper[0] for example in found if len(example.dropped_of_paper) == 1}
        assert set(case.paper) - alone == set(not_needed(key))
        gauges = {example.gauge for example in found}
        assert gauges == ({"partition"} if key == "general" else set(GAUGES))
    assert sum(len(of_case(key)) for key in CASES) == len(COUNTEREXAMPLES)


def test_what_the_proofs_do_not_use():
    """That it is not needed, and not merely without example, is tested with the theorem, on its weaker assumptions."""
    assert not_needed("general") == []
    assert not_needed("symmetric") == ["pi does not depend on x", "Q(f|x) >= Q(t|x)"]
    assert not_needed("single symmetric") == [
        "pi does not depend on x",
        "Q(f|x) >= Q(t|x)",
        "t is the argmax of m* over K*",
    ]


@pytest.mark.parametrize("case", ["symmetric", "single symmetric"])
def test_the_paper_contradicts_itself_in_its_own_gauge(case):
    """With the first constant zero and all that the paper assumes, 2.2 and 2.3 fail; 2.1 holds in every gauge."""
    (example,) = [example for example in of_case(case) if example.gauge == "first_zero"]
    arguments = (example.pi, example.m, example.t, example.f)
    moved = to_gauge(optimal_alpha(example.pi, example.m), "first_zero")
    assert moved[0] == 0
    assert FUNCTIONS[case](*arguments, assume="paper").holds
    assert not FUNCTIONS[case](*arguments, assume="paper", alpha=moved).holds
    assert general_case(*arguments, assume="paper", alpha=moved).holds


def test_an_example_prints_all_of_itself():
    assert str(COUNTEREXAMPLES["2.2, an outside category labelled t"]) == (
        "2.2, an outside category labelled t: alpha_t <= 0, fails by 0.1823\n"
        "  without: column t of pi sums to at most 1\n"
        "  and of the paper's: pi is symmetric\n"
        "  pi = [1, 0], [0, 1], [0.25, 0.75]; m* = ln [5, 4, 4]; t = 0, f = 1\n"
        "  alpha = ln [1.2, 1.75] = [0.1823, 0.5596], partition gauge\n"
        "  Labels inside of the set are right, as in the paper's definition of the outside case."
    )
    example = Counterexample("name", "general", ((0.5, 0.5),) * 2, (2, 1), exp_logits=(1, 2), frequencies=(1.0, 0.0))
    assert "  logits of the model: ln [1, 2]\n  frequencies of the labels: [1, 0]\n" in str(example)
    assert str(example).endswith("  alpha = ln [3, 0] = [1.099, -inf], partition gauge")


def test_the_table_shows_every_case_and_example():
    text = table()
    for case in CASES.values():
        assert f"{case.claim}\n  the paper assumes: " in text
    for example in COUNTEREXAMPLES.values():
        assert str(example).replace("\n", "\n  ") in text
    assert text.count("  not needed: ") == 3
    assert text.count("  not needed: nothing\n") == 1
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_another_label_has_a_positive_constant_in_most_draws():
    """Under symmetric pi, for t not the argmax. The count is of this seed; the share does not hang on it."""
    n_positive, n_draws = positive_for_another_label()
    assert (n_positive, n_draws) == (15_425, 20_000)
    more, of = positive_for_another_label(n_matrices=200, random_state=1)
    # draws of one matrix depend on each other: 200 matrices, at worst each all or nothing, deviate by 0.03
    assert abs(more / of - n_positive / n_draws) < 0.12
