"""Folders of images: a folder for each class, or a ``labels.csv`` beside them. A corrected copy is a new folder.

Legend: N images.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from acestimator.audit.contents import as_labels, check_ids, listed
from acestimator.audit.csv_source import CsvSource
from acestimator.audit.decisions import Decision, SourceInfo, row_digest
from acestimator.audit.source import DROP, Drop, Source

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".tif", ".tiff")
LABELS = "labels.csv"
PATH = "path"  # names the rows of class folders, in place of a column


class ImageSource(Source):
    """A folder of images.

    Attributes
    ----------
    files : list of str
        Their paths relative to the folder, with "/" between names.
    """

    files: list[str]

    def file(self, row: int) -> Path:
        """Where an image lies."""
        return self.path / self.files[row]

    def name(self, row: int) -> str:
        return self.files[row]

    def digests(self) -> list[str]:
        return self._digests

    def _read(self, path: Path, others: Iterable[str] = ()) -> str:
        """Digest all images, and return the fingerprint of them and of other files: of their paths and bytes."""
        self._digests: list[str] = []
        whole = hashlib.sha256()
        for name in (*self.files, *others):
            content = (path / name).read_bytes()
            if len(self._digests) < len(self.files):
                self._digests.append(row_digest([content]))
            whole.update(name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(content).digest())
        return "sha256:" + whole.hexdigest()

    def _check_target(self, target: Path) -> None:
        if target.resolve().is_relative_to(self.path.resolve()):
            raise ValueError(f"{target} is inside of {self.path}, which stays as it is: give a folder elsewhere.")

    def _copy(self, places: Mapping[str, str | None], temporary: Path, *, link: bool) -> None:
        """Fill a new folder with all files, some of them in other places or, with None, in none."""
        digests = dict(zip(self.files, self._digests, strict=True))
        temporary.mkdir()
        for name in sorted(_walk(self.path)):
            place = places.get(name, name)
            if place is None:
                continue
            new = temporary / place
            new.parent.mkdir(parents=True, exist_ok=True)
            if not (link and _linked(self.path / name, new)):
                shutil.copy2(self.path / name, new)
            if name in digests and row_digest([new.read_bytes()]) != digests[name]:
                raise ValueError(f"{self.path / name} was changed since the folder was opened: begin again.")

    @abstractmethod
    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]: ...


class ClassFolders(ImageSource):
    """A folder for each class, with images in it or below it.

    Parameters
    ----------
    path : Path
        Names that begin with a dot are passed over, and so are files that are no images by their suffix.
    label : None
        Class folders have no columns.
    id : {None, "path"}
        Decisions name images by their paths, in any case.

    Raises
    ------
    OSError
        If an image cannot be read.
    ValueError
        If there are no class folders, or a column is named.
    """

    gaps = frozenset({""})  # a folder "NA" is a class

    def __init__(self, path: Path, label: str | None = None, id: str | None = None) -> None:
        if label is not None or id not in (None, PATH):
            name = repr(label if label is not None else id)
            raise ValueError(
                f"{path} is a folder of class folders, which has no column {name}: name columns only where it has a "
                f"{LABELS}."
            )
        self.files = sorted(_images(path))
        if blank := sorted({name for name in (one.split("/")[0] for one in self.files) if name != name.strip()}):
            raise ValueError(f"{path} has folders with blanks around their names: {listed(blank)}; rename them.")
        if not self.files:
            raise ValueError(
                f"{path} has no images ({', '.join(SUFFIXES)}) in folders of classes, expected {path.name}/CLASS/IMAGE "
                f"or a {LABELS} with the columns file and label."
            )
        labels = as_labels([None] * len(self.files))
        labels[:] = [name.split("/")[0] for name in self.files]
        info = SourceInfo(path.resolve().name, "images", self._read(path), "", None, len(labels))
        super().__init__(path, info, labels, self.files)

    def rows_of(self, decisions: Sequence[Decision]) -> list[int | None]:
        """By path; an image that was moved is known by its bytes, where no other image has the same."""
        by_path = {name: row for row, name in enumerate(self.files)}
        by_digest: dict[str, int | None] = {}
        for row, digest in enumerate(self._digests):
            by_digest[digest] = None if digest in by_digest else row
        rows = (by_path.get(decision.id or "") for decision in decisions)
        return [by_digest.get(d.digest) if row is None else row for row, d in zip(rows, decisions, strict=True)]

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        moved = {row: str(label) for row, label in changes.items() if label is not DROP and label != self.labels[row]}
        for label in {*moved.values()}:
            _check_folder_name(label)
            if (self.path / label).is_file():
                raise ValueError(f"the new label {label!r} is the name of a file of {self.path}; take another one.")
        dropped = {row for row, label in changes.items() if label is DROP}
        leave = {self.files[row] for row in (*moved, *dropped)}
        places: dict[str, str | None] = {self.files[row]: None for row in dropped}
        taken = {name.casefold() for name in _walk(self.path) if name not in leave}  # some disks take Cat for cat
        notes = []
        for row, label in moved.items():
            name = self.files[row]
            place = _free(f"{label}/{name.split('/', 1)[1]}", str(self.labels[row]), taken)
            if place.split("/", 1)[1] != name.split("/", 1)[1]:
                notes.append(f"{name} is {place} in the copy, since there is another image of its name.")
            places[name] = place
            taken.add(place.casefold())
        self._copy(places, temporary, link=move)
        return notes


class LabelledFolder(ImageSource):
    """Images, and a ``labels.csv`` with their files and labels.

    Parameters
    ----------
    path : Path
    label : str, optional
        Column of the labels, by default "label".
    id : str, optional
        Column of the files, relative to the folder; by default "file".

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If ``labels.csv`` holds something else, or names images that are not there: which.
    """

    def __init__(self, path: Path, label: str | None = None, id: str | None = None) -> None:
        self.csv = CsvSource(path / LABELS, label or "label", id or "file")
        column = str(self.csv.info.id)
        names = [str(PurePosixPath(name)) for name in self.csv.ids or ()]  # "./a.png" is "a.png", and the same image
        self.files = check_ids(path / LABELS, column, names, self.csv.name)
        if outside := [name for name in self.files if _is_outside(name)]:
            raise ValueError(f"{path / LABELS} names files outside of its folder: {listed(outside)}.")
        if missing := [name for name in self.files if not (path / name).is_file()]:
            raise ValueError(f"{path / LABELS} names {len(missing)} files that are not there: {listed(missing)}.")
        fingerprint = self._read(path, [LABELS])
        info = SourceInfo(path.resolve().name, "images", fingerprint, self.csv.info.label, column, len(self.files))
        super().__init__(path, info, self.csv.labels, self.files)

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        left_out = {self.files[row]: None for row, label in changes.items() if label is DROP}
        self._copy({**left_out, LABELS: None}, temporary, link=move)
        self.csv.file.save(self.csv.changed(changes), temporary / LABELS, compress=False)
        return []


def open_folder(path: Path, label: str | None, id: str | None) -> ImageSource:
    """A folder by what it holds."""
    return (LabelledFolder if (path / LABELS).is_file() else ClassFolders)(path, label, id)


def _walk(folder: str | Path, inner: str = "", above: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of all files below a folder, relative to it. Links are followed, but not to a folder that they lie in.

    Raises
    ------
    ValueError
        If the link of an image leads nowhere: the image would be lost in silence.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{inner}{entry.name}/", (*above, real))
            elif entry.is_file():
                yield inner + entry.name
            elif entry.is_symlink() and _is_image(inner + entry.name) and not os.path.exists(entry.path):
                raise ValueError(f"{entry.path} is a link that leads nowhere: mend it, or take it away.")


def _images(root: Path) -> Iterator[str]:
    return (name for name in _walk(root) if "/" in name and _is_image(name))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not any(part.startswith(".") for part in name.split("/"))


def _free(place: str, origin: str, taken: set[str]) -> str:
    """A place that no file has: with the old class in its name, where one has it, and then a number."""
    path = PurePosixPath(place)
    name, number = place, 1
    while name.casefold() in taken:
        counted = "" if number == 1 else f" {number}"
        name = str(path.with_name(f"{path.stem} (from {origin}){counted}{path.suffix}"))
        number += 1
    return name


def _check_folder_name(label: str) -> None:
    if label.startswith(".") or any(mark in "/\\" or not mark.isprintable() for mark in label):
        raise ValueError(
            f"the new label {label!r} cannot be a folder's name: it begins with a dot, or has a slash or a control "
            "character; take another one."
        )


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\0" in name


def _linked(old: Path, new: Path) -> bool:
    """Whether a hard link could be made; not across disks, nor where there are none."""
    try:
        os.link(os.path.realpath(old), new)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return False
    return True
