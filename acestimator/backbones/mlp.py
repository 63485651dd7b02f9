"""Multilayer perceptron for vectors."""

from __future__ import annotations

import itertools

from torch import nn

from acestimator.backbones.sparse_linear import SparseLinear

HIDDEN = (256, 256)


def build(input_shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """Two hidden layers of 256 ReLU units.

    No batch normalisation: its statistics would make a sample's logits depend on which others are in the batch,
    and a sample of weight 2 would not be the sample twice.
    """
    if len(input_shape) != 1:
        raise ValueError(
            f"backbone 'mlp' takes vectors, X of shape (N, D), and one sample here has shape {input_shape}: "
            "use 'small_resnet' or flatten the samples."
        )
    widths = (input_shape[0], *HIDDEN)
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))


def taking_sparse_rows(perceptron: nn.Sequential) -> nn.Sequential:
    """The same network, of the same numbers, with a first layer that takes sparse rows as well as dense ones."""
    first, *others = perceptron
    assert isinstance(first, nn.Linear)
    return nn.Sequential(SparseLinear(first), *others)
