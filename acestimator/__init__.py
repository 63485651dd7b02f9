"""Train on partly wrong labels, and find them: AutoCleansing as a scikit-learn estimator.

torch and scikit-learn take seconds to import, and ``acestimator --help`` needs neither. So names and submodules are
imported when they are first asked for (PEP 562).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same for type checkers, which run nothing
    from acestimator import alpha as alpha
    from acestimator import audit as audit
    from acestimator import augment as augment
    from acestimator import backbones as backbones
    from acestimator import channel as channel
    from acestimator import comparison as comparison
    from acestimator import crossfit as crossfit
    from acestimator import datasets as datasets
    from acestimator import demo as demo
    from acestimator import detection as detection
    from acestimator import diagnosis as diagnosis
    from acestimator import estimators as estimators
    from acestimator import experiments as experiments
    from acestimator import folds as folds
    from acestimator import lightning as lightning
    from acestimator import mixture as mixture
    from acestimator import noise as noise
    from acestimator import objectives as objectives
    from acestimator import peers as peers
    from acestimator import persistence as persistence
    from acestimator import phases as phases
    from acestimator import plotting as plotting
    from acestimator import presets as presets
    from acestimator import recipes as recipes
    from acestimator import training as training
    from acestimator.alpha import AlphaTable, OwnerSampler
    from acestimator.diagnosis import AutoCleansingWarning
    from acestimator.estimators.autocleansing import AutoCleansingClassifier
    from acestimator.estimators.baseline import BaselineClassifier
    from acestimator.estimators.cleaned import CleanedClassifier
    from acestimator.estimators.loading import load
    from acestimator.plotting import ConstantsDisplay, ScoreHistogramDisplay, SuspectsDisplay, TrainingCurvesDisplay

__version__ = "0.1.0"
__all__ = [
    "AlphaTable",
    "AutoCleansingClassifier",
    "AutoCleansingWarning",
    "BaselineClassifier",
    "CleanedClassifier",
    "ConstantsDisplay",
    "OwnerSampler",
    "ScoreHistogramDisplay",
    "SuspectsDisplay",
    "TrainingCurvesDisplay",
    "load",
]

if not TYPE_CHECKING:  # who sees a __getattr__ takes any name for one of the package's
    _HOMES = {
        "AlphaTable": "alpha",
        "AutoCleansingClassifier": "estimators.autocleansing",
        "AutoCleansingWarning": "diagnosis",
        "BaselineClassifier": "estimators.baseline",
        "CleanedClassifier": "estimators.cleaned",
        "ConstantsDisplay": "plotting",
        "OwnerSampler": "alpha",
        "ScoreHistogramDisplay": "plotting",
        "SuspectsDisplay": "plotting",
        "TrainingCurvesDisplay": "plotting",
        "load": "estimators.loading",
    }
    _SUBMODULES = (
        *("alpha", "audit", "augment", "backbones", "channel", "comparison", "crossfit", "datasets", "demo"),
        *("detection", "diagnosis", "estimators", "experiments", "folds", "mixture", "noise", "objectives", "peers"),
        *("persistence", "phases", "plotting", "presets", "recipes", "training"),
    )

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _HOMES:
            globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            return globals()[name]
        if name in (*_SUBMODULES, "lightning"):
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        # Without lightning, which is an extra: who asks for all that is listed, as help() does, would get its error.
        return sorted({*globals(), *_HOMES, *_SUBMODULES})
