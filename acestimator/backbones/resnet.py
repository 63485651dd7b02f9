"""Residual networks, in the forms for CIFAR and for ImageNet.

He, Zhang, Ren and Sun 2016, "Deep residual learning for image recognition". Convolutions start He normal by fan-out,
biases zero (``_parts.network``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from acestimator.backbones import _parts

_Shortcut = Callable[[int, int, int], nn.Module]


class _Pad(nn.Module):
    """Shortcut A: every second pixel, and zeros for the channels that are new. It has no parameters."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.width, self.stride = width_out, stride

    def forward(self, x: Tensor) -> Tensor:
        # The mean of one pixel is the pixel: unlike a slice, it keeps the layout of channels last through the padding.
        return _parts.pad_channels(F.avg_pool2d(x, 1, self.stride), self.width)


def _project(width_in: int, width_out: int, stride: int) -> nn.Module:
    """Shortcut B: a 1 x 1 convolution."""
    return nn.Sequential(_parts.conv(width_in, width_out, 1, stride), nn.BatchNorm2d(width_out))


class _Basic(nn.Module):
    """Two 3 x 3 convolutions."""

    def __init__(self, width_in: int, width_out: int, stride: int, shortcut: _Shortcut) -> None:
        super().__init__()
        self.conv1 = _parts.conv(width_in, width_out, 3, stride)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = _parts.conv(width_out, width_out, 3)
        self.norm2 = nn.BatchNorm2d(width_out)
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else shortcut(width_in, width_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(h)) + self.shortcut(x), inplace=True)


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 with the stride, 1 x 1; the first two have a quarter of the width."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        inner = width_out // 4
        self.conv1 = _parts.conv(width_in, inner, 1)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = _parts.conv(inner, inner, 3, stride)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv3 = _parts.conv(inner, width_out, 1)
        self.norm3 = nn.BatchNorm2d(width_out)
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else _project(width_in, width_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        h = F.relu(self.norm2(self.conv2(h)), inplace=True)
        return F.relu(self.norm3(self.conv3(h)) + self.shortcut(x), inplace=True)


def _cifar(
    name: str,
    input_shape: tuple[int, ...],
    n_classes: int,
    widths: Sequence[int],
    n_blocks: Sequence[int],
    shortcut: _Shortcut,
) -> nn.Module:
    """Stem of one 3 x 3 convolution; the image is halved by every stage but the first."""
    # More pixels than the strides take: the last map has four, and a batch of one image can still be normalised.
    channels = _parts.image_channels(name, input_shape, minimum=2 ** (len(widths) - 1) + 1)
    strides = [1] + [2] * (len(widths) - 1)
    plan = zip(widths, n_blocks, strides, strict=True)
    stem = [_parts.conv(channels, widths[0], 3), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
    blocks = _parts.stages(partial(_Basic, shortcut=shortcut), widths[0], plan)
    return _parts.network([*stem, *blocks], widths[-1], n_classes)


def _imagenet(
    name: str, input_shape: tuple[int, ...], n_classes: int, width: int, n_blocks: Sequence[int]
) -> nn.Module:
    """Stem of a 7 x 7 convolution and a 3 x 3 pooling, which halve the image each; stages of bottlenecks."""
    channels = _parts.image_channels(name, input_shape, minimum=2 ** (len(n_blocks) + 1) + 1)
    widths = [4 * width * 2**i for i in range(len(n_blocks))]
    strides = [1] + [2] * (len(n_blocks) - 1)
    plan = zip(widths, n_blocks, strides, strict=True)
    stem = [
        _parts.conv(channels, width, 7, 2),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    return _parts.network([*stem, *_parts.stages(_Bottleneck, width, plan)], widths[-1], n_classes)


def resnet32(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """ResNet-32 in the CIFAR form: 464,154 parameters for 3 channels and 10 classes.

    Three stages of five basic blocks, of widths 16, 32 and 64, on a 3 x 3 convolution without pooling. Shortcuts have
    no parameters (option A). He et al. 2016, Section 4.2. Images of at least 5 x 5 pixels.
    """
    return _cifar("resnet32", input_shape, n_classes, (16, 32, 64), (5, 5, 5), _Pad)


def resnet34(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """ResNet-34 for CIFAR: 21,282,122 parameters for 3 channels and 10 classes.

    The stages of the ImageNet form (He et al. 2016, Table 1; 3, 4, 6 and 3 basic blocks of widths 64 to 512,
    projections as shortcuts) on a 3 x 3 convolution without pooling: what papers on CIFAR-10N call ResNet-34.
    Images of at least 9 x 9 pixels.
    """
    return _cifar("resnet34", input_shape, n_classes, (64, 128, 256, 512), (3, 4, 6, 3), _project)


def resnet50(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """ResNet-50 in the ImageNet form: 25,557,032 parameters for 3 channels and 1,000 classes.

    3, 4, 6 and 3 bottlenecks of widths 256 to 2,048 on a strided 7 x 7 convolution and a pooling (He et al. 2016,
    Table 1). A block's stride is in its 3 x 3 convolution, as in the Torch implementation (Gross and Wilber 2016),
    not in the first 1 x 1 as in the paper. Images of at least 33 x 33 pixels.
    """
    return _imagenet("resnet50", input_shape, n_classes, 64, (3, 4, 6, 3))
