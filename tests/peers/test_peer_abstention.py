"""The abstaining classifier: its loss, how alpha moves, what is removed, and fits."""

import numpy as np
import pytest
import torch
from by_hand import a_block, started, take
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from acestimator.estimators.baseline import BaselineClassifier
from acestimator.peers.abstention import AbstentionLoss

K, N = 4, 40


def at_start(max_epochs=10, warmup=0.3, loss_weight=None, **parameters):
    objective = AbstentionLoss(**{"alpha_final": 1.0, "rho": 64.0, "mu": 0.05, "warmup": warmup, **parameters})
    labels = torch.randint(K, (N,), generator=torch.Generator().manual_seed(0))
    return started(objective, labels, K, max_epochs=max_epochs, loss_weight=loss_weight), labels


def outputs(scale=2.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K + 1, generator=generator, dtype=torch.float64)


def terms(logits, labels):
    """1 - a_K, and the cross-entropy of the classes without the abstention."""
    a = logits.softmax(dim=1)
    learn = 1 - a[:, -1]
    return learn, -(a.gather(1, labels[:, None]).squeeze(1) / learn).log()


@pytest.mark.parametrize("alpha", [0.01, 0.5, 2.0])
def test_gradient_and_loss_are_those_of_the_published_formula(alpha):
    objective, labels = at_start()
    objective.alpha = alpha
    logits = outputs().requires_grad_()
    learn, h = terms(logits, labels)
    expected = learn * h - alpha * learn.log()
    grad, losses = take(objective, logits.detach(), a_block(labels))
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0], rtol=1e-11, atol=1e-12)


def test_the_warm_up_is_cross_entropy_of_all_outputs():
    objective, labels = at_start()
    logits = outputs().requires_grad_()
    expected = F.cross_entropy(logits, labels, reduction="none")
    grad, losses = take(objective, logits.detach(), a_block(labels))
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0])


def test_where_it_never_abstains_it_is_cross_entropy_of_the_classes():
    objective, labels = at_start()
    objective.alpha = 1.0
    logits = outputs()
    logits[:, -1] = -800.0
    grad, losses = take(objective, logits, a_block(labels))
    torch.testing.assert_close(losses, F.cross_entropy(logits[:, :-1], labels, reduction="none"))
    expected = logits[:, :-1].softmax(dim=1) - F.one_hot(labels, K)
    torch.testing.assert_close(grad, F.pad(expected, (0, 1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_gradients_are_finite_at_extreme_logits_in_single_precision(scale):
    objective, labels = at_start()
    objective.alpha = 0.5
    grad, losses = take(objective, outputs(scale).float(), a_block(labels))
    assert torch.isfinite(grad).all()
    assert torch.isfinite(losses).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_alpha_and_the_samples_removed_follow_the_algorithm(weighted):
    """Against the algorithm in plain python: batches of a block, the moving average, the ramp, the count."""
    weight = torch.arange(1.0, N + 1.0, dtype=torch.float64) if weighted else None
    max_epochs, n_warmup, rho, mu, alpha_final = 10, 3, 16.0, 0.2, 0.8
    objective, labels = at_start(max_epochs, 0.3, weight, rho=rho, mu=mu, alpha_final=alpha_final)
    threshold, alpha, alphas, counts = None, None, [], [0] * N
    for epoch in range(max_epochs):
        logits = outputs(1.0, seed=epoch)
        logits[: N // 2, -1] += 4.0
        assert (objective.alpha is None) == (epoch < n_warmup)
        for first in (0, 30):  # two blocks
            index, sizes = torch.arange(first, min(first + 30, N)), [15, 15] if first == 0 else [10]
            take(objective, logits[index], a_block(labels, index, sizes, epoch=epoch))
        for start, stop in ((0, 15), (15, 30), (30, 40)):
            learn, h = terms(logits[start:stop], labels[start:stop])
            w = np.ones(stop - start) if weight is None else weight[start:stop].numpy()
            beta = np.average((learn * h).numpy(), weights=w)
            threshold = beta if threshold is None else (1 - mu) * threshold + mu * beta
        if epoch >= n_warmup:
            alphas.append(objective.alpha)
            for n in range(N):
                counts[n] += int(logits[n].argmax() == K)
        objective.end_epoch(epoch)
        if epoch == n_warmup - 1:
            alpha = threshold / rho
    np.testing.assert_allclose(alphas, np.linspace(alpha, alpha_final, max_epochs - n_warmup), rtol=1e-12)
    assert objective.threshold == pytest.approx(threshold, rel=1e-12)
    removed = [count > (max_epochs - n_warmup) / 2 for count in counts]
    assert objective.abstained().tolist() == removed
    assert 0 < sum(removed) < N


def test_a_fit_is_reproducible_and_ranks_wrong_labels_above_right_ones(noisy_digits):
    """Wrong labels are those that a network which abstained on many of them finds improbable.

    Those removed are wrong more often than the 20 % of all.
    """
    X, observed, true, X_test, _ = noisy_digits
    X, observed, wrong = X[:600], observed[:600], (observed != true)[:600]
    clf = BaselineClassifier("abstention", params={"alpha_final": 0.5}, backbone="mlp", max_epochs=40, random_state=0)
    fits = [clone(clf).fit(X, observed) for _ in range(2)]
    np.testing.assert_array_equal(*(fit.decision_function(X_test) for fit in fits))
    assert fits[0].decision_function(X_test).shape == (len(X_test), 10)
    assert np.isfinite(fits[0].mislabel_scores_).all()
    assert roc_auc_score(wrong, fits[0].mislabel_scores_) > 0.8
    removed = fits[0].mislabel_proba_ == 1
    assert set(np.unique(fits[0].mislabel_proba_)) == {0.0, 1.0}
    assert wrong[removed].mean() > 0.4


def test_weights_and_one_large_batch(small):
    X, y = small
    clf = BaselineClassifier("abstention", max_epochs=60, batch_size=400, random_state=0)
    clf.fit(X, y, 1.0 + np.arange(150) % 2)
    assert clf.score(X, y) > 0.9  # the clouds are far apart
    assert clf.set_params(max_epochs=1).fit(X[:8], y[:8]).n_iter_ == 2


def test_where_everything_is_abstained_on_nothing_is_removed(small, monkeypatch):
    monkeypatch.setattr(
        AbstentionLoss, "abstained", lambda self: torch.ones(len(self.training.labels), dtype=torch.bool)
    )
    X, y = small
    clf = BaselineClassifier("abstention", max_epochs=60, batch_size=50, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert (clf.mislabel_proba_ == 1).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha_final": 0.0}, "alpha_final is 0.0, expected a positive number"),
        ({"rho": 0.5}, "rho is 0.5, expected a number of at least 1"),
        ({"mu": 0.0}, "mu is 0.0, expected a number above 0 and at most 1"),
        ({"warmup": 1.0}, "warmup is 1.0, expected a share of the epochs between 0 and 1"),
    ],
)
def test_parameters_out_of_range_are_refused_before_training(small, params, message):
    clf = BaselineClassifier("abstention", params=params)
    assert clone(clf).get_params()["params"] == params
    with pytest.raises(ValueError, match=message):
        clf.fit(*small)
    assert not hasattr(clf, "history_")
