"""Wide residual networks (Zagoruyko and Komodakis 2016, "Wide residual networks").

Convolutions start He normal by fan-out, biases zero (``_parts.network``).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from acestimator.backbones import _parts


class _Block(nn.Module):
    """Two 3 x 3 convolutions, pre-activated: x + conv(relu(norm(conv(relu(norm(x))))))."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width_in)
        self.conv1 = _parts.conv(width_in, width_out, 3, stride)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.conv2 = _parts.conv(width_out, width_out, 3)
        same = width_in == width_out and stride == 1
        self.projection = None if same else _parts.conv(width_in, width_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x), inplace=True)
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(h)), inplace=True))
        # A projection sees the activated input, like the residual; the identity does not.
        return residual + (x if self.projection is None else self.projection(h))


def _build(name: str, input_shape: tuple[int, ...], n_classes: int, depth: int, widening: int) -> nn.Module:
    channels = _parts.image_channels(name, input_shape, minimum=5)
    n_blocks = (depth - 4) // 6
    plan = [(16 * widening, n_blocks, 1), (32 * widening, n_blocks, 2), (64 * widening, n_blocks, 2)]
    width = 64 * widening
    blocks = _parts.stages(_Block, 16, plan)
    layers = [_parts.conv(channels, 16, 3), *blocks, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return _parts.network(layers, width, n_classes)


def wide_resnet_40_2(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Wide-ResNet-40-2, without dropout: 2,243,546 parameters for 3 channels and 10 classes.

    Three stages of six pre-activated blocks, of widths 32, 64 and 128. Zagoruyko and Komodakis 2016, Table 1.
    Images of at least 5 x 5 pixels.
    """
    return _build("wide_resnet_40_2", input_shape, n_classes, 40, 2)


def wide_resnet_28_10(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Wide-ResNet-28-10, without dropout: 36,479,194 parameters for 3 channels and 10 classes.

    Three stages of four pre-activated blocks, of widths 160, 320 and 640. Zagoruyko and Komodakis 2016, Table 1.
    Images of at least 5 x 5 pixels.
    """
    return _build("wide_resnet_28_10", input_shape, n_classes, 28, 10)
