"""CIFAR-10N: labels that people gave to CIFAR-10's training images.

J. Wei, Z. Zhu, H. Cheng, T. Liu, G. Niu, Y. Liu, "Learning with noisy labels revisited: a study using real-world human
annotations", ICLR 2022.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.datasets._archives import check_archive
from acestimator.datasets._checks import check_labels, existing
from acestimator.datasets._pickles import read_pickle

# What the published file calls them
_PUBLISHED = {
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
    "clean": "clean_label",
}
_N_TRAIN = 50_000
_BEGINNING = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # CIFAR-10's first labels, in the order of its batches
_CURE = "CIFAR-10_human.pt is in the folder data of https://github.com/UCSC-REAL/cifar-10-100n."


def load_cifar10n(path: str | Path, which: str = "aggregate") -> np.ndarray:
    """Read people's labels of CIFAR-10's training images (CIFAR-10N).

    Parameters
    ----------
    path : str or Path
        The published ``CIFAR-10_human.pt``, or an ``.npz`` with arrays of the names below or of the published ones.
    which : {"aggregate", "random1", "random2", "random3", "worst", "clean"}
        Of the three labels that an image was given: their majority, one of them, or a wrong one if there is any; or
        CIFAR-10's own label.

    Returns
    -------
    ndarray of int64, shape (50000,)
        In the order of :func:`load_cifar10`'s training images.

    Raises
    ------
    FileNotFoundError
        If there is no such file: where it is to be had.
    ValueError
        If the file is damaged, lacks these labels, is in another order (as the published ``CIFAR-10_human_ordered.npy``
        is, made for TensorFlow's CIFAR-10), or asks for more than arrays, strings and containers.
    """
    if which not in _PUBLISHED:
        raise ValueError(f"which is {which!r}, expected one of {', '.join(map(repr, _PUBLISHED))}.")
    arrays = _read(existing(Path(path), _CURE))
    for own, published in _PUBLISHED.items():
        if published in arrays:
            arrays[own] = arrays.pop(published)
    if which not in arrays:
        raise ValueError(f"{path} holds {', '.join(map(repr, arrays)) or 'nothing'}, expected {which!r} too. {_CURE}")
    labels = {name: _check(arrays[name], f"{path}, {name!r},") for name in (which, "clean") if name in arrays}
    beginning = labels.get("clean", np.array(_BEGINNING))[: len(_BEGINNING)].tolist()
    if beginning != _BEGINNING:
        raise ValueError(
            f"{path} is in another order than CIFAR-10's batches: its clean labels begin with {beginning}, expected "
            f"{_BEGINNING}. {_CURE}"
        )
    return labels[which]


def _check(labels: Any, name: str) -> np.ndarray:
    labels = check_labels(labels, range(10), name, _CURE)
    if len(labels) != _N_TRAIN:
        raise ValueError(f"{name} has {len(labels)} labels, expected {_N_TRAIN}. {_CURE}")
    return labels


def _read(path: Path) -> dict[str, Any]:
    """Arrays by name. Both formats are zip archives: of .npy files; or, by torch.save, with a pickle in a folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if not pickles:
                check_archive(path)
                with np.load(path, allow_pickle=False) as arrays:
                    return dict(arrays)
            content = archive.read(pickles[0])
    except Exception as error:  # whatever damaged bytes happen to mean
        raise ValueError(f"{path} is no .npz and not CIFAR-10_human.pt, or damaged ({error}). {_CURE}") from error
    return read_pickle(io.BytesIO(content), path, _CURE)
