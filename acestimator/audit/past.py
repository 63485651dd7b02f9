"""Decisions that were made before an audit: which rows they are about, what they teach, and what they say of the rates.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from acestimator.audit.decisions import Decision, Decisions, Stratum
from acestimator.audit.folders import PATH
from acestimator.audit.matching import rows_by_id, rows_by_position
from acestimator.audit.rates import Reviewed, interval_of_rate
from acestimator.audit.source import Source


@dataclass(frozen=True)
class Past:
    """Decisions by row of a source.

    Parameters
    ----------
    decisions : mapping of int to Decision
    strata : tuple of Stratum
        Of the draw that they were shown with.
    is_same : bool, default=True
        Whether the source is the one that was looked at, to the last byte.
    """

    decisions: Mapping[int, Decision] = field(default_factory=dict)
    strata: tuple[Stratum, ...] = ()
    is_same: bool = True

    @property
    def facts(self) -> dict[int, str]:
        """Right label of each row that was kept or given another one."""
        found = {}
        for row, one in self.decisions.items():
            label = {"keep": one.given, "relabel": one.label}.get(one.decision)
            if label is not None:  # nothing was said where a gap was kept
                found[row] = label.strip()
        return found

    @property
    def dropped(self) -> list[int]:
        """Rows that are of no class."""
        return self._of("drop")

    @property
    def unsure(self) -> list[int]:
        """Rows that are still open: they were looked at, and nothing is known."""
        return self._of("unsure")

    def _of(self, decision: str) -> list[int]:
        return [row for row, one in self.decisions.items() if one.decision == decision]

    def kept_for(self, source: Source, shown: set[int]) -> tuple[Decision, ...]:
        """Decisions of rows that a new page of the source does not show.

        To that page's draw they are facts, and no sample. In a source that was changed since, a row that has the
        decided label by now is one whose label is kept.
        """
        digests, found = source.digests(), []
        for row, one in sorted(self.decisions.items()):
            if row in shown:
                continue
            now = replace(one, row=row, group="suspect", stratum=None)
            if not self.is_same:
                id, label = None if source.ids is None else source.ids[row], source.labels[row]
                now = replace(now, id=id, digest=digests[row], given=label)
                if one.label is not None and one.label.strip() == label:
                    now = replace(now, decision="keep", label=None)
            found.append(now)
        return tuple(found)

    def review(self) -> Review | None:
        """What the decisions say of the labels; None if there are none."""
        if not self.decisions:
            return None
        labelled = [one for one in self.decisions.values() if one.given is not None]
        clear = [one for one in labelled if one.decision != "unsure"]
        drawn = [one for one in clear if one.group == "random"]
        strata = self._strata(clear) if self.is_same and drawn else []
        return Review(
            n_decided=len(clear),
            n_wrong=sum(map(_is_wrong, clear)),
            n_unsure=len(self.unsure),
            n_dropped=len(self.dropped),
            n_drawn=len(drawn),
            n_drawn_wrong=sum(map(_is_wrong, drawn)),
            n_labels=sum(stratum.n_rows for stratum in strata),
            interval=interval_of_rate(strata) if strata else None,
        )

    def _strata(self, decided: list[Decision]) -> list[Reviewed]:
        """What was found in each stratum; what was decided before the draw is in none, and is a stratum of its own."""
        of: dict[int | None, list[Decision]] = {}
        for one in decided:
            of.setdefault(one.stratum, []).append(one)
        found = [_found(of.get(s, []), stratum.n_rows) for s, stratum in enumerate(self.strata)]
        before = of.get(None, [])
        return [*found, _found(before, len(before))]


@dataclass(frozen=True)
class Review:
    """Decisions in numbers: of rows that had a label.

    Parameters
    ----------
    n_decided, n_wrong : int
        Labels that were decided, and those of them that were wrong: another one was given, or the row was dropped.
    n_unsure, n_dropped : int
        Rows.
    n_drawn, n_drawn_wrong : int
        Of those that were drawn at random.
    n_labels : int
        All that the draw was from, and those decided before it; 0 where none was drawn.
    interval : tuple of float or None
        90 % interval of the share of wrong labels among those, before anybody looked: by what was drawn at random and
        the facts. It holds whatever the network thinks. None where none was drawn, or the source was changed since.
    """

    n_decided: int
    n_wrong: int
    n_unsure: int
    n_dropped: int
    n_drawn: int
    n_drawn_wrong: int
    n_labels: int
    interval: tuple[float, float] | None


def match(source: Source, decisions: Decisions) -> Past:
    """Decisions by the rows of a source: by their position in the file that was looked at, by their id in another one.

    Raises
    ------
    ValueError
        If they are about something else: which rows differ.
    """
    own, other = source.info, decisions.source
    is_same = own.fingerprint == other.fingerprint
    named = own.id or (PATH if own.kind == "images" else None)
    by_position = is_same or named is None
    rows = rows_by_position(source, decisions) if by_position else rows_by_id(source, decisions, str(named))
    by_row = {row: one for row, one in zip(rows, decisions.decisions, strict=True) if row is not None}
    return Past(by_row, decisions.strata, is_same)


def _is_wrong(decision: Decision) -> bool:
    is_other = decision.label is not None and decision.label.strip() != decision.given
    return decision.decision == "drop" or (decision.decision == "relabel" and is_other)


def _found(decided: list[Decision], n_rows: int) -> Reviewed:
    drawn = [one for one in decided if one.group == "random"]
    wrong, drawn_wrong = sum(map(_is_wrong, decided)), sum(map(_is_wrong, drawn))
    return Reviewed(n_rows, len(drawn), drawn_wrong, len(decided), wrong)
