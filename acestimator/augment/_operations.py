"""Operations with their magnitudes, and their application: to every image its own, in steps.

Legend: B images, S steps (operations one after the other), R rows (the operations that a policy may draw).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from acestimator.augment import _pixels

NONE = -1  # row of an image that stays as it is
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_TABLES = ("Brightness", "Invert", "Posterize", "Solarize")

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class Operation(NamedTuple):
    """Name and magnitude, in the unit of Pillow's function of that name.

    The factor of an enhancement or a shear, degrees, pixels, a threshold, bits, or the side of Cutout's square. With
    ``relative``, a translation is a share of the width (X) or height (Y) and Cutout's side of the width.
    """

    name: str
    value: float = 0.0
    relative: bool = False


class Plan:
    """Operations made ready for images of one size: arrays with a row for each."""

    def __init__(self, operations: Sequence[Operation], height: int, width: int) -> None:
        n = len(operations)
        self.size = (height, width)
        self.groups = np.array([_GROUPS.index(_group(operation.name)) for operation in operations])
        self.factors = np.array([operation.value for operation in operations], dtype=np.float32)
        self.sides = np.array([_side(operation, width) for operation in operations], dtype=np.int64)
        self.tables = np.zeros((n, 256), dtype=np.uint8)
        # 32 bits are twice as fast, and hold the coordinates of all but huge images.
        self.matrices = np.zeros((n, 6), dtype=np.int32 if max(height, width) < 1 << 14 else np.int64)
        for row, operation in enumerate(operations):
            if operation.name in _TABLES:
                self.tables[row] = table(operation)
            elif operation.name in GEOMETRIC:
                self.matrices[row] = matrix(operation, height, width)

    def parameters(self, group: str, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """What the group's kernel needs for these rows (b,) and uniform places (b, 2)."""
        if group == "table":
            return self.tables[rows]
        if group == "affine":
            return self.matrices[rows]
        if group == "Cutout":
            return boxes(places, self.sides[rows], self.size)
        return self.factors[rows]


_KERNELS: dict[str, Kernel] = {
    "table": _pixels.look_up,
    "affine": _pixels.affine,
    "Cutout": _pixels.cut,
    "AutoContrast": _pixels.autocontrast,
    "Equalize": _pixels.equalize,
    "Contrast": _pixels.contrast,
    "Color": _pixels.color,
    "Sharpness": _pixels.sharpness,
}
_GROUPS = tuple(_KERNELS)


def apply(images: Tensor, plan: Plan, rows: np.ndarray, places: np.ndarray, fill: np.ndarray) -> Tensor:
    """Apply its own operations to every image.

    Parameters
    ----------
    images : Tensor of uint8, shape (B, C, H, W), contiguous
    plan : Plan
    rows : ndarray of int64, shape (S, B)
        Rows of the plan, or NONE.
    places : ndarray of float64, shape (S, B, 2)
        Centre of Cutout's square, as shares of height and width.
    fill : ndarray of uint8, shape (C, 1, 1)

    Returns
    -------
    Tensor of uint8, shape (B, C, H, W)
    """
    kernels: list[Kernel] = []
    arrays: list[np.ndarray] = [fill]
    for step_rows, step_places in zip(rows, places, strict=True):
        # Each group works on its own images only, which are known here, so that nothing waits for the device.
        groups = np.where(step_rows == NONE, NONE, plan.groups[step_rows])
        for number, (group, kernel) in enumerate(_KERNELS.items()):
            index = np.flatnonzero(groups == number)
            if len(index):
                kernels.append(kernel)
                arrays += [index, plan.parameters(group, step_rows[index], step_places[index])]
    fill_levels, *sent = send(arrays, images.device)
    out = images.clone()
    pixels = _words(out)
    for kernel, subset, parameters in zip(kernels, sent[::2], sent[1::2], strict=True):
        part = kernel(out.index_select(0, subset), parameters, fill_levels)
        pixels.index_copy_(0, subset, _words(part))
    return out


