"""What the tests of the peers share: a small problem to train on, and the refusal of bad parameters."""

import pytest
import torch
from sklearn.base import clone
from torch import nn

from acestimator.estimators.baseline import BaselineClassifier


def draw_problem(n_samples, n_classes):
    """Features (N, 5), labels (N,) and a network of 16 hidden units, in float64; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n_samples, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(n_classes, (n_samples,), generator=generator)
    torch.manual_seed(0)
    return features, labels, nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, n_classes)).double()


def assert_refused(method, params, message, data, monkeypatch):
    """A method with these parameters can be made and cloned, and its fit fails with the message before any training."""
    monkeypatch.setattr("acestimator.phases.train", None)
    clf = clone(BaselineClassifier(method, params=params))
    assert clf.get_params()["params"] == params
    with pytest.raises(ValueError, match=message):
        clf.fit(*data)
