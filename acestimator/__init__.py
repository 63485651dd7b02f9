"""Train on partly wrong labels, and find them: AutoCleansing as a scikit-learn estimator."""

from acestimator.alpha import AlphaTable
from acestimator.estimators.autocleansing import AutoCleansingClassifier
from acestimator.estimators.baseline import BaselineClassifier
from acestimator.estimators.cleaned import CleanedClassifier
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
