"""Robust losses: gradients against the formulas, limits, and fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, take
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.objectives import CrossEntropy
from acestimator.peers import make
from acestimator.peers.losses import (
    CappedCrossEntropyLoss,
    GeneralizedCrossEntropyLoss,
    HardBootstrappingLoss,
    SoftBootstrappingLoss,
    capped_gradient,
)

K = 5
NAMES = ["soft_bootstrapping", "hard_bootstrapping", "gce", "capped"]


def batch(scale=2.0, n_samples=50, n_classes=K, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n_samples, n_classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(n_classes, (n_samples,), generator=generator)


def soft(p, t):
    return -((0.7 * t + 0.3 * p) * p.log()).sum(dim=1)


def hard(p, t):
    z = F.one_hot(p.argmax(dim=1), K).double()
    return -((0.7 * t + 0.3 * z) * p.log()).sum(dim=1)


def generalized(p, t):
    return (1 - (p * t).sum(dim=1) ** 0.7) / 0.7


@pytest.mark.parametrize(
    ("objective", "formula"),
    [
        (SoftBootstrappingLoss(0.7), soft),
        (HardBootstrappingLoss(0.7), hard),
        (GeneralizedCrossEntropyLoss(0.7), generalized),
    ],
)
def test_gradient_and_loss_are_those_of_the_published_formula(objective, formula):
    logits, labels = batch()
    logits.requires_grad_()
    expected = formula(logits.softmax(dim=1), F.one_hot(labels, K).double())
    grad, losses = take(objective, logits.detach(), a_block(labels))
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("objective", "atol"),
    [
        (SoftBootstrappingLoss(1.0), 1e-15),
        (HardBootstrappingLoss(1.0), 1e-15),
        (GeneralizedCrossEntropyLoss(1e-9), 1e-7),  # p^q = 1 + q ln p
        (CappedCrossEntropyLoss(1.5), 1e-15),  # no gradient is as long
    ],
)
def test_the_limit_is_cross_entropy(objective, atol):
    logits, labels = batch()
    (grad, losses), (expected, expected_losses) = (
        take(o, logits, a_block(labels)) for o in (objective, CrossEntropy())
    )
    torch.testing.assert_close(grad, expected, rtol=0, atol=atol)
    torch.testing.assert_close(losses, expected_losses, rtol=0, atol=10 * atol)


def test_generalized_cross_entropy_at_one_is_the_absolute_error():
    logits, labels = batch()
    objective = GeneralizedCrossEntropyLoss(1.0)
    _, losses = take(objective, logits, a_block(labels))
    error = (logits.softmax(dim=1) - F.one_hot(labels, K)).abs().sum(dim=1) / 2
    torch.testing.assert_close(losses, error, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 3e-5)])
def test_capped_gradient_is_that_of_the_loss_minimised_over_the_constants(n_classes, scale, dtype, tolerance):
    robust_loss = pytest.importorskip("theory.facts.robust_loss")
    logits, labels = batch(scale, 200, n_classes)
    for cap in (0.01, 0.5, 1.0):
        expected = robust_loss.profile(logits, F.one_hot(labels, n_classes), "group", cap)
        grad, loss = capped_gradient(logits.to(dtype), labels, cap)
        np.testing.assert_allclose(grad.double().numpy(), expected.gradient, rtol=0, atol=tolerance)
        np.testing.assert_allclose(loss.double().numpy(), expected.value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cap", [0.05, 0.5, 1.0])
def test_capped_gradient_is_the_losss_own_and_obeys_the_optimality_conditions(cap):
    """Without the other solver: minus kappa times g is a constant that gives g, and the cap holds."""
    logits, labels = batch(4.0)
    grad, loss = capped_gradient(logits, labels, cap)
    plain = logits.softmax(dim=1) - F.one_hot(labels, K)
    torch.testing.assert_close(grad.norm(dim=1), plain.norm(dim=1).clamp(max=cap), rtol=1e-12, atol=0)
    p = grad + F.one_hot(labels, K)
    assert (p > 0).all()
    # softmax(m + alpha) = p, so that alpha is ln p - m but for its mean, and parallel to g, the other way round
    alpha = p.log() - logits.log_softmax(dim=1)
    alpha -= alpha.mean(dim=1, keepdim=True)
    capped = plain.norm(dim=1) > cap
    cosine = F.cosine_similarity(alpha, grad)[capped]
    torch.testing.assert_close(cosine, -torch.ones_like(cosine), rtol=0, atol=1e-12)
    value = -p.log().gather(1, labels[:, None]).squeeze(1) + cap * alpha.norm(dim=1)
    torch.testing.assert_close(loss, value, rtol=1e-9, atol=1e-9)
    direction = torch.randn(K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = 1e-5 * direction
    difference = (
        capped_gradient(logits + step, labels, cap)[1] - capped_gradient(logits - step, labels, cap)[1]
    ) / 2e-5
    torch.testing.assert_close(difference, grad @ direction, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_extreme_logits_in_single_precision(name):
    logits, labels = batch(1e3)
    objective = make(name).objective(torch.Generator())
    grad, losses = take(objective, logits.float(), a_block(labels))
    assert torch.isfinite(grad).all()
    assert torch.isfinite(losses).all()
    torch.testing.assert_close(grad.sum(dim=1), torch.zeros(len(labels)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_is_reproducible_and_ranks_wrong_labels_above_right_ones(noisy_digits, name):
    """Before labels are learned by heart, a wrong one is improbable by any of these losses."""
    X, observed, true, X_test, _ = noisy_digits
    X, observed, wrong = X[:500], observed[:500], (observed != true)[:500]
    clf = BaselineClassifier(name, backbone="mlp", max_epochs=15, random_state=0)
    fits = [clone(clf).fit(X, observed) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    assert np.isfinite(fits[0].mislabel_scores_).all()
    assert roc_auc_score(wrong, fits[0].mislabel_scores_) > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_weight_two_is_the_sample_twice(small, name):
    """In one batch that holds all, and is larger than they are."""
    X, y = small
    y = y.copy()
    y[:10] = (y[:10] + 1) % 3
    weight = 1.0 + (np.arange(150) < 50)
    clf = BaselineClassifier(name, max_epochs=10, batch_size=400, standardize=False, random_state=0)
    weighted = clone(clf).fit(X, y, weight)
    repeated = clone(clf).fit(np.repeat(X, weight.astype(int), axis=0), np.repeat(y, weight.astype(int)))
    np.testing.assert_allclose(weighted.decision_function(X), repeated.decision_function(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("soft_bootstrapping", {"beta": 1.2}, "beta is 1.2, expected a number from 0 to 1"),
        ("hard_bootstrapping", {"beta": float("nan")}, "beta is nan, expected a number from 0 to 1"),
        ("gce", {"q": 0.0}, "q is 0.0, expected a number above 0 and at most 1"),
        ("capped", {"cap": 1.1}, "cap is 1.1, expected a number above 0 and at most 1"),
    ],
)
def test_parameters_out_of_range_are_refused_before_training(small, name, params, message):
    clf = BaselineClassifier(name, params=params)
    assert clone(clf).get_params()["params"] == params or name == "hard_bootstrapping"  # nan is not itself
    with pytest.raises(ValueError, match=message):
        clf.fit(*small)
    assert not hasattr(clf, "history_")
