"""Readers of published data sets, as they lie on disk, and of a user's own."""

from acestimator.datasets.files import load_samples
from acestimator.datasets.idx import load_fashion_mnist

__all__ = ["load_fashion_mnist", "load_samples"]
