"""Image by image, with Pillow and slices of numpy arrays: what the batched operations are compared with.

Images are (H, W, C) here.
"""

import functools

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images


@functools.cache
def photographs():
    """Crops of two photographs and, by strides, the whole of them: uint8 (12, 3, 40, 40)."""
    rng = np.random.RandomState(0)
    crops = []
    for photograph in load_sample_images().images:
        for stride in (1, 1, 4, 4, 8, 10):
            coarse = photograph[::stride, ::stride]
            y, x = (rng.randint(size - 40 + 1) for size in coarse.shape[:2])
            crops.append(coarse[y : y + 40, x : x + 40])
    return np.stack(crops).transpose(0, 3, 1, 2).copy()


def batch(n, height=32, width=32, channels=3):
    """n images, the photographs over and again."""
    images = photographs()[np.arange(n) % len(photographs()), :channels, :height, :width]
    return np.ascontiguousarray(images)


def one_operation(image, operation, place, fill):
    """One operation on one image; ``fill`` is a tuple of levels, ``place`` Cutout's centre as shares."""
    name, value, relative = operation
    height, width, channels = image.shape
    if name == "Cutout":
        side = int(value * width) + 1 if relative else value
        return cut(image, (int(place[0] * height), int(place[1] * width)), side, fill)
    picture = Image.fromarray(image if channels == 3 else image[..., 0])
    fillcolor = fill if channels == 3 else fill[0]
    if name.startswith(("Shear", "Translate")):
        if relative:
            value = value * (width if name == "TranslateX" else height)
        matrix = {
            "ShearX": (1, value, 0, 0, 1, 0),
            "ShearY": (1, 0, 0, value, 1, 0),
            "TranslateX": (1, 0, value, 0, 1, 0),
            "TranslateY": (1, 0, 0, 0, 1, value),
        }[name]
        out = picture.transform(picture.size, Image.Transform.AFFINE, matrix, fillcolor=fillcolor)
    elif name == "Rotate":
        out = picture.rotate(value, fillcolor=fillcolor)
    elif name in ("AutoContrast", "Equalize", "Invert"):
        out = getattr(ImageOps, name.lower())(picture)
    elif name in ("Posterize", "Solarize"):
        out = getattr(ImageOps, name.lower())(picture, value)
    else:
        out = getattr(ImageEnhance, name)(picture).enhance(value)
    return np.array(out).reshape(image.shape)


def cut(image, centre, side, fill):
    image = image.copy()
    top, left = (c - side // 2 for c in centre)
    image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = fill
    return image


def crop(image, flipped, offset, padding, fill):
    """The baseline."""
    height, width, channels = image.shape
    padded = np.empty((height + 2 * padding, width + 2 * padding, channels), dtype=np.uint8)
    padded[:] = fill
    padded[padding : padding + height, padding : padding + width] = image[:, ::-1] if flipped else image
    return padded[offset[0] : offset[0] + height, offset[1] : offset[1] + width]


def each(images, function):
    """``function(image, index)`` on every image of (B, C, H, W)."""
    return np.stack([function(image.transpose(1, 2, 0), i).transpose(2, 0, 1) for i, image in enumerate(images)])


def apply_choice(images, operations, choice, fill):
    """All steps of a policy's decisions."""
    for rows, places in zip(choice.rows, choice.places, strict=True):

        def step(image, i, rows=rows, places=places):
            return image if rows[i] < 0 else one_operation(image, operations[rows[i]], places[i], fill)

        images = each(images, step)
    return images
