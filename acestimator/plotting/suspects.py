"""The most suspicious samples, with the labels they were given and those that are suggested.

Legend: M samples shown, D features, H and W pixels.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from acestimator.plotting.images import as_images
from acestimator.plotting.scores import check_has_scores

_COLUMNS = 8  # images a row of the gallery
_TABLE_FEATURES = 5  # features a table row of the gallery shows
_CHANGED, _KEPT = "C3", "0.3"


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
        check_has_scores(estimator)
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
            ax.set_title(self._caption(i), fontsize=8, color=_CHANGED if self._is_changed(i) else _KEPT)

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
                table[i + 1, 2].get_text().set_color(_CHANGED)

    def _is_changed(self, i: int) -> bool:
        return bool(self.given[i] != self.suggested[i])

    def _caption(self, i: int) -> str:
        second = f"suggested {self.suggested[i]}" if self._is_changed(i) else "kept"
        return f"given {self.given[i]}\n{second}"
