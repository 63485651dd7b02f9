"""CleanedClassifier: any classifier, fitted on what AutoCleansing makes of the labels.

Legend: N samples, D features, K classes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, has_fit_parameter

from acestimator.diagnosis import AutoCleansingWarning
from acestimator.estimators import members
from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.estimators.given import plain_labels
from acestimator.estimators.reviewed import read_reviewed
from acestimator.estimators.saved import Saved
from acestimator.inputs import validation
from acestimator.inputs.missing import check_known
from acestimator.inputs.validation import HasMethods, StrOptions
from acestimator.persistence.values import Writer
from acestimator.pickling import PublicName

F = TypeVar("F", bound=Callable[..., Any])

_VERDICT = ("mislabel_proba_", "suggested_labels_")  # what a fitted cleanser says
# Expected number of right labels of a class, at least: with fewer it is more likely than not that none is left.
_LEAST_LEFT = 0.5


def _estimator_has(method: str) -> Callable[[F], F]:
    """Make a method available where the wrapped classifier has it."""

    def check(self: CleanedClassifier) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), method)  # its AttributeError says what is missing
        return True

    return available_if(check)


class CleanedClassifier(Saved, PublicName, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Any classifier, fitted on what a cleanser makes of the labels.

    The cleanser is fitted first, and tells how likely each training label is wrong and what it should be. Then the
    classifier is fitted, on the labels weighted, corrected or thinned out. Predictions are the classifier's alone.

    Parameters
    ----------
    estimator : estimator
        The classifier. It gets X as it was given, and is never fitted in place.
    cleanser : estimator, default=None
        :class:`~acestimator.AutoCleansingClassifier`, :class:`~acestimator.BaselineClassifier`, or whatever else has
        ``mislabel_proba_`` and ``suggested_labels_`` once fitted; or a pipeline that ends in one of them, for data that
        it cannot take as they are (gaps, categories). Never fitted in place. None: ``AutoCleansingClassifier()``.
    strategy : {"weight", "relabel", "drop"}, default="drop"
        "drop" leaves out what the cleanser's own network was spared, ``left_out_``; of a cleanser that has none, the
        samples of ``mislabel_proba_ > 0.5``. "relabel" gives those samples that have another label suggested that
        label, and leaves out the rest of them. "weight" leaves out all of them, and gives every other sample the weight
        ``1 - mislabel_proba_``; the classifier must take weights.
    random_state : int, RandomState or None, default=None
        Where given, seeds every ``random_state`` of cleanser and classifier, in place of what these have.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, without those that only samples of weight 0 have.
    estimator_ : estimator
        The fitted classifier.
    cleanser_ : estimator
        The fitted cleanser.
    mislabel_proba_, suggested_labels_ : ndarray of shape (N,)
        The cleanser's, of the training samples.
    n_features_in_ : int
        Where the classifier has it.
    feature_names_in_ : ndarray of str
        Where the classifier has it.

    Notes
    -----
    If less than half a sample of a class is left, by number or by the sum of ``1 - mislabel_proba_``, its samples are
    trained on as they were given, and a warning names the class. So the classifier knows all of ``classes_``, and
    ``predict_proba`` has a column for each.

    Sample weights that are given to ``fit`` go to the cleanser and to the classifier; "weight" multiplies them. Samples
    whose weight comes to 0 are left out.

    Labels that were reviewed are facts to both: the cleanser learns them and suspects none, and the classifier is
    trained on them, whatever the strategy.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from acestimator import CleanedClassifier
    >>> from acestimator.noise import corrupt, symmetric
    >>> X, y = load_digits(n_class=4, return_X_y=True)
    >>> observed = corrupt(y, symmetric(4, 0.3), random_state=0)
    >>> tree = DecisionTreeClassifier(random_state=0)
    >>> cleaned = CleanedClassifier(tree, random_state=0).fit(X[:400], observed[:400])
    >>> plain = tree.fit(X[:400], observed[:400])
    >>> bool(cleaned.score(X[400:], y[400:]) > plain.score(X[400:], y[400:]) + 0.1)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "cleanser": [HasMethods(["fit"]), None],
        "strategy": [StrOptions({"weight", "relabel", "drop"})],
        "random_state": ["random_state"],
    }
    _of_samples = members.OF_SAMPLES

    def __init__(
        self,
        estimator: Any,
        *,
        cleanser: Any = None,
        strategy: str = "drop",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.cleanser = cleanser
        self.strategy = strategy
        self.random_state = random_state

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None, reviewed: Any = None) -> Self:
        """Fit the cleanser, then the classifier.

        Parameters
        ----------
        X : array-like, sparse matrix or array of shape (N, D)
            Or whatever else both take.
        y : array-like of shape (N,)
            Observed labels.
        sample_weight : array-like of shape (N,), optional
            Non-negative.
        reviewed : array-like of shape (N,), optional
            Labels that somebody has looked at: see :meth:`acestimator.AutoCleansingClassifier.fit`.

        Returns
        -------
        self : CleanedClassifier
            Itself.

        Raises
        ------
        ValueError
            If a parameter cannot be used, or weights are needed and are not taken, or ``reviewed`` is given and the
            cleanser does not take it; before any training.
        TypeError
            If the cleanser has no ``mislabel_proba_`` and ``suggested_labels_`` once fitted.

        Warns
        -----
        UserWarning
            If the cleanser leaves nobody of a class.

        Notes
        -----
        A fit that fails leaves the estimator as it was before the call.
        """
        validation.check_parameters(self)
        cleanser, estimator = self._members()
        X, y, sample_weight = map(validation.detached, (X, y, sample_weight))
        if sample_weight is not None:
            sample_weight = validation.check_weights(sample_weight, X)
            _check_takes(cleanser, "cleanser", "sample_weight", "give no sample_weight")
            _check_takes(estimator, "estimator", "sample_weight", "give no sample_weight")
        elif self.strategy == "weight":
            _check_takes(estimator, "estimator", "sample_weight", 'take strategy="relabel" or "drop"')
        check_known(y)
        given, y = y, column_or_1d(plain_labels(y), warn=True)
        is_series = hasattr(given, "isna") and given.ndim == 1
        facts = read_reviewed(reviewed, y)
        if facts is not None:
            _check_takes(cleanser, "cleanser", "reviewed", "give y as the reviewer wants it, and no reviewed")
        seen = None if facts is None else reviewed

        try:
            # A Series as it is: the cleanser's table has the labels in its type.
            _fit(cleanser, X, given if is_series else y, sample_weight=sample_weight, reviewed=seen)
        except ValueError as error:
            if self.cleanser is None:
                error.add_note(
                    "This is from the cleanser. If the estimator takes such data, give a cleanser that does, too: "
                    "cleanser=make_pipeline(..., AutoCleansingClassifier()), with the preparation it needs."
                )
            raise
        proba, suggested = _verdict(cleanser)
        left_out = getattr(_last(cleanser), "left_out_", None)
        left_out = proba > 0.5 if left_out is None else left_out
        if facts is not None:
            y, left_out = facts.labels, left_out & ~facts.known
            proba, suggested = np.where(facts.known, 0.0, proba), np.where(facts.known, y, suggested)
        keep, labels, weight, restored = clean_labels(y, sample_weight, proba, suggested, left_out, self.strategy)
        if len(restored):
            warnings.warn(
                f"the cleanser leaves nobody of {', '.join(map(repr, restored.tolist()))}: samples of these labels are "
                "trained on as they were given. Look at them (label_issues) before you trust the result.",
                AutoCleansingWarning,
                stacklevel=2,
            )
        if len(keep) < len(y):
            X = validation.select(X, keep)
        _fit(estimator, X, labels, sample_weight=weight)

        self.__dict__.pop("_without_training", None)  # of an estimator that was loaded
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        self.classes_ = np.unique(labels)
        self.mislabel_proba_, self.suggested_labels_ = proba, suggested
        self.cleanser_, self.estimator_ = cleanser, estimator
        return self

    def _members(self) -> tuple[Any, Any]:
        """Cleanser and classifier to fit: copies, with the seeds that they are to have."""
        members = clone(self._given_cleanser()), clone(self.estimator)
        if is_regressor(members[1]):
            raise ValueError(f"estimator is {self.estimator!r}, a regressor, expected a classifier.")
        if self.random_state is not None:
            rng = check_random_state(self.random_state)
            for member in members:
                _seed(member, rng)
        return members

    def _given_cleanser(self) -> Any:
        return AutoCleansingClassifier() if self.cleanser is None else self.cleanser

    def label_issues(self) -> Any:
        """Table of the training labels, with cleanlab's columns and two more, by the cleanser.

        Returns
        -------
        pandas.DataFrame, or structured ndarray of shape (N,) without pandas
            See :meth:`acestimator.AutoCleansingClassifier.label_issues`.
        """
        check_is_fitted(self)
        return _last(self.cleanser_).label_issues()

    # ------------------------------------------------------------------ predicting

    def predict(self, X: Any) -> np.ndarray:
        """Labels of samples, (M,), by the classifier."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @_estimator_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of ``classes_``, (M, K), by the classifier where it has them."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_estimator_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Their logarithms, (M, K), by the classifier where it has them."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @_estimator_has("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Decision values of samples, by the classifier where it has them."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @_estimator_has("export")
    def export(self, *, dtype: str = "float32") -> Any:
        """Program of torch that computes ``predict_proba``, of a classifier of this package.

        See :meth:`acestimator.AutoCleansingClassifier.export`.
        """
        check_is_fitted(self)
        return self.estimator_.export(dtype=dtype)

    @_estimator_has("to_onnx")
    def to_onnx(self, path: str | os.PathLike[str], *, dtype: str = "float32") -> None:
        """Write an ONNX file that computes ``predict_proba``, of a classifier of this package.

        See :meth:`acestimator.AutoCleansingClassifier.to_onnx`.
        """
        check_is_fitted(self)
        self.estimator_.to_onnx(path, dtype=dtype)

    def _document(self, include_training: bool) -> tuple[dict[str, Any], Writer]:
        return members.document_of(self, include_training=include_training)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        members = [get_tags(member).input_tags for member in (self._given_cleanser(), self.estimator)]
        tags.input_tags.sparse = all(member.sparse for member in members)
        tags.input_tags.allow_nan = all(member.allow_nan for member in members)
        return tags


