"""Train on partly wrong labels, and find them: AutoCleansing as a scikit-learn estimator."""

from acestimator.alpha import AlphaTable
from acestimator.baselines import BaselineClassifier
from acestimator.classifier import AutoCleansingClassifier
from acestimator.cleaned import CleanedClassifier
from acestimator.plotting import ConstantsDisplay, ScoreHistogramDisplay, SuspectsDisplay, TrainingCurvesDisplay

__version__ = "0.1.0"
__all__ = [
    "AlphaTable",
    "AutoCleansingClassifier",
    "BaselineClassifier",
    "CleanedClassifier",
    "ConstantsDisplay",
    "ScoreHistogramDisplay",
    "SuspectsDisplay",
    "TrainingCurvesDisplay",
]
