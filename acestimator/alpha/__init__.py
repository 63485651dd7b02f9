"""The constants alpha, one row per training sample, and their exact, lazy optimiser.

:class:`acestimator.AlphaTable` is all that other rooms need. Nothing here knows of networks, losses or estimators.
"""

from acestimator.alpha.announced import Steps
from acestimator.alpha.table import AlphaTable

__all__ = ["AlphaTable", "Steps"]
