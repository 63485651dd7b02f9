"""Arrays of numpy with labels beside them: ``.npz``, and pairs of ``.npy``.

Legend: N rows.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from acestimator.audit.contents import as_labels, check_ids
from acestimator.audit.decisions import SourceInfo, row_digest
from acestimator.audit.source import DROP, Drop, Source
from acestimator.audit.values import by_label, text_of, typed
from acestimator.datasets._archives import check_archive, header_of

_BLOCK = 1024  # rows that are read at a time
# What numpy and zipfile raise of files that are damaged, or whose header lies
_BROKEN = (ValueError, EOFError, MemoryError, RuntimeError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error)


class ArraySource(Source):
    """Samples as an array, their labels as another.

    Attributes
    ----------
    X : ndarray of shape (N, ...)
        Of numbers; of ``.npy``, mapped from the disk.
    y : ndarray of shape (N,)
        The labels as the file has them.
    """

    X: np.ndarray
    y: np.ndarray

    def _check(self, path: Path, names: tuple[str, str], ids: np.ndarray | None, id: str | None) -> None:
        """Finish what a subclass has read."""
        X, y = self.X, self.y
        if X.ndim < 2 or X.dtype.kind not in "buif":
            raise ValueError(f"{path}: {names[0]} has shape {X.shape} and dtype {X.dtype}, expected numbers.")
        if y.shape != X.shape[:1] or y.dtype.kind not in "buifUS":
            raise ValueError(
                f"{path}: {names[1]} has shape {y.shape} and dtype {y.dtype}, expected ({len(X)},), a label of each "
                "row of X, as numbers or as text."
            )
        labels = as_labels([text_of(value) for value in y.tolist()])
        texts = None
        if ids is not None and id is not None:
            if ids.shape != y.shape:
                raise ValueError(f"{path}: {id} has shape {ids.shape}, expected ({len(y)},): an id of each row.")
            texts = check_ids(path, id, [text_of(value) for value in ids.tolist()], lambda row: f"row {row}")
        info = SourceInfo(path.name, "arrays", self._fingerprint(path), names[1], id, len(y))
        super().__init__(path, info, labels, texts)

    @abstractmethod
    def _fingerprint(self, path: Path) -> str:
        """Of the files as they are now."""

    def digests(self) -> list[str]:
        return self._digests

    @cached_property
    def _digests(self) -> list[str]:
        found: list[str] = []
        for start in range(0, len(self.X), _BLOCK):
            block = np.ascontiguousarray(self.X[start : start + _BLOCK])
            found += [row_digest([row.tobytes()]) for row in block]
        return found

    def _changed(self, changes: Mapping[int, str | Drop]) -> tuple[np.ndarray, np.ndarray]:
        """Labels with the changes, of a dtype that holds them, and which rows stay."""
        if self._fingerprint(self.path) != self.info.fingerprint:
            raise ValueError(f"{self.path} was changed since it was opened: begin again.")
        kept = np.ones(len(self.y), dtype=bool)
        kept[[row for row, label in changes.items() if label is DROP]] = False
        new = {row: str(label) for row, label in changes.items() if label is not DROP}
        return relabelled(self.y, {r: label for r, label in new.items() if label != self.labels[r]}, self.path), kept


class NpzSource(ArraySource):
    """An ``.npz`` with the arrays X and y.

    Parameters
    ----------
    path : Path
    label : str, optional
        Name of the array of labels, by default "y".
    id : str, optional
        Name of an array of ids (N,).

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it holds something else: what.
    """

    def __init__(self, path: Path, label: str | None, id: str | None = None) -> None:
        label = label or "y"
        wanted = ["X", label] + ([] if id is None else [id])
        with path.open("rb") as opened:
            if not zipfile.is_zipfile(opened):
                raise ValueError(f"{path} is no .npz: write it with numpy.savez(path, X=X, y=y).")
            opened.seek(0)
            try:
                check_archive(opened)
                with np.load(opened, allow_pickle=False) as file:
                    held, arrays = file.files, [file[name] for name in wanted if name in file.files]
            except (*_BROKEN, OSError) as error:
                raise ValueError(f"{path}: {error}. Save numbers, and labels as numbers or text.") from error
        if missing := [name for name in wanted if name not in held]:
            there = ", ".join(map(repr, held)) or "none"
            raise ValueError(f"{path} has no array {missing[0]!r}, it holds {there}: name labels by --label.")
        self.X, self.y, *ids = arrays
        self._check(path, ("X", label), ids[0] if ids else None, id)

    def _fingerprint(self, path: Path) -> str:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        y, kept = self._changed(changes)
        if kept.all() and y is self.y:
            _copy(self.path, temporary)
            return []
        shortened = []
        with zipfile.ZipFile(self.path) as old, zipfile.ZipFile(temporary, "w", allowZip64=True) as new:
            for member in old.infolist():
                name = member.filename.removesuffix(".npy")
                content = zipfile.ZipInfo(member.filename, member.date_time)  # equal bytes for equal decisions
                content.compress_type, content.external_attr = member.compress_type, member.external_attr
                with old.open(member) as source, new.open(content, "w", force_zip64=True) as file:
                    if name == self.info.label:
                        np.lib.format.write_array(file, np.ascontiguousarray(y[kept]), allow_pickle=False)
                    elif not kept.all() and _n_rows(old, member) == len(kept):
                        try:
                            array = np.lib.format.read_array(source, allow_pickle=False)
                        except _BROKEN as error:
                            raise ValueError(f"{self.path}: no row can be left out of {name!r}: {error}.") from error
                        np.lib.format.write_array(file, np.ascontiguousarray(array[kept]), allow_pickle=False)
                        shortened.append(name)
                    else:
                        _pump(source, file)
        others = [name for name in shortened if name not in ("X", self.info.id)]
        if not others:
            return []
        return [f"Rows were left out of {', '.join(others)}, too, which had as many as X."]


class NpySource(ArraySource):
    """A pair of ``.npy``: samples in a file with X in its name, labels beside it, with y in place of the X.

    ``X.npy`` goes with ``y.npy``, ``X_train.npy`` with ``y_train.npy``. A corrected copy is a folder of two files of
    the same names.

    Parameters
    ----------
    path : Path
        That of the samples.
    label : str, optional
        Name of the labels' file, if it is another one of that folder.

    Raises
    ------
    OSError
        If one cannot be read.
    ValueError
        If one holds something else: what.
    """

    def __init__(self, path: Path, label: str | None, id: str | None = None) -> None:
        if id is not None:
            raise ValueError(f"{path} has no column {id!r}: rows of .npy files have no ids.")
        if label is None and path.stem.count("X") != 1:
            raise ValueError(
                f"{path} has no single X in its name, so the file of its labels is unknown: name it by --label, or "
                "name the files X.npy and y.npy."
            )
        default = path.with_name(path.stem.replace("X", "y") + ".npy")
        self._labels = default if label in (None, default.name) else path.with_name(str(label))
        self.X, self.y = _load(path), np.array(_load(self._labels))
        self._check(path, (path.name, self._labels.name), None, None)

    def _fingerprint(self, path: Path) -> str:
        digest = hashlib.sha256()
        for one in (path, self._labels):
            with one.open("rb") as file:
                digest.update(one.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
        return "sha256:" + digest.hexdigest()

    def _check_target(self, target: Path) -> None:
        if target.suffix:
            raise ValueError(f"{target} looks like a file: the copy is a folder with two of them, give it such a name.")

    def _save(self, changes: Mapping[int, str | Drop], temporary: Path, target: Path, *, move: bool) -> list[str]:
        y, kept = self._changed(changes)
        temporary.mkdir()
        samples, labels = temporary / self.path.name, temporary / self._labels.name
        if kept.all():
            _copy(self.path, samples)
        else:
            self._save_rows(np.flatnonzero(kept), samples)
        if kept.all() and y is self.y:
            _copy(self._labels, labels)
        else:
            np.save(labels, y[kept], allow_pickle=False)
        return []

    def _save_rows(self, rows: np.ndarray, path: Path) -> None:
        header = np.lib.format.header_data_from_array_1_0(self.X)
        header |= {"shape": (len(rows), *self.X.shape[1:]), "fortran_order": False}
        with path.open("wb") as file:  # and not as a map: where the disk is full, the system kills who writes to one
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(rows), _BLOCK):
                file.write(self.X[rows[start : start + _BLOCK]].tobytes())


def relabelled(y: np.ndarray, labels: Mapping[int, str], path: Path) -> np.ndarray:
    """Labels (N,) with other ones in some rows, of the same kind; texts may become longer. If there are none, the same.

    Raises
    ------
    ValueError
        If a text cannot be a label of that kind.
    """
    if not labels:
        return y
    known = by_label(np.unique(y[y == y]).tolist())  # a NaN is none
    if y.dtype.kind in "US":
        new = {row: known.get(label, label.encode() if y.dtype.kind == "S" else label) for row, label in labels.items()}
        dtype = np.result_type(y.dtype, np.array(list(new.values())).dtype)
        result = y.astype(dtype.newbyteorder(y.dtype.byteorder))
    else:
        new = {row: typed(label, known, path) for row, label in labels.items()}
        result = y.copy()
    for row, value in new.items():
        try:
            result[row] = value
        except OverflowError as error:
            raise ValueError(f"the new label {labels[row]!r} cannot be one of {path}: {error}.") from error
        if text_of(result[row].item()) != text_of(value):  # rounded to fewer digits
            raise ValueError(f"the new label {labels[row]!r} cannot be one of {path}, whose labels are {y.dtype}.")
    return result


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _BROKEN as error:
        raise ValueError(f"{path} is no .npy of numbers or text ({error}).") from error


def _n_rows(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int | None:
    """Length of a stored array by its header; None of what is no array, or has no rows."""
    with archive.open(member) as file:
        try:
            shape, _ = header_of(file)
        except ValueError:
            return None
    return shape[0] if shape else None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        _pump(old, new)


def _pump(source: Any, target: Any) -> None:
    while block := source.read(1 << 20):
        target.write(block)