def _words(images: Tensor) -> Tensor:
    """View as (B, D): in words of eight bytes if an image fills them, since these are copied faster than bytes."""
    flat = images.flatten(1)
    return flat if flat.shape[1] % 8 else flat.view(torch.int64)


def send(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Tensors of these arrays on the device. One copy takes all of them there, and nothing waits for it."""
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    if device.type == "cpu":
        return tensors
    # Pinned, since a copy from other memory waits.
    packed, starts = pack(tensors, pin=device.type == "cuda")
    received = packed.to(device, non_blocking=True)
    return [
        received[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for start, tensor in zip(starts, tensors, strict=True)
    ]


def pack(tensors: Sequence[Tensor], pin: bool) -> tuple[Tensor, list[int]]:
    """Bytes of all tensors in one, and where each starts: at a multiple of eight, so that a view has its type."""
    *starts, size = itertools.accumulate((-(-tensor.nbytes // 8) * 8 for tensor in tensors), initial=0)
    packed = torch.empty(size, dtype=torch.uint8, pin_memory=pin)
    for start, tensor in zip(starts, tensors, strict=True):
        packed[start : start + tensor.nbytes] = tensor.flatten().view(torch.uint8)
    return packed, starts


def table(operation: Operation) -> np.ndarray:
    """New levels of the levels 0 to 255, uint8 (256,), of an operation that sees one pixel at a time."""
    name, value, _ = operation
    levels = np.arange(256)
    if name == "Brightness":
        return np.clip(np.float32(value) * levels.astype(np.float32), 0, 255).astype(np.uint8)
    if name == "Posterize":
        return (levels >> (8 - int(value)) << (8 - int(value))).astype(np.uint8)
    kept = levels < value if name == "Solarize" else np.zeros(256, dtype=bool)
    return np.where(kept, levels, 255 - levels).astype(np.uint8)


def matrix(operation: Operation, height: int, width: int) -> list[int]:
    """Map from a pixel to its source, as :func:`_pixels.affine` takes it."""
    name, value, relative = operation
    if name in ("TranslateX", "TranslateY"):
        # Whole pixels, rounded as the nearest source of a pixel's centre.
        pixels = math.floor((value * (width if name == "TranslateX" else height) if relative else value) + 0.5)
        return _fixed(1.0, 0.0, pixels, 0.0, 1.0, 0.0) if name == "TranslateX" else _fixed(1, 0, 0, 0, 1, pixels)
    if name == "ShearX":
        return _fixed(1.0, value, 0.0, 0.0, 1.0, 0.0)
    if name == "ShearY":
        return _fixed(1.0, 0.0, 0.0, value, 1.0, 0.0)
    # Counter-clockwise about the image's centre; rounded as Pillow does.
    angle = -math.radians(value % 360.0)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return _fixed(cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def _fixed(a0: float, a1: float, a2: float, a3: float, a4: float, a5: float) -> list[int]:
    """Fixed point, with the half pixel of the centres in a2 and a5."""
    values = (a0, a1, a2 + a0 * 0.5 + a1 * 0.5, a3, a4, a5 + a3 * 0.5 + a4 * 0.5)
    return [math.floor(value * (1 << _pixels.FIXED_POINT) + 0.5) for value in values]


def boxes(places: np.ndarray, sides: np.ndarray | int, size: tuple[int, int]) -> np.ndarray:
    """Top, bottom, left, right (b, 4) of squares about uniform places (b, 2), not yet clipped at the border."""
    centres = np.floor(places * size).astype(np.int64)
    start = centres - (np.asarray(sides) // 2)[..., None]
    stop = start + np.asarray(sides)[..., None]
    return np.stack([start[:, 0], stop[:, 0], start[:, 1], stop[:, 1]], axis=1)


def _group(name: str) -> str:
    return "table" if name in _TABLES else "affine" if name in GEOMETRIC else name


def _side(operation: Operation, width: int) -> int:
    if operation.name != "Cutout":
        return 0
    # Fast AutoAugment's rectangle includes both of its ends.
    return math.floor(operation.value * width) + 1 if operation.relative else int(operation.value)
