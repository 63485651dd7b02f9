"""Readers of published data sets, as they lie on disk, and of a user's own."""

from acestimator.datasets.cifar import load_cifar10, load_cifar100, load_cifar_names
from acestimator.datasets.cifar10n import load_cifar10n
from acestimator.datasets.files import load_samples
from acestimator.datasets.idx import load_fashion_mnist
from acestimator.datasets.image_folder import ImageFolder, load_image_folder
from acestimator.datasets.svhn import load_svhn

__all__ = [
    "ImageFolder",
    "load_cifar10",
    "load_cifar10n",
    "load_cifar100",
    "load_cifar_names",
    "load_fashion_mnist",
    "load_image_folder",
    "load_samples",
    "load_svhn",
]
