"""What an audit says of each row, read from its ``label_issues.csv`` and compared with the source.

Legend: N rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acestimator.audit.contents import some
from acestimator.audit.decisions import CHOICES, SourceInfo, parse_source
from acestimator.audit.records import MalformedError, read_records
from acestimator.audit.source import Source
from acestimator.audit.values import text_of

ISSUES, SUMMARY = "label_issues.csv", "summary.json"
_COLUMNS = ("row", "given_label", "suggested_label", "mislabel_probability")


@dataclass(frozen=True)
class Issue:
    """Of one row.

    Parameters
    ----------
    given, suggested : str or None
        Labels; None if there is none.
    probability : float
        That the given one is wrong; NaN if that is unknown.
    sure : bool
        Whether the label is likelier wrong than right even if as few are wrong as can be.
    decision : str
        Of a reviewer before the audit: one of ``CHOICES``, or "" if there was none.
    digest : str
        Of the row; "" if that is unknown.
    """

    given: str | None
    suggested: str | None
    probability: float
    sure: bool = True
    decision: str = ""
    digest: str = ""

    def is_suspect(self, bound: float | None) -> bool:
        """Whether a given label is wrong for sure, or with a probability above a bound, and there is another one."""
        is_other = self.given is not None and self.suggested not in (None, self.given)
        if bound is None:
            return is_other and self.probability > 0.5 and self.sure
        return is_other and self.probability > bound


def read_issues(source: Source, audit: Any) -> list[Issue]:
    """What an audit says of each of a source's N rows.

    Parameters
    ----------
    source : Source
    audit : str, Path, pandas.DataFrame or mapping of str to sequence
        Folder of an audit; or its table, as a file or as it is.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no audit, or one of something else: which rows differ.
    """
    if isinstance(audit, str | Path):
        path = Path(audit)
        if path.is_dir():
            _check_summary(source, path)
            path = path / ISSUES
        issues = _issues(_csv_columns(path), str(path))
    else:
        issues = _issues({str(name): list(audit[name]) for name in audit}, "the table of the audit")
    _check_rows(source, issues)
    return issues


def _csv_columns(path: Path) -> dict[str, list[Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: give the folder that acestimator audit wrote to.")
    try:
        # Not by the csv module, which refuses labels of more than 131,072 characters
        records = read_records(path.read_bytes().decode("utf-8-sig"), ",")
        return dict(zip(records.header, map(list, zip(*records.cells(), strict=True)), strict=True))
    except (ValueError, MalformedError) as error:
        raise ValueError(f"{path} is no table of an audit ({error}): run acestimator audit again.") from error


def _issues(columns: Mapping[str, Sequence[Any]], where: str) -> list[Issue]:
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise ValueError(f"{where} has no column {missing[0]!r}: run acestimator audit again.")
    n_rows = len(columns["row"])
    empty, surely = [""] * n_rows, columns.get("sure", ["1"] * len(columns["row"]))
    found = []
    others = surely, columns.get("decision", empty), columns.get("digest", empty)
    of_rows = zip(*(columns[name] for name in _COLUMNS), *others, strict=True)
    for position, (row, given, suggested, probability, sure, decision, digest) in enumerate(of_rows):
        try:
            is_there, p = int(row) == position, float(probability) if _text(probability) else math.nan
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}, row {position}: {error}; run acestimator audit again.") from error
        if not is_there or not (math.isnan(p) or 0.0 <= p <= 1.0):
            raise ValueError(
                f"{where} has row {row!r} with probability {probability!r} at position {position}, expected all rows "
                "in order, and probabilities from 0 to 1: run acestimator audit again."
            )
        if _text(decision) not in (None, *CHOICES):
            raise ValueError(f"{where}, row {position}, has the decision {decision!r}, expected one of {CHOICES}.")
        is_sure = str(sure) in ("1", "True")
        found.append(Issue(_text(given), _text(suggested), p, is_sure, _text(decision) or "", _text(digest) or ""))
    return found


def _text(value: Any) -> str | None:
    """A cell's text; None of an empty one, or of pandas's gaps."""
    return None if type(value).__name__ in ("NAType", "NaTType") else text_of(value) or None


def audited(folder: str | Path) -> SourceInfo:
    """Which source an audit's folder is about.

    Raises
    ------
    OSError
        If its ``summary.json`` cannot be read.
    ValueError
        If that is something else.
    """
    path = Path(folder) / SUMMARY
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: give the folder that acestimator audit wrote to.")
    try:
        return parse_source(json.loads(path.read_text(encoding="utf-8"))["source"], f"{path}, source")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no summary of an audit ({error}): run acestimator audit again.") from error


def _check_summary(source: Source, folder: Path) -> None:
    info, path = audited(folder), folder / SUMMARY
    if info.label != source.info.label:
        raise ValueError(
            f"{path} is about labels {info.label!r}, and {source.path} was opened with {source.info.label!r}."
        )
    if info.fingerprint != source.info.fingerprint:
        _check_rows(source, _issues(_csv_columns(folder / ISSUES), str(folder / ISSUES)))
        raise ValueError(
            f"{source.path} is not {info.name} as it was audited; all of its rows hold the same: run acestimator audit "
            "again."
        )


def _check_rows(source: Source, issues: Sequence[Issue]) -> None:
    """Raise ValueError if rows are not those that were audited: which."""
    digests, n_rows = source.digests(), source.info.n_rows
    rows = [
        row
        for row, issue in enumerate(issues[:n_rows])
        if source.labels[row] != issue.given or issue.digest not in ("", digests[row])
    ]
    if not rows and len(issues) == n_rows:
        return
    which = f" {len(rows)} rows differ: {some(rows, source.name)}." if rows else ""
    raise ValueError(
        f"{source.path} is not what was audited: it has {n_rows} rows, the audit {len(issues)}.{which} Run acestimator "
        "audit again."
    )
