"""The mixture against scikit-learn's, and its invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from acestimator.mixture import ScoreMixture, _moments


def draw(n_samples=4000, rate=0.3, seed=0, distance=4.0):
    rng = np.random.RandomState(seed)
    wrong = rng.uniform(size=n_samples) < rate
    return torch.from_numpy(np.where(wrong, rng.normal(distance, 1.2, n_samples), rng.normal(0.3, 0.4, n_samples)))


def test_converges_to_scikit_learns_mixture():
    scores = draw()
    ours = ScoreMixture.start(scores)._em(_moments(scores, None), 300)
    theirs = GaussianMixture(2, tol=1e-10, max_iter=1000, reg_covar=1e-3, random_state=0).fit(scores[:, None].numpy())
    low, high = np.argsort(theirs.means_.ravel())
    expected = [
        theirs.weights_[high],
        theirs.means_[low, 0],
        theirs.covariances_[low, 0, 0],
        theirs.means_[high, 0],
        theirs.covariances_[high, 0, 0],
    ]
    np.testing.assert_allclose(list(vars(ours).values()), expected, rtol=1e-4)
    above = scores > 1.0  # the two differ below the clean mean, where ours is monotone
    np.testing.assert_allclose(
        ours.posterior(scores)[above].numpy(),
        theirs.predict_proba(scores[:, None].numpy())[above.numpy(), high],
        atol=1e-4,
    )


@given(st.integers(0, 1000), st.floats(0.02, 0.6))
def test_em_never_lowers_the_likelihood(seed, rate):
    scores = draw(300, rate, seed, distance=2.0)

    def log_likelihood(mixture):
        clean = norm.pdf(scores, mixture.clean_mean, mixture.clean_var**0.5)
        wrong = norm.pdf(scores, mixture.wrong_mean, mixture.wrong_var**0.5)
        return np.log((1 - mixture.rate) * clean + mixture.rate * wrong).mean()

    mixture = ScoreMixture.start(scores)
    values = [log_likelihood(mixture)]
    for _ in range(8):
        mixture = mixture._em(_moments(scores, None), 1)
        values.append(log_likelihood(mixture))
    # the floor under the variances, 1e-3, is the one thing that is not a step of EM
    assert np.diff(values).min() > -2e-2 * 1e-3


@given(st.lists(st.integers(1, 4), min_size=30, max_size=30), st.integers(0, 100))
def test_weight_two_is_the_sample_twice(weights, seed):
    scores, weight = draw(30, seed=seed), torch.tensor(weights, dtype=torch.float64)
    repeated = scores.repeat_interleave(weight.long())
    weighted, plain = ScoreMixture.start(scores, weight), ScoreMixture.start(repeated)
    np.testing.assert_allclose(list(vars(weighted).values()), list(vars(plain).values()), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 1000), st.floats(0.05, 0.6))
def test_a_less_suspicious_sample_below_the_upper_mean_is_never_more_probable(seed, rate):
    scores = draw(300, rate, seed)
    mixture = ScoreMixture.start(scores)
    grid = torch.linspace(-20, mixture.wrong_mean, 500, dtype=torch.float64)
    posterior = mixture.posterior(grid)
    assert (posterior.diff() >= -1e-12).all()
    assert ((posterior >= 0) & (posterior <= 1)).all()


def test_recovers_the_rate():
    assert ScoreMixture.start(draw(20_000, 0.1)).rate == pytest.approx(0.1, abs=0.01)


def test_scores_that_agree_set_no_sample_apart():
    assert ScoreMixture.start(torch.zeros(10)) is None
    assert ScoreMixture.start(torch.full((10,), 0.3)) is None


@given(st.floats(1e-3, 0.05))
def test_small_scores_are_judged_by_their_own_spread(scale):
    """Below the floor's reach the posterior does not depend on the scores' unit."""
    scores = draw()
    small, smaller = ScoreMixture.start(scale * scores), ScoreMixture.start(0.1 * scale * scores)
    np.testing.assert_allclose(
        small.posterior(scale * scores).numpy(), smaller.posterior(0.1 * scale * scores).numpy(), atol=1e-6
    )
