"""The demonstration: noisy digits, plain training against AutoCleansing, and a picture of the suspects."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.noise import corrupt, symmetric

PICTURE = "suspects.png"


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Parameters
    ----------
    n_train, n_test, n_corrupted : int
    plain_accuracy, cleansed_accuracy : float
        On the test set, whose labels are right.
    n_found : int
        Corrupted labels among the ``n_corrupted`` most suspicious ones.
    noise_rate, estimated_noise_rate : float
    seconds : float
        Of both fits.
    picture : Path
    """

    n_train: int
    n_test: int
    n_corrupted: int
    plain_accuracy: float
    cleansed_accuracy: float
    n_found: int
    noise_rate: float
    estimated_noise_rate: float
    seconds: float
    picture: Path

    def __str__(self) -> str:
        return "\n".join(
            (
                f"digits: {self.n_train} training images, {self.n_corrupted} of their labels "
                f"({100 * self.noise_rate:.1f} %) replaced at random; {self.n_test} test images with right labels",
                f"test accuracy, plain training:    {self.plain_accuracy:.3f}",
                f"test accuracy, AutoCleansing:     {self.cleansed_accuracy:.3f}",
                f"corrupted labels among the {self.n_corrupted} most suspicious: {self.n_found} "
                f"({100 * self.n_found / max(self.n_corrupted, 1):.1f} %)",
                f"noise rate, estimated from the noisy labels alone: {100 * self.estimated_noise_rate:.1f} %",
                f"both fits took {self.seconds:.1f} s; the most suspicious images are in {self.picture}",
            )
        )


def run_demo(out: Path, *, rate: float = 0.2, random_state: int = 0) -> DemoResult:
    """Corrupt the digits' training labels, fit both models, and draw the suspects.

    Parameters
    ----------
    out : Path
        Folder of the picture; made if it is missing.
    rate : float, default=0.2
        Share of the training labels to corrupt, by :func:`acestimator.noise.symmetric`.
    random_state : int, default=0

    Returns
    -------
    DemoResult
    """
    pi = symmetric(10, rate)
    out.mkdir(parents=True, exist_ok=True)
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=random_state, stratify=y)
    observed = corrupt(y_train, pi, random_state)
    wrong = observed != y_train
    n_wrong = int(wrong.sum())

    began = time.perf_counter()
    plain = AutoCleansingClassifier(alpha_lr=0, random_state=random_state).fit(X_train, observed)
    cleansed = AutoCleansingClassifier(random_state=random_state).fit(X_train, observed)
    seconds = time.perf_counter() - began

    most_suspicious = np.argsort(-cleansed.mislabel_scores_, kind="stable")[:n_wrong]
    return DemoResult(
        n_train=len(y_train),
        n_test=len(y_test),
        n_corrupted=n_wrong,
        plain_accuracy=plain.score(X_test, y_test),
        cleansed_accuracy=cleansed.score(X_test, y_test),
        n_found=int(wrong[most_suspicious].sum()),
        noise_rate=n_wrong / len(y_train),
        estimated_noise_rate=cleansed.noise_rate_,
        seconds=seconds,
        picture=_draw(cleansed, X_train, observed, out / PICTURE),
    )


def _draw(cleansed: AutoCleansingClassifier, X: np.ndarray, y: np.ndarray, path: Path) -> Path:
    import matplotlib.pyplot as plt

    from acestimator.plotting import SuspectsDisplay

    figure = SuspectsDisplay.from_estimator(cleansed, X, y, image_shape=(8, 8)).figure_
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
