"""PyramidNet with ShakeDrop.

Han, Kim and Kim 2017, "Deep pyramidal residual networks", arXiv:1610.02915; Yamada, Iwamura, Akiba and Kise 2018,
"ShakeDrop regularization for deep residual learning", arXiv:1802.02375. Convolutions start He normal by fan-out, biases
zero (``_parts.network``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from acestimator.backbones import _parts


def shake_drop(x: Tensor, keep: float) -> Tensor:
    r"""Disturb a residual branch at random: ShakeDrop, with draws for each image.

    With :math:`b \sim \mathrm{Bernoulli}(p)`, :math:`\alpha \sim U[-1, 1]` and :math:`\beta \sim U[0, 1]`, the value
    is :math:`(b + \alpha - b\alpha)\,x` and the gradient is passed on times :math:`b + \beta - b\beta`: an image keeps
    its branch where b = 1, and gets alpha forward and beta backward where b = 0. In evaluation use the expected
    value: b and alpha are independent and alpha has mean zero, so :math:`E[b + \alpha - b\alpha] = p + (1 - p)
    E[\alpha] = p`.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
    keep : float
        The probability p.

    Returns
    -------
    Tensor, shape (B, C, H, W)
    """
    drawn, alpha, beta = _parts.uniform(3, x)
    kept = drawn < keep
    return _parts.scale(x, torch.where(kept, 1.0, 2 * alpha - 1), torch.where(kept, 1.0, beta))


class _Block(nn.Module):
    """Bottleneck with a normalisation before and after all three convolutions, and no ReLU before the first."""

    def __init__(self, width_in: int, inner: int, stride: int, keep: float) -> None:
        super().__init__()
        self.keep, self.width = keep, 4 * inner
        self.residual = nn.Sequential(
            nn.BatchNorm2d(width_in),
            _parts.conv(width_in, inner, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            _parts.conv(inner, inner, 3, stride),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            _parts.conv(inner, self.width, 1),
            nn.BatchNorm2d(self.width),
        )
        # Rounded up as the convolution's size is; at the border of an odd image the mean is over fewer pixels.
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.residual(x)
        residual = shake_drop(residual, self.keep) if self.training else self.keep * residual
        return residual + _parts.pad_channels(self.pool(x), self.width)


def _build(name: str, input_shape: tuple[int, ...], n_classes: int, depth: int, alpha: int) -> nn.Module:
    """Of L = (depth - 2) / 3 blocks, block l has inner width 16 + l alpha / L and p_l = 1 - l / (2 L)."""
    channels = _parts.image_channels(name, input_shape, minimum=5)
    n_blocks = (depth - 2) // 9  # a stage
    total = 3 * n_blocks
    layers: list[nn.Module] = [_parts.conv(channels, 16, 3), nn.BatchNorm2d(16)]
    width = 16
    for i in range(1, total + 1):
        inner = round(16 + i * alpha / total)
        stride = 2 if i in (n_blocks + 1, 2 * n_blocks + 1) else 1
        layers.append(_Block(width, inner, stride, keep=1 - i / (2 * total)))
        width = 4 * inner
    return _parts.network([*layers, nn.BatchNorm2d(width), nn.ReLU(inplace=True)], width, n_classes)


def pyramidnet_272_a200_shakedrop(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """PyramidNet-272, alpha 200, bottleneck, with ShakeDrop: 26,210,842 parameters for 3 channels and 10 classes.

    Ninety blocks in three stages, whose inner widths grow in even steps from 16 to 216. They are rounded to the
    nearest, as in the code of Han et al. and in AutoAugment's, with whose results AutoCleansing's are compared; rounded
    down, they would give the 26.0 million that Han et al. publish. ShakeDrop is drawn for each image, see
    :func:`shake_drop`; the probability of keeping a branch falls in even steps to 1/2 at the last block (Yamada et al.
    2018). Shortcuts have no parameters. Images of at least 5 x 5 pixels.
    """
    return _build("pyramidnet_272_a200_shakedrop", input_shape, n_classes, 272, 200)
