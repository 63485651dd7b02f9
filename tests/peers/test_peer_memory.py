"""ELR and SOP: gradients and state against the published formulas under autograd and torch.optim, and whole fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_problems import assert_refused, draw_problem
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.objectives import CrossEntropy
from acestimator.peers import make
from acestimator.peers.memory import EarlyLearning, OverParameterized
from acestimator.training import TrainingPlan, batch_sizes, train

K, N, EPOCHS, RATE = 4, 29, 4, 0.05


def plan(batch_size):
    # Constant rate: the references need no schedule.
    constant = type("Constant", (TrainingPlan,), {"lr_scale": lambda self, step, n_steps: 1.0})
    return constant(EPOCHS, batch_size, RATE, "sgd", 0.9, 1e-3)


def problem():
    return draw_problem(N, K)


def reference(batch_size, loss, groups=()):
    """The same training by autograd of ``loss(logits, labels, index)``, the batch's mean, and torch.optim."""
    features, labels, network = problem()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=1e-3)
    others = torch.optim.SGD(groups) if groups else None
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for index in torch.randperm(N, generator=generator).split(batch_sizes(N, batch_size)):
            optimizer.zero_grad()
            if others:
                others.zero_grad()
                for group in others.param_groups:
                    group["lr"] = group["authors"] * len(index) / 128  # undoes the mean over this batch, not 128
            loss(network(features[index]), labels[index], index).backward()
            optimizer.step()
            if others:
                others.step()
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def trained(objective, batch_size):
    features, labels, network = problem()
    generator = torch.Generator().manual_seed(0)
    train(network, objective, features, labels, plan(batch_size), n_classes=K, generator=generator)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# ---------------------------------------------------------------------- ELR


@pytest.mark.parametrize("batch_size", [8, 64])
def test_elr_is_the_papers_loss_and_target_step_by_step(batch_size):
    """Written as published: the target is moved first, then the mean loss differentiated. Both float64: rounding."""
    lam, beta = 3.0, 0.7
    target = torch.zeros(N, K, dtype=torch.float64)

    def loss(logits, labels, index):
        p = F.softmax(logits, dim=1).clamp(1e-4, 1 - 1e-4)
        past = p.detach() / p.detach().sum(dim=1, keepdim=True)
        target[index] = beta * target[index] + (1 - beta) * past
        return F.cross_entropy(logits, labels) + lam * torch.log(1 - (target[index] * p).sum(dim=1)).mean()

    objective = EarlyLearning(lam, beta)
    parameters = trained(objective, batch_size)
    torch.testing.assert_close(parameters, reference(batch_size, loss), rtol=0, atol=1e-12)
    torch.testing.assert_close(objective.target, target, rtol=0, atol=1e-12)


@given(st.integers(0, 1000), st.floats(0.1, 100.0))
@settings(max_examples=20)
def test_elrs_closed_form_is_autograds_also_where_the_clamp_acts(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    objective = started(EarlyLearning(3.0, 0.7), problem()[1], K)
    objective.target = torch.softmax(torch.randn(N, K, dtype=torch.float64, generator=generator), dim=1)
    logits = (scale * torch.randn(N, K, dtype=torch.float64, generator=generator)).requires_grad_()
    p = torch.softmax(logits, dim=1).clamp(1e-4, 1 - 1e-4)
    target = 0.7 * objective.target + 0.3 * (p / p.sum(dim=1, keepdim=True)).detach()
    labels = objective.training.labels
    loss = F.cross_entropy(logits, labels, reduction="none") + 3 * torch.log(1 - (target * p).sum(dim=1))
    (expected,) = torch.autograd.grad(loss.sum(), logits)
    grad, losses = take(objective, logits.detach(), a_block(labels))
    torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-10)  # 1 / (1 - <t, p>) is at most 1e4
    torch.testing.assert_close(losses, loss.detach())


def test_elr_without_its_regulariser_is_cross_entropy():
    torch.testing.assert_close(trained(EarlyLearning(0.0, 0.7), 8), trained(CrossEntropy(), 8), rtol=0, atol=1e-12)


def test_elrs_target_tends_to_the_prediction_at_a_standing_network():
    objective = started(EarlyLearning(3.0, 0.7), problem()[1], K)
    logits = torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for visit in range(1, 4):
        take(objective, logits, a_block(objective.training.labels))
        torch.testing.assert_close(objective.target, (1 - 0.7**visit) * torch.softmax(logits, dim=1), rtol=1e-9, atol=0)


# ---------------------------------------------------------------------- SOP


def corrected(logits, u, v, y):
    u_square, v_square = (u**2 * y).clamp(0, 1), (v**2 * (1 - y)).clamp(0, 1)
    q = (torch.softmax(logits, dim=1) + u_square - v_square.detach()).clamp(min=1e-4)
    cross_entropy = -(y * (q / q.sum(dim=1, keepdim=True)).clamp(min=1e-4).log()).sum(dim=1)
    hard = F.one_hot(logits.argmax(dim=1), K)
    return cross_entropy, (hard + u_square - v_square - y).square().sum(dim=1)


