"""Networks by name. One file a family; each registers its builders here.

A builder is called as ``builder(input_shape, n_classes)`` and returns a module from ``(B, *input_shape)``
to (B, n_classes). "timm:NAME" and "torchvision:NAME" are networks of those packages, where they are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from acestimator.backbones import external, mlp, pyramidnet, resnet, shake_shake, small_resnet, wide_resnet
from acestimator.backbones.trial import copied, try_evaluation, try_training

Builder = Callable[[tuple[int, ...], int], nn.Module]

_DETERMINISTIC: dict[str, Builder] = {
    "mlp": mlp.build,
    "small_resnet": small_resnet.build,
    "resnet32": resnet.resnet32,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "wide_resnet_40_2": wide_resnet.wide_resnet_40_2,
    "wide_resnet_28_10": wide_resnet.wide_resnet_28_10,
}
# Those that draw random numbers in training.
_RANDOM: dict[str, Builder] = {
    "shake_shake_26_2x32d": shake_shake.shake_shake_26_2x32d,
    "shake_shake_26_2x96d": shake_shake.shake_shake_26_2x96d,
    "shake_shake_26_2x112d": shake_shake.shake_shake_26_2x112d,
    "pyramidnet_272_a200_shakedrop": pyramidnet.pyramidnet_272_a200_shakedrop,
}
_BUILDERS = _DETERMINISTIC | _RANDOM
_LIBRARIES = {"timm": external.timm, "torchvision": external.torchvision}


def available() -> list[str]:
    """Names of this package that :func:`build` knows, sorted."""
    return sorted(_BUILDERS)


def draws_in_training(backbone: Any) -> bool:
    """Whether a backbone may draw random numbers in training, from torch's global generator.

    Parameters
    ----------
    backbone : str, nn.Module or callable
        As for :func:`make`.

    Returns
    -------
    bool
        False for "auto" and the networks of this package without random parts; True for the others, and for all that
        it cannot know: networks of timm and torchvision, modules, callables.
    """
    return not (isinstance(backbone, str) and (backbone == "auto" or backbone in _DETERMINISTIC))


def takes_channels_last(backbone: Any) -> bool:
    """Whether images may be handed to a backbone in that layout, in which convolutions are faster.

    A user's module may flatten its features by ``Tensor.view``, which takes no such layout.
    """
    return getattr(backbone, "channels_last", False) or (isinstance(backbone, str) and ":" not in backbone)


def may_take_sparse_rows(backbone: Any) -> bool:
    """Whether the network of a backbone, for vectors, can be made to take sparse rows: see :func:`make`."""
    return isinstance(backbone, str) and backbone in ("auto", "mlp")


def check(backbone: Any, input_shape: tuple[int, ...], n_classes: int) -> None:
    """Ask a backbone whether it is meant for these data, if it has a method ``check`` to ask.

    A callable may have one: ``check(input_shape, n_classes)`` raises ValueError for samples that it should not be
    given, though a network could be built for them. So do the networks of :mod:`acestimator.recipes`. Names, modules
    and classes are not asked.

    Parameters
    ----------
    backbone : str, nn.Module or callable
        As for :func:`make`.
    input_shape : tuple of int
        Shape of one sample: (D,) or (C, H, W).
    n_classes : int
        K, of the labels. A network may be asked for more outputs than that: some methods add one.
    """
    if not isinstance(backbone, str | nn.Module | type) and hasattr(backbone, "check"):
        backbone.check(input_shape, n_classes)


def build(name: str, input_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Build the network of that name.

    Parameters
    ----------
    name : str
        One of :func:`available`; "auto": "mlp" for vectors, "small_resnet" for images; or "timm:NAME" or
        "torchvision:NAME", a network of those packages, without pretrained weights.
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
    ImportError
        If the name is one of timm's or torchvision's, and the package cannot be imported.
    """
    library, colon, inner = name.partition(":")
    if colon and library in _LIBRARIES:
        return _LIBRARIES[library](inner, input_shape, n_classes)
    if name == "auto":
        name = "mlp" if len(input_shape) == 1 else "small_resnet"
    if name not in _BUILDERS:
        known = ", ".join(map(repr, ["auto", *available()]))
        raise ValueError(
            f"backbone is {name!r}, expected one of {known}, 'timm:NAME', 'torchvision:NAME', a torch.nn.Module, "
            "or a callable (input_shape, n_classes) -> torch.nn.Module."
        )
    return _BUILDERS[name](input_shape, n_classes)


def make(backbone: Any, trial: Tensor, n_classes: int, *, sparse: bool = False) -> nn.Module:
    """Build or copy a backbone, and try it on a few samples before any training.

    Parameters
    ----------
    backbone : str, nn.Module or callable
        A name for :func:`build`; a module, which is copied; or a callable ``(input_shape, n_classes) -> module``, which
        may have a method :func:`check`.
    trial : Tensor of float32, shape (n, ...)
        Samples to try it on, on the CPU.
    n_classes : int
    sparse : bool, default=False
        Whether the network is to take :class:`acestimator.rows.SparseRows`, too; of those that
        :func:`may_take_sparse_rows`.

    Returns
    -------
    torch.nn.Module
        On the CPU, in float32, lazy parameters made.

    Raises
    ------
    ValueError
        If it is no module, fails, or does not map the samples to (n, n_classes), in training mode, too.
    ImportError
        See :func:`build`.
    """
    input_shape = tuple(trial.shape[1:])
    if isinstance(backbone, nn.Module):
        network = copied(backbone)
    elif isinstance(backbone, str):
        network = build(backbone, input_shape, n_classes)
    else:
        network = backbone(input_shape, n_classes)
        if not isinstance(network, nn.Module):
            raise ValueError(f"the callable backbone returned {type(network).__name__}, expected a torch.nn.Module.")
    network = network.cpu().float()
    try_evaluation(network, trial, n_classes)
    if not _is_own(backbone):
        try_training(network, trial, n_classes)
    if sparse:
        assert isinstance(network, nn.Sequential)
        return mlp.taking_sparse_rows(network)
    return network


def _is_own(backbone: Any) -> bool:
    """Whether it is a network of this package by name."""
    return isinstance(backbone, str) and ":" not in backbone
