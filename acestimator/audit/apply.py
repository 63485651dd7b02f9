"""A corrected copy of a source, by what a reviewer decided or by what an audit suggests.

Legend: N rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acestimator.audit.contents import some
from acestimator.audit.decisions import Decisions
from acestimator.audit.issues import Issue, read_issues
from acestimator.audit.matching import differing, rows_by_id, rows_by_position
from acestimator.audit.source import DROP, Drop, Source


@dataclass(frozen=True)
class Applied:
    """What was made.

    Parameters
    ----------
    target : Path
        The copy.
    changed, dropped : int
        Rows with another label, and rows that were left out.
    kept : int
        Rows whose label was confirmed.
    unsure : int
        Rows that were looked at and stay as they are.
    already : int
        Rows that were as decided before.
    report : str
        All of this in words, a sentence a line.
    """

    target: Path
    changed: int
    dropped: int
    kept: int
    unsure: int
    already: int
    report: str


def apply_decisions(
    source: Source, decisions: Decisions, target: str | Path, *, by_id: str | None = None, move: bool = False
) -> Applied:
    """Write a copy with the decided labels and without the dropped rows; all else is as it was.

    Parameters
    ----------
    source : Source
        Of the labels that were decided. With ``by_id``, opened with that id.
    decisions : Decisions
    target : str or Path
        New file, or new folder where the source is one.
    by_id : str, optional
        Column by which rows are matched, where the source was changed since; "path" for class folders. By default the
        source must be the one that was looked at.
    move : bool, default=False
        As of :meth:`acestimator.audit.source.Source.write`.

    Raises
    ------
    ValueError
        If the decisions are about something else: which rows differ. Or if a label cannot be written.
    OSError
        If the target is there already, or cannot be written. Nothing is left of it.
    """
    rows = rows_by_position(source, decisions) if by_id is None else rows_by_id(source, decisions, by_id)
    counts = Counter(one.decision for one in decisions.decisions)
    changes: dict[int, str | Drop] = {}
    already = 0
    for row, one in zip(rows, decisions.decisions, strict=True):
        is_done = one.decision == "drop" if row is None else one.decision == "relabel" and _is(source, row, one.label)
        already += is_done
        if row is not None and one.decision == "drop":
            changes[row] = DROP
        elif row is not None and one.decision == "relabel" and not is_done:
            changes[row] = str(one.label)
    notes = source.write(changes, target, move=move)
    others = differing(source, rows, decisions.decisions)
    if others:
        notes.append(f"{_rows(len(others))} held something else when looked at: {some(others, source.name)}.")
    n_dropped = sum(change is DROP for change in changes.values())
    return _applied(
        source, target, (len(changes) - n_dropped, n_dropped, counts["keep"], counts["unsure"], already), notes
    )


def apply_suggestions(
    source: Source,
    audit: str | Path | Any,
    target: str | Path,
    *,
    above: float | None = None,
    move: bool = False,
) -> Applied:
    """Write a copy with an audit's suggestions, which nobody has looked at.

    A label is changed if it is likelier wrong than right even if as few labels are wrong as can be: the audit calls
    that sure. With a bound, it is changed if it is wrong with a probability above that. A row without a label gets
    the predicted one. Rows that were decided before the audit stay, take the decided label, which is what the audit
    suggests for them, or are left out.

    Parameters
    ----------
    source : Source
        The one that was audited.
    audit : str, Path, pandas.DataFrame or mapping of str to sequence
        Folder of the audit; or its ``label_issues.csv``, as a file or as a table.
    target : str or Path
        New file, or new folder where the source is one.
    above : float, optional
        Bound of the probability, at least 0.5 and below 1. By default, what the audit is sure of is changed.
    move : bool, default=False
        As of :meth:`acestimator.audit.source.Source.write`.

    Raises
    ------
    ValueError
        If the audit is of something else: which rows differ. Or if a label cannot be written, or the bound is none.
    OSError
        As :func:`apply_decisions`; or if the audit cannot be read.
    """
    if above is not None and not 0.5 <= above < 1.0:
        raise ValueError(
            f"above is {above!r}, expected at least 0.5 and below 1: with less, labels that are likelier right than "
            "wrong would be changed."
        )
    issues = read_issues(source, audit)
    changes: dict[int, str | Drop] = {}
    right, n_gaps = 0.0, 0
    for row, issue in enumerate(issues):
        change = _suggested(issue, above)
        if change is not None:
            changes[row] = change
            right += (1.0 - issue.probability) if issue.is_suspect(above) and not issue.decision else 0.0
            n_gaps += issue.given is None and change is not DROP
    notes = source.write(changes, target, move=move)
    n_dropped = sum(change is DROP for change in changes.values())
    n_changed, decided = len(changes) - n_dropped, Counter(issue.decision for issue in issues)
    n_suspects = sum(issue.is_suspect(above) and not issue.decision for issue in issues)
    why = "likelier wrong than right" if above is None else f"wrong with a probability above {above:g}"
    notes.insert(
        0,
        f"Nobody has looked at {_rows(n_suspects)} whose label was changed for being {why}. By their probabilities, "
        f"about {right:.0f} of those labels were right before.",
    )
    if n_gaps:
        notes.insert(1, f"{_rows(n_gaps)} had no label and got the predicted one.")
    already = sum(issue.decision == "relabel" and row not in changes for row, issue in enumerate(issues))
    return _applied(source, target, (n_changed, n_dropped, decided["keep"], decided["unsure"], already), notes)


def _suggested(issue: Issue, above: float | None) -> str | Drop | None:
    """New label of a row, or None if it stays."""
    if issue.decision == "drop":
        return DROP
    if issue.suggested is None or issue.suggested == issue.given or issue.decision in ("keep", "unsure"):
        return None
    takes = issue.decision == "relabel" or issue.given is None or issue.is_suspect(above)
    return issue.suggested if takes else None


def _is(source: Source, row: int, label: str | None) -> bool:
    return label is not None and bool(source.labels[row] == label.strip())


def _applied(source: Source, target: str | Path, counts: tuple[int, int, int, int, int], notes: list[str]) -> Applied:
    changed, dropped, kept, unsure, already = counts
    n_rows = source.info.n_rows
    words: Mapping[str, int] = {"changed": changed, "dropped": dropped, "confirmed": kept, "unsure": unsure}
    told = ", ".join(f"{count} {word}" for word, count in words.items())
    first = f"{target}: {n_rows - dropped} of {_rows(n_rows)}; labels: {told}, {already} already so."
    return Applied(Path(target), *counts, report="\n".join([first, *notes]))


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
