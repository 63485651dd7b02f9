"""What turns logits and observed labels into a gradient, a loss, and per-sample state."""

from acestimator.alpha import softmax_gradient
from acestimator.objectives.autocleansing import AutoCleansing
from acestimator.objectives.base import Block, CrossEntropy, Head, Mix, Objective, Step, Training

__all__ = [
    "AutoCleansing",
    "Block",
    "CrossEntropy",
    "Head",
    "Mix",
    "Objective",
    "Step",
    "Training",
    "softmax_gradient",
]
