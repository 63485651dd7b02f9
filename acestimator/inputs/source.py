"""X of a fit or of a prediction, whatever its kind: one object on the way from what a user gives to the network.

Legend: N samples, M samples of a block, D features, C channels, H and W pixels, S side of a folder's images in pixels.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from acestimator.augment import Augmentation
from acestimator.datasets.image_folder import ImageFolder
from acestimator.inputs import validation
from acestimator.inputs.device import move_if_it_fits
from acestimator.inputs.folder import FolderSamples
from acestimator.inputs.mapped import MappedSamples, Selection, stays_in_its_file
from acestimator.inputs.preprocessing import Preprocessing
from acestimator.inputs.ranges import warn_of_unit
from acestimator.inputs.samples import Samples, TensorSamples
from acestimator.inputs.sparse import SparseSamples, canonical, fit_sparse_scaler, row_chunks, scaled
from acestimator.inputs.standardize import Standardization, chunks, fit_scaler, standardize, standardized, to_tensor
from acestimator.rows import Rows, SparseRows

_TRIED = 2  # samples that a network is tried on before it is trained
_SAMPLED_IMAGES = 2000  # of a folder, whose statistics are taken


def training_source(estimator: Any, X: Any, y: Any) -> tuple[Source, np.ndarray]:
    """Check X and y of a fit, and set what scikit-learn wants an estimator to know of X.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, and ``feature_names_in_`` where X names its features.
    X : array-like of shape (N, D) or (N, C, H, W), sparse matrix or array of shape (N, D), or ImageFolder
    y : array-like of shape (N,)

    Returns
    -------
    source : Source
    y : ndarray of shape (N,)

    Raises
    ------
    ValueError
        If they cannot be used.
    """
    if isinstance(X, ImageFolder):
        return FolderSource(X), validation.check_folder(estimator, X, y)
    X, y = validation.check_samples(estimator, X, y, reset=True)
    return _source(X), y


def prediction_source(estimator: Any, X: Any, sample_shape: tuple[int, ...]) -> Source:
    """Check X of a prediction against what the estimator was fitted on.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like of shape (M, D) or (M, C, H, W), sparse matrix or array of shape (M, D), or ImageFolder
    sample_shape : tuple of int
        (D,) or (C, H, W), of the samples of the fit.

    Raises
    ------
    ValueError
        If X cannot be used, or its samples have another shape.

    Warns
    -----
    UserWarning
        If nearly all features are by far larger or smaller than in the fit.
    """
    if isinstance(X, ImageFolder):
        source: Source = FolderSource(X)
    else:
        validation.check_sample_shape(getattr(X, "shape", ()), sample_shape)
        X = validation.check_samples(estimator, X, reset=False)
        warn_of_unit(X, getattr(estimator, "scaler_", None), stacklevel=5)
        source = _source(X)
    validation.check_sample_shape(source.shape, sample_shape)  # of lists, too
    return source


def _source(X: Any) -> Source:
    """Source of checked samples."""
    if issparse(X):
        return SparseSource(X)
    return MappedSource(Selection(X)) if stays_in_its_file(X) else ArraySource(X)


@dataclass(frozen=True)
class Wanted:
    """How a training wants its samples.

    Parameters
    ----------
    device : torch.device
        Of the training.
    dtype : torch.dtype
        Of what the network sees. Images that are standardised on the device are float32.
    scaler : StandardScaler or None
        Statistics to standardise with.
    augment : callable, optional
        Makes other images of some uint8 images at every visit.
    seed : int
        Of the augmentation, and of a folder's training crops.
    channels_last : bool
        Whether images are handed out in that layout.
    sparse : bool, default=False
        Whether the network takes sparse rows.
    """

    device: torch.device
    dtype: torch.dtype
    scaler: StandardScaler | None
    augment: Any
    seed: int
    channels_last: bool
    sparse: bool = False


class Source(ABC):
    """Samples that were checked, and that know how they are read.

    Attributes
    ----------
    shape : tuple of int
        (N, D), or (N, C, H, W) of images.
    """

    shape: tuple[int, ...]

    @abstractmethod
    def subset(self, keep: np.ndarray) -> Source:
        """Those at the positions ``keep`` (N',)."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A text that tells these samples from others, the same in every process."""

    @abstractmethod
    def statistics(self, sample_weight: np.ndarray | None) -> StandardScaler:
        """Weighted mean and scale of each feature, or of each channel of images.

        Raises
        ------
        ValueError
            If a variance overflows float64.
        """

    @abstractmethod
    def trial(self, scaler: StandardScaler | None) -> Tensor:
        """The first two samples, as a network sees them, to try it on: float32, on the CPU."""

    @abstractmethod
    def samples(self, wanted: Wanted) -> Samples:
        """Training samples, for the loop.

        Raises
        ------
        ValueError
            If there is something to augment that is no uint8 image, or a number overflows ``dtype``.
        """

    @abstractmethod
    def chunks(
        self, scaler: StandardScaler | None, dtype: torch.dtype, device: torch.device, *, sparse: bool = False
    ) -> Iterator[Rows]:
        """All samples in order, to predict: as the network sees them, a bounded number at a time, anywhere.

        Sparse samples are handed out as sparse rows if the network takes them.

        Raises
        ------
        ValueError
            If a number overflows ``dtype``.
        """


class ArraySource(Source):
    """Samples in memory.

    Parameters
    ----------
    X : ndarray of shape (N, D) or (N, C, H, W)
        Of float32, float64, or uint8.
    """

    def __init__(self, X: np.ndarray) -> None:
        self._X = X
        self.shape = X.shape

    def subset(self, keep: np.ndarray) -> ArraySource:
        """Copies of those at the positions ``keep`` (N',)."""
        return ArraySource(self._X[keep])

    def fingerprint(self) -> str:
        """Type, shape, and a digest of all numbers."""
        return f"{self._X.dtype} of shape {self.shape}, digest {_digest([self._X])}"

    def statistics(self, sample_weight: np.ndarray | None) -> StandardScaler:
        """Of all samples."""
        return fit_scaler(self._X, sample_weight)

    def trial(self, scaler: StandardScaler | None) -> Tensor:
        """The first two samples, standardised."""
        return to_tensor(self._X[:_TRIED], scaler, torch.float32)

    def samples(self, wanted: Wanted) -> TensorSamples:
        """Standardised once; or as they are, where every visit augments them anew. See :meth:`Source.samples`."""
        if wanted.augment is None:
            features = move_if_it_fits(to_tensor(self._X, wanted.scaler, wanted.dtype), wanted.device)
            return TensorSamples(features, Preprocessing(wanted.device, channels_last=wanted.channels_last))
        _check_images(self.shape, self._X.dtype)
        images = move_if_it_fits(torch.from_numpy(self._X), wanted.device)
        return TensorSamples(images, _image_preprocessing(self.shape[1], wanted))

    def chunks(
        self, scaler: StandardScaler | None, dtype: torch.dtype, device: torch.device, *, sparse: bool = False
    ) -> Iterator[Tensor]:
        """Standardised on the CPU."""
        return standardized(self._X, scaler, dtype)


class MappedSource(Source):
    """Samples in an array that lies in a file, and stays there.

    Parameters
    ----------
    selection : Selection, shape (N, D) or (N, C, H, W)
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.shape = selection.shape

    def subset(self, keep: np.ndarray) -> MappedSource:
        """Those at the positions ``keep`` (N',), which stay where they are."""
        return MappedSource(self._selection.subset(keep))

    def fingerprint(self) -> str:
        """Type, shape, and a digest of all numbers."""
        digest = _digest(self._selection[part] for part in chunks(self._selection))
        return f"{self._selection.dtype} of shape {self.shape} in a file, digest {digest}"

    def statistics(self, sample_weight: np.ndarray | None) -> StandardScaler:
        """Of all samples."""
        return fit_scaler(self._selection, sample_weight, in_parts=True)

    def trial(self, scaler: StandardScaler | None) -> Tensor:
        """The first two samples, standardised."""
        return standardize(self._selection[:_TRIED], scaler, torch.float32)

    def samples(self, wanted: Wanted) -> MappedSamples:
        """Standardised at every visit. See :meth:`Source.samples`."""
        if wanted.augment is None:
            preprocessing = Preprocessing(wanted.device, channels_last=wanted.channels_last)
        else:
            _check_images(self.shape, self._selection.dtype)
            preprocessing = _image_preprocessing(self.shape[1], wanted)
        return MappedSamples(self._selection, wanted.scaler, wanted.dtype, preprocessing)

    def chunks(
        self, scaler: StandardScaler | None, dtype: torch.dtype, device: torch.device, *, sparse: bool = False
    ) -> Iterator[Tensor]:
        """Standardised on the CPU."""
        return standardized(self._selection, scaler, dtype)


class SparseSource(Source):
    """Samples that are the rows of a sparse matrix. They are scaled, and never centred.

    Parameters
    ----------
    X : csr_array or csr_matrix of shape (N, D)
        Of float32 or float64. It is left as it is.
    """

    def __init__(self, X: Any) -> None:
        self._X = canonical(X)
        self.shape = X.shape

    def subset(self, keep: np.ndarray) -> SparseSource:
        """Copies of those at the positions ``keep`` (N',)."""
        return SparseSource(self._X[keep])

    def fingerprint(self) -> str:
        """Type, shape, and a digest of all numbers that are not zero and of their places."""
        kept = self._X.data != 0
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self._X.indptr))[kept]
        digest = _digest([rows.astype(np.int64), self._X.indices[kept].astype(np.int64), self._X.data[kept]])
        return f"sparse {self._X.dtype} of shape {self.shape}, digest {digest}"

    def statistics(self, sample_weight: np.ndarray | None) -> StandardScaler:
        """Scales of the features; see :func:`acestimator.inputs.sparse.fit_sparse_scaler`."""
        return fit_sparse_scaler(self._X, sample_weight)

    def trial(self, scaler: StandardScaler | None) -> Tensor:
        """The first two samples, scaled and dense."""
        return standardize(self._X[:_TRIED].toarray(), scaler, torch.float32)

    def samples(self, wanted: Wanted) -> SparseSamples:
        """Scaled once. See :meth:`Source.samples`."""
        if wanted.augment is not None:
            raise ValueError(
                f"augment was given, and X is a sparse matrix of shape {self.shape}: augmentations take images "
                "(N, C, H, W) of dtype uint8; leave augment at None."
            )
        matrix = scaled(self._X, wanted.scaler, wanted.dtype)
        return SparseSamples(matrix, Preprocessing(wanted.device), sparse=wanted.sparse)

    def chunks(
        self, scaler: StandardScaler | None, dtype: torch.dtype, device: torch.device, *, sparse: bool = False
    ) -> Iterator[Rows]:
        """Scaled; centred where the network was trained on dense samples that were."""
        for part in row_chunks(self._X, None if sparse else self.shape[1]):
            if sparse:
                yield SparseRows.of(scaled(part, scaler, dtype))
            else:
                yield standardize(part.toarray(), scaler, dtype)


