"""Plain cross-entropy: what everything is compared with."""

from __future__ import annotations

import torch

from acestimator.objectives import CrossEntropy
from acestimator.peers._method import Method


class Plain(Method):
    """Cross-entropy on the observed labels. Its score of a sample is the loss after training."""

    def objective(self, generator: torch.Generator) -> CrossEntropy:  # noqa: D102
        return CrossEntropy()
