"""Networks by name. One file a family; each registers its builders here.

A builder is called as ``builder(input_shape, n_classes)`` and returns a module from (B, *input_shape) to (B, n_classes).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from acestimator.backbones import mlp, small_resnet

Builder = Callable[[tuple[int, ...], int], nn.Module]

_BUILDERS: dict[str, Builder] = {"mlp": mlp.build, "small_resnet": small_resnet.build}


def available() -> list[str]:
    """Names that :func:`build` knows, sorted."""
    return sorted(_BUILDERS)


def build(name: str, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build the network of that name.

    Parameters
    ----------
    name : str
        One of :func:`available`, or "auto": "mlp" for vectors, "small_resnet" for images.
    input_shape : tuple of int
        Shape of one sample: (D,) or (C, H, W).
    n_classes : int
        Outputs.

    Returns
    -------
    torch.nn.Module
        Initialised from torch's global generator.

    Raises
    ------
    ValueError
        If the name is unknown, or the network does not take samples of that shape.
    """
    if name == "auto":
        name = "mlp" if len(input_shape) == 1 else "small_resnet"
    if name not in _BUILDERS:
        known = ", ".join(map(repr, ["auto", *available()]))
        raise ValueError(
            f"backbone is {name!r}, expected one of {known}, a torch.nn.Module, or a callable "
            "(input_shape, n_classes) -> torch.nn.Module."
        )
    return _BUILDERS[name](input_shape, n_classes)
