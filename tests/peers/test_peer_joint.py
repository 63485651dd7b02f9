"""Joint optimisation: its loss under autograd, its labels against a training written out, and whole fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import assert_refused, draw_problem
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.objectives import CrossEntropy
from acestimator.peers import Outcome, make
from acestimator.peers.joint import JointLabels, SoftLabels, prior_gradient
from acestimator.training import TrainingPlan, batch_sizes, train

K, N = 4, 29


def problem():
    return draw_problem(N, K)


def batch_loss(logits, soft, weight, alpha, beta):
    """As published, over one batch: the weighted mean of KL and entropy, and the prior's term."""
    p, share = torch.softmax(logits, dim=1), weight / weight.sum()
    kl = torch.special.xlogy(soft, soft).sum(dim=1) - (soft * torch.log_softmax(logits, dim=1)).sum(dim=1)
    entropy = -(p * p.log()).sum(dim=1)
    prior = (torch.log(1 / (K * (share[:, None] * p).sum(dim=0))) / K).sum()
    return (share * (kl + beta * entropy)).sum() + alpha * prior


@given(st.integers(0, 1000), st.floats(0.1, 8.0), st.booleans())
@settings(max_examples=20)
def test_the_gradient_is_autograds_of_the_batchs_loss(seed, scale, weighted):
    """The loop multiplies a sample's gradient by its share of the batch; autograd of the batch's loss has it within."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (N,), generator=generator)
    weight = 0.1 + torch.rand(N, dtype=torch.float64, generator=generator) if weighted else None
    objective = JointLabels(1.2, 0.8, 0.35, 10)
    started(objective, labels, K, max_epochs=3, loss_weight=weight)
    objective.soft = torch.softmax(torch.randn(N, K, dtype=torch.float64, generator=generator), dim=1)
    logits = (scale * torch.randn(N, K, dtype=torch.float64, generator=generator)).requires_grad_()
    weight = torch.ones(N, dtype=torch.float64) if weight is None else weight
    (expected,) = torch.autograd.grad(batch_loss(logits, objective.soft, weight, 1.2, 0.8), logits)
    grad, losses = take(objective, logits.detach(), a_block(labels))
    torch.testing.assert_close(grad * (weight / weight.sum())[:, None], expected, rtol=1e-9, atol=1e-12)
    assert losses.shape == (N,)


def test_the_priors_gradient_is_nothing_where_the_mean_prediction_is_uniform():
    p = torch.softmax(torch.randn(K, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)
    circulant = torch.stack([p[0].roll(i) for i in range(K)])
    torch.testing.assert_close(prior_gradient(circulant), torch.zeros(K, K, dtype=torch.float64), rtol=0, atol=1e-15)


def test_the_priors_gradient_is_finite_where_a_category_has_vanished():
    p = torch.softmax(torch.tensor([[200.0, 0.0, 0.0], [200.0, 0.0, 0.0]]), dim=1)
    assert p[:, 1:].max() == 0.0
    assert torch.isfinite(prior_gradient(p)).all()


@pytest.mark.parametrize("window", [2, 10])
@pytest.mark.parametrize("batch_size", [8, 64])
def test_network_and_labels_are_those_of_a_training_written_out(batch_size, window):
    """Epochs 3 to 6 of 6 end in an update: each label is its sample's mean prediction of the last epochs."""
    plan = TrainingPlan(6, batch_size, 0.05, "sgd", 0.0, 0.0)
    features, labels, network = problem()
    sizes = batch_sizes(N, batch_size)
    objective = JointLabels(1.2, 0.8, 0.5, window)
    generator = torch.Generator().manual_seed(0)
    history = train(network, objective, features, labels, plan, n_classes=K, generator=generator)

    reference = problem()[2]
    soft, predictions, step = F.one_hot(labels, K).double(), [], 0
    generator = torch.Generator().manual_seed(0)
    for epoch in range(1, 7):
        predictions.append(torch.zeros(N, K, dtype=torch.float64))
        for index in torch.randperm(N, generator=generator).split(sizes):
            logits = reference(features[index])
            predictions[-1][index] = torch.softmax(logits, dim=1).detach()
            reference.zero_grad()
            batch_loss(logits, soft[index], torch.ones(len(index), dtype=torch.float64), 1.2, 0.8).backward()
            with torch.no_grad():
                for p in reference.parameters():
                    p -= 0.05 * plan.lr_scale(step, 6 * len(sizes)) * p.grad
            step += 1
        if epoch >= 3:
            soft = torch.stack(predictions[-window:]).mean(dim=0)
    torch.testing.assert_close(objective.soft, soft, rtol=0, atol=1e-12)
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert [record["changed_labels"] for record in history][:2] == [0.0, 0.0]
    assert history[-1]["changed_labels"] == pytest.approx((soft.argmax(dim=1) != labels).double().mean().item())


