"""What a long training on a GPU is given: milestones, bfloat16, parameters channels-last."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn

from acestimator.objectives import CrossEntropy
from acestimator.training import TrainingPlan, train
from acestimator.training.optimizers import FusedSGD

X, Y = make_blobs(90, centers=3, n_features=5, random_state=0, cluster_std=2.0)


def test_milestones_are_counted_in_epochs_whatever_the_batches():
    plan = TrainingPlan(4, 8, 1.0, "sgd", 0.0, 0.0, schedule=(1, 3))
    scales = [plan.lr_scale(step, 20) for step in range(20)]
    np.testing.assert_allclose(scales, [1.0] * 5 + [0.1] * 10 + [0.01] * 5)


def test_autocast_rounds_the_network_and_nothing_else():
    dtypes = []

    class Watched(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            dtypes.append(out.dtype)
            return out

    class Watching(CrossEntropy):
        def gradient(self, logits, step):
            dtypes.append(logits.dtype)
            return super().gradient(logits, step)

    features, labels = torch.tensor(X, dtype=torch.float32), torch.tensor(Y)
    histories = []
    for autocast in (False, True):
        torch.manual_seed(0)
        network, objective = Watched(5, 3), Watching()
        plan = TrainingPlan(5, 16, 0.1, "sgd", 0.9, 0.0, autocast=autocast)
        generator = torch.Generator().manual_seed(0)
        history = train(network, objective, features, labels, plan, n_classes=3, generator=generator)
        histories.append(history[-1])
        assert network.weight.dtype == torch.float32
    assert dtypes[-2:] == [torch.bfloat16, torch.float32]
    assert histories[1]["loss"] != histories[0]["loss"]
    assert histories[1]["loss"] == pytest.approx(histories[0]["loss"], rel=0.05)


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.Flatten(), nn.Linear(20, 2)
    )


def test_a_step_is_the_same_whatever_the_layout_of_parameters_and_gradients():
    """Channels-last weights take the fused kernel at one go, and end where torch.optim ends with contiguous ones."""
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    plain, laid = convolutions(), convolutions().to(memory_format=torch.channels_last)
    reference = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)
    fused = FusedSGD(laid.parameters(), momentum=0.9, weight_decay=1e-2)
    assert not all(p.is_contiguous() for p in laid.parameters())
    for _ in range(3):
        reference.zero_grad()
        plain(x).square().sum().backward()
        reference.step()
        logits = laid(x.contiguous(memory_format=torch.channels_last))
        fused.descend(logits, 2 * logits.detach(), 0.1)
    assert fused._all_plain
    for ours, theirs in zip(laid.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.detach().contiguous(), theirs.detach(), atol=1e-5, rtol=1e-4)
