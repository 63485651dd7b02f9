"""Parameters and data, checked by scikit-learn's rules and ours.

All of scikit-learn that is private is imported here and nowhere else: where it moves, this file breaks and no other.

Legend: N samples, D features, C channels, H and W pixels.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing, assert_all_finite, column_or_1d, indexable
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_sample_weight, validate_data

from acestimator.datasets.image_folder import ImageFolder
from acestimator.inputs.columns import check_numbers
from acestimator.inputs.mapped import stays_in_its_file
from acestimator.inputs.standardize import chunks

__all__ = [
    "HasMethods",
    "Number",
    "StrOptions",
    "check_folder",
    "check_parameters",
    "check_sample_shape",
    "check_samples",
    "check_weights",
    "detached",
    "plain_parameters",
    "select",
]


class Number(Interval):
    """Numbers of an interval. True and False are none, though Python has them for integers."""

    def is_satisfied_by(self, value: Any) -> bool:
        """Whether this is one of them."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)


def check_parameters(estimator: Any) -> dict[str, Any]:
    """Parameters of an estimator, if they are as its ``_parameter_constraints`` say; see :func:`plain_parameters`.

    Raises
    ------
    ValueError
        If one is not: which, what it may be, and what it is.
    """
    parameters = estimator.get_params(deep=False)
    validate_parameter_constraints(estimator._parameter_constraints, parameters, type(estimator).__name__)
    return plain_parameters(estimator)


def plain_parameters(estimator: Any) -> dict[str, Any]:
    """Parameters of an estimator, by name, with Python's numbers in place of numpy's.

    Numpy's would compute in their own few bits, multiply lists as if these were arrays, and be described otherwise than
    equal ones. The estimator keeps what it was given.
    """
    return {name: _plain(value) for name, value in estimator.get_params(deep=False).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.floating):
        return float(value)  # item() of a long double is one again
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if type(value) is tuple else value


def detached(array: Any) -> Any:
    """A tensor without the graph that it may be part of, on the CPU; anything else as it is."""
    return array.detach().cpu() if isinstance(array, torch.Tensor) else array


def check_samples(estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
    """Validate X, and y where given, by scikit-learn's rules; vectors (N, D) or images (N, C, H, W).

    Sparse vectors become CSR. A large array in a file stays there, of whichever type.

    Raises
    ------
    ValueError
        If X has another number of dimensions, or holds NaN or infinity: how many, and where.
        If it holds text, categories or dates: in which columns.
    """
    if issparse(X) and X.ndim != 2:
        raise ValueError(f"X is sparse and has shape {X.shape}, expected (N, D): images must be dense.")
    ndim = 2 if hasattr(X, "columns") else X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    images = ndim == 4
    check_numbers(X, type(estimator).__name__)
    if ndim == 3:
        shape = np.shape(X)
        raise ValueError(
            f"X has shape {shape}, expected (N, D) or (N, C, H, W): give grey images their channel axis, "
            f"X[:, None] of shape {(shape[0], 1, *shape[1:])}."
        )
    if images and reset and np.shape(X)[3] in (1, 3, 4) and np.shape(X)[1] > 4:
        warnings.warn(
            f"X has shape {np.shape(X)} and is read as (N, C, H, W), images of {np.shape(X)[1]} channels: "
            "if its channels come last, give X.transpose(0, 3, 1, 2).",
            UserWarning,
            stacklevel=8,  # from here over training_source, _fit, its two contexts, what calls it and fit to the caller
        )
    dtypes = [np.float64, np.float32, np.uint8] if images else [np.float64, np.float32]
    checked = validate_data(
        estimator,
        X,
        y,
        reset=reset,
        accept_sparse="csr",
        dtype=None if stays_in_its_file(X) else dtypes,
        ensure_all_finite=False,
        allow_nd=images,
    )
    array = checked[0] if isinstance(checked, tuple) else checked
    _check_finite(array, getattr(estimator, "feature_names_in_", None))
    return checked


def check_folder(estimator: Any, folder: ImageFolder, y: Any) -> np.ndarray:
    """Validate the labels (N,) of a folder; images are not looked at before they are decoded.

    Raises
    ------
    ValueError
        If there is not one label for each image, or one is missing.
    """
    estimator.n_features_in_ = folder.shape[0]
    y = column_or_1d(y, warn=True)
    if len(y) != len(folder):
        raise ValueError(
            f"the folder has {len(folder)} images and y {len(y)} labels: give one each, such as folder.labels."
        )
    assert_all_finite(y, input_name="y")
    return y


def check_sample_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise ValueError for images of another shape; vectors are left to scikit-learn, which knows their names.

    Parameters
    ----------
    shape : tuple of int
        Of X; empty if it has none.
    expected : tuple of int
        Of one sample, as in the fit.
    """
    sample = tuple(shape[1:])
    if max(len(sample), len(expected)) == 3 and sample and sample != expected:
        raise ValueError(
            f"one sample of X has shape {sample}, expected {expected} as in fit: bring the samples to that shape."
        )


def check_weights(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Validate sample weights (N,): float64, non-negative, of a finite sum.

    Raises
    ------
    ValueError
        If they are not.
    """
    weight: np.ndarray = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            raise ValueError(
                f"sample_weight holds values up to {weight.max():.3g}, whose sum overflows: scale it down."
            )
    return weight


def select(X: Any, keep: np.ndarray) -> Any:
    """Rows of X at the positions ``keep``, of the same kind: an array, a frame, a sparse matrix, a list."""
    return _safe_indexing(indexable(X)[0], keep)


def _check_finite(X: Any, names: np.ndarray | None) -> None:
    """Raise ValueError that counts the NaN and infinite entries of X and names the columns (or images) they are in."""
    if X.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite((X.data if issparse(X) else X).sum(dtype=np.float64)):
            return  # the usual case, without an array of flags
    n_nan, n_bad, where = _not_finite(X)
    if not n_bad:
        return  # the sum alone overflowed
    if X.ndim == 2:
        place = f"{len(where)} of {X.shape[1]} columns"
        shown = [str(names[j]) if names is not None else str(j) for j in where[:10]]
    else:
        place = f"{len(where)} of {len(X)} images"
        shown = [str(j) for j in where[:10]]
    more = ", ..." if len(where) > 10 else ""
    cure = "replace them" if issparse(X) else "fill the gaps first (sklearn.impute.SimpleImputer)"
    raise ValueError(
        f"X contains {n_nan} NaN and {n_bad - n_nan} infinity entries, in {place}: {', '.join(shown)}{more}. "
        f"Every entry must be finite: drop these rows, or {cure}."
    )


def _not_finite(X: Any) -> tuple[int, int, np.ndarray]:
    """Number of NaN, of NaN and infinite entries, and the columns (or images) that they are in."""
    if issparse(X):
        bad = ~np.isfinite(X.data)
        return int(np.isnan(X.data).sum()), int(bad.sum()), np.unique(X.indices[bad])
    n_nan = n_bad = 0
    hit = np.zeros(X.shape[1] if X.ndim == 2 else len(X), dtype=bool)
    for part in chunks(X):  # an array in a file may be larger than memory
        bad = ~np.isfinite(X[part])
        n_nan, n_bad = n_nan + int(np.isnan(X[part]).sum()), n_bad + int(bad.sum())
        if X.ndim == 2:
            hit |= bad.any(axis=0)
        else:
            hit[part] = bad.any(axis=(1, 2, 3))
    return n_nan, n_bad, np.flatnonzero(hit)
