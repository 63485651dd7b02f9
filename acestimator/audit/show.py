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
from acestimator.audit.explain import ColumnEvidence, WordEvidence
from acestimator.audit.items import Item
from acestimator.audit.judge import Findings
from acestimator.audit.prepare import join_texts
from acestimator.datasets._crops import read_image

_THUMB, _LARGE = 96, 256  # pixels of the longer side
_QUALITY = 80

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
                likeliest=tuple(findings.likeliest[row].tolist()),
                group="random" if is_drawn else "suspect",
                stratum=None if stratum < 0 else stratum,
                **look(row, given, _other(findings, row)),
            )
        )
    return items


def look_at_table(frame: Any, columns: Columns, findings: Findings) -> Look:
    """Cells of a table's rows, and their texts."""
    trusted = ~(findings.probability > 0.5)
    n_classes = len(findings.classes)
    others = [name for name, _ in columns.left_out]
    cells = ColumnEvidence(frame[list(columns.features)], findings.given, trusted, n_classes)
    words = None
    if columns.texts:
        words = WordEvidence(join_texts(frame[list(columns.texts)]), findings.given, trusted, n_classes)

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        # What was not learned from may still tell a person: a name, a number.
        unused = [(name, str(frame[name].iloc[row]), False) for name in others]
        found: dict[str, Any] = {"cells": (*cells.cells(row, given, suggested), *unused)}
        if words is not None:
            found["text"] = tuple(words.pieces(row, given, suggested))
        return found

    return look


def look_at_files(paths: Sequence[Path]) -> Look:
    """Images by their files."""

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        return _both_sizes(read_image(paths[row]))

    return look


def look_at_arrays(X: np.ndarray) -> Look:
    """Images (N, C, H, W) in memory; of vectors (N, D) the numbers."""

    def look(row: int, given: int, suggested: int) -> dict[str, Any]:
        sample = X[row]
        if sample.ndim == 1:
            return {"cells": tuple((str(j), f"{value:.6g}", False) for j, value in enumerate(sample.tolist()))}
        from PIL import Image

        return _both_sizes(Image.fromarray(_as_bytes(sample)))

    return look


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
