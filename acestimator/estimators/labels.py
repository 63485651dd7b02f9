"""Labels of a fit: from what a user gives to codes, and back.

Legend: N samples, N' of them of positive weight, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets

from acestimator.estimators.reviewed import Reviewed
from acestimator.facts import Facts
from acestimator.inputs.validation import Number

_POSITIVE = Number(Real, 0, None, closed="neither")
_SHOWN = 10  # classes that an error names, at most


@dataclass(frozen=True)
class TrainingLabels:
    """Labels and weights of a fit, in which samples of weight 0 take no part.

    Parameters
    ----------
    given : ndarray of shape (N,)
        As the user gave them; of facts, the reviewer's.
    classes : ndarray of shape (K,)
        Sorted; those of the samples in use.
    codes : ndarray of int64, shape (N',)
        Positions in ``classes``.
    used : ndarray of int64, shape (N',), or None
        Positions of the N' among the N; None where they are all.
    weight : ndarray of float64, shape (N',), or None
        Positive; None where the user gave none.
    loss_weight : ndarray of float64, shape (N',), or None
        Of the samples in the network's loss: ``weight`` times that of the sample's class. None where neither was given.
    facts : CodedFacts or None
    """

    given: np.ndarray
    classes: np.ndarray
    codes: np.ndarray
    used: np.ndarray | None
    weight: np.ndarray | None
    loss_weight: np.ndarray | None
    facts: CodedFacts | None = None

    @classmethod
    def encode(
        cls,
        given: np.ndarray,
        weight: np.ndarray | None,
        class_weight: Mapping[Any, float] | str | None = None,
        reviewed: Reviewed | None = None,
    ) -> TrainingLabels:
        """Codes of the samples whose weight is positive.

        Parameters
        ----------
        given : ndarray of shape (N,)
        weight : ndarray of float64, shape (N,), or None
            Not negative.
        class_weight : dict, "balanced" or None, default=None
            See :func:`weights_of_classes`.
        reviewed : Reviewed, optional
            Its labels take the place of those given.

        Raises
        ------
        ValueError
            If these are no labels of classes, or all of one class; if ``class_weight`` names another class, or has
            another number than positive ones; or if the weights of the samples in the loss overflow.
        """
        names = set(given.tolist()) if isinstance(class_weight, Mapping) else set()
        if reviewed is not None:
            given = reviewed.labels
            names |= set(given.tolist()) if names else names
        check_classification_targets(given)
        used = None if weight is None or (weight > 0).all() else np.flatnonzero(weight > 0)
        encoder = LabelEncoder()
        codes = encoder.fit_transform(given if used is None else given[used]).astype(np.int64)
        classes = encoder.classes_
        if len(classes) < 2:
            found = f"the one class {classes.tolist()[0]!r}" if len(classes) else "no class at all"
            dropped = "" if used is None else f" once the {len(given) - len(used)} samples of weight 0 are left out"
            raise ValueError(f"y holds {found}{dropped}, expected at least 2 classes: nothing can be told apart.")
        weight = weight if used is None or weight is None else weight[used]
        facts = None if reviewed is None else CodedFacts.encode(reviewed, classes, codes, used)
        if class_weight is None:
            return cls(given, classes, codes, used, weight, weight, facts)
        if isinstance(class_weight, Mapping):
            _check_class_weight(class_weight, names)
        by_class = weights_of_classes(class_weight, classes, codes, weight)
        return cls(given, classes, codes, used, weight, _times(by_class[codes], weight), facts)

    @property
    def known(self) -> np.ndarray:
        """Mask (N',) of the facts."""
        return np.zeros(len(self.codes), dtype=bool) if self.facts is None else self.facts.known

    def facts_on(self, device: torch.device) -> Facts | None:
        """Facts (N') where a training is."""
        if self.facts is None:
            return None
        parts = (self.facts.known, self.codes, self.facts.observed, self.facts.paired)
        return Facts(*(torch.from_numpy(part).to(device) for part in parts))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Labels (N,) by codes (N',); samples of weight 0 have the label that was given."""
        labels = self.classes[codes]
        if self.used is None:
            return labels
        result = self.given.copy()
        result[self.used] = labels
        return result

    def scatter(self, values: np.ndarray, fill: float) -> np.ndarray:
        """Values (N, ...) by values (N', ...); samples of weight 0 have the number ``fill``."""
        if self.used is None:
            return values
        result = np.full((len(self.given), *values.shape[1:]), fill, dtype=values.dtype)
        result[self.used] = values
        return result


@dataclass(frozen=True)
class CodedFacts:
    """Which of the samples in use are facts, and what they were labelled as before.

    Parameters
    ----------
    known : ndarray of bool, shape (N',)
    observed : ndarray of int64, shape (N',)
        Positions in the classes; of what is no pair, that of the label in use.
    paired : ndarray of bool, shape (N',)
        Facts whose label before is known, and is one of the classes. (A class that nobody has any more is none.)
    """

    known: np.ndarray
    observed: np.ndarray
    paired: np.ndarray

    @classmethod
    def encode(
        cls, reviewed: Reviewed, classes: np.ndarray, codes: np.ndarray, used: np.ndarray | None
    ) -> CodedFacts | None:
        """Those of the samples in use; None where there are none."""
        rows = slice(None) if used is None else used
        known = reviewed.known[rows]
        if not known.any():
            return None
        position = {label: code for code, label in enumerate(classes.tolist())}
        before = np.array([position.get(label, -1) for label in reviewed.observed[rows].tolist()], dtype=np.int64)
        paired = known & (before >= 0) & reviewed.are_pairs
        return cls(known, np.where(paired, before, codes), paired)

    def described(self) -> np.ndarray:
        """Numbers (N') that say the same: what a fact was labelled as, -2 if that is unknown, -1 of others."""
        return np.where(self.paired, self.observed, np.where(self.known, -2, -1))


def weights_of_classes(
    class_weight: Mapping[Any, float] | str, classes: np.ndarray, codes: np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Weight of each class, as scikit-learn has it.

    Parameters
    ----------
    class_weight : dict or "balanced"
        A number for each label, one for those that are not in it. "balanced" is N / (K N_k) with N_k samples of class
        k, or with sums of their weights in place of their numbers.
    classes : ndarray of shape (K,)
    codes : ndarray of int64, shape (N',)
        Positions in ``classes``, all of which occur.
    weight : ndarray of float64, shape (N',), or None
        Positive.

    Returns
    -------
    ndarray of float64, shape (K,)
    """
    if not isinstance(class_weight, Mapping):
        totals = np.bincount(codes, weight)  # (K,)
        with np.errstate(over="ignore"):
            return totals.sum() / (len(classes) * totals)
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()], dtype=np.float64)


def _check_class_weight(class_weight: Mapping[Any, float], labels: set[Any]) -> None:
    """Raise ValueError for a class that is none of the labels, and for what is no positive number."""
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        known = sorted(labels)[:_SHOWN]
        raise ValueError(
            f"class_weight has {', '.join(map(repr, unknown[:_SHOWN]))}, which y has not, expected labels such as "
            f"{', '.join(map(repr, known))}: give them as they are in y, and leave out those that do not occur."
        )
    for label, value in class_weight.items():
        if not _POSITIVE.is_satisfied_by(value):
            raise ValueError(
                f"class_weight[{label!r}] is {value!r}, expected a finite number above 0: to leave a class out of the "
                "fit, give its samples a sample_weight of 0."
            )


def _times(class_weight: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Product (N') of the weights of the samples' classes and their own."""
    with np.errstate(all="ignore"):
        product = class_weight if weight is None else class_weight * weight
        if not (np.isfinite(product.sum()) and (product > 0).all()):
            raise ValueError(
                f"class_weight times sample_weight goes from {product.min():.3g} to {product.max():.3g}, expected "
                "positive numbers of a finite sum: give numbers that are nearer to 1."
            )
    return product
