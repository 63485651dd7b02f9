"""The head of networks that have one output more than there are classes.

Legend: B batch, M samples of a block, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from acestimator.objectives import Head


class OneMoreOutput(Head):
    """A network of K + 1 outputs, of which the first K predict."""

    def make_network(self, make: Callable[[int], nn.Module], n_classes: int) -> nn.Module:
        """K + 1 outputs."""
        return make(n_classes + 1)

    def predictor(self, network: nn.Module) -> nn.Module:
        """The first K."""
        return WithoutLast(network)

    def class_logits(self, outputs: Tensor) -> Tensor:
        """The first K."""
        return outputs[:, :-1]


class WithoutLast(nn.Module):
    """A network's outputs, without the last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        outputs: Tensor = self.network(x)
        return outputs[:, :-1]
