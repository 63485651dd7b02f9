"""The demonstration: noisy digits, plain training against AutoCleansing, a picture of the suspects, and the page."""

from __future__ import annotations

import shlex
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from acestimator.audit.draw import draw
from acestimator.audit.items import Page
from acestimator.audit.judge import Findings, find
from acestimator.audit.outputs import versions
from acestimator.audit.page import render
from acestimator.audit.run import N_RANDOM
from acestimator.audit.show import look_at_arrays, make_items
from acestimator.audit.sources import ArraySource, open_source
from acestimator.audit.summary import confusions, summarize
from acestimator.diagnosis import AutoCleansingWarning
from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.noise import corrupt, symmetric

PICTURE, PAGE, DATA = "suspects.png", "review.html", "noisy_digits.npz"


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
    data : Path
        The training images and their noisy labels, as ``acestimator apply`` reads them.
    page : Path or None
        To decide about the suspects in a browser; None if a package is missing that it is made with.
    missing : str
        Which, and the cure; "" if none is.
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
    data: Path
    page: Path | None
    missing: str = ""

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
                *self._next_steps(),
            )
        )

    def _next_steps(self) -> list[str]:
        if self.page is None:
            return [f"{PAGE} was not written: {self.missing}"]
        clean = self.data.with_name("clean_digits.npz")
        return [
            f'next: open {self.page} in a browser, decide, and press "save decisions"; then',
            f"  acestimator apply {shlex.quote(str(self.data))} decisions.json --out {shlex.quote(str(clean))}",
        ]


def run_demo(out: Path, *, rate: float = 0.2, random_state: int = 0) -> DemoResult:
    """Corrupt the digits' training labels, fit both models, and show the suspects: in a picture, and on the page.

    Parameters
    ----------
    out : Path
        Folder of the files; made if it is missing.
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
    source = _save(X_train, observed, out / DATA)

    began = time.perf_counter()
    plain = AutoCleansingClassifier(alpha_lr=0, random_state=random_state).fit(X_train, observed)
    cleansed = AutoCleansingClassifier(random_state=random_state)
    findings = find(make_pipeline(cleansed), X_train, source.labels)  # fits it, on labels as texts
    seconds = time.perf_counter() - began
    for note in findings.notes:
        warnings.warn(note, AutoCleansingWarning, stacklevel=2)

    most_suspicious = np.argsort(-cleansed.mislabel_scores_, kind="stable")[:n_wrong]
    page, missing = _page(source, findings, random_state, out / PAGE)
    return DemoResult(
        n_train=len(y_train),
        n_test=len(y_test),
        n_corrupted=n_wrong,
        plain_accuracy=plain.score(X_test, y_test),
        cleansed_accuracy=cleansed.score(X_test, y_test.astype(str)),
        n_found=int(wrong[most_suspicious].sum()),
        noise_rate=n_wrong / len(y_train),
        estimated_noise_rate=cleansed.noise_rate_,
        seconds=seconds,
        picture=_draw(cleansed, X_train, source.labels, out / PICTURE),
        data=out / DATA,
        page=page,
        missing=missing,
    )


def _save(X: np.ndarray, y: np.ndarray, path: Path) -> ArraySource:
    """Write vectors of grey levels and their labels as a file of images, and open it as an audit does."""
    np.savez_compressed(path, X=X.astype(np.uint8).reshape(-1, 1, 8, 8), y=y)
    source = open_source(path)
    assert isinstance(source, ArraySource)
    return source


def _page(source: ArraySource, findings: Findings, seed: int, path: Path) -> tuple[Path | None, str]:
    """Write the page; or say which package is missing, for the demonstration goes without it, too."""
    drawn = draw(findings.probability, findings.suspects, N_RANDOM, seed)
    summary = summarize(source.info, findings, settings={"seed": seed}, versions=versions())
    names = [source.name(row) for row in range(source.info.n_rows)]
    look = look_at_arrays((255 - source.X * (255 / 16)).astype(np.uint8))  # of 0 to 16: ink on paper
    try:
        items = make_items(findings, drawn, names, source.ids, source.digests(), look)
        page = Page(
            source=source.info,
            classes=findings.classes,
            items=tuple(items),
            strata=drawn.strata,
            confusions=tuple(confusions(findings)),
            summary=tuple(summary.sentences()),
        )
        path.write_text(render(page), encoding="utf-8", newline="\n")
    except ImportError as error:
        return None, str(error)
    return path, ""


def _draw(cleansed: AutoCleansingClassifier, X: np.ndarray, y: np.ndarray, path: Path) -> Path:
    import matplotlib.pyplot as plt

    from acestimator.plotting import SuspectsDisplay

    figure = SuspectsDisplay.from_estimator(cleansed, X, y, image_shape=(8, 8)).figure_
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
