"""Time of a whole AC1 fit against what a user would run instead.

Aim, on digits with 20 % of the labels flipped (1,257 rows, MLP 256-256, batches of 64, 60 epochs), one thread, medians
of interleaved runs: at most 2.20 of this estimator's own plain cross-entropy, 0.50 of cleanlab's CleanLearning around
it (5 folds). A hand-written PyTorch loop with F.cross_entropy and no alpha and skorch are there to compare with. What
was measured is in the README.

Run: python benchmarks/fit_speed.py [--repeats 7]. Prints a JSON line for each row. The loop it is compared with is a
good one: float32 tensors in memory, randperm and indexing, no DataLoader, the same fused optimiser, cosine, batches
and threads; only the loss differs.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from acestimator import AutoCleansingClassifier, backbones
from acestimator.noise import corrupt, symmetric
from acestimator.runs.versions import versions

EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 60, 64, 1e-3, 1e-2


def noisy_digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)
    return X, corrupt(y, symmetric(10, 0.2), random_state=0)


def standardized(X: np.ndarray) -> np.ndarray:
    scale = X.std(axis=0)
    return ((X - X.mean(axis=0)) / np.where(scale > 0, scale, 1.0)).astype(np.float32)


def hand_written(X: np.ndarray, y: np.ndarray) -> None:
    """The loop that a PyTorch user writes, with care."""
    torch.manual_seed(0)
    features, labels = torch.from_numpy(standardized(X)), torch.from_numpy(y)
    network = backbones.build("mlp", (X.shape[1],), 10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    n_steps, step = EPOCHS * math.ceil(len(y) / BATCH), 0
    for _ in range(EPOCHS):
        for index in torch.randperm(len(y)).split(BATCH):
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / n_steps))
            loss = F.cross_entropy(network(features[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1


def autocleansing(X: np.ndarray, y: np.ndarray, **parameters: Any) -> None:
    AutoCleansingClassifier("mlp", random_state=0, **parameters).fit(X, y)


def skorch_fit(X: np.ndarray, y: np.ndarray) -> None:
    from skorch import NeuralNetClassifier
    from skorch.callbacks import LRScheduler

    torch.manual_seed(0)
    schedule = LRScheduler(
        torch.optim.lr_scheduler.CosineAnnealingLR, T_max=EPOCHS * math.ceil(len(y) / BATCH), step_every="batch"
    )
    NeuralNetClassifier(
        backbones.build("mlp", (X.shape[1],), 10),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=functools.partial(torch.optim.AdamW, fused=True),
        lr=LEARNING_RATE,
        optimizer__weight_decay=WEIGHT_DECAY,
        max_epochs=EPOCHS,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[schedule],
        verbose=0,
    ).fit(standardized(X), y)


def cleanlab_fit(X: np.ndarray, y: np.ndarray) -> None:
    from cleanlab.classification import CleanLearning

    base = AutoCleansingClassifier("mlp", alpha_lr=0, random_state=0)
    CleanLearning(base, seed=0, cv_n_folds=5, verbose=False).fit(X, y)


def seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def print_header(**settings: Any) -> None:
    """A JSON line: how, on what and with what the following lines were measured."""
    machine = f"{platform.machine()}, {platform.system()}"
    print(json.dumps({**settings, "machine": machine, "versions": versions("skorch", "pillow")}))


def compare(
    name: str, ours: Callable[[], None], theirs: Callable[[], None], repeats: int, target: float | None
) -> None:
    """Turns A B A B, after one of each to warm up; the median over turns of the ratio."""
    ours(), theirs()
    turns = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    row = {
        "row": name,
        "ratio": round(statistics.median(a / b for a, b in turns), 3),
        "target": target,
        "ours_s": round(statistics.median(a for a, _ in turns), 3),
        "theirs_s": round(statistics.median(b for _, b in turns), 3),
        "repeats": repeats,
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="turns a row (default 7, at least 5)")
    parser.add_argument("--rows", nargs="*", help="rows to run (default all)")
    arguments = parser.parse_args()
    repeats = max(5, arguments.repeats)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    X, y = noisy_digits()
    print_header(threads=1)
    ours = functools.partial(autocleansing, X, y)
    rows: list[tuple[str, Callable[[], None], float | None]] = [
        ("hand-written loop", functools.partial(hand_written, X, y), None),
        ("own cross-entropy", functools.partial(autocleansing, X, y, alpha_lr=0), 2.20),
        ("skorch", functools.partial(skorch_fit, X, y), None),
        ("cleanlab", functools.partial(cleanlab_fit, X, y), 0.50),
    ]
    for name, theirs, target in rows:
        if not arguments.rows or name in arguments.rows:
            compare(name, ours, theirs, repeats, target)


if __name__ == "__main__":
    main()
