"""Readers of published data sets, as they lie on disk."""

from acestimator.datasets.idx import load_fashion_mnist

__all__ = ["load_fashion_mnist"]
