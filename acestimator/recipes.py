"""Table 7: how the paper trains each network on each data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from acestimator import augment, backbones
from acestimator.checks import check_count
from acestimator.presets import PAPER_ALPHA_WEIGHT_DECAY
from acestimator.training import Schedule

# Shape of an image, classes, and training images: of SVHN with its extra part, as the paper has it.
DATASETS = {
    "cifar10": ((3, 32, 32), 10, 50_000),
    "cifar100": ((3, 32, 32), 100, 50_000),
    "svhn": ((3, 32, 32), 10, 604_388),
    "imagenet": ((3, 224, 224), 1000, 1_281_167),
}

_CIFAR_MILESTONES = (150, 225)
_IMAGENET_MILESTONES = (90, 180, 240)
_PYRAMIDNET_ALPHA_WEIGHT_DECAY = 1e-5  # of the constants (Section 4)


@dataclass(frozen=True)
class Recipe:
    """A row of Table 7.

    Parameters
    ----------
    dataset : str
        A key of ``DATASETS``.
    network : str
        A name for :func:`acestimator.backbones.build`.
    learning_rate : float
        Of SGD with Nesterov momentum 0.9, in the first epoch.
    schedule : "cosine" or tuple of int
        One cosine cycle, or the epochs after which the rate falls tenfold.
    weight_decay : float
        Of the network.
    batch_size, epochs : int
    alpha_weight_decay : float
        Of the constants (Section 4).
    inferred : bool
        Whether Table 7 lacks the row, though other tables use it.
    """

    dataset: str
    network: str
    learning_rate: float
    schedule: Schedule
    weight_decay: float
    batch_size: int
    epochs: int
    alpha_weight_decay: float = PAPER_ALPHA_WEIGHT_DECAY
    inferred: bool = False

    def parameters(self, method: str, epochs: int | None = None) -> dict[str, Any]:
        """Parameters of :class:`~acestimator.AutoCleansingClassifier` or :class:`~acestimator.BaselineClassifier`.

        Parameters
        ----------
        method : str
            Of augmentation, as :func:`acestimator.augment.pipeline` takes it.
        epochs : int, optional
            A shorter run's, whose milestones are at the same shares of it; by default the recipe's.

        Raises
        ------
        ValueError
            If the data set has no such augmentation, or ``epochs`` is no positive integer.
        """
        epochs = self.epochs if epochs is None else check_count("max_epochs", epochs, at_least=1)
        schedule = self.schedule
        if schedule != "cosine":
            schedule = tuple(milestone * epochs / self.epochs for milestone in schedule)
        return {
            "backbone": RecipeNetwork(self.dataset, self.network),
            "preset": "paper",
            "learning_rate": self.learning_rate,
            "schedule": schedule,
            "weight_decay": self.weight_decay,
            "batch_size": self.batch_size,
            "max_epochs": epochs,
            "augment": augment.pipeline(method, self.dataset),
            "precision": "auto",
        }


@dataclass(frozen=True)
class RecipeNetwork:
    """A recipe's network; estimators refuse other images and more classes than the recipe's.

    Parameters
    ----------
    dataset, network : str
    """

    dataset: str
    network: str
    channels_last: ClassVar[bool] = True

    def __call__(self, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """Build it, with as many outputs as the method needs: some add one to the classes'."""
        return backbones.build(self.network, input_shape, n_classes)

    def check(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        """Compare what an estimator is given with the data set.

        Raises
        ------
        ValueError
            If images have another shape than the data set's, or there are more classes than it has.
        """
        shape, most, _ = DATASETS[self.dataset]
        if tuple(input_shape) != shape:
            raise ValueError(
                f"the recipe {self.dataset} / {self.network} is for images of shape {shape}, and one image here has "
                f"shape {tuple(input_shape)}: resize the images, or give backbone={self.network!r} in place of the "
                "recipe's, which takes any size."
            )
        if n_classes > most:
            raise ValueError(
                f"y holds {n_classes} classes, and {self.dataset} has {most}: give its labels, or backbone="
                f"{self.network!r} in place of the recipe's."
            )


RECIPES = (
    Recipe("cifar10", "resnet32", 0.1, _CIFAR_MILESTONES, 1e-4, 256, 300),
    Recipe("cifar10", "wide_resnet_40_2", 0.1, "cosine", 2e-4, 128, 200),
    Recipe("cifar10", "wide_resnet_28_10", 0.1, "cosine", 5e-4, 128, 200),
    Recipe("cifar10", "shake_shake_26_2x32d", 0.01, "cosine", 1e-3, 128, 1800),
    Recipe("cifar10", "shake_shake_26_2x96d", 0.01, "cosine", 1e-3, 128, 1800),
    Recipe("cifar10", "shake_shake_26_2x112d", 0.01, "cosine", 1e-3, 128, 1800),
    Recipe(
        *("cifar10", "pyramidnet_272_a200_shakedrop", 0.05, "cosine", 5e-5, 64, 1800),
        alpha_weight_decay=_PYRAMIDNET_ALPHA_WEIGHT_DECAY,
    ),
    Recipe("cifar100", "resnet32", 0.1, _CIFAR_MILESTONES, 1e-4, 256, 300),
    # Tables 3 and 8 have results of it, Table 7 no row: the values are CIFAR-10's.
    Recipe("cifar100", "wide_resnet_40_2", 0.1, "cosine", 2e-4, 128, 200, inferred=True),
    Recipe("cifar100", "wide_resnet_28_10", 0.1, "cosine", 5e-4, 128, 200),
    Recipe("cifar100", "shake_shake_26_2x96d", 0.01, "cosine", 2.5e-3, 128, 1800),
    Recipe(
        *("cifar100", "pyramidnet_272_a200_shakedrop", 0.025, "cosine", 5e-4, 64, 1800),
        alpha_weight_decay=_PYRAMIDNET_ALPHA_WEIGHT_DECAY,
    ),
    Recipe("svhn", "wide_resnet_28_10", 0.005, "cosine", 1e-3, 128, 200),
    Recipe("imagenet", "resnet50", 0.1, _IMAGENET_MILESTONES, 1e-4, 256, 270),
)


def find(dataset: str, network: str) -> Recipe:
    """Recipe of a network on a data set.

    Raises
    ------
    ValueError
        If Table 7 has none: which it has.
    """
    for recipe in RECIPES:
        if (recipe.dataset, recipe.network) == (dataset, network):
            return recipe
    networks = [recipe.network for recipe in RECIPES if recipe.dataset == dataset]
    if not networks:
        raise ValueError(f"dataset is {dataset!r}, expected one of {', '.join(map(repr, DATASETS))}.")
    raise ValueError(
        f"network is {network!r}, and for {dataset} the paper has {', '.join(map(repr, networks))}: take one of these, "
        "or set the parameters of the estimator itself."
    )
