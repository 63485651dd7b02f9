"""Estimators from their files."""

from __future__ import annotations

import os
from typing import Any

import torch

from acestimator.estimators import members, saving
from acestimator.persistence import file


def load(path: str | os.PathLike[str], backbone: Any = None) -> Any:
    """Read an estimator that its method ``save`` has written. Nothing in the file is run.

    Parameters
    ----------
    path : path
    backbone : torch.nn.Module or callable, optional
        What the estimator had as its backbone, if that is the user's own: a module, which is copied, or a callable
        ``(input_shape, n_classes) -> module``. Its tensors come from the file, and it must compute what it computed
        when the file was written. Networks that have a name are rebuilt by it.

    Returns
    -------
    AutoCleansingClassifier, BaselineClassifier or CleanedClassifier
        Fitted, on the CPU: its predictions are to the bit those of the estimator that was saved, on the same machine
        with the same versions.

    Raises
    ------
    ValueError
        If the file is another kind of file, is damaged, or was written by a later version of the format; if the
        backbone is needed and not given, given and not needed, or another one.
    ImportError
        If the network is one of timm's or torchvision's, and the package cannot be imported.
    OSError
        If the file is not there or cannot be read.

    Examples
    --------
    See :meth:`acestimator.AutoCleansingClassifier.save`.
    """
    document, tensors = file.read(path)
    try:
        if backbone is not None and not _needs_backbone(document):
            raise ValueError(
                "backbone was given, and the networks in the file are rebuilt by their names: leave it out"
            )
        with torch.inference_mode(False):
            is_cleaned = document["estimator"] == "CleanedClassifier"
            return (members if is_cleaned else saving).restored(document, tensors, backbone)
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, RuntimeError, TypeError) as error:
        text = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} holds no estimator that this acestimator can rebuild ({text}).") from error
    except ValueError as error:
        raise ValueError(f"{path} was not loaded: {str(error).removesuffix('.')}.") from error


def _needs_backbone(node: Any) -> bool:
    """Whether there is a backbone of the user's own in a document."""
    if isinstance(node, dict):
        own = node.get("$") == "own" or ("n_outputs" in node and node.get("backbone") is None)
        return own or any(_needs_backbone(part) for part in node.values())
    return isinstance(node, list) and any(_needs_backbone(part) for part in node)
