"""The page's items: what a person sees of a row.

Legend: N rows, n rows that are shown.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acestimator.audit.columns import Columns
from acestimator.audit.draw import Drawn
from acestimator.audit.explain import ColumnEvidence, VectorEvidence, WordEvidence, shown
from acestimator.audit.items import Item
from acestimator.audit.judge import LIKELIEST, Findings
from acestimator.audit.prepare import join_texts
from acestimator.datasets._crops import read_image

_THUMB, _LARGE = 96, 256  # pixels of the longer side
_QUALITY = 80
_MOST = 10_000  # characters of a row's cells: 550 rows stay far below what a page may have

Cells = tuple[tuple[str, str, bool], ...]

Look = Callable[[int, int, int], dict[str, Any]]  # row, given and suggested label: fields of its item


def make_items(
    findings: Findings, drawn: Drawn, names: list[str], ids: list[str] | None, digests: list[str], look: Look
) -> list[Item]:
    """Items of the rows that are shown, in their order.

    Parameters
    ----------
    findings : Findings
    drawn : Drawn
    names, digests : list of str, N of them
    ids : list of str, N of them, or None
    look : callable
        Gives ``cells``, ``text``, ``image`` and ``large`` of a row, or some of them.
    """
    items = []
    of_rows = zip(drawn.rows.tolist(), drawn.stratum.tolist(), drawn.is_drawn.tolist(), strict=True)
    for row, stratum, is_drawn in of_rows:
        given, suggested = int(findings.given[row]), int(findings.suggested[row])
        items.append(
            Item(
                row=row,
                id=None if ids is None else ids[row],
                digest=digests[row],
                name=names[row],
                given=None if given < 0 else given,
                suggested=suggested,
                probability=round(float(findings.probability[row]), 4),
                likeliest=_offered(findings, row),
                group="random" if is_drawn else "suspect",
                stratum=None if stratum < 0 else stratum,
                **look(row, given, _other(findings, row)),
            )
        )
    return items


def look_at_table(frame: Any, columns: Columns, findings: Findings) -> Look:
    """Cells of a table's rows, and their texts."""
    known = findings.given, _trusted(findings), len(findings.classes)
    others = [name for name, _ in columns.left_out]
    cells = ColumnEvidence(frame[list(columns.features)], *known)
    words = WordEvidence(join_texts(frame[list(columns.texts)]), *known) if columns.texts else None

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        # What was not learned from may still tell a person: a name, a number.
        unused = [(name, shown(frame[name].iloc[row]), False) for name in others]
        found: dict[str, Any] = {"cells": _first([*cells.cells(row, given, suggested), *unused])}
        if words is not None:
            found["text"] = tuple(words.pieces(row, given, suggested))
        return found

    return look


def look_at_files(paths: Sequence[Path]) -> Look:
    """Images by their files."""

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        return _both_sizes(read_image(paths[row]))

    return look


def look_at_vectors(X: np.ndarray, findings: Findings) -> Look:
    """Numbers of vectors (N, D)."""
    numbers = VectorEvidence(X, findings.given, _trusted(findings), len(findings.classes))
    return lambda row, given, suggested: {"cells": _first(numbers.cells(row, given, suggested))}


def look_at_arrays(X: np.ndarray) -> Look:
    """Images (N, C, H, W) in memory."""

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        from PIL import Image

        return _both_sizes(Image.fromarray(_as_bytes(X[row])))

    return look


def _trusted(findings: Findings) -> np.ndarray:
    """Mask (N,) of the rows whose labels tell what classes are like; what was dropped, or not read, tells nothing."""
    trusted: np.ndarray = findings.probability <= 0.5
    return trusted


def _first(cells: list[tuple[str, str, bool]]) -> Cells:
    """As many cells as a row may have, and how many more there are."""
    left = _MOST
    for i, (name, text, _) in enumerate(cells):
        left -= len(name) + len(text) + 20  # as JSON has it
        if left < 0 and i:
            return (*cells[:i], ("…", f"{len(cells) - i:,} more columns", False))
    return tuple(cells)


def _offered(findings: Findings, row: int) -> tuple[int, ...]:
    """Labels of a row's keys.

    By probability alone, the first would be another label of suspects, and the given one of most rows that were drawn
    at random: these would be known by it before they are decided.
    """
    labels = (_other(findings, row), int(findings.given[row]), *findings.likeliest[row].tolist())
    return tuple(label for label in dict.fromkeys(labels) if label >= 0)[:LIKELIEST]


def _other(findings: Findings, row: int) -> int:
    """Label that the given one is weighed against: the suggested one, or else the likeliest of the others."""
    given, suggested = int(findings.given[row]), int(findings.suggested[row])
    if suggested != given:
        return suggested
    return next((k for k in findings.likeliest[row].tolist() if k != given), given)


def _both_sizes(image: Any) -> dict[str, Any]:
    image = image.convert("RGB")
    return {"image": _address(image, _THUMB), "large": _address(image, _LARGE)}


def _address(image: Any, side: int) -> str:
    """``data:`` address of a copy of at most that size; small images are enlarged in whole steps, to stay sharp."""
    from PIL import Image

    factor = side / max(image.size)
    method = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST
    factor = factor if factor < 1 else max(1, int(factor))
    copy = image.resize([max(1, round(length * factor)) for length in image.size], method)
    buffer = io.BytesIO()
    copy.save(buffer, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _as_bytes(sample: np.ndarray) -> np.ndarray:
    """Grey or colour image (H, W, 3) of bytes, of a sample (C, H, W) of any range."""
    pixels = sample[:3] if len(sample) >= 3 else sample[:1].repeat(3, axis=0)
    pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    low, high = float(pixels.min()), float(pixels.max())
    return ((pixels - low) * (255.0 / max(high - low, 1e-12))).round().astype(np.uint8)
