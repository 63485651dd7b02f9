"""Time of augmenting a batch against the per-image Pillow pipeline in one process.

Aim, on 256 images of 32 x 32 pixels, one CPU thread, medians of interleaved turns: baseline (flip, pad, crop),
AutoAugment's CIFAR-10 policy and Cutout, batched, at least 3 times as fast as the same three image by image with Pillow
and numpy. Where a GPU is at hand, also the time of a batch there, by events, for each of the policies.

Run: python benchmarks/augmentation.py [--data FOLDER] [--repeats 15]. Prints a JSON line for each row. FOLDER is that
of CIFAR-10's python batches; without it the images are crops of scikit-learn's two photographs.
What it is compared with is a good one of its kind: images come from and go back to numpy, as a data set has them, with
no workers and no collation, which would cost it more.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fit_speed import print_header
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from acestimator.augment import (
    Augmentation,
    AutoAugment,
    Baseline,
    Compose,
    Cutout,
    FastAutoAugment,
    PopulationBasedAugment,
)
from acestimator.augment._policies import Entry, autoaugment
from acestimator.datasets import load_cifar10

BATCH, SIZE, PADDING, SQUARE = 256, 32, 4, 16
BATCHES = 4  # a turn
TARGET = 3.0


def crops(rng: np.random.RandomState) -> np.ndarray:
    """Windows of two photographs, every fourth pixel: (BATCH, H, W, C)."""
    photographs = [photograph[::4, ::4] for photograph in load_sample_images().images]
    images = []
    for i in range(BATCH):
        photograph = photographs[i % 2]
        y, x = (rng.randint(size - SIZE) for size in photograph.shape[:2])
        images.append(photograph[y : y + SIZE, x : x + SIZE])
    return np.stack(images)


def cifar(folder: Path) -> np.ndarray:
    """The first images of CIFAR-10's training set: (BATCH, H, W, C)."""
    return np.ascontiguousarray(load_cifar10(folder)[0][:BATCH].transpose(0, 2, 3, 1))


OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "ShearX": lambda image, v: image.transform(image.size, Image.Transform.AFFINE, (1, v, 0, 0, 1, 0)),
    "ShearY": lambda image, v: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, v, 1, 0)),
    "TranslateX": lambda image, v: image.transform(image.size, Image.Transform.AFFINE, (1, 0, v, 0, 1, 0)),
    "TranslateY": lambda image, v: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, v)),
    "Rotate": lambda image, v: image.rotate(v),
    "AutoContrast": lambda image, v: ImageOps.autocontrast(image),
    "Equalize": lambda image, v: ImageOps.equalize(image),
    "Invert": lambda image, v: ImageOps.invert(image),
    "Posterize": lambda image, v: ImageOps.posterize(image, int(v)),
    "Solarize": lambda image, v: ImageOps.solarize(image, int(v)),
    "Brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(v),
    "Color": lambda image, v: ImageEnhance.Color(image).enhance(v),
    "Contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(v),
    "Sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(v),
}


def one_image(image: np.ndarray, policy: list[list[Entry]]) -> np.ndarray:
    """Flip, pad and crop, one sub-policy, Cutout: (H, W, C)."""
    if random.random() < 0.5:
        image = image[:, ::-1]
    padded = np.zeros((SIZE + 2 * PADDING, SIZE + 2 * PADDING, 3), dtype=np.uint8)
    padded[PADDING:-PADDING, PADDING:-PADDING] = image
    y, x = random.randint(0, 2 * PADDING), random.randint(0, 2 * PADDING)
    picture = Image.fromarray(np.ascontiguousarray(padded[y : y + SIZE, x : x + SIZE]))
    for probability, pair in random.choice(policy):
        if random.random() < probability:
            operation = random.choice(pair)
            picture = OPERATIONS[operation.name](picture, operation.value)
    out = np.array(picture)
    y, x = random.randrange(SIZE), random.randrange(SIZE)
    out[max(0, y - SQUARE // 2) : y + SQUARE // 2, max(0, x - SQUARE // 2) : x + SQUARE // 2] = 0
    return out


def per_image(images: np.ndarray, policy: list[list[Entry]]) -> np.ndarray:
    return np.stack([one_image(image, policy) for image in images])


def seconds(function: Callable[[], object]) -> float:
    """Of a batch, over several."""
    began = time.perf_counter()
    for _ in range(BATCHES):
        function()
    return (time.perf_counter() - began) / BATCHES


def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> None:
    """Turns A B A B, after one of each to warm up; the median over turns of the ratio."""
    ours(), theirs()
    turns = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    row = {
        "row": name,
        "times_faster": round(statistics.median(b / a for a, b in turns), 2),
        "target": TARGET,
        "ours_ms": round(1e3 * statistics.median(a for a, _ in turns), 2),
        "pillow_ms": round(1e3 * statistics.median(b for _, b in turns), 2),
        "repeats": repeats,
    }
    print(json.dumps(row), flush=True)


def on_gpu(name: str, transform: Augmentation, images: torch.Tensor, repeats: int) -> None:
    """Milliseconds of a batch, by events around several of them."""
    images = images.cuda()
    transform(images)
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(BATCHES):
            transform(images)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / BATCHES)
    row = {"row": name, "gpu_ms": round(statistics.median(times), 3), "gpu": torch.cuda.get_device_name()}
    print(json.dumps(row | {"repeats": repeats}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10's python batches (default: crops of photographs)")
    parser.add_argument("--repeats", type=int, default=15, help="turns (default 15, at least 5)")
    arguments = parser.parse_args()
    repeats = max(5, arguments.repeats)
    torch.set_num_threads(1)
    random.seed(0)
    images = cifar(arguments.data) if arguments.data else crops(np.random.RandomState(0))
    batch = torch.from_numpy(images).movedim(-1, 1).contiguous()
    print_header(threads=1, batch=list(batch.shape), images="CIFAR-10" if arguments.data else "photographs")

    def whole(policy: Augmentation) -> Compose:
        return Compose([Baseline(PADDING), policy, Cutout(SQUARE)], random_state=0)

    policy = autoaugment("cifar10")
    transform = whole(AutoAugment("cifar10"))
    compare("baseline, AutoAugment, Cutout", lambda: transform(batch), lambda: per_image(images, policy), repeats)
    if torch.cuda.is_available():
        for part in (AutoAugment("cifar10"), FastAutoAugment("cifar10"), PopulationBasedAugment("cifar10")):
            on_gpu(f"baseline, {type(part).__name__}, Cutout", whole(part), batch, repeats)


if __name__ == "__main__":
    main()
