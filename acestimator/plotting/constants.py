"""Figures 4 to 6: suspects beside their constants.

Legend: N training samples, M of them shown, K classes.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from acestimator import detection
from acestimator.plotting.images import as_images

_COLUMNS = 2  # suspects a row: an image and its bars each
_NAMED = 12  # classes at most whose names stand under the bars
_GIVEN, _RIVAL, _REST = "C3", "C0", "0.7"


class ConstantsDisplay:
    r"""Images with their constants, as in the paper's Figures 4 to 6.

    The bars are the constants less their mean over the categories. That of the given label is usually the largest,
    :math:`\alpha^{Max}`, and the smallest, :math:`\alpha^{Min}`, is of the category that the network takes the sample
    for. MaxRank and MinRank are their percentile ranks among all training samples.

    Parameters
    ----------
    samples : ndarray of shape (M, H, W) or (M, H, W, 3)
    constants : ndarray of shape (M, K)
        In any gauge.
    positions : ndarray of int64, shape (M,)
        Places in the training set.
    given : ndarray of int64, shape (M,)
        Observed labels, 0..K-1.
    ranks : ndarray of shape (M, 2)
        MaxRank and MinRank in percent.
    names : sequence of str, length K
        Of the categories.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of matplotlib.axes.Axes, shape (M, 2)
        Of image and bars.
    """

    def __init__(
        self,
        samples: np.ndarray,
        constants: np.ndarray,
        *,
        positions: np.ndarray,
        given: np.ndarray,
        ranks: np.ndarray,
        names: Any,
    ) -> None:
        self.samples, self.positions, self.given, self.ranks = samples, positions, given, ranks
        self.constants = np.asarray(detection.mean_centered_gauge(constants))
        self.names = [str(name) for name in names]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, n_suspects: int = 6, positions: Any = None, names: Any = None
    ) -> Self:
        """Draw the suspects of a fitted estimator.

        Parameters
        ----------
        estimator : AutoCleansingClassifier
            Fitted on (X, y).
        X : array-like of shape (N, C, H, W)
            Its training images.
        y : array-like of shape (N,)
            Its training labels.
        n_suspects : int, default=6
            How many, in the order of Algorithm 2.
        positions : array-like of int, optional
            Places of the samples to show, in place of these.
        names : sequence of str, length K, optional
            Of the categories, by default ``estimator.classes_``.

        Returns
        -------
        ConstantsDisplay
            Drawn.

        Raises
        ------
        ValueError
            If X or y has another length than the training set, or a position is none of it.
        """
        check_is_fitted(estimator)
        given = np.searchsorted(estimator.classes_, np.asarray(y))
        return cls.from_constants(
            estimator.alpha_,
            X,
            given,
            n_suspects=n_suspects,
            positions=positions,
            names=estimator.classes_ if names is None else names,
        )

    @classmethod
    def from_constants(
        cls, alpha: np.ndarray, X: Any, labels: np.ndarray, *, names: Any, n_suspects: int = 6, positions: Any = None
    ) -> Self:
        """Draw the suspects of a table of constants.

        Parameters
        ----------
        alpha : ndarray of shape (N, K)
            In any gauge.
        X, n_suspects, positions, names
            As for :meth:`from_estimator`.
        labels : ndarray of int64, shape (N,)
            Observed labels, 0..K-1.
        """
        for name, value in (("X", X), ("y", labels)):
            if len(value) != len(alpha):
                raise ValueError(
                    f"{name} has {len(value)} samples and the table of constants {len(alpha)}: give those of the fit."
                )
        if positions is None:
            percent = min(100.0, 100.0 * n_suspects / max(len(alpha), 1))
            positions = detection.find_mislabeled(alpha, percent)[:n_suspects]
        positions = np.asarray(positions)
        if positions.size and not 0 <= positions.min() <= positions.max() < len(alpha):
            raise ValueError(
                f"positions run from {positions.min()} to {positions.max()}, expected 0 to {len(alpha) - 1}: places in "
                "the training set."
            )
        return cls(
            as_images(np.asarray(X)[positions]),
            alpha[positions],
            positions=positions,
            given=np.asarray(labels)[positions],
            ranks=np.stack(detection.max_min_ranks(alpha), axis=1)[positions],
            names=names,
        ).plot()

    def plot(self) -> Self:
        """Draw on a new figure."""
        import matplotlib.pyplot as plt

        n_rows = max(1, -(-len(self.samples) // _COLUMNS))
        self.figure_, axes = plt.subplots(
            *(n_rows, 2 * _COLUMNS),
            figsize=(5.2 * _COLUMNS, 1.75 * n_rows + 0.3),
            width_ratios=[1.0, 2.2] * _COLUMNS,
            squeeze=False,
            layout="constrained",
        )
        self.axes_ = axes.reshape(-1, 2)[: len(self.samples)]
        for ax in axes.reshape(-1, 2)[len(self.samples) :].flat:
            ax.set_axis_off()
        limit = 1.1 * float(np.abs(self.constants).max(initial=1e-6))
        for i in range(len(self.samples)):
            self._draw(i, limit)
        return self

    def _draw(self, i: int, limit: float) -> None:
        """Draw one image and its bars, on the scale that all share."""
        (image, bars), row, given = self.axes_[i], self.constants[i], self.given[i]
        image.imshow(self.samples[i], cmap="gray_r" if self.samples[i].ndim == 2 else None)
        image.set_axis_off()
        rival = int(row.argmin())
        image.set_title(f"{self.positions[i]}: {self.names[given]}", fontsize=8, color=_GIVEN)
        colors = [_REST] * len(row)
        colors[rival], colors[given] = _RIVAL, _GIVEN
        bars.bar(range(len(row)), row, color=colors, width=0.8 if len(row) <= _NAMED else 1.0)
        bars.axhline(0.0, color="0.3", linewidth=0.6)
        bars.set_ylim(-limit, limit)
        named = range(len(row)) if len(row) <= _NAMED else sorted({int(given), rival})
        bars.set_xticks(named, [self.names[k] for k in named], rotation=45, ha="right", fontsize=6)
        bars.tick_params(axis="y", labelsize=6)
        bars.set_title(f"MaxRank {self.ranks[i, 0]:.3f} %   MinRank {self.ranks[i, 1]:.3f} %", fontsize=8)
