"""Dynamic bootstrapping: the mixture against a plain EM, the training against one written out, and whole fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started
from peer_problems import assert_refused, draw_problem
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.peers.dynamic import BetaMixture, DynamicMixup
from acestimator.peers.joint import prior_gradient
from acestimator.training import TrainingPlan, batch_sizes, train

K, N = 4, 60


def draw(n_samples=3000, rate=0.3):
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=n_samples) < rate
    return torch.from_numpy(5 * np.where(wrong, rng.beta(9, 3, n_samples), rng.beta(2, 14, n_samples)))


def plain_em(losses):
    """Ten steps in numpy and scipy, and the posterior with its flat end."""
    low, high = np.percentile(losses, [5, 95])

    def scaled(losses):
        return np.clip((losses - low) / (high - low + 1e-6), 1e-3, 1 - 1e-3)

    x = scaled(losses[(losses >= low) & (losses <= high)])
    components, rates = [(1.0, 2.0), (2.0, 1.0)], [0.5, 0.5]
    for _ in range(10):
        density = [rate * stats.beta.pdf(x, *ab) for rate, ab in zip(rates, components, strict=True)]
        shares = [np.maximum(d / sum(density), 1e-12) for d in density]
        components = []
        for share in shares:
            mean = np.average(x, weights=share)
            variance = np.average((x - mean) ** 2, weights=share)
            a = mean * (mean * (1 - mean) / variance - 1)
            components.append((a, a * (1 - mean) / mean))
        rates = [share.sum() for share in shares]
        rates = [rate / sum(rates) for rate in rates]

    def posterior(losses):
        grid = np.linspace(1e-3, 1 - 1e-3, 1000)
        clean, wrong = (lambda x, j=j: rates[j] * stats.beta.pdf(x, *components[j]) for j in range(2))
        peak = grid[np.argmax(wrong(grid) / (clean(grid) + wrong(grid)))]
        x = np.minimum(scaled(losses), peak)
        return wrong(x) / (clean(x) + wrong(x))

    return rates, components, posterior


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_the_mixture_is_that_of_a_plain_em(rate):
    losses = draw(rate=rate)
    rates, components, posterior = plain_em(losses.numpy())
    mixture = BetaMixture.fit(losses)
    np.testing.assert_allclose(mixture.rates, rates, rtol=1e-9)
    np.testing.assert_allclose(torch.stack((mixture.a, mixture.b), dim=1), components, rtol=1e-7)
    np.testing.assert_allclose(mixture.posterior(losses), posterior(losses.numpy()), rtol=1e-6, atol=1e-12)


def test_a_higher_loss_is_never_less_suspicious_above_the_clean_ones():
    mixture = BetaMixture.fit(draw())
    posterior = mixture.posterior(torch.linspace(0.5, 50.0, 2000))
    assert (posterior.diff() >= -1e-12).all()
    assert posterior[0] < 0.05
    assert posterior[-1] > 0.95


def test_equal_weights_are_none():
    losses = draw()
    weighted = BetaMixture.fit(losses, torch.full((len(losses),), 3.0, dtype=torch.float64))
    torch.testing.assert_close(weighted.rates, BetaMixture.fit(losses).rates)


@pytest.mark.parametrize("losses", [torch.zeros(20), torch.full((20,), 2.3), 1e-12 * torch.arange(20)])
def test_losses_that_agree_set_no_sample_apart(losses):
    assert BetaMixture.fit(losses) is None


def problem():
    return draw_problem(N, K)


@pytest.mark.parametrize("batch_size", [8, 100])
def test_the_training_is_the_papers_written_out(batch_size):
    """Two epochs of mixup, three of bootstrapping, with the same draws and autograd of each batch's loss."""
    plan = TrainingPlan(5, batch_size, 0.1, "sgd", 0.0, 0.0)
    features, labels, network = problem()
    sizes = batch_sizes(N, batch_size)
    objective = DynamicMixup(32.0, 1.0, 0.35, torch.Generator().manual_seed(7))
    train(network, objective, features, labels, plan, n_classes=K, generator=torch.Generator().manual_seed(0))

    reference, draws, order = problem()[2], torch.Generator().manual_seed(7), torch.Generator().manual_seed(0)
    beta = np.random.default_rng(int(torch.randint(2**62, (), generator=draws)))
    losses, step, posterior = np.zeros(N), 0, None
    for epoch in range(1, 6):
        for index in torch.randperm(N, generator=order).split(sizes):
            x, y = features[index], labels[index]
            own = reference(x).detach()
            losses[index] = F.cross_entropy(own, y, reduction="none")
            w = torch.zeros(len(index)) if posterior is None else torch.from_numpy(posterior(losses[index]))
            delta, partner = beta.beta(32, 32), torch.randperm(len(index), generator=draws)
            logits = reference(delta * x + (1 - delta) * x[partner])

            def against(target, logits=logits):
                return F.cross_entropy(logits, target, reduction="none")

            z = own.argmax(dim=1)
            loss = delta * ((1 - w) * against(y) + w * against(z))
            loss = loss + (1 - delta) * ((1 - w[partner]) * against(y[partner]) + w[partner] * against(z[partner]))
            loss = loss.mean()
            if epoch > 2:
                loss = loss + (torch.log(1 / (K * torch.softmax(logits, dim=1).mean(dim=0))) / K).sum()
            reference.zero_grad()
            loss.backward()
            with torch.no_grad():
                for p in reference.parameters():
                    p -= 0.1 * plan.lr_scale(step, 5 * len(sizes)) * p.grad
            step += 1
        if epoch >= 2:
            posterior = plain_em(losses)[2]
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)  # the two EMs differ in the order of their sums


