"""Constants from the frequencies of drawn labels: the draws, the table's optimum, and the line of their errors.

Draws are held to Bernstein's inequality, each with a chance of 1e-12 to break it; lines to four standard errors, which
are themselves compared with a simulation.
"""

import numpy as np
import pytest
from hypothesis import strategies as st
from mutations import Properties
from scipy.stats import binom, linregress
from strategies import processes, seeds, sizes

from theory.observed import observed_probability
from theory.paper.closed_form import to_gauge
from theory.paper.transitions import outside, pair_flip, symmetric
from theory.trained import learned
from theory.trained.learned import draw_counts, judge_line, learn_constants, sampling_error

EPS = np.finfo(float).eps
properties = Properties()

# --- draws ---


def transposed(pi):
    """Columns for rows; a ValueError where pi is not square or a column is zero."""
    columns = np.swapaxes(pi, -2, -1)
    return columns / columns.sum(axis=-1, keepdims=True)


@properties.add(
    draw_counts,
    st.tuples(processes(samples=True), st.integers(1, 10**6), seeds),
    {
        "transposed pi": lambda pi, m, n, rng: draw_counts(transposed(pi), m, n, rng),
        "true categories": lambda pi, m, n, rng: draw_counts(np.eye(np.shape(pi)[-2]), m, n, rng)[
            :, : np.shape(pi)[-1]
        ],
        "true categories alike": lambda pi, m, n, rng: draw_counts(pi, np.zeros_like(m), n, rng),
        "one label more": lambda pi, m, n, rng: draw_counts(pi, m, n + 1, rng),
        "the first input's process": lambda pi, m, n, rng: draw_counts(pi, np.repeat(m[:1], len(m), axis=0), n, rng),
    },
)
def labels_are_drawn_as_definition_1_says(draw_counts, case):
    (pi, m), n, seed = case
    counts = draw_counts(pi, m, n, np.random.default_rng(seed))
    q = observed_probability(pi, m)
    assert counts.shape == q.shape
    assert (counts.sum(axis=1) == n).all()
    bound = np.log(2e12)
    assert (np.abs(counts - n * q) <= np.sqrt(2 * n * q * (1 - q) * bound) + bound / 3 + 1e-9 * n).all()


# --- the optimum ---


@st.composite
def frequencies(draw):
    """(m (N, K*), q (N, K)): q at least 1 / 2K, logits up to about 100."""
    rng = np.random.RandomState(draw(seeds))
    k = draw(sizes(2, 20))
    n, k_true = draw(st.integers(1, 4)), k + draw(st.integers(0, 2))
    q = 0.5 * rng.dirichlet(np.ones(k), size=n) + 0.5 / k
    return draw(st.sampled_from([1e-3, 1.0, 30.0])) * rng.normal(size=(n, k_true)), q


def in_gauge(closed_form):
    return lambda m, q: to_gauge(closed_form(m[:, : q.shape[1]], q), "partition", m)


@properties.add(
    learn_constants,
    frequencies(),
    {
        "wrong sign": in_gauge(lambda m, q: m - np.log(q)),
        "no logarithm": in_gauge(lambda m, q: q - m),
        "not at its end": lambda m, q: learn_constants(m, q, tolerance=1e-3),
        "mean-centred": lambda m, q: to_gauge(learn_constants(m, q), "mean_centered"),
        "gauge of K": lambda m, q: to_gauge(learn_constants(m, q), "partition", m[:, : q.shape[1]]),
    },
)
def the_table_ends_at_the_closed_form(learn_constants, case):
    m, q = case
    optimum = to_gauge(np.log(q) - m[:, : q.shape[1]], "partition", m)
    # ln(1 + g / q), of a gradient of at most 1e-12, and roundings of logits
    atol = 1.1e-12 / q.min() + 32 * EPS * (1 + np.abs(m).max())
    np.testing.assert_allclose(learn_constants(m, q), optimum, rtol=0, atol=atol)


# --- the line ---


@st.composite
def lines(draw):
    """(n, spectrum (R, d), seed): 200 to 500 numbers of unlike size."""
    rng = np.random.RandomState(draw(seeds))
    n = np.array(draw(st.sampled_from([(10, 100), (100, 300, 1000), (1, 2, 4, 1000)])))
    return n, rng.gamma(draw(st.sampled_from([0.5, 2.0])), size=(100, draw(st.integers(2, 5)))), draw(seeds)


def with_spectrum(change):
    return lambda claim, given, n, errors, spectrum, order: judge_line(claim, given, n, errors, change(spectrum), order)


@properties.add(
    judge_line,
    lines(),
    {
        "squares": with_spectrum(np.square),
        "all alike": with_spectrum(lambda spectrum: np.full_like(spectrum, spectrum.mean())),
        "sums": with_spectrum(lambda spectrum: spectrum.sum(axis=1, keepdims=True)),
        "errors squared": lambda claim, given, n, errors, *rest: judge_line(claim, given, n, errors**2, *rest),
        "logarithm to base 10": lambda claim, given, n, *rest: judge_line(claim, given, 10 ** np.log(n), *rest),
    },
)
def slope_and_height_are_those_of_a_simulation(judge_line, case):
    n, spectrum, seed = case
    rng = np.random.default_rng(seed)
    experiments = 500
    squared = rng.chisquare(1, size=(experiments * len(n), spectrum.size)) @ spectrum.ravel() / len(spectrum)
    errors = np.sqrt(squared.reshape(experiments, -1) / n)
    found = judge_line("", (), n, errors[0], spectrum, 0.0)
    assert found.slope == pytest.approx(linregress(np.log(n), np.log(errors[0])).slope, abs=1e-12)
    # A standard deviation of 500 is known to 3.2 %: five of it. The logarithm is linear, relative to its deviation, to
    # about its variance, 0.5 over some 60 effective numbers, and its mean is off zero by as much.
    slopes = np.polyfit(np.log(n), np.log(errors).T, 1)[0]
    assert found.slope_error == pytest.approx(slopes.std(), rel=0.17)
    scatter = np.log(errors).std(axis=0)
    assert (np.abs(np.log(errors / found.predicted).mean(axis=0)) <= 5 * scatter / np.sqrt(experiments) + 0.01).all()


