"""Images: Fashion-MNIST and CIFAR-10 as vectors, as fixed features, and as they are."""

from __future__ import annotations

import importlib.util
import io
import lzma
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.comparison.tasks import HUMAN, Split
from suite_parts.sources import TEST_ROWS, Sources

_FEATURES = 15_000  # CIFAR-10 images whose features are computed
_CIFAR, _HUMAN_LABELS = "cifar10_jpeg_q75_60k_orig_order.npz", "cifar10n_labels.npz"
_N_CIFAR = 50_000  # training images; those for testing come after them


def fashion(n_train: int, seed: int, sources: Sources) -> Split:
    """Fashion-MNIST as vectors, 0 to 1."""
    with np.load(sources.find("fashion_mnist.npz")) as file:
        chosen = np.random.RandomState(seed).permutation(len(file["y_train"]))[:n_train]
        train, test = file["x_train"][chosen], file["x_test"][:TEST_ROWS]
        y, y_test = file["y_train"][chosen], file["y_test"][:TEST_ROWS]
    return Split(_flat(train), y.astype(np.int64), _flat(test), y_test.astype(np.int64))


def fashion_features(seed: int, sources: Sources) -> Split:
    """An embedding: 256 random ReLU features of 3,000 images of Fashion-MNIST, as vectors of length one."""
    data = fashion(3000, seed, sources)
    rng = np.random.RandomState(0)  # the embedding is one and the same
    weights = rng.normal(size=(data.X_train.shape[1], 256)) / np.sqrt(data.X_train.shape[1])
    center = data.X_train.mean()

    def embed(X: np.ndarray) -> np.ndarray:
        features = np.maximum((X - center) @ weights, 0.0)
        return (features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    return data._replace(X_train=embed(data.X_train), X_test=embed(data.X_test))


def cifar_features(seed: int, sources: Sources) -> Split:
    """1,600 fixed features of 5,000 images of CIFAR-10, and the labels that people gave them."""
    made = features_file(sources)
    with np.load(made) as file:
        X, y, X_test, y_test = (file[name] for name in ("X", "y", "Xt", "yt"))
    chosen = np.random.RandomState(seed).permutation(len(X))[:5000]
    labels = tuple(v.astype(np.int64) for v in (y[chosen], y_test[:TEST_ROWS]))
    X, X_test = X[chosen].astype(np.float32), X_test[:TEST_ROWS].astype(np.float32)
    return Split(X, labels[0], X_test, labels[1], _human(sources, chosen))


def cifar_images(seed: int, sources: Sources) -> Split:
    """2,000 images of CIFAR-10 and 2,000 to test on, uint8."""
    with np.load(sources.find(_CIFAR)) as file:
        chosen = np.random.RandomState(seed).permutation(len(file["y_train"]))[:2000]
        y, y_test = file["y_train"][chosen].astype(np.int64), file["y_test"][:2000].astype(np.int64)
    images = _decode(sources.find(_CIFAR), np.r_[chosen, _N_CIFAR + np.arange(2000)])
    return Split(images[:2000], y, images[2000:], y_test, _human(sources, chosen))


def features_file(sources: Sources) -> Path:
    """File of the features of CIFAR-10, made by the data folder's own scripts where it is not there yet."""
    path = sources.cache / f"cifar_features_{_FEATURES}.npz"
    if path.exists():
        return path
    unpack, script = sources.find("unpack.py"), sources.find("cifar_features.py")
    sources.find(_CIFAR)
    print("making the features of CIFAR-10: some minutes, once", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name until it is whole: a stopped run, or a second one, must not find half of it.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        batches, part = Path(folder, "cifar-10-batches-py"), Path(folder, "features.npz")
        module = _script(unpack)
        module.write_cifar(batches, *module.jpeg())
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([sys.executable, script, batches, part, str(_FEATURES)], check=True, env=environment)
        part.replace(path)
    return path


def _script(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("data_unpack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _human(sources: Sources, chosen: np.ndarray) -> dict[str, np.ndarray]:
    with np.load(sources.find(_HUMAN_LABELS)) as file:
        return {process: file[process.removeprefix("human_")][chosen].astype(np.int64) for process in HUMAN}


@lru_cache(maxsize=1)
def _files(path: Path) -> tuple[bytes, np.ndarray]:
    """Files of all images in one, and where each ends."""
    with np.load(path) as file:
        return lzma.decompress(file["xz"].tobytes()), np.cumsum(file["lens"])


def _decode(path: Path, chosen: np.ndarray) -> np.ndarray:
    """Some images (n, 3, 32, 32) of uint8."""
    from PIL import Image

    blob, ends = _files(path)
    starts = np.r_[0, ends[:-1]]
    images = np.stack([np.asarray(Image.open(io.BytesIO(blob[starts[i] : ends[i]]))) for i in chosen])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255.0
