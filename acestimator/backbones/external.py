"""Networks of timm and torchvision by name, without pretrained weights. Neither is imported before it is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from torch import nn

from acestimator.backbones import _parts

# In training these two of torchvision's return the logits of auxiliary heads beside their own, unless told not to.
_AUXILIARY = ("googlenet", "inception_v3")


def timm(name: str, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """``timm.create_model(name)`` for the given channels and classes.

    Raises
    ------
    ImportError
        If timm cannot be imported.
    ValueError
        If it has no such model, or samples are no images.
    """
    library = _import("timm", name)
    if not library.is_model(name):
        raise ValueError(f"backbone is 'timm:{name}', and timm has no such model: timm.list_models() lists them.")
    channels = _parts.image_channels(f"timm:{name}", input_shape)
    return library.create_model(name, pretrained=False, in_chans=channels, num_classes=n_classes)


def torchvision(name: str, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """``torchvision.models.get_model(name)``, a classifier, for the given classes; its models take three channels.

    Raises
    ------
    ImportError
        If torchvision cannot be imported.
    ValueError
        If it has no such classifier, or samples are no images of three channels.
    """
    models = _import("torchvision", name).models
    # Of this module alone: those for detection, segmentation and video are in modules of their own.
    if name not in models.list_models(module=models):
        raise ValueError(
            f"backbone is 'torchvision:{name}', and torchvision has no such classifier: "
            "torchvision.models.list_models(module=torchvision.models) lists them."
        )
    channels = _parts.image_channels(f"torchvision:{name}", input_shape)
    if channels != 3:
        raise ValueError(
            f"backbone 'torchvision:{name}' takes images of 3 channels, and one sample here has shape {input_shape}: "
            "repeat or drop channels, or use a network of timm or of this package, which take any number."
        )
    options = {"aux_logits": False, "init_weights": True} if name in _AUXILIARY else {}
    return models.get_model(name, weights=None, num_classes=n_classes, **options)


def _import(library: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except Exception as error:  # a torchvision made for another torch fails with a RuntimeError
        raise ImportError(
            f"backbone '{library}:{name}' needs {library}, which cannot be imported ({error}): pip install {library}, "
            "in the version that belongs to the torch installed."
        ) from error