def patched(name, change):
    """The claim with one part of it replaced: what is learned, or what it is learned from."""

    def claim(**parameters):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(learned, name, change(getattr(learned, name)))
            return sampling_error(**parameters)

    return claim


@properties.add(
    sampling_error,
    st.tuples(st.sampled_from([None, pair_flip(2, 0.3), outside(3, [[0.2, 0.3, 0.5]], symmetric(3, 0.5))]), seeds),
    {
        "half of the labels": patched(
            "draw_counts", lambda draw: lambda pi, m, n, rng: 2 * draw(pi, m, n // 2, rng) + (n % 2)
        ),
        "labels of a neighbouring process": patched(
            "draw_counts", lambda draw: lambda pi, m, n, rng: draw(0.95 * pi + 0.05 * pi[::-1], m, n, rng)
        ),
        "another gauge": patched("learn_constants", lambda learn: lambda m, q: to_gauge(learn(m, q), "mean_centered")),
        "half way": patched("learn_constants", lambda learn: lambda m, q: learn(m, q) / 2),
    },
)
def errors_fall_as_the_line_says(sampling_error, case):
    pi, seed = case
    result = sampling_error(n_labels=(300, 1000, 10_000), pi=pi, n_inputs=200, random_state=seed)
    assert result.holds, result


test_property, test_mutant_is_caught = properties.tests()


# --- by example ---


@pytest.mark.parametrize("q", [(0.2, 0.3, 0.5), (0.05, 0.95), (0.1,) * 10, (0.01, 0.19, 0.8)])
def test_the_next_order_against_sums_over_the_binomial(q):
    """Exactly: the mean of sum_i Q_i (ln Qhat_i - ln Q_i)^2 exceeds (K - 1) / n by at most 1.75 / (n min Q) of it."""
    q = np.array(q)
    for n in (int(60 / q.min()), int(600 / q.min())):
        drawn = np.arange(1, n + 1)
        mean = sum(p * (binom.pmf(drawn, n, p) @ np.log(drawn / n / p) ** 2) for p in q)
        excess = mean / ((len(q) - 1) / n) - 1
        series = ((1 - q) * (1.75 - 0.75 * q) / q).sum() / (len(q) - 1) / n
        # the order after it is, relative to it, a few times 1 / (n min Q): 1/60 and 1/600
        assert excess == pytest.approx(series, rel=8 / (n * q.min()))
        assert 0 < series <= 1.75 / (n * q.min())


def test_errors_over_three_decades():
    result = sampling_error()
    assert result.holds
    assert result.n_cases == 7000
    assert result.slope == pytest.approx(-0.5, abs=0.015)
    np.testing.assert_allclose(result.predicted, np.sqrt(2 / result.n_labels), rtol=1e-12)
    assert "holds" in str(result)


@pytest.mark.parametrize(("tilt", "shift", "holds"), [(0, 3, True), (0, 5, False), (3, 0, True), (5, 0, False)])
def test_a_line_may_be_off_by_four_standard_errors(tilt, shift, holds):
    n, spectrum = np.array([100, 1000, 10_000]), np.ones((500, 2))
    deviation = np.sqrt(0.5 / 1000)
    slope_error = deviation / np.sqrt(2 * np.log(10) ** 2)
    errors = np.sqrt(2 / n) * np.exp(shift * deviation) * (n / 1000) ** (tilt * slope_error)
    result = judge_line("", (), n, errors, spectrum, 0.0)
    assert result.slope_error == pytest.approx(slope_error)
    assert result.holds is holds
    assert judge_line("", (), n, errors, spectrum, 1e4).holds  # allowed on top: 1 at the last n


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: draw_counts(np.ones((2, 2)), np.zeros((3, 2)), 5, None), ValueError, "rows .* sum to"),
        (lambda: draw_counts(np.eye(3), np.zeros((3, 2)), 5, None), ValueError, "m has 2 logits and pi 3 rows"),
        (lambda: learn_constants(np.zeros((1, 2)), [[1.0, 0.0]]), ValueError, "1 entries that are not positive"),
        (lambda: learn_constants(np.zeros((1, 2)), [[1.0, np.nan]]), ValueError, "1 entries that are not positive"),
        (
            lambda: learn_constants(np.zeros((1, 2)), [[1 - 1e-9, 1e-9]], lr=1e-3, max_steps=10),
            RuntimeError,
            "10 steps were not enough: the least frequency is 1.0e-09",
        ),
        (lambda: sampling_error((5, 50)), ValueError, "n_labels has 5, of which .* inputs miss a label"),
        (lambda: sampling_error((100,)), ValueError, r"n_labels is \[100\], expected at least two"),
        (lambda: sampling_error((1000, 500)), ValueError, "expected at least two, rising"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