def clean_labels(
    y: np.ndarray,
    sample_weight: np.ndarray | None,
    proba: np.ndarray,
    suggested: np.ndarray,
    left_out: np.ndarray,
    strategy: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """What a classifier is to be trained on, by a cleanser's verdict.

    Parameters
    ----------
    y, sample_weight, proba, suggested, left_out : ndarray of shape (N,)
        The weights may be None.
    strategy : {"weight", "relabel", "drop"}
        As of :class:`CleanedClassifier`.

    Returns
    -------
    keep : ndarray of int64, shape (N',)
        Positions of the samples to train on.
    labels : ndarray of shape (N',)
    weight : ndarray of float64, shape (N',), or None
        None if all are alike.
    restored : ndarray of shape (R,)
        Classes of which nobody was left, whose samples are as they were given.
    """
    used = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight > 0)
    classes, given = np.unique(y[used], return_inverse=True)
    labels, share = given, (~left_out[used]).astype(np.float64)
    if strategy == "relabel":
        labels = np.searchsorted(classes, suggested[used])
        share[labels != given] = 1.0
    elif strategy == "weight":
        # A full-grown tree fits every sample that has a weight, and would learn a wrong label of the smallest.
        share *= 1.0 - proba[used]
    restored = np.zeros(len(classes), dtype=bool)
    # More than once, because a sample that one class gets back may be the last of another.
    while (lost := np.bincount(labels, weights=share, minlength=len(classes)) < _LEAST_LEFT).any():
        restored |= lost
        labels, share = np.where(lost[given], given, labels), np.where(lost[given], 1.0, share)
    weight = share if sample_weight is None else share * sample_weight[used]
    kept = weight > 0
    as_weights = weight[kept] if strategy == "weight" or sample_weight is not None else None
    return used[kept], classes[labels[kept]], as_weights, classes[restored]


