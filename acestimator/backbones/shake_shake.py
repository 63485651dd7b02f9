"""Shake-Shake networks (Gastaldi 2017, "Shake-Shake regularization", arXiv:1705.07485).

Convolutions start He normal by fan-out, biases zero (``_parts.network``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acestimator.backbones import _parts


def shake(first: Tensor, second: Tensor) -> Tensor:
    """Mix two branches at random: "Shake-Shake-Image" of Gastaldi 2017.

    For each image, alpha and beta are drawn independently and uniformly from [0, 1]. The value is
    ``alpha * first + (1 - alpha) * second``; the gradient goes to the branches as if the factors had been beta and
    1 - beta. In evaluation use the expected value, the mean of the two.

    Parameters
    ----------
    first, second : Tensor, shape (B, C, H, W)

    Returns
    -------
    Tensor, shape (B, C, H, W)
    """
    alpha, beta = _parts.uniform(2, first)
    return _parts.scale(first, alpha, beta) + _parts.scale(second, 1 - alpha, 1 - beta)


def _branch(width_in: int, width_out: int, stride: int) -> nn.Module:
    """Two convolutions; the ReLU before the first is the block's, which both branches share."""
    return nn.Sequential(
        _parts.conv(width_in, width_out, 3, stride),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
        _parts.conv(width_out, width_out, 3),
        nn.BatchNorm2d(width_out),
    )


class _Skip(nn.Module):
    """Two 1 x 1 convolutions of half the width, the second on the image moved right and down by a pixel.

    At stride 2, one takes the pixels of even rows and columns and the other those of odd ones.
    """

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _parts.conv(width_in, width_out // 2, 1, stride)
        self.conv2 = _parts.conv(width_in, width_out // 2, 1, stride)
        self.norm = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        moved = F.pad(x, (1, -1, 1, -1))
        return self.norm(torch.cat([self.conv1(x), self.conv2(moved)], dim=1))


class _Block(nn.Module):
    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.branch1 = _branch(width_in, width_out, stride)
        self.branch2 = _branch(width_in, width_out, stride)
        self.skip = None if width_in == width_out else _Skip(width_in, width_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(x)
        first, second = self.branch1(h), self.branch2(h)
        mixed = shake(first, second) if self.training else 0.5 * (first + second)
        return mixed + (x if self.skip is None else self.skip(h))


def _build(name: str, input_shape: tuple[int, ...], n_classes: int, depth: int, width: int) -> nn.Module:
    channels = _parts.image_channels(name, input_shape, minimum=5)
    n_blocks = (depth - 2) // 6
    blocks = _parts.stages(_Block, 16, [(width, n_blocks, 1), (2 * width, n_blocks, 2), (4 * width, n_blocks, 2)])
    layers = [_parts.conv(channels, 16, 3), nn.BatchNorm2d(16), *blocks, nn.ReLU(inplace=True)]
    return _parts.network(layers, 4 * width, n_classes)


def shake_shake_26_2x32d(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Shake-Shake 26 2x32d: 2,923,162 parameters for 3 channels and 10 classes.

    Three stages of four blocks of two branches, of widths 32, 64 and 128. Gastaldi 2017, Table 1 ("Shake", "Shake",
    "Image"): factors are drawn for each image, forward and backward, see :func:`shake`. Images of
    at least 5 x 5 pixels.
    """
    return _build("shake_shake_26_2x32d", input_shape, n_classes, 26, 32)


def shake_shake_26_2x96d(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Shake-Shake 26 2x96d: as 2x32d, of widths 96, 192 and 384; 26,192,922 parameters."""
    return _build("shake_shake_26_2x96d", input_shape, n_classes, 26, 96)


def shake_shake_26_2x112d(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Shake-Shake 26 2x112d: as 2x32d, of widths 112, 224 and 448; 35,640,442 parameters."""
    return _build("shake_shake_26_2x112d", input_shape, n_classes, 26, 112)
