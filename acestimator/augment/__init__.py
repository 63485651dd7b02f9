"""Augmentation of image batches on their device: one call, another draw for every image.

All take and return uint8 images (B, C, H, W) and come before standardisation. Operations are Pillow's, with which the
policies were searched; Pillow is not needed.
"""

from acestimator.augment._base import Augmentation, Compose
from acestimator.augment.learned import AutoAugment, FastAutoAugment, PopulationBasedAugment
from acestimator.augment.pipelines import pipeline
from acestimator.augment.spatial import Baseline, Cutout

__all__ = [
    "Augmentation",
    "AutoAugment",
    "Baseline",
    "Compose",
    "Cutout",
    "FastAutoAugment",
    "PopulationBasedAugment",
    "pipeline",
]
