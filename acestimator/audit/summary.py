"""An audit in numbers, and in words for a person who has never heard of any of this.

Legend: N rows, K classes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from acestimator.audit.decisions import SourceInfo
from acestimator.audit.judge import Findings
from acestimator.audit.past import Review

FORMAT = "acestimator audit"
VERSION = 1
_SHOWN = 5  # confusions and classes that are named


@dataclass(frozen=True)
class Summary:
    """What an audit found. The fields are those of ``summary.json``.

    Parameters
    ----------
    source : SourceInfo
    n_labelled, n_unlabelled : int
        Rows with a label, and without one.
    n_suspects, n_sure : int
        Undecided labels that are likelier wrong than right; and those of them that are even if as few are wrong as
        ``interval`` allows.
    rate : float
        Estimated share of wrong labels; of those in use, where some were decided: the decided ones are right.
    interval : tuple of float or None
        90 % interval of it, as the estimator has it, which knows nothing of draws. ``review.interval`` is that of rows
        that were drawn at random.
    confusions : tuple of (str, str, int)
        Given label, suggested one, and how many suspects have them; most first.
    classes : tuple of (str, int, int)
        Label, rows, suspects.
    texts : tuple of str
        Columns that were read as text.
    left_out : tuple of (str, str)
        Columns that were not used, and the reason.
    unread : tuple of (str, str)
        Files that could not be read, and the reason.
    notes : tuple of str
        Warnings of the fit, and labels that may be the same.
    settings : dict
        Of the command.
    versions : dict
    review : Review, optional
        What was decided before.
    """

    source: SourceInfo
    n_labelled: int
    n_unlabelled: int
    n_suspects: int
    n_sure: int
    rate: float
    interval: tuple[float, float] | None
    confusions: tuple[tuple[str, str, int], ...]
    classes: tuple[tuple[str, int, int], ...]
    texts: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    review: Review | None = None

    @property
    def n_in_use(self) -> int:
        """Labels that the rate is of."""
        n_dropped = 0 if self.review is None else self.review.n_dropped
        return self.n_labelled - n_dropped

    @property
    def least_rate(self) -> float:
        """Share of the source's labels that is wrong at least: by what was drawn at random, or else by the estimate."""
        low = 0.0 if self.interval is None else self.interval[0]
        if self.review is None or not self.review.n_decided:
            return low
        if self.review.interval is not None:
            return self.review.interval[0]
        return (self.review.n_wrong + low * self.n_in_use) / self.n_labelled

    def to_dict(self) -> dict[str, Any]:
        """Content of the file."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def sentences(self) -> list[str]:
        """What a person wants to know, most important first."""
        lines = [*self._looked_at(), self._how_many()]
        if self.n_suspects:
            lines.append(self._how_many_sure())
        lines += self._which()
        if self.n_unlabelled:
            lines.append(f"{_count(self.n_unlabelled, 'row has', 'rows have')} no label, and got a predicted one.")
        if self.unread:
            some = ", ".join(f"{name!r} ({reason})" for name, reason in self.unread[:_SHOWN])
            more = ": " if len(self.unread) <= _SHOWN else "; summary.json names all: "
            lines.append(f"{_count(len(self.unread), 'file', 'files')} could not be read{more}{some}.")
        if self.texts:
            lines.append(f"Read as text: {', '.join(map(repr, self.texts))}.")
        lines += [f"Left out: {name!r}: {reason}." for name, reason in self.left_out]
        return lines + [f"Note: {note}" for note in self.notes]

    def _how_many(self) -> str:
        n = self.n_labelled
        if self.review is not None:
            return self._how_many_left()
        are = _count(self.n_suspects, f"of {n:,} labels is", f"of {n:,} labels are")
        start = f"{are} likelier wrong than right."
        if self.interval is None:
            return f"{start} There are too few rows to say how many are wrong in all."
        low, high = self.interval
        if low <= 0.0 and high >= 1.0:
            return f"{start} How many are wrong in all cannot be told from this file: look at some of them first."
        between = f"between {_percent(low)} and {_percent(high)}"
        if low <= 0.0:
            return (
                f"How many labels are wrong cannot be told from this file: from none to {_percent(high)}. {are} taken "
                "for wrong, but classes that overlap look the same: decide about some before you trust the others."
            )
        return (
            f"{start} The share of wrong labels is about {_percent(self.rate)}, {between} (with a probability of 90 %)."
        )

    def _how_many_sure(self) -> str:
        if not self.n_sure:
            return (
                "None of these should be changed without a look: if as few labels are wrong as can be, each is "
                "likelier right than wrong."
            )
        others = " A person should decide about the others." if self.n_sure < self.n_suspects else ""
        return (
            f"{self.n_sure:,} of these can be changed without a look: likelier wrong than right even if as few labels "
            f"are wrong as can be.{others}"
        )

    def _looked_at(self) -> list[str]:
        """What a reviewer found."""
        if self.review is None:
            return []
        review = self.review
        of = f"{_count(review.n_decided, 'label was', 'labels were')} decided, and {review.n_wrong:,} of them wrong"
        more = [(review.n_dropped, "dropped"), (review.n_unsure, "left open")]
        rows = " and ".join(f"{_count(n, 'row was', 'rows were')} {word}" for n, word in more if n)
        lines = [f"{of}.{f' {rows}.' if rows else ''}"]
        if review.interval is None:
            return lines
        low, high = review.interval
        left = [max(0, round(end * review.n_labels) - review.n_wrong) for end in review.interval]
        lines.append(
            f"Of {_count(review.n_drawn, 'label that was', 'labels that were')} drawn at random, "
            f"{review.n_drawn_wrong:,} were wrong. So between {_percent(low)} and {_percent(high)} of all "
            f"{review.n_labels:,} labels were wrong before the review, whatever the network thinks (with a probability "
            f"of 90 %), and {left[0]:,} to {left[1]:,} wrong ones are left."
        )
        return lines

    def _how_many_left(self) -> str:
        """What is said of the labels that nobody has decided."""
        n = self.n_in_use
        left = self.n_labelled - (0 if self.review is None else self.review.n_decided)
        are = _count(self.n_suspects, f"of the other {left:,} labels is", f"of the other {left:,} labels are")
        start = f"{are} likelier wrong than right."
        if self.interval is None:
            return start
        low, high = (round(end * n) for end in self.interval)
        about = f"about {round(self.rate * n):,} wrong ones are left, {low:,} to {high:,}"
        return f"{start} By the network's estimate, {about}."

    def _which(self) -> list[str]:
        lines = []
        if self.confusions:
            shown = [f"{given!r} in place of {suggested!r} ({n:,})" for given, suggested, n in self.confusions[:_SHOWN]]
            lines.append(f"Likeliest mistakes: {', '.join(shown)}.")
        hit = sorted((c for c in self.classes if c[2]), key=lambda c: -c[2] / c[1])[:_SHOWN]
        if hit:
            shown = [f"{label!r} ({n_suspects:,} of {n:,})" for label, n, n_suspects in hit]
            lines.append(f"Labels that are hit most: {', '.join(shown)}.")
        return lines


def summarize(
    source: SourceInfo,
    findings: Findings,
    *,
    texts: Sequence[str] = (),
    left_out: Sequence[tuple[str, str]] = (),
    unread: Sequence[tuple[str, str]] = (),
    settings: dict[str, Any],
    versions: dict[str, str],
    review: Review | None = None,
) -> Summary:
    """Count what was found."""
    given, classes = findings.given, findings.classes
    labelled = given >= 0
    suspect = labelled & findings.undecided & (findings.probability > 0.5)
    n, n_suspects = (np.bincount(given[of], minlength=len(classes)).tolist() for of in (labelled, suspect))
    return Summary(
        source=source,
        n_labelled=int(labelled.sum()),
        n_unlabelled=int((~labelled).sum()),
        n_suspects=int(suspect.sum()),
        n_sure=int(findings.sure.sum()),
        rate=findings.rate,
        interval=findings.interval,
        confusions=tuple((classes[a], classes[b], count) for a, b, count in confusions(findings)),
        classes=tuple(zip(classes, n, n_suspects, strict=True)),
        texts=tuple(texts),
        left_out=tuple(left_out),
        unread=tuple(unread),
        notes=(*findings.notes, *variants(classes)),
        settings=settings,
        versions=versions,
        review=review,
    )


def confusions(findings: Findings) -> list[tuple[int, int, int]]:
    """Given and suggested label of the suspects that have another one suggested, and how many; most first."""
    suspect = findings.undecided & (findings.given >= 0) & (findings.probability > 0.5)
    rows = np.flatnonzero(suspect & (findings.suggested != findings.given))
    pairs = Counter(zip(findings.given[rows].tolist(), findings.suggested[rows].tolist(), strict=True))
    return sorted(((a, b, count) for (a, b), count in pairs.items()), key=lambda c: (-c[2], c[0], c[1]))


def variants(classes: Sequence[str]) -> list[str]:
    """Notes on labels that differ in capitals and blanks alone."""
    alike = defaultdict(list)
    for label in classes:
        alike[" ".join(label.casefold().split())].append(label)
    return [
        f"{' and '.join(map(repr, group))} differ in capitals or blanks alone, and were taken for different labels: "
        "if they are one, make them one in the file."
        for group in alike.values()
        if len(group) > 1
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
