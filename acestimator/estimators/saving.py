"""Estimators as a document and tensors, and back: what their files hold. See :mod:`acestimator.persistence`.

Legend: N training samples.
"""

from __future__ import annotations

import platform
import warnings
from importlib import import_module, metadata
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from acestimator.estimators.given import LabelSeries
from acestimator.estimators.series import SavedSeries
from acestimator.peers.heads import WithoutLast
from acestimator.persistence import network as networks
from acestimator.persistence.values import Described, Reader, Writer

# What belongs to the training samples, one entry for each.
OF_SAMPLES = (
    *("alpha_", "mislabel_scores_", "mislabel_proba_", "suggested_labels_", "left_out_"),
    *("_given", "_predicted", "_listed", "_given_series"),
)
_APART = ("module_", "scaler_", "_given_series", "_without_training")
_CLASSES = ("AutoCleansingClassifier", "BaselineClassifier", "CleanedClassifier")  # that files may hold
_MADE_OF = ("torch", "numpy", "scikit-learn", "safetensors")


def document_of(clf: Any, *, include_training: bool, prefix: str = "") -> tuple[dict[str, Any], Writer]:
    """What is written of a fitted estimator.

    Parameters
    ----------
    clf : NetworkClassifier
    include_training : bool
        Whether what belongs to the training samples is written.
    prefix : str, default=""
        Of the names of tensors.

    Returns
    -------
    document : dict
        For JSON.
    writer : Writer
        Has the tensors, and the names of what is only described.

    Raises
    ------
    ValueError
        If the class is another one, or a part of the estimator cannot be written.
    """
    check_is_fitted(clf)
    writer = Writer(lambda value, name: other(value, name, writer), prefix)
    document: dict[str, Any] = {"estimator": class_name(clf), "parameters": parameters_of(clf, writer)}
    left_out = () if include_training else OF_SAMPLES
    kept = {name: vars(clf)[name] for name in clf._fitted if name in vars(clf) and name not in (*_APART, *left_out)}
    document["fitted"] = {name: writer.value(value, name) for name, value in kept.items()}
    document["without_training"] = not include_training or getattr(clf, "_without_training", False)
    document["scaler"] = _scaler(clf.scaler_, writer)
    document["network"] = _network(clf, writer)
    if include_training and clf._given_series is not None:
        document["series"] = _series(clf._given_series, writer)
    return document, writer


def known() -> dict[str, type]:
    """Classes that files may hold, by the names under which users import them."""
    return {name: getattr(import_module("acestimator"), name) for name in _CLASSES}


def class_name(clf: Any) -> str:
    """Name of an estimator's class.

    Raises
    ------
    ValueError
        If files do not hold it.
    """
    name = type(clf).__name__
    if known().get(name) is not type(clf):
        raise ValueError(
            f"the estimator is of the class {type(clf).__module__}.{type(clf).__qualname__}, and a file holds one of "
            f"{', '.join(_CLASSES)}: keep what your class adds apart, or pickle it."
        )
    return name


def parameters_of(clf: Any, writer: Writer) -> dict[str, Any]:
    """Parameters of an estimator, for JSON."""
    return {name: writer.value(value, name) for name, value in clf.get_params(deep=False).items()}


def restored(document: dict[str, Any], tensors: dict[str, Tensor], backbone: Any) -> Any:
    """The estimator that :func:`document_of` was given.

    Raises
    ------
    KeyError, TypeError, ValueError
        If there is none in the document, or ``backbone`` is needed and not given, or given and not needed.
    """
    reader = reader_of(tensors, backbone)
    clf = blank(document, reader)
    for name, value in document["fitted"].items():
        if name not in clf._fitted or name in _APART:
            raise ValueError(f"an attribute {name!r}")
        setattr(clf, name, reader.value(value))
    if document["without_training"]:
        clf._without_training = True
    if type(clf.input_shape_) is not tuple:
        raise ValueError(f"a sample has shape {clf.input_shape_!r}")
    clf.scaler_ = _restored_scaler(document["scaler"], reader)
    if document.get("series") is not None:
        clf._given_series = SavedSeries(document["series"]["kind"], reader.value(document["series"]["values"]))
    clf.module_ = _restored_network(document["network"], tensors, backbone, clf.input_shape_)
    if clf.classes_.ndim != 1 or len(clf.classes_) != document["network"]["n_outputs"] - bool(
        document["network"]["without_last"]
    ):
        raise ValueError(f"the network has not one output for each of {len(clf.classes_)} classes")
    _check_lengths(clf)
    return clf


def blank(document: dict[str, Any], reader: Reader) -> Any:
    """Estimator of a document, not fitted."""
    return known()[document["estimator"]](
        **{name: reader.value(value) for name, value in document["parameters"].items()}
    )