def test_without_regularisers_and_before_an_update_it_is_cross_entropy():
    _, labels, _ = problem()
    logits = 5 * torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    joint = started(JointLabels(0.0, 0.0, 0.35, 10), labels, K, max_epochs=3)
    expected = take(CrossEntropy(), logits, a_block(labels))
    for objective in (joint, SoftLabels(F.one_hot(labels, K).double())):
        torch.testing.assert_close(take(objective, logits, a_block(labels)), expected)


def test_the_second_phase_learns_the_final_labels_from_scratch():
    _, labels, network = problem()
    phases = make("joint_optimization").phases(labels, K, torch.Generator())
    first = next(phases)
    started(first.objective, labels, K)
    take(first.objective, torch.zeros(N, K, dtype=torch.float64), a_block(labels))
    first.objective.end_epoch(0)
    second = phases.send(Outcome(network, torch.zeros(N, K)))
    assert second.network is None
    torch.testing.assert_close(second.objective.soft, torch.full((N, K), 1 / K, dtype=torch.float64))
    with pytest.raises(StopIteration) as end:
        phases.send(Outcome(network, torch.zeros(N, K)))
    torch.testing.assert_close(end.value.value.proba, torch.full((N,), 1 - 1 / K, dtype=torch.float64))


def test_a_fit_repeats_and_ranks_wrong_labels_above_right_ones(noisy_digits):
    """With 120 of 600 labels wrong, an AUROC has a standard error of some .03: .8 is ten of them above chance."""
    X, y, truth, X_test, _ = noisy_digits
    fits = [
        BaselineClassifier("joint_optimization", backbone="mlp", max_epochs=12, random_state=0).fit(X[:600], y[:600])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    np.testing.assert_array_equal(*(fit.mislabel_scores_ for fit in fits))
    assert np.isfinite(fits[0].mislabel_scores_).all()
    assert (fits[0].mislabel_proba_ >= 0).all()
    assert (fits[0].mislabel_proba_ <= 1).all()
    assert roc_auc_score(y[:600] != truth[:600], fits[0].mislabel_scores_) > 0.8
    assert {record["phase"] for record in fits[0].history_} == {1, 2}


def test_weight_two_is_the_sample_twice(small):
    """In one batch of float64, which has the prior's mean weighted, too."""
    X, y = small[0][:30], small[1][:30]
    weights = np.arange(30) % 3 + 1
    weighted = BaselineClassifier("joint_optimization", max_epochs=20, batch_size=100, random_state=0)
    twice = clone(weighted).fit(X.repeat(weights, axis=0), y.repeat(weights))
    weighted.fit(X, y, weights)
    np.testing.assert_allclose(weighted.decision_function(X), twice.decision_function(X), atol=1e-8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -1.0}, "alpha is -1.0, expected at least 0"),
        ({"beta": float("nan")}, "beta is nan, expected at least 0"),
        ({"start": 1.0}, "start is 1.0, expected 0 <= start < 1"),
        ({"window": 0}, "window is 0, expected a whole number of epochs, at least 1"),
        ({"window": 2.5}, "window is 2.5, expected a whole number"),
    ],
)
def test_bad_parameters_are_refused_before_any_training(small, monkeypatch, params, message):
    assert_refused("joint_optimization", params, message, small, monkeypatch)
