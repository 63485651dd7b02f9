"""The audit: read a source, find its wrong labels, and write what a person needs to look at them.

Legend: N rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from acestimator.audit import outputs
from acestimator.audit.columns import choose_columns
from acestimator.audit.draw import Drawn, draw
from acestimator.audit.images import read_images
from acestimator.audit.items import Page
from acestimator.audit.judge import Findings, find
from acestimator.audit.page import render
from acestimator.audit.past import Past
from acestimator.audit.prepare import join_texts, preparation
from acestimator.audit.show import Look, look_at_arrays, look_at_files, look_at_table, look_at_vectors, make_items
from acestimator.audit.sources import ArraySource, ImageSource, Source, TableSource
from acestimator.audit.summary import Summary, confusions, summarize
from acestimator.estimators.autocleansing import AutoCleansingClassifier

N_RANDOM = 50  # rows that are drawn at random for the page


@dataclass(frozen=True)
class Settings:
    """How a source is read and judged, as the options of the command say it.

    Parameters
    ----------
    texts, drop : tuple of str
        Columns to read as text, and to leave out.
    image_size : int, optional
        Side of images in pixels, as the network sees them; by default their usual one, 64 at most.
    backbone : str, default="auto"
    top : int, default=500
        Suspects that the page shows, at most.
    seed : int, default=0
    device : str, default="auto"
    quiet : bool, default=False
        Whether no progress bar is shown.
    """

    texts: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    image_size: int | None = None
    backbone: str = "auto"
    top: int = 500
    seed: int = 0
    device: str = "auto"
    quiet: bool = False


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Parameters
    ----------
    source : Source
    findings : Findings
    summary : Summary
    drawn : Drawn
        Rows of the page.
    look : callable
        What is seen of a row.
    data : callable
        What Label Studio is to show of a row.
    past : Past
        Decisions that were made before.
    """

    source: Source
    findings: Findings
    summary: Summary
    drawn: Drawn
    look: Look
    data: Callable[[int], dict[str, Any]]
    past: Past


@dataclass(frozen=True)
class _Samples:
    """What the estimator is given of a source."""

    X: Any
    before: Pipeline | None
    look: Callable[[Findings], Look]
    data: Callable[[int], dict[str, Any]]
    texts: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    broken: Mapping[int, str] = field(default_factory=dict)


def audit(source: Source, settings: Settings, past: Past | None = None) -> Audit:
    """Find the wrong labels of a source.

    Parameters
    ----------
    source : Source
    settings : Settings
    past : Past, optional
        Decisions that were made before: the fit learns from them, and the page shows other rows.

    Raises
    ------
    ImportError
        If a package of the extra "audit" is missing.
    ValueError
        If the source cannot be learned from: why.
    """
    past = Past() if past is None else past
    samples = _samples(source, settings)
    source.digests()  # what cannot be read is better told now than when all is computed
    examined = np.ones(source.info.n_rows, dtype=bool)
    examined[list(samples.broken)] = False
    classifier = AutoCleansingClassifier(
        settings.backbone, device=settings.device, verbose=int(not settings.quiet), random_state=settings.seed
    )
    model = make_pipeline(*([] if samples.before is None else [samples.before]), classifier)
    findings = find(model, samples.X, source.labels, examined, past)
    summary = summarize(
        source.info,
        findings,
        texts=samples.texts,
        left_out=samples.left_out,
        unread=[(source.name(row), why) for row, why in samples.broken.items()],
        settings=asdict(settings),
        versions=outputs.versions(),
        review=past.review(),
    )
    return Audit(
        source, findings, summary, _drawn(findings, past, settings), samples.look(findings), samples.data, past
    )


def _drawn(findings: Findings, past: Past, settings: Settings) -> Drawn:
    """Rows of the page: suspects, those that a reviewer was unsure of last, and some of the undecided labels."""
    suspects = findings.suspects
    is_unsure = np.isin(suspects, past.unsure)
    suspects = np.concatenate([suspects[~is_unsure], suspects[is_unsure]])[: settings.top]
    population = np.where(findings.undecided & (findings.given >= 0), findings.probability, np.nan)
    return draw(population, suspects, N_RANDOM, settings.seed)


def write(found: Audit, out: Path, *, labelstudio: bool = False) -> list[Path]:
    """Write the files of an audit to a folder: the page, the table of all rows, the summary; and tasks if asked.

    Returns
    -------
    list of Path
        The page is the first.

    Raises
    ------
    OSError
        If they cannot be written; what was there before is as it was.
    """
    source, findings = found.source, found.findings
    digests, names = source.digests(), [source.name(row) for row in range(source.info.n_rows)]
    items = make_items(findings, found.drawn, names, source.ids, digests, found.look)
    page = Page(
        source=source.info,
        classes=findings.classes,
        items=tuple(items),
        strata=found.drawn.strata,
        confusions=tuple(confusions(findings)),
        summary=tuple(found.summary.sentences()),
        decided=found.past.kept_for(source, set(found.drawn.rows.tolist())),
    )
    contents = {
        outputs.PAGE: render(page),
        outputs.ISSUES: outputs.issues_csv(findings, names, source.ids, digests, found.past.decisions),
    }
    if labelstudio:
        data = {row: found.data(row) for row in findings.suspects.tolist()}
        contents[outputs.TASKS] = outputs.tasks_json(findings, data, f"acestimator {version('acestimator')}")
    contents[outputs.SUMMARY] = json.dumps(found.summary.to_dict(), ensure_ascii=False, indent=1) + "\n"
    return outputs.write_files(out, contents)


def _samples(source: Source, settings: Settings) -> _Samples:
    if settings.image_size is not None and not isinstance(source, ImageSource):
        raise ValueError(f"--image-size is of images, and {source.path.name} has none: leave it out.")
    if isinstance(source, TableSource):
        return _of_table(source, settings)
    for option, value in (("--text", settings.texts), ("--drop", settings.drop)):
        if value:
            raise ValueError(f"{option} names columns, and {source.path.name} has none: leave it out.")
    if isinstance(source, ImageSource):
        return _of_images([source.file(row) for row in range(source.info.n_rows)], settings)
    assert isinstance(source, ArraySource)
    X = source.X
    look = lambda findings: look_at_vectors(X, findings) if X.ndim == 2 else look_at_arrays(X)  # noqa: E731
    return _Samples(X, None, look, lambda row: {"text": np.array2string(X[row])})


def _of_table(source: TableSource, settings: Settings) -> _Samples:
    frame: Any = source.frame()
    frame.columns = [str(name) for name in frame.columns]
    columns = choose_columns(
        source.path, frame, source.labels, texts=settings.texts, drop=settings.drop, id_column=source.info.id
    )

    def data(row: int) -> dict[str, Any]:
        if columns.texts and not columns.features:
            return {"text": join_texts(frame.iloc[row : row + 1][list(columns.texts)])[0]}
        cells = frame.iloc[row].items()
        return {"text": "\n".join(f"{name}: {value}" for name, value in cells)}

    before = preparation(columns, source.info.n_rows, settings.seed)
    look = lambda findings: look_at_table(frame, columns, findings)  # noqa: E731
    return _Samples(frame, before, look, data, columns.texts, columns.left_out)


def _of_images(paths: Sequence[Path], settings: Settings) -> _Samples:
    X, broken = read_images(paths, settings.image_size)
    look = look_at_files(paths)
    return _Samples(X, None, lambda findings: look, lambda row: {"image": paths[row].as_posix()}, broken=broken)