class FolderSource(Source):
    """Images that lie on disk, and are decoded when they are asked for.

    Parameters
    ----------
    folder : ImageFolder
    index : ndarray of int64, shape (N,), optional
        The images meant; all by default.
    """

    def __init__(self, folder: ImageFolder, index: np.ndarray | None = None) -> None:
        self._folder = folder
        self._index = np.arange(len(folder)) if index is None else index
        self.shape = (len(self._index), *folder.shape)

    def subset(self, keep: np.ndarray) -> FolderSource:
        """Those at the positions ``keep`` (N',), none of which is decoded."""
        return FolderSource(self._folder, self._index[keep])

    def fingerprint(self) -> str:
        """The folder, and a digest of the names of the files."""
        return f"images of {self._folder!r}, {self._folder.digest(self._index)}"

    def statistics(self, sample_weight: np.ndarray | None) -> StandardScaler:
        """Of 2,000 images, evenly spaced: these have a hundred million pixels. Of all, if there are fewer."""
        n_images = len(self._index)
        some = np.unique(np.linspace(0, n_images - 1, min(_SAMPLED_IMAGES, n_images)).round().astype(np.int64))
        return fit_scaler(self._read(some), None if sample_weight is None else sample_weight[some])

    def trial(self, scaler: StandardScaler | None) -> Tensor:
        """Evaluation crops of the first two images, standardised."""
        return to_tensor(self._read(slice(_TRIED)), scaler, torch.float32)

    def samples(self, wanted: Wanted) -> FolderSamples:
        """Left where they are: each visit decodes a training crop. See :meth:`Source.samples`."""
        return FolderSamples(self._folder.seeded(wanted.seed), self._index, _image_preprocessing(self.shape[1], wanted))

    def chunks(
        self, scaler: StandardScaler | None, dtype: torch.dtype, device: torch.device, *, sparse: bool = False
    ) -> Iterator[Tensor]:
        """Evaluation crops, standardised on the device, in float32."""
        preprocessing = Preprocessing(device, standardization=Standardization.of(scaler, self.shape[1], device))
        return FolderSamples(self._folder, self._index, preprocessing).evaluation()

    def _read(self, part: Any) -> np.ndarray:
        """Evaluation crops (n, 3, S, S) of the images at these positions."""
        return self._folder.read(self._index[part]).numpy()


def _check_images(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError for what cannot be augmented."""
    if len(shape) != 4 or dtype != np.uint8:
        raise ValueError(
            f"augment was given, and X has shape {shape} and dtype {dtype}: augmentations take images (N, C, H, W) of "
            "dtype uint8; leave augment at None, or give X so, with grey levels from 0 to 255."
        )


def _digest(parts: Iterable[np.ndarray]) -> str:
    """Digest of all numbers of some arrays, one after the other."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _image_preprocessing(n_channels: int, wanted: Wanted) -> Preprocessing:
    """From uint8 images to what the network sees, made anew at every visit."""
    augment = copy.deepcopy(wanted.augment)  # its generator moves
    if isinstance(augment, Augmentation) and wanted.scaler is not None:
        # What it leaves empty has the training set's mean colour.
        augment = augment.filled(wanted.scaler.mean_.round().astype(int).tolist())
    return Preprocessing(
        wanted.device,
        augment=augment,
        standardization=Standardization.of(wanted.scaler, n_channels, wanted.device),
        seed=wanted.seed,
        channels_last=wanted.channels_last,
    )
