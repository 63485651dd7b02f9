"""Pictures of a fitted estimator, in scikit-learn's Display style: ``XDisplay.from_estimator(clf, ...)``.

matplotlib is imported when something is drawn, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

from acestimator.plotting.constants import ConstantsDisplay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ConstantsDisplay", "ScoreHistogramDisplay", "SuspectsDisplay", "TrainingCurvesDisplay"]

_COLUMNS = 8  # images a row of the gallery
_TABLE_FEATURES = 5  # features a table row of the gallery shows
_CLEAN, _WRONG = "C0", "C3"


def _check_has_suspects(estimator: Any) -> None:
    check_is_fitted(estimator)
    if not hasattr(estimator, "mislabel_scores_"):
        raise TypeError(
            f"estimator is {estimator!r}, which has no mislabel_scores_, expected AutoCleansingClassifier or "
            "BaselineClassifier; of a CleanedClassifier give its cleanser_, of a pipeline its last step."
        )


class SuspectsDisplay:
    """Gallery of the most suspicious samples, each with its given and its suggested label.

    Parameters
    ----------
    samples : ndarray of shape (M, D), (M, H, W) or (M, H, W, 3)
        Rows of a table, or images.
    positions : ndarray of int64, shape (M,)
        Their places in the training set.
    given, suggested : ndarray of shape (M,)
        Labels.
    proba : ndarray of shape (M,)
        Probability that the given label is wrong.
    feature_names : list of str, optional
        Names of a table's D columns.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of matplotlib.axes.Axes
    """

    def __init__(
        self,
        samples: np.ndarray,
        *,
        positions: np.ndarray,
        given: np.ndarray,
        suggested: np.ndarray,
        proba: np.ndarray,
        feature_names: list[str] | None = None,
    ) -> None:
        self.samples, self.positions = samples, positions
        self.given, self.suggested, self.proba = given, suggested, proba
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_suspects: int = 24,
        image_shape: tuple[int, ...] | None = None,
    ) -> Self:
        """Draw the suspects of a fitted estimator.

        Parameters
        ----------
        estimator : AutoCleansingClassifier or BaselineClassifier
            Fitted on (X, y).
        X : array-like of shape (N, D) or (N, C, H, W)
            Its training samples; images of one or three channels.
        y : array-like of shape (N,)
            Its training labels.
        n_suspects : int, default=24
            How many, in the order of ``mislabel_scores_``.
        image_shape : tuple of int, optional
            (H, W) of samples that are flattened images.

        Returns
        -------
        SuspectsDisplay
            Drawn.

        Raises
        ------
        ValueError
            If X or y has another length than the training set, or samples are not images of that shape.
        TypeError
            If the estimator has no scores.
        """
        _check_has_suspects(estimator)
        n_samples = len(estimator.mislabel_scores_)
        for name, value in (("X", X), ("y", y)):
            if len(value) != n_samples:
                raise ValueError(
                    f"{name} has {len(value)} samples and the estimator was fitted on {n_samples}: "
                    "give those it was fitted on."
                )
        positions = np.argsort(-estimator.mislabel_scores_, kind="stable")[:n_suspects]
        names = [str(name) for name in X.columns] if hasattr(X, "columns") else None
        samples = as_images(np.asarray(X)[positions], image_shape)
        display = cls(
            samples,
            positions=positions,
            given=np.asarray(y)[positions],
            suggested=estimator.suggested_labels_[positions],
            proba=estimator.mislabel_proba_[positions],
            feature_names=names,
        )
        return display.plot()

    def plot(self) -> Self:
        """Draw on a new figure.

        Returns
        -------
        SuspectsDisplay
            Itself.
        """
        if self.samples.ndim == 2:
            self._plot_table()
        else:
            self._plot_images()
        return self

    def _plot_images(self) -> None:
        import matplotlib.pyplot as plt

        n_columns = min(_COLUMNS, max(len(self.samples), 1))
        n_rows = max(1, -(-len(self.samples) // n_columns))
        self.figure_, axes = plt.subplots(
            n_rows, n_columns, figsize=(1.45 * n_columns, 1.8 * n_rows), squeeze=False, layout="constrained"
        )
        self.axes_ = axes
        for ax in axes.flat:
            ax.set_axis_off()
        for i, (ax, sample) in enumerate(zip(axes.flat, self.samples, strict=False)):
            ax.imshow(sample, cmap="gray_r" if sample.ndim == 2 else None)
            ax.set_title(self._caption(i), fontsize=8, color=_WRONG if self._is_changed(i) else "0.3")

    def _plot_table(self) -> None:
        import matplotlib.pyplot as plt

        names = self.feature_names or [f"x{j}" for j in range(self.samples.shape[1])]
        shown = slice(0, _TABLE_FEATURES)
        header = ["sample", "given", "suggested", "P(wrong)", *names[shown]]
        cells = [
            [
                str(self.positions[i]),
                str(self.given[i]),
                str(self.suggested[i]) if self._is_changed(i) else "",
                f"{self.proba[i]:.2f}",
                *(f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value) for value in row[shown]),
            ]
            for i, row in enumerate(self.samples)
        ]
        self.figure_, ax = plt.subplots(
            figsize=(1.25 * len(header), 0.3 * (len(cells) + 1) + 0.2), layout="constrained"
        )
        self.axes_ = np.array([ax])
        ax.set_axis_off()
        table = ax.table(cells or [[""] * len(header)], colLabels=header, loc="upper center", cellLoc="right")
        table.auto_set_font_size(False)
        table.set_fontsize(9)
        table.scale(1.0, 1.25)
        for i in range(len(cells)):
            if self._is_changed(i):
                table[i + 1, 2].get_text().set_color(_WRONG)

    def _is_changed(self, i: int) -> bool:
        return bool(self.given[i] != self.suggested[i])

    def _caption(self, i: int) -> str:
        second = f"suggested {self.suggested[i]}" if self._is_changed(i) else "kept"
        return f"given {self.given[i]}\n{second}"


class ScoreHistogramDisplay:
    """Histogram of the mislabel scores, and how many right and wrong labels are expected in each bin.

    Parameters
    ----------
    scores : ndarray of shape (N,)
    proba : ndarray of shape (N,)
        Probability that each label is wrong.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes
    """

    def __init__(self, scores: np.ndarray, proba: np.ndarray) -> None:
        self.scores, self.proba = scores, proba

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None, bins: int = 60) -> Self:
        """Draw the scores of a fitted estimator.

        Parameters
        ----------
        estimator : AutoCleansingClassifier or BaselineClassifier
            Fitted.
        ax : matplotlib.axes.Axes, optional
            A new figure's where it is not given.
        bins : int, default=60

        Returns
        -------
        ScoreHistogramDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the estimator has no scores.
        """
        _check_has_suspects(estimator)
        return cls(estimator.mislabel_scores_, estimator.mislabel_proba_).plot(ax=ax, bins=bins)

    def plot(self, *, ax: Axes | None = None, bins: int = 60) -> Self:
        """Draw; parameters as in :meth:`from_estimator`.

        Returns
        -------
        ScoreHistogramDisplay
            Itself.

        Raises
        ------
        ValueError
            If scores and probabilities are not of one length.
        """
        if np.shape(self.scores) != np.shape(self.proba):
            raise ValueError(
                f"scores has shape {np.shape(self.scores)} and proba {np.shape(self.proba)}, expected (N,) for both."
            )
        self.figure_, self.ax_ = _figure_of(ax)
        counts, edges, _ = self.ax_.hist(self.scores, bins=bins, color="0.8", label="samples")
        if self.proba.any():
            for name, color, part in (("label right", _CLEAN, 1.0 - self.proba), ("label wrong", _WRONG, self.proba)):
                expected, _ = np.histogram(self.scores, bins=edges, weights=part)
                self.ax_.stairs(expected, edges, color=color, linewidth=1.5, label=name)
            self.ax_.set_title(f"estimated share of wrong labels {100 * self.proba.mean():.1f} %", fontsize=10)
        # Counts span orders of magnitude; less than half an expected sample is of no interest.
        self.ax_.set_yscale("log")
        self.ax_.set_ylim(0.5, 2.0 * max(float(np.max(counts)), 1.0))
        self.ax_.set(xlabel="mislabel score", ylabel="samples")
        self.ax_.legend(frameon=False)
        return self


class TrainingCurvesDisplay:
    """Loss, accuracy on the observed labels, and size of the constants over the epochs.

    Parameters
    ----------
    history : list of dict
        The estimator's ``history_``.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of matplotlib.axes.Axes, shape (3,)
    """

    def __init__(self, history: list[dict[str, Any]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: Any) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : AutoCleansingClassifier
            Fitted.

        Returns
        -------
        TrainingCurvesDisplay
            Drawn.
        """
        check_is_fitted(estimator)
        return cls(estimator.history_).plot()

    def plot(self) -> Self:
        """Draw on a new figure.

        Returns
        -------
        TrainingCurvesDisplay
            Itself.
        """
        import matplotlib.pyplot as plt

        self.figure_, self.axes_ = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
        shares = [("accuracy", "observed label predicted"), ("noise_rate", "estimated noise rate")]
        panels: tuple[tuple[str, list[tuple[str, str | None]]], ...] = (
            ("training loss", [("loss", None)]),
            ("share of the samples", [*shares]),
            ("root mean square norm of a row of alpha", [("alpha_norm", None)]),
        )
        for ax, (ylabel, curves) in zip(self.axes_, panels, strict=True):
            for name, label in curves:
                known = [(record["epoch"], record[name]) for record in self.history if name in record]
                if known:
                    ax.plot(*zip(*known, strict=True), label=label)
            ax.set(xlabel="epoch", ylabel=ylabel)
            if ax.get_legend_handles_labels()[0]:
                ax.set_ylim(0, 1.02)
                ax.legend(frameon=False)
        return self


def _figure_of(ax: Axes | None) -> tuple[Figure, Axes]:
    if ax is not None:
        return cast("Figure", ax.figure), ax
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    return figure, ax


def as_images(samples: np.ndarray, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """Bring samples to (M, H, W), (M, H, W, 3), or leave table rows (M, D)."""
    if image_shape is not None:
        if int(np.prod(samples.shape[1:])) != int(np.prod(image_shape)):
            raise ValueError(f"one sample has shape {samples.shape[1:]}, which is no image of shape {image_shape}.")
        return samples.reshape(len(samples), *image_shape)
    if samples.ndim != 4:
        return samples
    if samples.shape[1] == 1:
        return samples[:, 0]
    if samples.shape[1] != 3:
        raise ValueError(f"images have {samples.shape[1]} channels, expected 1 or 3 to be shown: choose some of them.")
    colored = samples.transpose(0, 2, 3, 1)
    if colored.dtype == np.uint8:
        return colored
    low, high = colored.min(), colored.max()  # any scale, brought to the 0 to 1 that pictures have
    return (colored - low) / (high - low or 1.0)
