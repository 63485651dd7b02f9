"""The most suspicious samples, with the labels they were given and those that are suggested.

Legend: N training samples, M samples shown, D features, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse

from acestimator.checks import check_count
from acestimator.datasets.image_folder import ImageFolder
from acestimator.plotting.columns import Against, Cell, telling_cells
from acestimator.plotting.images import as_images
from acestimator.plotting.scores import check_has_scores
from acestimator.plotting.table import draw_table
from acestimator.plotting.texts import end_of, percent, start_of, wrapped

_COLUMNS = 8  # images a row of the gallery
_TELLING = 3  # cells of a table's row that are shown
_WIDTH = 24  # characters of a line below an image
_NAME = 18  # characters of a name above it, beside the rank
_EVIDENCE = "speaks most against the given label (in brackets: what its class has)"
_CHANGED, _KEPT, _PALE, _FRAME = "C3", "0.15", "0.5", "0.85"


class SuspectsDisplay:
    """Gallery of the most suspicious samples, likeliest wrong first, each with its given and its suggested label.

    "a → b" says that b is suggested in place of a; "a → b?" that a is likelier wrong than right, but that the network's
    label b is not sure enough to be suggested.

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
    predicted : ndarray of shape (M,), optional
        The network's labels.
    names : sequence of str, M of them, optional
        What samples are called; by default "position 17".
    class_names : sequence of str, optional
        Names of labels that are integers from 0.
    cells : list of list of Cell, M of them, optional
        Values of a table's rows that are shown; by default the first three of each.

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
        predicted: np.ndarray | None = None,
        names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        cells: list[list[Cell]] | None = None,
    ) -> None:
        self.samples, self.positions = samples, positions
        self.given, self.suggested, self.proba = given, suggested, proba
        self.feature_names, self.predicted = feature_names, predicted
        self.names, self.class_names = names, class_names
        self.cells = cells

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_suspects: int = 24,
        image_shape: tuple[int, ...] | None = None,
        feature_names: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Draw the suspects of a fitted estimator.

        Parameters
        ----------
        estimator : AutoCleansingClassifier or BaselineClassifier
            Fitted on (X, y).
        X : array-like of shape (N, D) or (N, C, H, W), sparse matrix, frame, or ImageFolder
            Its training samples; images of one or three channels. Of the last step of a pipeline also what the
            pipeline was fitted on, with texts, dates and gaps.
        y : array-like of shape (N,)
            Its training labels.
        n_suspects : int, default=24
            How many, in the order of ``mislabel_scores_``.
        image_shape : tuple of int, optional
            (H, W) of samples that are flattened images.
        feature_names : sequence of str, D of them, optional
            Names of a table's columns; by default a frame's own.
        names : sequence of str, N of them, optional
            What samples are called, such as paths; by default a folder's files, or else positions.
        class_names : sequence of str, optional
            Names of labels that are integers from 0; by default a folder's classes.

        Returns
        -------
        SuspectsDisplay
            Drawn.

        Raises
        ------
        ValueError
            If X, y or names has another length than the training set, there is no name for a column or a label, or
            samples are not images of that shape.
        TypeError
            If the estimator has no scores.

        Notes
        -----
        Of a table's row the three values are shown that speak most for the suggested label and against the given one,
        each by itself: naive Bayes of the labels that are not suspected says so, not the network. In brackets is what
        the given class has: mean and standard deviation of a number, the share that has a category.
        """
        check_has_scores(estimator)
        check_count("n_suspects", n_suspects)
        _check_lengths(len(estimator.mislabel_scores_), X=X, y=y, names=names)
        positions = np.argsort(-estimator.mislabel_scores_, kind="stable")[:n_suspects]
        issues = estimator.label_issues()
        given = np.asarray(y).ravel()
        _check_class_names(class_names, given)
        cells = None
        called = None if names is None else [str(names[i]) for i in positions.tolist()]
        if isinstance(X, ImageFolder):
            samples = as_images(X.read(positions).numpy())
            called = [X.name(i) for i in positions.tolist()] if names is None else called
            if class_names is None and given.dtype.kind in "iu":
                class_names = X.classes
        else:
            samples = as_images(_rows(X, positions), image_shape)
        if samples.ndim == 2:
            if feature_names is None:
                feature_names = list(getattr(X, "columns", [f"x{j}" for j in range(samples.shape[1])]))
            feature_names = [str(name) for name in feature_names]
            if len(feature_names) != samples.shape[1]:
                raise ValueError(
                    f"feature_names has {len(feature_names)} names and X has {samples.shape[1]} columns: name each."
                )
            against = _against(estimator, issues, given, positions)
            cells = telling_cells(X, feature_names, against, _TELLING)
        display = cls(
            samples,
            positions=positions,
            given=given[positions],
            suggested=np.asarray(issues["suggested_label"])[positions],
            proba=estimator.mislabel_proba_[positions],
            feature_names=None if feature_names is None else list(feature_names),
            predicted=np.asarray(issues["predicted_label"])[positions],
            names=called,
            class_names=class_names,
            cells=cells,
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

        alike = self._alike()
        captions = [self._caption(i, with_proba=alike is None) for i in range(len(self.samples))]
        n_lines = max((caption.count("\n") + 1 for caption in captions), default=1)
        n_columns = min(_COLUMNS, max(len(self.samples), 1))
        n_rows = max(1, -(-len(self.samples) // n_columns))
        size = (1.6 * n_columns, (1.75 + 0.14 * n_lines) * n_rows + 0.4)
        self.figure_, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
        self.axes_ = axes
        self._entitle(alike)
        for ax in axes.flat:
            ax.set_axis_off()
        for i, (ax, sample) in enumerate(zip(axes.flat, self.samples, strict=False)):
            ax.set_axis_on()
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color(_FRAME)
            ax.imshow(sample, cmap="gray_r" if sample.ndim == 2 else None)
            ax.set_title(f"{i + 1}.  {end_of(self._name(i), _NAME)}", fontsize=8, color=_PALE, parse_math=False)
            color = _CHANGED if self._is_changed(i) else _KEPT
            ax.set_xlabel(captions[i], fontsize=8, color=color, parse_math=False)

    def _plot_table(self) -> None:
        alike = self._alike()
        header = ["", "sample", "given → suggested", *([] if alike else ["P(wrong)"]), _EVIDENCE]
        rows = [self._row(i, with_proba=alike is None) for i in range(len(self.samples))]
        colors = [self._colors(i, with_proba=alike is None) for i in range(len(self.samples))]
        self.figure_, ax = draw_table(header, rows, [[_PALE] * len(header), *colors])
        self.axes_ = np.array([ax])
        self._entitle(alike)

    def _row(self, i: int, *, with_proba: bool) -> list[str]:
        first = [f"{i + 1}.", end_of(self._name(i), _WIDTH), self._caption(i, with_proba=False)]
        chance = [percent(self.proba[i])] if with_proba else []
        return [*first, *chance, *map(_text_of, self._cells(i))]

    def _colors(self, i: int, *, with_proba: bool) -> list[str]:
        labels = [_CHANGED if self._is_changed(i) else _KEPT]
        cells = [_KEPT if cell.departs else _PALE for cell in self._cells(i)]
        return [_PALE, _PALE, *labels, *([_KEPT] * with_proba), *cells]

    def _cells(self, i: int) -> list[Cell]:
        if self.cells is not None:
            return self.cells[i]
        values = self.samples[i][:_TELLING].tolist()
        names = self.feature_names or [f"x{j}" for j in range(len(values))]
        return [Cell(name, str(value), "", False) for name, value in zip(names, values, strict=False)]

    def _alike(self) -> str | None:
        """The probability, if all samples show the same."""
        texts = {percent(p) for p in self.proba}
        return texts.pop() if len(texts) == 1 else None

    def _entitle(self, alike: str | None) -> None:
        each = f"; each given one is wrong with probability {alike}"
        wrong = ", and the probability that the given one is wrong" if alike is None else each
        text = f"The {len(self.samples)} most suspicious labels: given → suggested{wrong}"
        self.figure_.suptitle(text, fontsize=9)

    def _is_changed(self, i: int) -> bool:
        return bool(self.given[i] != self.suggested[i])

    def _name(self, i: int) -> str:
        return f"position {self.positions[i]}" if self.names is None else self.names[i]

    def _class(self, label: Any) -> str:
        names = self.class_names
        if names is not None and isinstance(label, int | np.integer) and 0 <= label < len(names):
            label = names[int(label)]
        return " ".join(str(label).split()) or repr(str(label))

    def _caption(self, i: int, *, with_proba: bool) -> str:
        given, chance = self._class(self.given[i]), [percent(self.proba[i])] * with_proba
        if not (self._is_changed(i) or self.proba[i] > 0.5):
            return "\n".join([*wrapped(f"{given} (kept)", _WIDTH), *chance])
        if self._is_changed(i):
            arrow = f"→ {self._class(self.suggested[i])}"
        else:
            other = self.given[i] if self.predicted is None else self.predicted[i]
            arrow = "→ ?" if other == self.given[i] else f"→ {self._class(other)}?"
        whole = f"{given} {arrow}"
        lines = [whole] if len(whole) <= _WIDTH else [*wrapped(given, _WIDTH), *wrapped(arrow, _WIDTH)]
        return "\n".join([*lines, *chance])


def _text_of(cell: Cell) -> str:
    usual = f"  ({cell.usual})" if cell.usual else ""
    return f"{start_of(cell.column, _WIDTH)} = {start_of(cell.value, _WIDTH)}{usual}"


def _rows(X: Any, positions: np.ndarray) -> np.ndarray:
    """Some rows of an array, a list, a frame or a sparse matrix, as an array."""
    if issparse(X):
        return np.asarray(X.tocsr()[positions].toarray())
    if hasattr(X, "iloc"):
        return np.asarray(X.iloc[positions])
    return np.asarray(X)[positions]


def _check_lengths(n_samples: int, **values: Any) -> None:
    for name, value in values.items():
        n_given = value.shape[0] if hasattr(value, "shape") and not isinstance(value, ImageFolder) else None
        n_given = len(value) if n_given is None and value is not None else n_given
        if n_given is not None and n_given != n_samples:
            raise ValueError(
                f"{name} has {n_given} samples and the estimator was fitted on {n_samples}: give those it was "
                "fitted on."
            )


def _check_class_names(class_names: Sequence[str] | None, given: np.ndarray) -> None:
    if class_names is None or given.dtype.kind not in "iu" or not len(given):
        return
    low, high = given.min(), given.max()
    if low < 0 or high >= len(class_names):
        raise ValueError(
            f"class_names has {len(class_names)} names, of the labels 0 to {len(class_names) - 1}, and y has labels "
            f"from {low} to {high}: name each, or leave class_names out."
        )


def _against(estimator: Any, issues: Any, given: np.ndarray, positions: np.ndarray) -> Against:
    """What the shown rows are weighed by: the suggested label, or the network's where none is suggested."""
    columns = [given, np.asarray(issues["suggested_label"]), np.asarray(issues["predicted_label"])]
    number = {label: k for k, label in enumerate(dict.fromkeys(label for c in columns for label in c.tolist()))}
    codes, suggested, predicted = (np.array([number[label] for label in c.tolist()]) for c in columns)
    other = np.where(suggested == codes, predicted, suggested)
    return Against(codes, estimator.mislabel_proba_ <= 0.5, len(number), positions, other[positions])
