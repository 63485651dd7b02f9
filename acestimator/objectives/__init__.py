"""What turns logits and observed labels into a gradient, a loss, and per-sample state."""

from acestimator.alpha.softmax import softmax_gradient
from acestimator.objectives.autocleansing import AutoCleansing
from acestimator.objectives.base import CrossEntropy, Mix, Objective

__all__ = ["AutoCleansing", "CrossEntropy", "Mix", "Objective", "softmax_gradient"]
