"""Small residual network for images, of any size and number of channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from acestimator.backbones import _parts

WIDTHS = (32, 64, 128)
GROUPS = 8


class _Block(nn.Module):
    """Residual block of two 3 x 3 convolutions (He et al. 2016), pre-activated, with group normalisation.

    Groups and not batches: like the perceptron's, a sample's logits must not depend on the rest of its batch, and
    a batch of one must work.
    """

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x))
        residual = self.conv2(F.relu(self.norm2(self.conv1(h))))
        shortcut: Tensor = self.shortcut(x)
        return shortcut + residual


def build(input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Three residual blocks of widths 32, 64 and 128, each halving the image but the first."""
    channels = _parts.image_channels("small_resnet", input_shape)
    blocks = [
        _Block(width_in, width_out, 1 if i == 0 else 2)
        for i, (width_in, width_out) in enumerate(zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False))
    ]
    return nn.Sequential(
        nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False),
        *blocks,
        nn.GroupNorm(GROUPS, WIDTHS[-1]),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTHS[-1], n_classes),
    )
