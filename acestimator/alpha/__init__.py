"""The constants alpha, one row per training sample, and their exact, lazy optimiser.

:class:`acestimator.AlphaTable` is all that a training loop needs. Nothing here knows of networks or estimators.
"""

from acestimator.alpha.announced import Step, Steps
from acestimator.alpha.hyperparameters import Penalty, Variant, check_penalty
from acestimator.alpha.owners import OwnerSampler
from acestimator.alpha.softmax import log_softmax, softmax, softmax_gradient
from acestimator.alpha.table import AlphaTable

__all__ = [
    "AlphaTable",
    "OwnerSampler",
    "Penalty",
    "Step",
    "Steps",
    "Variant",
    "check_penalty",
    "log_softmax",
    "softmax",
    "softmax_gradient",
]
