"""Table 1: its constants to the printed digit, computed and learned, and where its text has the other sign."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from strategies import seeds

from theory.paper.closed_form import optimal_alpha, to_gauge
from theory.paper.table1 import DISAGREEMENT, TABLE1, Part, constants, learn, printed, report
from theory.paper.theorem2 import general_case, single_symmetric_case, symmetric_case
from theory.paper.transitions import single_symmetric

EPS = np.finfo(float).eps
properties = Properties()
parts = st.sampled_from(TABLE1)


@properties.add(
    constants,
    parts,
    {
        "the text's sign": lambda m, c: np.asarray(m) - np.asarray(c),
        "the biased output": lambda m, c: np.asarray(c),
        "first constant zero": lambda m, c: (alpha := constants(m, c)) - alpha[0],
        "mean zero": lambda m, c: (alpha := constants(m, c)) - alpha.mean(),
        "of probabilities": lambda m, c: np.exp(c) / np.exp(c).sum() - np.exp(m) / np.exp(m).sum(),
    },
)
def constants_are_those_printed(constants, part):
    alpha = constants(part.m, part.c)
    assert printed(alpha) == printed(part.alpha)
    # the printed decimals and their difference are each rounded, below one: the digits are no accident of rounding
    np.testing.assert_allclose(alpha, part.alpha, rtol=0, atol=2 * EPS)


def learned_from(change):
    """Learn from changed parts, and take the result for the parts themselves."""
    return lambda parts: [replace(b, part=a) for a, b in zip(parts, learn([change(p) for p in parts]), strict=True)]


@st.composite
def random_parts(draw):
    """The table's three, or parts of their kind: K of 2 to 4, outputs from 0 to 1, up to two categories outside."""
    if draw(st.booleans()):
        return list(TABLE1)
    rng = np.random.RandomState(draw(seeds))
    k, outside = draw(st.integers(2, 4)), draw(st.integers(0, 2))
    pairs = [np.round(rng.uniform(size=(2, k + outside)), 1) for _ in range(draw(st.integers(1, 5)))]
    return [Part("", "", 1, (1,), k, tuple(m), tuple(c), tuple(c - m)) for m, c in pairs]


@properties.add(
    learn,
    random_parts(),
    {
        "the text's sign": learned_from(lambda part: replace(part, m=part.c, c=part.m)),
        "not yet there": lambda parts: learn(parts, n_steps=10),
        "true outputs forgotten": learned_from(lambda part: replace(part, m=(0.0,) * len(part.m))),
        "all of K*": learned_from(lambda part: replace(part, n_observed=len(part.m))),
    },
)
def learned_constants_are_the_table_up_to_a_number_per_row(learn, parts):
    """And the number is known: a row that starts at zero keeps mean zero."""
    for learned in learn(parts):
        expected = np.array(learned.part.alpha[: learned.part.n_observed])
        assert learned.alpha.shape == expected.shape
        # Descent stops moving at a gradient of some EPS, which the least curvature, the least probability (above 1/10
        # here), makes ten times as many in alpha; a mean drifts by EPS / 2 a step at most, 400 of them: 45e-15.
        np.testing.assert_allclose(learned.alpha, expected - expected.mean(), rtol=0, atol=1e-13)
        assert learned.error <= 1e-13
        assert learned.shift == pytest.approx(expected.mean(), abs=1e-13)


test_property, test_mutant_is_caught = properties.tests()


def test_part_a_is_two_categories_always_taken_for_each_other():
    part = TABLE1[0]
    alpha = optimal_alpha(single_symmetric(3, 0, 2, 1.0), part.m)
    np.testing.assert_allclose(alpha, part.alpha, rtol=0, atol=2 * EPS)
    np.testing.assert_allclose(learn()[0].alpha, to_gauge(alpha, "mean_centered"), rtol=0, atol=1e-13)


def test_theorem_2_holds_of_part_a_and_not_with_the_sign_of_the_text():
    part = TABLE1[0]
    pi, true, false = single_symmetric(3, 0, 2, 1.0), part.true[0] - 1, part.observed - 1
    for claim in (general_case, symmetric_case, single_symmetric_case):
        assert claim(pi, part.m, true, false, alpha=part.alpha, assume="paper").holds
    text = -np.array(part.alpha)
    assert not general_case(pi, part.m, true, false, alpha=text).holds
    assert not symmetric_case(pi, part.m, true, false, alpha=text).holds


def test_the_true_categories_that_are_not_observed_have_the_least_constant():
    """What the text says of each part, counting category 4 of (B)."""
    for part in TABLE1:
        unobserved = [i for i in part.true if i != part.observed]
        assert all(part.alpha[i - 1] == min(part.alpha) == -0.7 for i in unobserved)
        assert part.alpha[part.observed - 1] == max(part.alpha)


def test_printed_has_one_decimal_and_no_negative_zero():
    assert printed([0.1 - 0.8, -0.04, 0.0, 0.25 + EPS]) == ("-0.7", "0.0", "0.0", "0.3")


def test_the_report_shows_every_number_and_the_disagreement():
    text = report()
    assert text.endswith(DISAGREEMENT)
    assert text.count("0.7   0.0  -0.7") == 3  # part (A): printed, computed, learned
    assert text.count("0.7   0.0   0.0  -0.7") == 2  # part (B): category 4 is not learned
    assert text.count("largest error") == 3


def test_parts_are_learned_together_only_if_they_have_the_same_categories():
    with pytest.raises(ValueError, match="have 2 and 3 categories, expected one number for all"):
        learn([TABLE1[0], replace(TABLE1[1], n_observed=2)])
