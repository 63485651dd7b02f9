"""Cross-entropy of shifted logits, with all that ``torch.nn.functional.cross_entropy`` takes.

Legend: B batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from acestimator.alpha.labels import Labels, as_labels, as_soft_labels, targets
from acestimator.alpha.layout import Shown
from acestimator.alpha.softmax import shifted_cross_entropy
from acestimator.checks import check_share

Reduction = Literal["mean", "sum", "none"]
ClassWeights = Tensor | np.ndarray | Sequence[float]


class Goal(NamedTuple):
    """What a batch's log-probabilities are to be, and what its mean divides by."""

    target: Tensor  # (B,) classes, or (B, K) what the negative log-probabilities are multiplied by
    counts: Tensor | None  # (B,) whether a sample does; None where all do
    factor: Tensor | None = None  # (B,) of each loss, where the target is classes
    divisor: Tensor | None = None  # of the sum; None for the number of samples that count


def cross_entropy(
    logits: Tensor,
    labels: Labels,
    shown: Shown,
    record: Callable[[Tensor], None],
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    weight: ClassWeights | None = None,
) -> Tensor:
    """Cross-entropy of ``logits + shown.alpha``, (B, K) both; each sample's own gradient goes to ``record``.

    As in ``torch.nn.functional.cross_entropy``, samples with the label -100 are left out.

    Raises
    ------
    ValueError
        If the shapes do not fit, if a label is none, or not the table's own where that has one, or if ``reduction``,
        ``label_smoothing`` or ``weight`` are none.
    """
    soft = as_soft_labels(labels)
    hard = as_labels(labels) if soft is None else soft
    shape = shown.alpha.shape
    if logits.shape != shape or hard.shape != (shape[:1] if soft is None else shape):
        raise ValueError(
            f"logits has shape {tuple(logits.shape)} and labels {tuple(hard.shape)}, expected {tuple(shape)} and "
            f"{tuple(shape[:1])}, or {tuple(shape)} for probabilities: index has {shape[0]} entries, the table "
            f"{shape[1]} classes."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'.")
    smoothing = check_share("label_smoothing", label_smoothing)
    weights = None if weight is None else _checked(weight, shown.alpha)
    goal = _goal(hard, shown, smoothing, weights) if soft is None else _soft_goal(soft, shown.alpha, smoothing, weights)
    loss = shifted_cross_entropy(logits, shown.alpha, goal.target, goal.counts, record, goal.factor)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if goal.divisor is not None:
        return loss.sum() / goal.divisor
    return loss.mean() if goal.counts is None else loss.sum() / goal.counts.sum()


def _goal(labels: Tensor, shown: Shown, smoothing: float, weights: Tensor | None) -> Goal:
    """Of labels (B,) and class weights (K,)."""
    n_classes = shown.alpha.shape[1]
    labels, counts = targets(labels, n_classes)
    shown.check(labels, counts)
    if weights is None and not smoothing:
        return Goal(labels, counts)
    factor = divisor = None
    if weights is not None:
        factor = weights[labels] if counts is None else weights[labels] * counts
        divisor = factor.sum()
    if not smoothing:
        return Goal(labels, counts, factor, divisor)
    onehot = torch.zeros_like(shown.alpha).scatter_(1, labels[:, None], 1.0)
    return Goal(_smoothed(onehot, smoothing, weights), counts, None, divisor)


def _soft_goal(soft: Tensor, alpha: Tensor, smoothing: float, weights: Tensor | None) -> Goal:
    """Of probabilities (B, K) and class weights (K,), which a mean does not divide by: so in torch."""
    return Goal(_smoothed(soft.to(alpha.dtype), smoothing, weights), None)


def _smoothed(probability: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
    """Probabilities (B, K), moved towards the uniform ones and times the class weights (K,)."""
    if smoothing:
        probability = probability * (1 - smoothing) + smoothing / probability.shape[1]
    return probability if weights is None else probability * weights


def _checked(weight: ClassWeights, alpha: Tensor) -> Tensor:
    """Class weights (K,) as the constants (B, K) are computed, or ValueError if they are none."""
    weights = torch.as_tensor(weight)
    if weights.shape != alpha.shape[1:] or weights.is_complex():
        raise ValueError(
            f"weight is {weights.dtype} of shape {tuple(weights.shape)}, expected one number for each of the "
            f"{alpha.shape[1]} classes."
        )
    if weights.requires_grad:
        raise ValueError("weight requires a gradient, and the loss has none for it: give weight.detach().")
    return weights.to(alpha)
