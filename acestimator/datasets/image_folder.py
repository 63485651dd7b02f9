"""Images in a folder for each class, as ImageNet has them.

Legend: N images, n images of a batch, S the crops' side.
"""

from __future__ import annotations

import copy
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from acestimator.datasets._crops import evaluation_crop, training_crop
from acestimator.datasets.decoding import Broken, failure, listed, read_crops

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".tif", ".tiff")
_LAYOUT = "expected ROOT/CLASS/IMAGE, a folder for each class"
_BATCH = 128  # images at a time, where all are read
_LISTED = 100  # broken images that a warning names, at most

Request = tuple[int | None, np.ndarray]  # epoch, or None for evaluation crops, and indices
Decoded = tuple[Tensor, Broken]  # zeros of those images that are broken, which are named by their index


class ImageFolder:
    """Images on disk that are decoded when they are asked for.

    Images are shown in two ways. *Evaluation crops*: the shorter side is resized to ``resize`` and the central square
    taken. *Training crops*: a random part of 8 to 100 % of the area and a ratio between 3/4 and 4/3 is resized, and
    flipped half of the time (C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6). They are drawn
    from ``random_state``, the epoch and the index alone: a run that is taken up again sees the same ones, whatever the
    order and the number of workers.

    Parameters
    ----------
    root : str or Path
        Folder with a folder for each class; images lie in these or below them. Names that begin with a dot, and files
        that are no images by their suffix, are passed over. For ImageNet, ``train``, with folders like ``n01440764``,
        or ``val``, once its files are sorted into such folders.
    size : int, default=224
        S, side of the crops in pixels.
    resize : int, optional
        Length of the shorter side in evaluation crops, at least ``size``. By default S 256/224, rounded.
    workers : int, default=0
        Processes that decode for :meth:`stream`, ahead of what is asked for; 0 decodes in this one. They start with the
        first stream and end with this object. Where processes are started by "spawn", a script needs the usual
        ``if __name__ == "__main__"``.
    random_state : int, default=0
        Of the training crops, not negative.
    start_method : {"fork", "spawn", "forkserver"}, optional
        How workers are started; by default the platform's.
    on_error : {"raise", "skip"}, default="raise"
        What is done about images that cannot be decoded. "raise" is an error at the read that meets them, which may be
        late in a training, and names all of them that this read has met. "skip" decodes every image once, here, and
        leaves those out: as long as an epoch takes. One warning then says how many there are.

    Attributes
    ----------
    classes : list of str
        Names of the folders, sorted.
    labels : ndarray of int64, shape (N,)
        Positions in ``classes``.
    shape : tuple of int
        (3, S, S), of one crop.
    skipped : list of (Path, str)
        Images that were left out, and why. They have no index.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ImportError
        If images are decoded, and Pillow is missing.
    ValueError
        If it has no class folders, or one without images (which); if a parameter is out of range; or if no image can be
        decoded, and broken ones are skipped.
    """

    def __init__(
        self,
        root: str | Path,
        size: int = 224,
        *,
        resize: int | None = None,
        workers: int = 0,
        random_state: int = 0,
        start_method: str | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        resize = round(size * 256 / 224) if resize is None else resize
        if not 1 <= size <= resize:
            raise ValueError(f"size is {size!r} and resize {resize!r}, expected 1 <= size <= resize.")
        if workers < 0 or random_state < 0:
            raise ValueError(f"workers is {workers!r} and random_state {random_state!r}, expected no negative number.")
        _check_on_error(on_error)
        self.classes, files, self.labels = _scan(Path(root))
        self.shape = (3, size, size)
        self.workers = workers
        self.start_method = start_method
        self._decoder = _Decoder(Path(root), files, size, resize, random_state)
        self._requests = _Requests()
        self._loader: DataLoader[Decoded] | None = None
        self._n_streams = 0
        self.skipped: list[tuple[Path, str]] = []
        if on_error == "skip":
            broken: Broken = {}
            for _, found in self._decode_all():
                broken |= found
            self._leave_out(broken)

    def __len__(self) -> int:
        return len(self.labels)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loader": None, "_requests": _Requests()}  # a copy has workers of its own

    def __repr__(self) -> str:
        own = self._decoder
        return f"ImageFolder({own.root.name!r}, {own.size}, resize={own.resize}, random_state={own.random_state})"

    def path(self, index: int) -> Path:
        """File of one image."""
        return self._decoder.path(index)

    def name(self, index: int) -> str:
        """File of one image relative to the root, with "/" between names."""
        return self.path(index).relative_to(self._decoder.root).as_posix()

    def digest(self, index: np.ndarray) -> str:
        """A text that tells these images (n,) from others, by the names of their files; checkpoints hold it."""
        names = np.ascontiguousarray(self._decoder.files[index])
        return f"{names.dtype} of shape {names.shape}, digest {hashlib.blake2b(names.data, digest_size=8).hexdigest()}"

    def seeded(self, random_state: int) -> ImageFolder:
        """The same images, with other training crops, and workers of their own."""
        folder = copy.copy(self)
        folder._decoder = copy.copy(self._decoder)
        folder._decoder.random_state = random_state
        folder._requests, folder._loader = _Requests(), None
        return folder

    def read(self, index: ArrayLike, epoch: int | None = None) -> Tensor:
        """Decode images in this process.

        Parameters
        ----------
        index : array-like of int, shape (n,)
            Positions, from 0 to N - 1.
        epoch : int, optional
            Whose training crops to take. By default, evaluation crops.

        Returns
        -------
        Tensor of uint8, shape (n, 3, S, S)

        Raises
        ------
        ImportError
            If Pillow is missing.
        FileNotFoundError
            If a file is gone.
        IndexError
            If an index is out of range.
        ValueError
            If images cannot be decoded: which.
        """
        return self._whole(self._decoder[self._request(index, epoch)])

    def stream(self, batches: Iterable[ArrayLike], epoch: int | None = None) -> Iterator[Tensor]:
        """Decode one batch after another, ahead of what is asked for if there are workers.

        Parameters
        ----------
        batches : iterable of array-like of int
            Indices of each batch, as for :meth:`read`. With workers, the iterable is ahead by two batches a worker.
        epoch : int, optional
            As for :meth:`read`.

        Yields
        ------
        Tensor of uint8, shape (n, 3, S, S)

        Raises
        ------
        ImportError, FileNotFoundError, IndexError, ValueError
            As :meth:`read`.
        RuntimeError
            If another stream of this object was begun meanwhile and they would share the workers.
        """
        yield from map(self._whole, self._stream(self._request(batch, epoch) for batch in batches))

    def _stream(self, requests: Iterable[Request]) -> Iterator[Decoded]:
        """What comes of requests, one after another."""
        if not self.workers:
            yield from map(self._decoder.__getitem__, requests)
            return
        self._n_streams += 1
        this = self._n_streams
        self._requests.now = requests
        for decoded in self._workers():
            yield decoded
            if self._n_streams != this:
                raise RuntimeError(
                    "another stream was begun before this one ended, and the workers left it: read them one after the "
                    "other, or make an ImageFolder for each."
                )

    def _decode_all(self) -> Iterator[Decoded]:
        """Evaluation crops of all images in order, a number of them at a time."""
        starts = range(0, len(self), _BATCH)
        return self._stream((None, np.arange(start, min(start + _BATCH, len(self)))) for start in starts)

    def _whole(self, decoded: Decoded) -> Tensor:
        """Crops, if none is of a broken image."""
        crops, broken = decoded
        if broken:
            raise failure({self.path(i): error for i, error in broken.items()})
        return crops

    def _leave_out(self, broken: Broken) -> None:
        """Go on without these images, and warn of them."""
        if not broken:
            return
        if len(broken) == len(self):
            raise ValueError(f"none of the {len(self)} images in {self._decoder.root} can be decoded: {broken[0]}.")
        self.skipped = [(self.path(i), str(error)) for i, error in broken.items()]
        kept = np.setdiff1d(np.arange(len(self)), [*broken])
        lost = [self.classes[k] for k in np.setdiff1d(np.arange(len(self.classes)), self.labels[kept]).tolist()]
        nobody = f" None is left of {', '.join(map(repr, lost))}." if lost else ""
        warnings.warn(
            f"{len(broken)} of {len(self)} images cannot be decoded and are left out.{nobody} They are:\n"
            + listed(self.skipped, _LISTED),
            UserWarning,
            stacklevel=3,
        )
        self.labels = self.labels[kept]
        self._decoder = copy.copy(self._decoder)
        self._decoder.files = self._decoder.files[kept]
        self._requests, self._loader = _Requests(), None  # workers know the files that they were started with

    def _request(self, index: ArrayLike, epoch: int | None) -> Request:
        array = np.asarray(index)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise IndexError(f"index has shape {array.shape} and dtype {array.dtype}, expected integers (n,).")
        if array.size and not 0 <= array.min() <= array.max() < len(self):
            raise IndexError(f"index runs from {array.min()} to {array.max()}, expected 0 to {len(self) - 1}.")
        if epoch is not None and epoch < 0:
            raise ValueError(f"epoch is {epoch!r}, expected None or a number from 0 on.")
        return epoch, array.astype(np.int64)

    def _workers(self) -> DataLoader[Decoded]:
        if self._loader is None:
            self._loader = DataLoader(
                self._decoder,
                batch_size=None,  # a request is a batch
                collate_fn=_as_it_is,
                sampler=self._requests,
                num_workers=self.workers,
                persistent_workers=True,
                multiprocessing_context=self.start_method,
                generator=torch.Generator(),  # or it would draw from the caller's
            )
        return self._loader


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@overload
def load_image_folder(
    root: str | Path,
    size: int,
    workers: int = 0,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    return_paths: Literal[False] = False,
) -> Arrays: ...
@overload
def load_image_folder(
    root: str | Path,
    size: int,
    workers: int = 0,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    return_paths: Literal[True],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...
def load_image_folder(
    root: str | Path,
    size: int,
    workers: int = 0,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    return_paths: bool = False,
) -> Arrays | tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read all images of a folder, for what fits into memory: N images take 3 S^2 N bytes.

    The shorter side is resized to ``size``, and the central square taken: images of S by S pixels stay as they are.

    Parameters
    ----------
    root, size, workers
        As for :class:`ImageFolder`.
    on_error : {"raise", "skip"}, default="raise"
        What is done about images that cannot be decoded: an error that names all of them, or a warning that does, and
        they are left out.
    return_paths : bool, default=False
        Whether to say which file each image is of.

    Returns
    -------
    X : ndarray of uint8, shape (N, 3, S, S)
    y : ndarray of int64, shape (N,)
        Positions in ``classes``.
    classes : ndarray of str, shape (K,)
        ``classes[y]`` are the names, which an estimator takes as labels too.
    paths : ndarray of str, shape (N,)
        Files relative to the root, with "/" between names. Only with ``return_paths``.

    Raises
    ------
    ImportError, FileNotFoundError, ValueError
        As :class:`ImageFolder`.

    Warns
    -----
    UserWarning
        If images are left out.
    """
    _check_on_error(on_error)
    folder = ImageFolder(root, size, resize=size, workers=workers)
    X = np.empty((len(folder), *folder.shape), dtype=np.uint8)
    broken: Broken = {}
    n_seen = n_kept = 0
    for crops, found in folder._decode_all():
        kept = [i for i in range(len(crops)) if n_seen + i not in found]
        X[n_kept : n_kept + len(kept)] = crops.numpy()[kept]
        n_seen, n_kept = n_seen + len(crops), n_kept + len(kept)
        broken |= found
    if broken and on_error == "raise":
        raise failure({folder.path(i): error for i, error in broken.items()})
    folder._leave_out(broken)
    arrays = X[:n_kept], folder.labels, np.array(folder.classes)
    if not return_paths:
        return arrays
    return *arrays, np.array([folder.name(i) for i in range(len(folder))])


class _Requests:
    """What the workers are asked for next: a sampler that can be set."""

    def __init__(self) -> None:
        self.now: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.now)


class _Decoder(Dataset[Decoded]):
    """What a worker knows. Names are one array of bytes: a million strings would be copied into every worker."""

    def __init__(self, root: Path, files: np.ndarray, size: int, resize: int, random_state: int) -> None:
        self.root, self.files = root, files
        self.size, self.resize = size, resize
        self.random_state = random_state

    def path(self, index: int) -> Path:
        return self.root / os.fsdecode(self.files[index])

    def __getitem__(self, request: Request) -> Decoded:
        epoch, index = request[0], request[1].tolist()

        def crop(image: Image, position: int) -> np.ndarray:
            if epoch is None:
                return evaluation_crop(image, self.size, self.resize)
            rng = np.random.default_rng((self.random_state, epoch, index[position]))
            return training_crop(image, self.size, rng)

        crops, broken = read_crops([self.path(i) for i in index], self.size, crop)
        return torch.from_numpy(crops), {index[position]: error for position, error in broken.items()}


def _as_it_is(decoded: Any) -> Any:
    return decoded


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error is {on_error!r}, expected 'raise' or 'skip'.")


def _scan(root: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Classes, files relative to the root (bytes), and labels; sorted."""
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is no folder: {_LAYOUT}. ImageNet is at https://www.image-net.org/download.php."
        )
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise ValueError(f"{root} has no folders in it: {_LAYOUT}. Sort its images into such folders.")
    files: list[bytes] = []
    counts = []
    for name in classes:
        found = sorted(_images(root / name))
        if not found:
            raise ValueError(f"{root / name} has no images ({', '.join(_SUFFIXES)}): {_LAYOUT}. Delete it, or fill it.")
        files += [os.fsencode(os.path.join(name, file)) for file in found]
        counts.append(len(found))
    return classes, np.array(files), np.repeat(np.arange(len(classes), dtype=np.int64), counts)


def _images(folder: Path) -> Iterator[str]:
    """Names of images in the folder and below it, relative to it."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = "" if parent == str(folder) else os.path.relpath(parent, folder)
        for name in names:
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.join(inner, name)