def test_the_mean_prediction_of_a_batch_has_the_weights_of_the_loss():
    _, labels, _ = problem()
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, generator=draws, dtype=torch.float64)
    weight = torch.rand(N, generator=draws, dtype=torch.float64)
    grads = []
    for eta in (0.0, 1.0):
        objective = DynamicMixup(32.0, eta, 0.0, torch.Generator().manual_seed(0))
        started(objective, labels, K, max_epochs=3, sample_weight=weight.flip(0), loss_weight=weight)
        (step,) = a_block(labels, epoch=2).steps()
        objective.mix(nn.Linear(5, K).double(), torch.zeros(N, 5, dtype=torch.float64), step)
        grads.append(objective.gradient(logits, step)[0])
    torch.testing.assert_close(grads[1] - grads[0], prior_gradient(torch.softmax(logits, dim=1), weight))


def test_the_look_at_unmixed_samples_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, K)).double()
    features, labels, _ = problem()
    objective = DynamicMixup(32.0, 1.0, 0.35, torch.Generator().manual_seed(0))
    started(objective, labels, K)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    (step,) = a_block(labels).steps()
    mixed = objective.mix(network, features, step)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(module.training for module in network)
    assert mixed.shape == features.shape
    torch.testing.assert_close(mixed.mean(dim=0), features.mean(dim=0))  # pairs are a permutation


def test_a_fit_repeats_and_ranks_wrong_labels_above_right_ones(noisy_digits):
    """With 120 of 600 labels wrong, an AUROC has a standard error of some .03: .8 is ten of them above chance."""
    X, y, truth, X_test, _ = noisy_digits
    clf = BaselineClassifier("dynamic_bootstrapping", backbone="mlp", max_epochs=15, random_state=0)
    fits = [clone(clf).fit(X[:600], y[:600]) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    np.testing.assert_array_equal(*(fit.mislabel_scores_ for fit in fits))
    assert np.isfinite(fits[0].mislabel_scores_).all()
    np.testing.assert_array_equal(fits[0].mislabel_proba_, fits[0].mislabel_scores_)
    assert roc_auc_score(y[:600] != truth[:600], fits[0].mislabel_scores_) > 0.8
    assert 0.0 < fits[0].history_[-1]["noise_rate"] < 1.0


@pytest.mark.parametrize("batch_size", [1, 16, 1000])
def test_it_takes_weights_and_any_batch(small, batch_size):
    X, y = small
    clf = BaselineClassifier("dynamic_bootstrapping", max_epochs=5, batch_size=batch_size, random_state=0)
    clf.fit(X, y, np.where(y == 0, 0.0, 2.0))
    assert np.isfinite(clf.mislabel_scores_).all()
    assert clf.score(X[y > 0], y[y > 0]) > 0.9


def test_images_are_mixed_as_well_as_vectors():
    rng = np.random.RandomState(0)
    y = np.arange(24) % 2
    X = rng.normal(size=(24, 1, 8, 8)) + y[:, None, None, None]
    clf = BaselineClassifier("dynamic_bootstrapping", max_epochs=2, random_state=0).fit(X, y)
    assert np.isfinite(clf.decision_function(X)).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 0.0}, "alpha is 0.0, expected above 0"),
        ({"alpha": float("nan")}, "alpha is nan, expected above 0"),
        ({"eta": -1.0}, "eta is -1.0, expected at least 0"),
        ({"warmup": 1.5}, "warmup is 1.5, expected a share of the epochs, between 0 and 1"),
    ],
)
def test_bad_parameters_are_refused_before_any_training(small, monkeypatch, params, message):
    assert_refused("dynamic_bootstrapping", params, message, small, monkeypatch)
