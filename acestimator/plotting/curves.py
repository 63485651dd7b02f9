"""Loss, accuracy and size of the constants, epoch by epoch."""

from __future__ import annotations

from typing import Any, Self

from sklearn.utils.validation import check_is_fitted


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
