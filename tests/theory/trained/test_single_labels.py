"""Constants learned label by label: the table against a loop over rows, and the lines of the three schedules.

Lines are held to four standard errors, and to c / n for what is not linear; the claims run on 200 to 300 inputs, where
four standard errors of a height are 14 to 18 %.
"""

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from scipy.special import softmax
from strategies import processes, seeds

from theory.paper.closed_form import to_gauge
from theory.trained import single_labels
from theory.trained.learned import constants_world, draw_counts, root_error
from theory.trained.single_labels import single_label_error, visit_labels

EPS = np.finfo(float).eps
properties = Properties()


def by_rows(pi, m, n_labels, rate, rng, *, average=False, batch_size=2, labels_of=None, rate_of=None):
    """The same training, a row at a time."""
    n_observed = pi.shape[-1]
    logits = m[:, :n_observed]
    alpha, passed = np.zeros_like(logits), []
    for t in range(1, n_labels + 1):
        labels = draw_counts(pi, m, 1, rng).argmax(axis=1)
        order = rng.permutation(len(m))
        for position, n in enumerate(order):
            label = labels[n] if labels_of is None else labels_of(labels, position)
            g = softmax(logits[n] + alpha[n]) - np.eye(n_observed)[label]
            alpha[n] -= rate(t if rate_of is None else rate_of(t, position // batch_size, len(m))) * g
        passed.append(alpha.copy())
    return to_gauge(np.mean(passed, axis=0) if average else alpha, "partition", m)


@st.composite
def trainings(draw):
    """(pi, m, parameters): few visits, batches that do not divide the inputs, rates up to 2."""
    pi, m = draw(processes(samples=True))
    first, power = draw(st.sampled_from([0.1, 1.0, 2.0])), draw(st.sampled_from([0.0, 0.6, 1.0]))
    return (
        pi,
        np.clip(m, -100, 100),
        {
            "n_labels": draw(st.integers(1, 5)),
            "rate": lambda t: first * t**-power,
            "average": draw(st.booleans()),
            "batch_size": draw(st.integers(1, 3)),
        },
        draw(seeds),
    )


@properties.add(
    visit_labels,
    trainings(),
    {
        "another batch's labels": lambda *a, **k: by_rows(*a, **k, labels_of=lambda labels, position: labels[position]),
        "rate of the table's steps": lambda *a, **k: by_rows(
            *a, **k, rate_of=lambda t, batch, n: (t - 1) * -(-n // k["batch_size"]) + batch + 1
        ),
        "last for average": lambda *a, average, **k: by_rows(*a, **k, average=not average),
        "wrong sign": lambda *a, rate, **k: by_rows(*a, **k, rate=lambda t: -rate(t)),
        "counted from zero": lambda *a, rate, **k: by_rows(*a, **k, rate=lambda t: rate(t + 1)),
    },
)
def visits_are_those_of_a_loop_over_rows(visit_labels, case):
    pi, m, parameters, seed = case
    found = visit_labels(pi, m, rng=np.random.default_rng(seed), **parameters)
    expected = by_rows(pi, m, rng=np.random.default_rng(seed), **parameters)
    # a row moves by at most 2 a visit; softmax and the gauge round numbers of the size of the logits, up to 100
    np.testing.assert_allclose(found, expected, rtol=0, atol=1000 * EPS * (1 + np.abs(m).max()))


def patched(change):
    """The claim, with the table trained in another way."""

    def claim(*args, **parameters):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(single_labels, "visit_labels", change)
            return single_label_error(*args, **parameters)

    return claim


@properties.add(
    single_label_error,
    st.tuples(st.sampled_from([1.0, 2.0]), st.integers(0, 3)),
    {
        "a quarter of the rate": patched(lambda pi, m, n, rate, rng, **k: visit_labels(
            pi, m, n, lambda t: rate(t) / 4, rng, **k)),
        "four times the rate": patched(lambda pi, m, n, rate, rng, **k: visit_labels(
            pi, m, n, lambda t: 4 * rate(t), rng, **k)),
        "the rate does not fall": patched(lambda pi, m, n, rate, rng, **k: visit_labels(
            pi, m, n, lambda t: rate(10), rng, **k)),
        "true categories": patched(lambda pi, m, n, rate, rng, **k: visit_labels(
            np.eye(len(pi)), m, n, rate, rng, **k)),
        "half of the labels": patched(lambda pi, m, n, rate, rng, **k: visit_labels(
            pi, m, n // 2, rate, rng, **k)),
    },
)  # fmt: skip
def rates_like_1_over_t_lie_on_their_line(single_label_error, case):
    scale, seed = case
    result = single_label_error((50, 200), n_inputs=200, scale=scale, random_state=seed)
    assert result.holds, result


test_property, test_mutant_is_caught = properties.tests()


def test_three_schedules():
    result = single_label_error((100, 1000), n_inputs=300)
    assert result.holds
    four = 4 * np.sqrt(0.5 / 600)  # standard errors of a logarithm: 600 chi-squares
    # The average: not below the optimum's line, and nearer to it with more labels. Over six seeds 1.22 to 1.26 times
    # it at 100 labels, and 1.03 to 1.12 at 1000.
    above = result.average / result.average_predicted
    assert above.min() > 1 - four
    assert above[1] < above[0]
    assert above[1] < 1.1 + four
    assert result.average[1] < result.average[0] / 2
    # A constant rate: no nearer with more labels. To first order in the rate, 0.1, and after 100 visits, which forget
    # the start to within (1 - 0.1 b)^100, at most 0.13.
    np.testing.assert_allclose(result.constant, result.constant_predicted, rtol=four + 0.1)
    np.testing.assert_allclose(result.average_predicted, np.sqrt([0.02, 0.002]))


def test_a_rate_that_falls_too_soon():
    """With c = 1 / (4 min Q) the error falls as n^(-c b), b from min Q to twice it: not as n^(-1/2)."""
    pi, m, q, alpha, rng = constants_world(None, 300, 0)
    c = 0.25 / q.min()
    errors = [root_error(visit_labels(pi, m, n, lambda t: c / (t + c), rng), alpha, q) for n in (100, 1000)]
    slope = np.log10(errors[1] / errors[0])
    # chance moves it by 0.02; measured -0.24, the slow directions' -1/4
    assert -0.35 < slope < -0.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: single_label_error(scale=0.5), "scale is 0.5 and min Q .*, expected above 1/2"),
        (lambda: single_label_error(pi=np.eye(3)[[0, 0, 1]]), "min Q 0.0e"),
        (lambda: single_label_error((20,), n_inputs=2), "expected at least two, rising"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
