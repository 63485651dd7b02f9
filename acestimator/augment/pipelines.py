"""The paper's augmentations of each data set: baseline, then policy, then Cutout."""

from __future__ import annotations

from acestimator.augment._base import Augmentation, Compose
from acestimator.augment.learned import AutoAugment, FastAutoAugment, PopulationBasedAugment
from acestimator.augment.spatial import Baseline, Cutout

_POLICIES = {"autoaugment": AutoAugment, "fast_autoaugment": FastAutoAugment, "pba": PopulationBasedAugment}
METHODS = ("baseline", "cutout", *_POLICIES)
# Sides of the squares, as in the published code of Population Based Augmentation; none for ImageNet.
_CUTOUT = {"cifar10": 16, "cifar100": 8, "svhn": 20}
_FLIPPED_AND_CROPPED = ("cifar10", "cifar100")
DATASETS = (*_CUTOUT, "imagenet")


def pipeline(method: str, dataset: str) -> Compose:
    """Augmentation by a method on a data set, as in the paper's results.

    CIFAR's images are flipped and cropped first. SVHN's are not, as in the published code of Population Based
    Augmentation: a mirrored digit is another one, or none. ImageNet's come flipped and cropped from
    :class:`acestimator.datasets.ImageFolder`, and get no Cutout. Standardisation is left to the estimator.

    Parameters
    ----------
    method : {"baseline", "cutout", "autoaugment", "fast_autoaugment", "pba"}
        In the last three, Cutout follows the policy.
    dataset : {"cifar10", "cifar100", "svhn", "imagenet"}

    Returns
    -------
    Compose

    Raises
    ------
    ValueError
        If there is no such method or data set, or the data set has no such policy.
    """
    if method not in METHODS:
        raise ValueError(f"augment is {method!r}, expected one of {', '.join(map(repr, METHODS))}.")
    if dataset not in DATASETS:
        raise ValueError(f"dataset is {dataset!r}, expected one of {', '.join(map(repr, DATASETS))}.")
    if method == "cutout" and dataset not in _CUTOUT:
        raise ValueError(f"augment is 'cutout' for {dataset}, which the paper has for {', '.join(_CUTOUT)} only.")
    parts: list[Augmentation] = [Baseline()] if dataset in _FLIPPED_AND_CROPPED else []
    if method in _POLICIES:
        parts.append(_POLICIES[method](dataset))
    if method != "baseline" and dataset in _CUTOUT:
        parts.append(Cutout(_CUTOUT[dataset]))
    return Compose(parts)
