"""What a long training on a GPU is given: milestones, bfloat16, compilation, images channels-last."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn

from acestimator import AutoCleansingClassifier
from acestimator.objectives import CrossEntropy
from acestimator.training import TrainingPlan, train
from acestimator.training.optimizers import FusedSGD

X, Y = make_blobs(90, centers=3, n_features=5, random_state=0, cluster_std=2.0)
SETTINGS = {
    "max_epochs": 7,
    "batch_size": 16,
    "random_state": 0,
    "device": "cpu",
    "preset": "paper",
    "learning_rate": 0.01,
}


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


def test_auto_is_float32_without_a_gpu():
    images, labels = np.random.RandomState(0).rand(20, 3, 6, 6), np.arange(20) % 2
    fits = [AutoCleansingClassifier(precision=p, **SETTINGS).fit(images, labels) for p in ("auto", "float32")]
    np.testing.assert_array_equal(*(clf.decision_function(images) for clf in fits))


def test_a_compiled_network_is_trained_and_the_plain_one_is_kept(monkeypatch):
    compiled = []

    def compile_plainly(network):
        compiled.append(network)
        return torch._dynamo.optimize("aot_eager")(network)

    monkeypatch.setattr(torch, "compile", compile_plainly)
    clf = AutoCleansingClassifier(compile=True, **SETTINGS).fit(X, Y)
    assert len(compiled) == 1
    assert type(clf.module_) is type(compiled[0])
    plain = AutoCleansingClassifier(**SETTINGS).fit(X, Y)
    np.testing.assert_allclose(clf.decision_function(X), plain.decision_function(X), atol=1e-5)


def test_schedules_that_are_none_are_refused():
    for schedule in ((3, 1), (2, 2), (-1,), (float("nan"),), ("a",)):
        with pytest.raises(ValueError, match="schedule"):
            AutoCleansingClassifier(schedule=schedule).fit(X, Y)
    with pytest.raises(ValueError, match="'schedule' parameter"):
        AutoCleansingClassifier(schedule="linear").fit(X, Y)


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


def test_images_come_channels_last_to_our_networks_and_not_to_a_user_s():
    images = np.random.RandomState(0).randint(0, 256, size=(20, 3, 8, 8)).astype(np.uint8)
    labels = np.arange(20) % 2
    layouts = []

    class Watched(nn.Sequential):
        def forward(self, x):
            if self.training:
                layouts.append(x.is_contiguous())
            return super().forward(x)

    AutoCleansingClassifier(Watched(nn.Flatten(), nn.Linear(192, 2)), **SETTINGS).fit(images, labels)
    assert all(layouts)
    clf = AutoCleansingClassifier("resnet32", **(SETTINGS | {"max_epochs": 1})).fit(images, labels)
    weight = next(p for p in clf.module_.parameters() if p.ndim == 4)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
