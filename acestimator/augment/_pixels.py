"""The operations on batches of images, as Pillow defines them, each image with parameters of its own.

Legend: b images, C channels, H x W pixels. Images are uint8 and contiguous, ``fill`` is uint8 (C, 1, 1). An operation
is called as (images, parameters, fill), needed or not, and does not change its images; nothing waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIXED_POINT = 16  # fractional bits of the coordinates in :func:`affine`: Pillow's
_LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 16 bits


def look_up(images: Tensor, tables: Tensor, fill: Tensor) -> Tensor:
    """Replace every level by what the image's table (b, 256), or the channel's (b, C, 256), has for it."""
    if tables.ndim == 2:
        tables = tables[:, None].expand(-1, images.shape[1], -1)
    return tables.gather(2, images.flatten(2).long()).view_as(images)


def contrast(images: Tensor, factors: Tensor, fill: Tensor) -> Tensor:
    """Blend with the image's mean grey level, rounded, by factors (b,)."""
    n_pixels = images[0, 0].numel()
    total = _grey(images).flatten(1).sum(1, keepdim=True)  # (b, 1)
    mean = (2 * total + n_pixels).div_(2 * n_pixels, rounding_mode="floor")
    levels = torch.arange(256, device=images.device)
    return look_up(images, _blend(mean, levels, factors[:, None]), fill)


def autocontrast(images: Tensor, unused: Tensor, fill: Tensor) -> Tensor:
    """Stretch every channel to the whole range; one of a single level stays."""
    flat = images.flatten(2)
    low, high = (extreme.double() for extreme in (flat.amin(2, keepdim=True), flat.amax(2, keepdim=True)))  # (b, C, 1)
    levels = torch.arange(256, device=images.device, dtype=torch.float64)
    # In this order and in double precision: the truncation below shows the last bit. Not 255.0 / span, which torch
    # takes as 255 times the reciprocal.
    span = high - low
    scale = torch.where(span > 0, torch.full_like(span, 255.0) / span, 1.0)
    offset = torch.where(span > 0, -low * scale, 0.0)
    return look_up(images, (levels * scale).add_(offset).clamp_(0, 255).to(torch.uint8), fill)


def equalize(images: Tensor, unused: Tensor, fill: Tensor) -> Tensor:
    """Flatten the histogram of every channel."""
    b, c = images.shape[:2]
    flat = images.view(b * c, -1)
    # On one axis, where adding up is deterministic on every device.
    index = flat.long().add_(256 * torch.arange(b * c, device=images.device)[:, None]).view(-1)
    count = torch.zeros(b * c * 256, dtype=torch.int32, device=images.device)
    count.scatter_add_(0, index, count.new_ones(1).expand(index.shape))
    count = count.view(b * c, 256)
    highest = count.gather(1, flat.amax(1, keepdim=True).long())
    step = (flat.shape[1] - highest).div_(255, rounding_mode="floor")  # (b C, 1)
    below = count.cumsum(1, dtype=torch.int32) - count
    flattened = (below + step // 2).div_(step.clamp(min=1), rounding_mode="floor").clamp_(max=255)
    levels = torch.arange(256, device=images.device, dtype=torch.int32)
    # A step of zero: too few pixels, or but one level. The channel stays.
    tables = torch.where(step > 0, flattened, levels).to(torch.uint8)
    return tables.view(-1).gather(0, index).view_as(images)


def color(images: Tensor, factors: Tensor, fill: Tensor) -> Tensor:
    """Blend with the grey image by factors (b,)."""
    if images.shape[1] == 1:
        return images
    return _blend(_grey(images)[:, None], images, factors[:, None, None, None])


def sharpness(images: Tensor, factors: Tensor, fill: Tensor) -> Tensor:
    """Blend with the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, its border left as it is, by factors (b,)."""
    if min(images.shape[2:]) < 3:
        return images
    x = images.short()
    centre = x[..., 1:-1, 1:-1]
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * centre
    # Rounded to the nearest level. 13 is odd, so there are no ties, and a float's error is far from mattering.
    smooth = total.float().add_(6.5).div_(13.0).floor_()
    out = images.clone()
    out[..., 1:-1, 1:-1] = _blend(smooth, centre, factors[:, None, None, None])
    return out


def affine(images: Tensor, matrices: Tensor, fill: Tensor) -> Tensor:
    """Fetch pixel (x, y) from (a0 x + a1 y + a2, a3 x + a4 y + a5), the nearest one.

    ``matrices`` (b, 6), int32 or int64, holds a0 to a5 with FIXED_POINT fractional bits; half a pixel is in a2 and a5.
    """
    height, width = images.shape[2:]
    a0, a1, a2, a3, a4, a5 = matrices[:, :, None, None].unbind(1)  # each (b, 1, 1)
    x = torch.arange(width, dtype=matrices.dtype, device=images.device)
    y = torch.arange(height, dtype=matrices.dtype, device=images.device)[:, None]
    source_x = (a0 * x + (a1 * y + a2)) >> FIXED_POINT  # (b, H, W)
    source_y = (a3 * x + (a4 * y + a5)) >> FIXED_POINT
    return fetch(images, source_x, source_y, fill)


def fetch(images: Tensor, source_x: Tensor, source_y: Tensor, fill: Tensor) -> Tensor:
    """Pixels from these places, integers that broadcast to (b, H, W); from outside of the image, ``fill``."""
    b, c, height, width = images.shape
    # Behind an image's last pixel stands the fill. What is outside gets that index or a larger one, and is held to it.
    index = _inside_or(height, source_y, height) * width + _inside_or(height * width, source_x, width)
    index = index.clamp_(max=height * width).long()  # (b, H, W)
    pixels = torch.cat([images.flatten(2), fill.view(1, c, 1).expand(b, c, 1)], dim=2)
    return pixels.gather(2, index.flatten(1)[:, None].expand(b, c, -1)).view_as(images)


def cut(images: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """Paint the rectangles ``boxes`` (b, 4): top, bottom, left, right, ends exclusive; may reach out of the image."""
    top, bottom, left, right = boxes[:, :, None, None].unbind(1)  # each (b, 1, 1)
    x = torch.arange(images.shape[3], device=images.device)
    y = torch.arange(images.shape[2], device=images.device)[:, None]
    above_or_below = ((y < top) | (y >= bottom)).to(torch.uint8)
    beside = ((x < left) | (x >= right)).to(torch.uint8)
    # All bits where a pixel is kept, none where it is not: on the CPU, bits are much faster than torch.where.
    keep = (-above_or_below | -beside)[:, None]  # (b, 1, H, W)
    return (images & keep).bitwise_or_(fill & ~keep)


def _inside_or(other: int, places: Tensor, size: int) -> Tensor:
    """These places along an axis, or ``other`` for those outside of it."""
    inner = places.clamp(0, size - 1)
    return inner.masked_fill_(inner != places, other)


def _blend(first: Tensor, second: Tensor, factor: Tensor) -> Tensor:
    """``first + factor (second - first)`` in single precision, truncated to uint8."""
    first = first.float()
    return (second.float() - first).mul_(factor).add_(first).clamp_(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Level of grey (b, H, W), int32."""
    if images.shape[1] == 1:
        return images[:, 0].int()
    red, green, blue = (weight * images[:, i].int() for i, weight in enumerate(_LUMA))
    return (red + green + blue + (1 << 15)) >> 16