@pytest.mark.parametrize("spread", [1e-3, 0.7])  # at 0.7 the clamps of u and v act, too
@pytest.mark.parametrize("batch_size", [8, 64])
def test_sop_is_the_authors_descent_step_by_step(batch_size, spread):
    """u and v under torch.optim.SGD on the batch's mean loss, at rates that undo the difference from their batch."""
    generator = torch.Generator().manual_seed(1)
    u, v = (nn.Parameter(spread * torch.randn(N, n, dtype=torch.float64, generator=generator)) for n in (1, K))

    class Spread(OverParameterized):
        def start(self, training):
            super().start(training)
            self.u, self.v = u.detach().clone(), v.detach().clone()

    def loss(logits, labels, index):
        cross_entropy, squared = corrected(logits, u[index], v[index], F.one_hot(labels, K))
        return (cross_entropy + squared).mean()

    objective = Spread(10.0 / 128, 10.0 / 128, generator)
    parameters = trained(objective, batch_size)
    groups = [{"params": [p], "lr": 1.0, "authors": 10.0} for p in (u, v)]
    torch.testing.assert_close(parameters, reference(batch_size, loss, groups), rtol=0, atol=1e-12)
    torch.testing.assert_close(objective.u, u.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(objective.v, v.detach(), rtol=1e-9, atol=1e-12)


@given(st.integers(0, 1000), st.floats(0.1, 30.0), st.sampled_from([0.0, 1.0]))
@settings(max_examples=30)
def test_sops_closed_form_is_autograds_also_where_the_clamps_act(seed, scale, spread):
    generator = torch.Generator().manual_seed(seed)
    objective = started(OverParameterized(0.1, 0.1, generator), problem()[1], K)
    objective.u, objective.v = (spread * torch.randn(N, n, dtype=torch.float64, generator=generator) for n in (1, K))
    logits = (scale * torch.randn(N, K, dtype=torch.float64, generator=generator)).requires_grad_()
    loss, _ = corrected(logits, objective.u, objective.v, F.one_hot(objective.training.labels, K))
    (expected,) = torch.autograd.grad(loss.sum(), logits)
    grad, losses = take(objective, logits.detach(), a_block(objective.training.labels))
    torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(losses, loss.detach())


def test_sop_starts_as_cross_entropy():
    """At its start, u^2 and v^2 are some 1e-16; logits of order one leave every clamp alone."""
    labels = problem()[1]
    objective, plain = started(make("sop").objective(torch.Generator().manual_seed(0)), labels, K), CrossEntropy()
    logits = torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (grad, _), (expected, _) = (take(o, logits, a_block(labels)) for o in (objective, plain))
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-12)
    assert 0 < objective.u.abs().max() < 1e-7


def test_a_zero_stays_zero_and_a_label_that_is_explained_moves_u_by_nothing():
    """What keeps u and v sparse: they grow by a factor, which is 1 where prediction and label agree.

    But for the clamp of the other entries: these are K - 1 of 1e-4, in a gradient of which u moves by 2 * 10 / 128.
    """
    labels = problem()[1]
    objective = started(make("sop").objective(torch.Generator().manual_seed(0)), labels, K)
    objective.u[:3], objective.v[:3] = 0.0, 0.0
    before = objective.u.clone()
    agree = 60.0 * F.one_hot(labels, K).double()
    take(objective, agree, a_block(labels))
    torch.testing.assert_close(objective.u, before, rtol=(K - 1) * 1e-4 * 2 * 10 / 128, atol=0)
    take(objective, -agree, a_block(labels))
    assert (objective.u[:3] == 0).all()
    assert (objective.v[:3] == 0).all()
    assert (objective.u[3:].abs() > 1.1 * before[3:].abs()).all()


# ---------------------------------------------------------------------- fits


@pytest.mark.parametrize("method", ["elr", "sop"])
def test_a_fit_repeats_and_ranks_wrong_labels_above_right_ones(noisy_digits, method):
    """With 120 of 600 labels wrong, an AUROC has a standard error of some .03: .8 is ten of them above chance."""
    X, y, truth, X_test, _ = noisy_digits
    fits = [
        BaselineClassifier(method, backbone="mlp", max_epochs=12, random_state=0).fit(X[:600], y[:600])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    np.testing.assert_array_equal(*(fit.mislabel_scores_ for fit in fits))
    assert np.isfinite(fits[0].mislabel_scores_).all()
    assert roc_auc_score(y[:600] != truth[:600], fits[0].mislabel_scores_) > 0.8


def test_elr_weight_two_is_the_sample_twice(small):
    X, y = small[0][:30], small[1][:30]
    weights = np.arange(30) % 3 + 1
    weighted = BaselineClassifier("elr", max_epochs=20, batch_size=100, random_state=0).fit(X, y, weights)
    twice = BaselineClassifier("elr", max_epochs=20, batch_size=100, random_state=0)
    twice.fit(X.repeat(weights, axis=0), y.repeat(weights))
    np.testing.assert_allclose(weighted.decision_function(X), twice.decision_function(X), atol=1e-8)


@pytest.mark.parametrize("batch_size", [16, 1000])
def test_sop_takes_weights_and_any_batch(small, batch_size):
    X, y = small
    clf = BaselineClassifier("sop", max_epochs=5, batch_size=batch_size, random_state=0)
    clf.fit(X, y, np.where(y == 0, 0.0, 2.0))
    assert np.isfinite(clf.mislabel_scores_).all()
    assert clf.score(X[y > 0], y[y > 0]) > 0.9


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("elr", {"lam": -1.0}, "lam is -1.0, expected at least 0"),
        ("elr", {"beta": 1.0}, "beta is 1.0, expected 0 <= beta < 1"),
        ("elr", {"lam": float("nan")}, "lam is nan"),
        ("sop", {"lr_u": -1.0}, "lr_u is -1.0, expected at least 0"),
        ("sop", {"lr_v": float("nan")}, "lr_v is nan"),
        ("sop", {"lr": 1.0}, "params has 'lr', which 'sop' does not take"),
    ],
)
def test_bad_parameters_are_refused_before_any_training(small, monkeypatch, method, params, message):
    assert_refused(method, params, message, small, monkeypatch)
