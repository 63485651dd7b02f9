"""How the mislabel scores are distributed.

Legend: N training samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "C0", "C3"


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
        check_has_scores(estimator)
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
            for name, color, part in (("label right", _RIGHT, 1.0 - self.proba), ("label wrong", _WRONG, self.proba)):
                expected, _ = np.histogram(self.scores, bins=edges, weights=part)
                self.ax_.stairs(expected, edges, color=color, linewidth=1.5, label=name)
            self.ax_.set_title(f"estimated share of wrong labels {100 * self.proba.mean():.1f} %", fontsize=10)
        # Counts span orders of magnitude; less than half an expected sample is of no interest.
        self.ax_.set_yscale("log")
        self.ax_.set_ylim(0.5, 2.0 * max(float(np.max(counts)), 1.0))
        self.ax_.set(xlabel="mislabel score", ylabel="samples")
        self.ax_.legend(frameon=False)
        return self


def check_has_scores(estimator: Any) -> None:
    """Raise TypeError for an estimator that has no mislabel scores."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "mislabel_scores_"):
        raise TypeError(
            f"estimator is {estimator!r}, which has no mislabel_scores_, expected AutoCleansingClassifier or "
            "BaselineClassifier; of a CleanedClassifier give its cleanser_, of a pipeline its last step."
        )


def _figure_of(ax: Axes | None) -> tuple[Figure, Axes]:
    if ax is not None:
        return cast("Figure", ax.figure), ax
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    return figure, ax
