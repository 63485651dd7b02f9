"""Pictures of a fitted estimator, in scikit-learn's Display style: ``XDisplay.from_estimator(clf, ...)``.

matplotlib is imported when something is drawn, not before.
"""

from acestimator.plotting.constants import ConstantsDisplay
from acestimator.plotting.curves import TrainingCurvesDisplay
from acestimator.plotting.scores import ScoreHistogramDisplay
from acestimator.plotting.suspects import SuspectsDisplay

__all__ = ["ConstantsDisplay", "ScoreHistogramDisplay", "SuspectsDisplay", "TrainingCurvesDisplay"]
