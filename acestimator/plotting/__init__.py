"""Displays of the suspects, the scores, the constants and the training. matplotlib is imported when one is drawn."""

from acestimator.plotting.constants import ConstantsDisplay
from acestimator.plotting.suspects import ScoreHistogramDisplay, SuspectsDisplay, TrainingCurvesDisplay

__all__ = ["ConstantsDisplay", "ScoreHistogramDisplay", "SuspectsDisplay", "TrainingCurvesDisplay"]
