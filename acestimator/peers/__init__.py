"""Other methods for wrong labels, over the same training loop. One module per family; a registry of names.

A method is a class of :class:`acestimator.peers.Method`, made with its own parameters: ``make("elr", {"beta": 0.9})``.
"""

from __future__ import annotations

import inspect
from typing import Any

from acestimator.peers._method import Method, Outcome, Phases, Reading
from acestimator.peers.abstention import Abstention
from acestimator.peers.dynamic import DynamicBootstrapping
from acestimator.peers.joint import JointOptimization
from acestimator.peers.losses import CappedCrossEntropy, GeneralizedCrossEntropy, HardBootstrapping, SoftBootstrapping
from acestimator.peers.memory import ELR, SOP
from acestimator.peers.plain import Plain
from acestimator.peers.selection import AreaUnderMargin, CoTeaching, MeanLogitMargin, Trimmed
from acestimator.peers.transition import Forward, NoiseAdaptation

__all__ = ["METHODS", "Method", "Outcome", "Phases", "Reading", "make"]

METHODS: dict[str, type[Method]] = {
    "cross_entropy": Plain,
    "mean_logit_margin": MeanLogitMargin,
    "aum": AreaUnderMargin,
    "trimmed": Trimmed,
    "co_teaching": CoTeaching,
    "sop": SOP,
    "joint_optimization": JointOptimization,
    "elr": ELR,
    "dynamic_bootstrapping": DynamicBootstrapping,
    "soft_bootstrapping": SoftBootstrapping,
    "hard_bootstrapping": HardBootstrapping,
    "gce": GeneralizedCrossEntropy,
    "capped": CappedCrossEntropy,
    "forward": Forward,
    "s_model": NoiseAdaptation,
    "abstention": Abstention,
}


def make(name: Any, params: dict[str, Any] | None = None) -> Method:
    """Make the method of that name.

    Parameters
    ----------
    name : str
        A key of ``METHODS``.
    params : dict, optional
        Its own parameters.

    Raises
    ------
    ValueError
        If there is no such method, it has no such parameter, or cannot use the value of one.
    """
    if not isinstance(name, str):
        kind = name.__name__ if isinstance(name, type) else type(name).__name__
        raise ValueError(
            f"method is {name!r}, expected a name: give your method one, acestimator.peers.METHODS['own'] = {kind}, "
            "and then method='own'."
        )
    if name not in METHODS:
        raise ValueError(f"method is {name!r}, expected one of {', '.join(map(repr, sorted(METHODS)))}.")
    method, params = METHODS[name], params or {}
    known = inspect.signature(method).parameters
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(
            f"params has {', '.join(map(repr, unknown))}, which {name!r} does not take: it takes "
            f"{', '.join(map(repr, known)) or 'none'}."
        )
    try:
        return method(**params)
    except TypeError as error:  # text or None where a number is compared
        defaults = {key: value.default for key, value in known.items() if value.default is not value.empty}
        raise ValueError(
            f"params is {params!r}, which {name!r} cannot use ({error}), expected values like its defaults, {defaults}."
        ) from error
