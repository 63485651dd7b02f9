"""Forward correction and the noise adaptation layer: formulas, estimated matrices, the epoch kept, and fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, take
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.noise import pair_flip
from acestimator.objectives import CrossEntropy
from acestimator.peers.transition import (
    AdaptedCrossEntropy,
    AdaptedNetwork,
    BestEpoch,
    ForwardLoss,
    estimate_log_matrix,
    log_confusion,
)
from acestimator.training import TrainingPlan, train

K = 4
PLAN = TrainingPlan(max_epochs=8, batch_size=8, learning_rate=0.1, optimizer="sgd", momentum=0.9, weight_decay=1e-3)
NONE = torch.zeros(30, dtype=torch.bool)


def batch(n_samples=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2.0 * torch.randn(n_samples, K, generator=generator, dtype=torch.float64)
    matrix = torch.rand(K, K, generator=generator, dtype=torch.float64)
    return logits, torch.randint(K, (n_samples,), generator=generator), matrix / matrix.sum(dim=1, keepdim=True)


def train_on_random_labels(objective, network, sample_weight=None):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 5, generator=generator)
    labels = torch.randint(K, (30,), generator=generator)
    train(network, objective, features, labels, PLAN, n_classes=K, generator=generator, sample_weight=sample_weight)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, K))


def test_forward_gradient_and_loss_are_those_of_the_published_formula():
    logits, labels, matrix = batch()
    logits.requires_grad_()
    expected = -(logits.softmax(dim=1) @ matrix).log().gather(1, labels[:, None]).squeeze(1)
    grad, losses = take(ForwardLoss(matrix.log()), logits.detach(), a_block(labels))
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0], rtol=1e-12, atol=1e-12)


def test_forward_with_the_identity_is_cross_entropy():
    logits, labels, _ = batch()
    grad, losses = take(ForwardLoss(torch.eye(K, dtype=torch.float64).log()), logits, a_block(labels))
    expected, expected_losses = take(CrossEntropy(), logits, a_block(labels))
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(losses, expected_losses)


def test_matrix_of_the_most_typical_samples_against_numpys_percentile():
    logits, _, _ = batch(200)
    p = logits.softmax(dim=1).numpy()
    for percentile in (None, 97.0, 50.0):
        expected = np.empty((K, K))
        for k in range(K):
            column = p[:, k].copy()
            if percentile is not None:
                column[column >= np.percentile(column, percentile, method="higher")] = 0.0
            expected[k] = p[column.argmax()]
        estimate = estimate_log_matrix(logits, percentile).exp()
        np.testing.assert_allclose(estimate.numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(estimate.sum(dim=1).numpy(), 1.0)


def test_confusion_counts_predictions_or_adds_their_probabilities():
    logits, labels, _ = batch(200)
    logits[:, 3] = -50.0  # never predicted
    p = logits.softmax(dim=1).numpy()
    for soft in (False, True):
        counts = np.zeros((K, K))
        for probabilities, label in zip(p, labels, strict=True):
            counts[:, label] += probabilities if soft else probabilities == probabilities.max()
        estimate = log_confusion(logits, labels, soft).exp().numpy()
        np.testing.assert_allclose(
            estimate[:3], counts[:3] / counts[:3].sum(axis=1, keepdims=True), rtol=1e-5, atol=2e-8
        )
        if not soft:
            np.testing.assert_allclose(estimate[3], 1 / K, rtol=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_a_weight_of_two_in_the_confusion_is_the_sample_twice(soft):
    logits, labels, _ = batch()
    twice = torch.cat([torch.arange(30), torch.arange(10)])
    weight = 0.1 * torch.bincount(twice).double()  # only ratios count
    expected = log_confusion(logits[twice], labels[twice], soft)
    torch.testing.assert_close(log_confusion(logits, labels, soft, weight), expected)


def test_the_adapted_network_gives_the_observed_labels_log_probabilities_and_trains_by_the_formula():
    _, labels, matrix = batch()
    features = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    adapted = AdaptedNetwork(network().double(), matrix.log() + 3.0)  # a row's constant does not count
    output = adapted(features)
    noisy = adapted.network(features).softmax(dim=1) @ matrix
    torch.testing.assert_close(output, noisy.log(), rtol=1e-12, atol=1e-12)
    parameters = list(adapted.parameters())
    assert any(p is adapted.weight for p in parameters)
    gradient, _ = take(AdaptedCrossEntropy(), output.detach(), a_block(labels))
    ours = torch.autograd.grad(output, parameters, gradient, retain_graph=True)
    theirs = torch.autograd.grad(F.nll_loss(output, labels, reduction="sum"), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert BestEpoch(AdaptedCrossEntropy(), NONE).head.predictor(adapted) is adapted.network


@pytest.mark.parametrize("weighted", [False, True])
def test_the_epoch_of_least_loss_on_other_samples_is_kept(weighted):
    """Random labels: what is learned of them soon does harm to the others. The losses are written down on the way."""
    held_out = torch.arange(30) % 3 == 0
    weight = torch.arange(1.0, 31.0, dtype=torch.float64) if weighted else None
    states, totals = [], []

    class Recorded(BestEpoch):
        def end_block(self, block, outputs, records, grads):
            at = self.held_out[block.index]
            losses = F.cross_entropy(outputs[at], block.labels[at], reduction="none").double()
            self.seen += (losses if weight is None else losses * weight[block.index[at]]).sum().item()
            return super().end_block(block, outputs, records, grads)

        def end_epoch(self, epoch):
            states.append([p.detach().clone() for p in self.training.network.parameters()])
            totals.append(self.seen)
            self.seen = 0.0
            return super().end_epoch(epoch)

    net = network()
    objective = Recorded(CrossEntropy(), held_out)
    objective.seen = 0.0
    train_on_random_labels(objective, net, weight)
    best = int(np.argmin(totals))
    assert best < PLAN.max_epochs - 1
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), states[best], strict=True))


def test_nothing_is_learned_from_the_samples_held_out():
    held_out = torch.arange(30) % 3 == 0
    results = []
    for flip in (False, True):
        net = network()
        generator = torch.Generator().manual_seed(0)
        features, labels = torch.randn(30, 5, generator=generator), torch.randint(K, (30,), generator=generator)
        labels = torch.where(held_out & flip, (labels + 1) % K, labels)
        plan = TrainingPlan(**{**vars(PLAN), "max_epochs": 1})
        objective, generator = BestEpoch(CrossEntropy(), held_out), torch.Generator().manual_seed(0)
        train(net, objective, features, labels, plan, n_classes=K, generator=generator)
        results.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.equal(*results)


def test_with_none_held_out_it_is_plain_training():
    nets = network(), network()
    train_on_random_labels(BestEpoch(CrossEntropy(), NONE), nets[0])
    train_on_random_labels(CrossEntropy(), nets[1])
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "params"),
    [("forward", {}), ("forward", {"percentile": None}), ("s_model", {}), ("s_model", {"soft": True})],
)
def test_a_fit_is_reproducible_and_ranks_wrong_labels_above_right_ones(noisy_digits, name, params):
    """The epoch kept is one before the labels are learned by heart, and a wrong one is improbable then."""
    X, observed, true, X_test, _ = noisy_digits
    X, observed, wrong = X[:500], observed[:500], (observed != true)[:500]
    clf = BaselineClassifier(name, params=params, backbone="mlp", max_epochs=20, random_state=0)
    fits = [clone(clf).fit(X, observed) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    fit = fits[0]
    assert [record["phase"] for record in fit.history_] == [1] * (fit.n_iter_ // 2) + [2] * (fit.n_iter_ // 2)
    assert roc_auc_score(wrong, fit.mislabel_scores_) > 0.8
    np.testing.assert_allclose(fit.mislabel_proba_, 1 / (1 + np.exp(-fit.mislabel_scores_)), rtol=1e-12)
    assert np.isfinite(fit.mislabel_scores_).all()


@pytest.mark.parametrize("name", ["forward", "s_model"])
def test_weights_and_one_large_batch(small, name):
    X, y = small
    observed = np.where(np.random.RandomState(0).uniform(size=150) < pair_flip(3, 0.2)[0, 1], (y + 1) % 3, y)
    clf = BaselineClassifier(name, max_epochs=60, batch_size=400, random_state=0)
    clf.fit(X, observed, 1.0 + np.arange(150) % 2)
    assert clf.score(X, y) > 0.9  # the clouds are far apart
    assert clf.fit(X[:8], y[:8]).n_iter_ == 120


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("forward", {"percentile": 0.0}, "percentile is 0.0, expected one above 0 and at most 100"),
        ("forward", {"holdout": 1.0}, "holdout is 1.0, expected a share from 0 to below 1"),
        ("s_model", {"holdout": -0.1}, "holdout is -0.1, expected a share from 0 to below 1"),
    ],
)
def test_parameters_out_of_range_are_refused_before_training(small, name, params, message):
    clf = BaselineClassifier(name, params=params)
    assert clone(clf).get_params()["params"] == params
    with pytest.raises(ValueError, match=message):
        clf.fit(*small)
    assert not hasattr(clf, "history_")
