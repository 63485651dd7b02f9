"""Which row of a source a decision is about, or why decisions are refused.

Legend: N rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from acestimator.audit.contents import SHOWN, listed
from acestimator.audit.decisions import Decision, Decisions
from acestimator.audit.folders import PATH
from acestimator.audit.source import Source


def rows_by_position(source: Source, decisions: Decisions) -> list[int]:
    """Row of each decision by its position.

    Raises
    ------
    ValueError
        If the source is not what was looked at: which rows differ.
    """
    _check_label(source, decisions)
    own, other = source.info, decisions.source
    digests = source.digests()
    why = [_differs(source, digests, d.row, d) for d in decisions.decisions]
    if own.fingerprint == other.fingerprint and not any(why):
        return [decision.row for decision in decisions.decisions]
    n_rows = "" if own.n_rows == other.n_rows else f" It has {own.n_rows} rows, not {other.n_rows}."
    raise ValueError(
        f"{source.path} is not {other.name} as it was looked at, or was changed since.{n_rows} "
        f"{_told(why, decisions.decisions, source)} Apply the decisions to that file, or match rows by a column of "
        "ids: audit and apply with --id."
    )


def rows_by_id(source: Source, decisions: Decisions, by_id: str) -> list[int | None]:
    """Row of each decision by its id; None of a dropped row that is not there any more.

    A row's label must be the one that was looked at or the one that was decided; whatever else it holds may differ. Of
    rows that are unsure nothing is expected.

    Raises
    ------
    ValueError
        If the decisions name rows otherwise, or by ids that are not there, or have another label: which.
    """
    _check_label(source, decisions)
    named = decisions.source.id or (PATH if decisions.source.kind == "images" else None)
    if named != by_id:
        known = "by position alone" if named is None else f"by {named!r}"
        raise ValueError(
            f"the decisions name their rows {known}, not by {by_id!r}: audit with --id {by_id} before you decide."
        )
    if source.ids is None:
        raise ValueError(f"{source.path} was opened without ids, expected those of column {by_id!r}.")
    rows = source.rows_of(decisions.decisions)
    _check_once(rows, decisions.decisions)
    why = [_refused(source, row, one) for row, one in zip(rows, decisions.decisions, strict=True)]
    if any(why):
        raise ValueError(
            f"{source.path} does not go with the decisions. {_told(why, decisions.decisions, source)} Apply them to "
            "the file that was looked at."
        )
    return rows


def _check_label(source: Source, decisions: Decisions) -> None:
    own, other = source.info, decisions.source
    if (own.kind, own.label) != (other.kind, other.label):
        raise ValueError(
            f"the decisions are about labels {other.label!r} of {other.name} ({other.kind}), and {source.path} was "
            f"opened with labels {own.label!r} ({own.kind}): these are others."
        )


def _check_once(rows: Sequence[int | None], decisions: Sequence[Decision]) -> None:
    counts = Counter(row for row in rows if row is not None)
    pairs = zip(rows, decisions, strict=True)
    if twice := [decision.id or "" for row, decision in pairs if row is not None and counts[row] > 1]:
        raise ValueError(f"the decisions name {len(twice)} rows more than once: {listed(twice)}.")


def _differs(source: Source, digests: Sequence[str], row: int, decision: Decision) -> str:
    """Why a row is not the one that was decided; an empty text if it is."""
    if row >= source.info.n_rows:
        return "is not there"
    if source.labels[row] != decision.given:
        return f"has the label {source.labels[row]!r}, not {decision.given!r}"
    return "" if digests[row] == decision.digest else "holds something else"


def _refused(source: Source, row: int | None, decision: Decision) -> str:
    if decision.decision == "unsure":
        return ""
    if row is None:
        return "" if decision.decision == "drop" else "is not there"
    fitting = {decision.given, decision.label.strip() if decision.label else decision.given}
    if source.labels[row] in fitting:
        return ""
    return f"has the label {source.labels[row]!r}, not {' or '.join(sorted(map(repr, fitting)))}"


def _told(why: Sequence[str], decisions: Sequence[Decision], source: Source) -> str:
    """Rows that differ, in words."""
    lines = [f"{_name(source, one)} {reason}" for reason, one in zip(why, decisions, strict=True) if reason]
    if not lines:
        return "The rows that were decided are as they were; others differ."
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{len(lines)} of the {len(decisions)} decided rows differ: {'; '.join(lines[:SHOWN])}{more}."


def _name(source: Source, decision: Decision) -> str:
    if decision.id is not None:
        return decision.id
    return source.name(decision.row) if decision.row < source.info.n_rows else f"row {decision.row}"


def differing(source: Source, rows: Sequence[int | None], decisions: Sequence[Decision]) -> list[int]:
    """Rows that hold something else than when they were looked at, their labels apart."""
    digests = source.digests()
    return [r for r, d in zip(rows, decisions, strict=True) if r is not None and digests[r] != d.digest]
