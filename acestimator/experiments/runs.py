"""One training of the paper's, from its place in a table to its record.

Legend: N training and M test images, K classes.
"""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acestimator import detection, recipes
from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.estimators.baseline import BaselineClassifier
from acestimator.experiments.images import Images, load, source_of
from acestimator.experiments.tables import Run
from acestimator.inputs.device import resolve_device
from acestimator.runs.ledger import attempt
from acestimator.training.fingerprint import describe

KEY = ("dataset", "network", "augment", "method", "percent", "seed", "epochs", "images", "source", "precision")


@dataclass(frozen=True)
class Options:
    """What an experiment may differ in from the paper's, and where things lie.

    Parameters
    ----------
    data : Path
        Folder of the data sets: see :func:`acestimator.experiments.images.load`.
    files : Path
        Folder for checkpoints and constants.
    epochs : int, optional
        Of a shortened run.
    images : int, optional
        The first of the training images.
    precision, device, compile
        As for :class:`acestimator.AutoCleansingClassifier`; ``precision`` is "float32" or "bfloat16".
    workers : int
        Processes that decode ImageNet's files.
    """

    data: Path
    files: Path
    epochs: int | None = None
    images: int | None = None
    precision: str = "float32"
    device: str = "auto"
    compile: bool = False
    workers: int = 0


@dataclass(frozen=True)
class Job:
    """One training.

    Parameters
    ----------
    run : Run
    seed : int
        Of initialisation, batches and augmentation.
    options : Options
    """

    run: Run
    seed: int
    options: Options

    def key(self) -> dict[str, Any]:
        """What tells its record from others: the entries of ``KEY``."""
        recipe = recipes.find(self.run.dataset, self.run.network)
        return {
            **asdict(self.run),
            "seed": self.seed,
            "epochs": self.options.epochs or recipe.epochs,
            "images": self.options.images,
            "source": source_of(self.run.dataset, self.options.data),
            "precision": self.options.precision,
        }

    def file(self, suffix: str) -> Path:
        """File of its own among the experiment's."""
        return self.options.files / ("-".join(str(value) for value in self.key().values()) + suffix)

    def needs(self) -> Job | None:
        """Training that comes before, for its constants."""
        if self.run.method != "trimmed":
            return None
        run = Run(self.run.dataset, self.run.network, self.run.augment, "AC1")
        return Job(run, self.seed, self.options)


def run_job(job: Job) -> dict[str, Any]:
    """Train, test, and return the record; of a training that failed, with ``error`` in place of what was measured.

    A training that was stopped goes on from its checkpoint, which is removed at the end.
    """
    return attempt(job.key(), lambda: _train_and_test(job))


def _train_and_test(job: Job) -> dict[str, Any]:
    recipe, options = recipes.find(job.run.dataset, job.run.network), job.options
    images = _images(job.run.dataset, options.data, options.workers).first(options.images)
    estimator = make_estimator(job)
    X, y = images.X_train, images.y_train
    if (needed := job.needs()) is not None:
        keep = _kept(needed, job.run.percent)
        X, y = X[keep], y[keep]
    began = time.perf_counter()
    estimator.fit(X, y)
    seconds = time.perf_counter() - began
    if job.run.method == "AC1":
        np.savez_compressed(job.file(".npz"), alpha=estimator.alpha_, labels=images.y_train)
    parameters = {name: describe(value) for name, value in estimator.get_params(deep=False).items()}
    del parameters["checkpoint"]
    record = {
        **test(estimator, images),
        "noise_rate": estimator.noise_rate_,
        "n_train": len(y),
        "n_test": len(images.y_test),
        "shortened": estimator.max_epochs < recipe.epochs or options.images is not None,
        "recipe_epochs": recipe.epochs,
        "seconds": round(seconds, 1),
        "machine": _machine(options.device),
        "parameters": parameters,
        "loss": [round(epoch["loss"], 5) for epoch in estimator.history_],
    }
    for path in job.options.files.glob(job.file(".checkpoint").name + "*"):
        path.unlink()
    return record


def check(job: Job) -> None:
    """Raise now what would fail a training at its start: no such data, recipe, augmentation or device, no folder."""
    resolve_device(job.options.device)
    _images(job.run.dataset, job.options.data, job.options.workers).first(job.options.images)
    make_estimator(job)
    job.options.files.mkdir(parents=True, exist_ok=True)


def make_estimator(job: Job) -> Any:
    """Estimator of a training, not fitted."""
    recipe, options, run = recipes.find(job.run.dataset, job.run.network), job.options, job.run
    parameters = recipe.parameters(run.augment, options.epochs) | {
        "precision": options.precision,
        "device": options.device,
        "compile": options.compile,
        "checkpoint": job.file(".checkpoint"),
        "random_state": job.seed,
    }
    if run.method == "aum":
        return BaselineClassifier("aum", **parameters)
    if run.method in ("AC1", "AC2"):
        return AutoCleansingClassifier(variant=run.method, alpha_weight_decay=recipe.alpha_weight_decay, **parameters)
    return AutoCleansingClassifier(alpha_lr=0.0, **parameters)


def test(estimator: Any, images: Images) -> dict[str, Any]:
    """Accuracies in percent, ``test_accuracy`` and, of more than ten classes, ``top5``; on all test images."""
    logits = estimator.decision_function(images.X_test)  # (M, K), or (M,) of two categories
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    # Categories that the training labels do not have are never predicted.
    observed = logits[np.arange(len(logits)), np.searchsorted(estimator.classes_, images.y_test) % logits.shape[1]]
    known = np.isin(images.y_test, estimator.classes_)
    rank = (logits > observed[:, None]).sum(axis=1)
    found = {"test_accuracy": round(100.0 * float(np.mean(known & (rank < 1))), 4)}
    if logits.shape[1] > 10:
        found["top5"] = round(100.0 * float(np.mean(known & (rank < 5))), 4)
    return found


def constants(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Constants (N, K) of a finished AC1 training, and the labels (N,).

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    path = job.file(".npz")
    if not path.exists():
        raise FileNotFoundError(
            f"{path}, the constants of {job.run.network} on {job.run.dataset} with seed {job.seed}, is missing: remove "
            "the training's line from the results, and run it again."
        )
    with np.load(path, allow_pickle=False) as file:
        return file["alpha"], file["labels"]


def _kept(job: Job, percent: float) -> np.ndarray:
    """Positions of the images that are left when the first suspects of a finished AC1 training are dropped."""
    alpha, _ = constants(job)
    return np.setdiff1d(np.arange(len(alpha)), detection.find_mislabeled(alpha, percent))


@cache
def _images(dataset: str, data: Path, workers: int) -> Images:
    return load(dataset, data, workers)


def _machine(device: str) -> str:
    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return torch.cuda.get_device_name(resolved)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
