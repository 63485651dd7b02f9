"""Whether predictions that have not seen the labels are evidence that some are wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, softmax

from acestimator.channel import temperature
from acestimator.evidence import even_floor, even_likelihood, excess, supported


def draw(seed, n_samples=2000, n_classes=4, noise=0.0, scale=3.0, pair=False):
    """Logits (N, K) whose probabilities are right at a temperature of 1, and observed labels (N,)."""
    rng = np.random.RandomState(seed)
    logits = scale * rng.normal(size=(n_samples, n_classes))
    true = np.array([rng.choice(n_classes, p=p) for p in softmax(logits, axis=1)])
    step = 1 if pair else rng.randint(1, n_classes, size=n_samples)
    labels = np.where(rng.uniform(size=n_samples) < noise, (true + step) % n_classes, true)
    return torch.from_numpy(logits), torch.from_numpy(labels)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_overlap_is_no_evidence_however_much_of_it_there_is(scale):
    """In one draw of twenty, by each of two tests, it may seem to be."""
    found = [supported(*draw(seed, n_samples=500, scale=scale), 0.1) > 0 for seed in range(40)]
    assert np.mean(found) <= 0.15


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_even_noise_is_found_where_some_predictions_are_sure(noise, n_classes):
    logits, labels = draw(1, noise=noise, n_classes=n_classes)
    floor = even_floor(logits / 2.0, labels)
    assert floor.rate == pytest.approx(noise, abs=0.03)
    assert floor.low < noise
    assert floor.rate - floor.low < 0.06
    found, _ = temperature(logits / 2.0, labels)
    are_mistakes = excess(logits / 2.0 / found, labels) > 1.645
    lows = [supported(logits / 2.0, labels, low) for low in (0.01, 0.8)]
    assert lows == pytest.approx([floor.low, 0.8 if are_mistakes else floor.low])


def test_a_floor_that_is_hardly_significant_is_not_relied_on_for_more_than_the_mistakes():
    found = []
    for seed in range(40):
        logits, labels = draw(seed, n_samples=150, noise=0.15)
        t, without = temperature(logits, labels)
        floor, z = even_floor(logits, labels), excess(logits / t, labels)
        gain = 150 * (floor.log_likelihood - without)
        if z < 1.645 and 1.36 < gain < 4.5:
            found.append(supported(logits, labels, 0.001))
            assert supported(logits, labels, 0.9) == pytest.approx(floor.low)
    assert len(found) > 2
    assert set(found) == {0.001}


def test_predictions_that_are_too_sure_of_the_surest_are_evidence():
    """A network that has learnt pair flips as far as its doubts go explains its labels without any floor."""
    logits, labels = draw(0, noise=0.3, pair=True)
    proba = torch.softmax(logits, dim=1)
    half_learnt = (0.7 * proba + 0.3 * proba.roll(1, dims=1)).log()
    top = proba.amax(dim=1, keepdim=True)
    said = torch.where(top > 0.9, logits, half_learnt)
    found, _ = temperature(said, labels)
    assert excess(said / found, labels) > 3
    assert supported(said, labels, 0.2) == max(0.2, even_floor(said, labels).low)


@given(st.integers(0, 1000), st.integers(2, 5))
def test_the_floor_is_the_best_of_all_rates_and_temperatures(seed, n_classes):
    logits, labels = draw(seed, n_samples=60, n_classes=n_classes, noise=0.2, scale=2.0)
    floor, share = even_floor(logits, labels), torch.full((60,), 1 / 60, dtype=torch.float64)
    logits = logits - logits.amax(dim=1, keepdim=True)
    for start in ((-3.0, 0.0), (0.0, 0.5), (-1.0, -1.0)):
        fit = minimize(
            lambda at: -even_likelihood(logits, labels, share, float(expit(at[0])), float(np.exp(at[1])))[0],
            start,
            method="Nelder-Mead",
            bounds=[(-13.8, 2.19), (-2.0, 2.9)],
        )
        assert floor.log_likelihood >= -fit.fun - 1e-3
    assert floor.log_likelihood >= temperature(logits, labels)[1] - 1e-4
    assert 0 <= floor.low <= floor.rate < 1


@given(st.integers(0, 1000), st.floats(0.01, 0.8), st.floats(0.1, 4.0))
def test_slopes_of_the_likelihood_are_those_of_differences(seed, rate, inverse):
    logits, labels = draw(seed, n_samples=40, noise=0.2)
    share = torch.from_numpy(np.random.RandomState(seed).dirichlet(np.ones(40)))
    _, slopes = even_likelihood(logits, labels, share, rate, inverse)
    expected = approx_fprime([rate, inverse], lambda at: even_likelihood(logits, labels, share, *at)[0], 1e-7)
    np.testing.assert_allclose(slopes, expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000))
def test_weights_are_copies(seed):
    logits, labels = draw(seed, n_samples=80, noise=0.3)
    copies = np.random.RandomState(seed).randint(1, 4, size=80)
    rows, weight = np.repeat(np.arange(80), copies), torch.from_numpy(copies).double()
    assert excess(logits[rows], labels[rows]) == pytest.approx(excess(logits, labels, weight), abs=1e-9)
    once, again = even_floor(logits, labels, weight), even_floor(logits[rows], labels[rows])
    assert again.log_likelihood == pytest.approx(once.log_likelihood, abs=1e-6)
    assert again.rate == pytest.approx(once.rate, abs=1e-2)


def test_impossible_labels_are_no_error():
    logits = torch.full((40, 3), -torch.inf, dtype=torch.float64)
    logits[:, 0] = 0.0
    labels = torch.arange(40) % 2
    floor = even_floor(logits, labels)
    assert floor.rate == pytest.approx(0.5, abs=0.01)
    assert 0.3 <= supported(logits, labels, 0.3) < 0.5
