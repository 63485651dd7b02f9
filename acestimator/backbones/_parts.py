"""What the convolutional families share: checks, layers, initialisation, random scales.

Legend: B batch, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def image_channels(name: str, input_shape: tuple[int, ...], minimum: int = 1) -> int:
    """Channels of an image of at least ``minimum`` pixels a side, or a ValueError."""
    if len(input_shape) != 3:
        raise ValueError(
            f"backbone {name!r} takes images, X of shape (N, C, H, W), and one sample here has shape "
            f"{input_shape}: use 'mlp', or give the images their channel axis."
        )
    channels, *sides = input_shape
    if min(sides) < minimum:
        raise ValueError(
            f"backbone {name!r} takes images of at least {minimum} x {minimum} pixels, and one sample here has shape "
            f"{input_shape}: use 'small_resnet', or enlarge the images."
        )
    return channels


def conv(width_in: int, width_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias, padded so that the image keeps its size, but for the stride."""
    return nn.Conv2d(width_in, width_out, size, stride, padding=size // 2, bias=False)


def stages(
    block: Callable[[int, int, int], nn.Module], width_in: int, plan: Iterable[tuple[int, int, int]]
) -> list[nn.Module]:
    """Blocks ``block(width_in, width_out, stride)`` in a row.

    ``plan`` gives each stage's width, number of blocks, and the stride of its first block.
    """
    blocks = []
    for width, n_blocks, stride in plan:
        for i in range(n_blocks):
            blocks.append(block(width_in, width, stride if i == 0 else 1))
            width_in = width
    return blocks


def network(layers: Iterable[nn.Module], width: int, n_classes: int) -> nn.Module:
    """Layers, then the mean over the pixels and one linear layer: (B, C, H, W) to (B, K).

    Convolutions are drawn from N(0, 2 / (size^2 width_out)), He et al. 2015 by fan-out; biases are zero; batch
    normalisation starts as the identity. The linear layer's weights are torch's default, uniform within
    1 / sqrt(width). So do the Torch implementations of all these families.
    """
    built = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))
    for module in built.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    return built


def pad_channels(x: Tensor, width: int) -> Tensor:
    """Channels of zeros appended: (B, C, H, W) to (B, width, H, W)."""
    return F.pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))


class _Scale(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
        return x * forward

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (backward,) = ctx.saved_tensors
        return gradient * backward, None, None


def scale(x: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """``x * forward``, whose gradient is passed on as ``gradient * backward``.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
    forward, backward : Tensor, shape (B, 1, 1, 1)
        Of any floating dtype; neither gets a gradient.

    Returns
    -------
    Tensor
        Of the shape and dtype of ``x``.
    """
    return _Scale.apply(x, forward.to(x.dtype), backward.to(x.dtype))  # type: ignore[no-untyped-call]


def uniform(n: int, x: Tensor) -> tuple[Tensor, ...]:
    """Draw ``n`` numbers in [0, 1) for each image of ``x``: n tensors of float32, shape (B, 1, 1, 1).

    In one call, from the global generator of ``x``'s device. Float32 also where ``x`` is bfloat16, which holds 256
    numbers there.
    """
    return torch.rand(n, len(x), 1, 1, 1, device=x.device, dtype=torch.float32).unbind()