def _verdict(cleanser: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read mislabel_proba_ and suggested_labels_ off a fitted cleanser."""
    judge = _last(cleanser)
    missing = [name for name in _VERDICT if not hasattr(judge, name)]
    if missing:
        raise TypeError(
            f"cleanser is {judge!r}, which has no {' and no '.join(missing)} once fitted, expected "
            "AutoCleansingClassifier, BaselineClassifier or a pipeline that ends in one of them."
        )
    return judge.mislabel_proba_, judge.suggested_labels_


def _last(estimator: Any) -> Any:
    """Last step of a pipeline, itself if it is none."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def _seed(estimator: Any, rng: np.random.RandomState) -> None:
    """Set every random_state of an estimator and its parts, in the order of their names."""
    names = [name for name in sorted(estimator.get_params()) if name.split("__")[-1] == "random_state"]
    estimator.set_params(**{name: rng.randint(np.iinfo(np.int32).max) for name in names})


def _parameter(estimator: Any, name: str) -> str:
    """Name of fit's parameter for weights, or another one: in a pipeline, with its last step's name before it."""
    # With metadata routing a pipeline is given the bare name, and its steps say whether they ask for it.
    if isinstance(estimator, Pipeline) and not get_config()["enable_metadata_routing"]:
        step, last = estimator.steps[-1]
        return f"{step}__{_parameter(last, name)}"
    return name


def _check_takes(estimator: Any, name: str, parameter: str, cure: str) -> None:
    if not has_fit_parameter(_last(estimator), parameter):
        raise ValueError(
            f"{name} is {estimator!r}, whose fit does not take {parameter}, expected one that does: {cure}."
        )


def _fit(estimator: Any, X: Any, y: np.ndarray, **of_samples: Any) -> None:
    """Fit an estimator, with weights and the like only where there are any: not all take them."""
    given = {_parameter(estimator, name): values for name, values in of_samples.items() if values is not None}
    estimator.fit(X, y, **given)