def reader_of(tensors: dict[str, Tensor], backbone: Any) -> Reader:
    """Reader of an estimator's values, in which the user's own backbone takes its place."""
    reader = Reader(
        tensors,
        {
            "backbone": lambda node: networks.of_name(node),
            "own": lambda node: Described(str(node["text"])) if backbone is None else backbone,
            "estimator": lambda node: blank(node, reader),
        },
    )
    return reader


def other(value: Any, name: str, writer: Writer) -> dict[str, Any] | None:
    """Encode what is no plain value."""
    if type(value) in known().values():
        return {"$": "estimator", "estimator": type(value).__name__, "parameters": parameters_of(value, writer)}
    if (found := networks.named(value)) is not None:
        return {"$": "backbone", **found}
    if name.rpartition(".")[2] == "backbone":
        return {"$": "own", "text": networks.own_name(value)}
    return None


def versions() -> dict[str, str]:
    """What a file is written with."""
    return {"acestimator": import_module("acestimator").__version__, "python": platform.python_version()} | {
        name: metadata.version(name) for name in _MADE_OF
    }


def warn_of_described(names: list[str]) -> None:
    """Warn of parameters that are not in the file."""
    if names:
        warnings.warn(
            f"the file holds {', '.join(names)} by description alone, for these are no plain values. Predictions do "
            "not need them; before a loaded model is fitted anew, give them again with set_params().",
            UserWarning,
            stacklevel=4,
        )


def _scaler(scaler: StandardScaler | None, writer: Writer) -> dict[str, Any] | None:
    if scaler is None:
        return None
    return {name: writer.value(value, f"scaler.{name}") for name, value in vars(scaler).items()}


def _restored_scaler(node: dict[str, Any] | None, reader: Reader) -> StandardScaler | None:
    if node is None:
        return None
    scaler = StandardScaler()
    for name, value in node.items():
        if name not in ("with_mean", "with_std", "copy", "feature_names_in_", "n_features_in_", "n_samples_seen_") and (
            name not in ("mean_", "var_", "scale_")
        ):
            raise ValueError(f"an attribute {name!r} of the scaler")
        setattr(scaler, name, reader.value(value))
    return scaler


def _network(clf: Any, writer: Writer) -> dict[str, Any]:
    module, without_last = clf.module_, isinstance(clf.module_, WithoutLast)
    inner: nn.Module = module.network if without_last else module
    shape, n_outputs = tuple(clf.input_shape_), len(clf.classes_) + without_last
    state, sparse = networks.state_of(inner), bool(clf._takes_sparse_rows)
    name = networks.named(clf.backbone)
    if name is not None and not networks.belongs(inner, clf.backbone, shape, n_outputs, sparse=sparse):
        name = None  # a method of the user's own has another network predict
    tried = None if networks.is_built_in(clf.backbone) and name is not None else networks.trial(inner, shape)
    strides = networks.strides_of(state)
    return {
        "backbone": name,
        "text": networks.own_name(inner if name is None else clf.backbone),
        "n_outputs": n_outputs,
        "without_last": without_last,
        "sparse": sparse,
        "tensors": {part: writer.tensor(tensor, f"network.{part}") for part, tensor in state.items()},
        "strides": strides,
        "trial": None if tried is None else writer.tensor(tried, "trial"),
    }


def _restored_network(
    node: dict[str, Any], tensors: dict[str, Tensor], backbone: Any, shape: tuple[int, ...]
) -> nn.Module:
    name = node["backbone"]
    if name is None and backbone is None:
        raise ValueError(
            f"the backbone is the user's own ({node['text']}), which a file does not hold, for to load it would run "
            "code: give it, load(path, backbone=...), as the module or the callable that the estimator had"
        )
    own = backbone if name is None else networks.of_name(name)
    state = {part: tensors[kept] for part, kept in node["tensors"].items()}
    sparse, n_outputs = bool(node["sparse"]), node["n_outputs"]
    network = networks.rebuilt(own, shape, n_outputs, state, node["strides"], sparse=sparse)
    if node["trial"] is not None:
        networks.check_trial(network, shape, tensors[node["trial"]], str(node["text"]))
    return WithoutLast(network).eval() if node["without_last"] else network


def _series(series: LabelSeries, writer: Writer) -> dict[str, Any] | None:
    saved = SavedSeries.of(series)
    if saved is None:
        writer.described.append(f"the type of y ({series.values().dtype})")
        return None
    return {"kind": saved.kind, "values": writer.value(saved.labels, "_given_series")}


def _check_lengths(clf: Any) -> None:
    """Raise ValueError if what belongs to the training samples is not of one number of them."""
    lengths = {name: len(vars(clf)[name]) for name in OF_SAMPLES[:-2] if isinstance(vars(clf).get(name), np.ndarray)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"attributes of the training samples have different lengths: {lengths}")
