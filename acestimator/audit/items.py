"""What the page shows: plain data, made by the audit and embedded in the page.

Legend: K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from acestimator.audit.decisions import Decision, SourceInfo, Stratum


@dataclass(frozen=True)
class Item:
    """One row to be looked at.

    Parameters
    ----------
    row, id, digest, group, stratum
        As of :class:`acestimator.audit.decisions.Decision`.
    name : str
        What a person finds it by: its id, "line 17" of a file, or an image's path.
    given : int or None
        Position of its label in the classes; None if it has none.
    suggested : int
        Of the label that is suggested; the given one, if that is likelier right.
    probability : float
        That the given label is wrong, 0 to 1; of a row without a label, that the suggested one is.
    likeliest : tuple of int
        Labels of the keys 1 to 9: the one that may be right instead, the given one, others by falling probability.
    cells : tuple of (str, str, bool)
        Column, value, and whether the value departs from what the given class has; those that matter most first.
    text : tuple of (str, int)
        Pieces of a text, one after the other, and what they speak for: 1 for the suggested label, -1 for the given one,
        0 for neither.
    image, large : str
        ``data:`` addresses of a thumbnail and of a copy of at most 256 pixels; "" if the row is no image.
    """

    row: int
    id: str | None
    digest: str
    name: str
    given: int | None
    suggested: int
    probability: float
    likeliest: tuple[int, ...]
    group: str = "suspect"
    stratum: int | None = None
    cells: tuple[tuple[str, str, bool], ...] = ()
    text: tuple[tuple[str, int], ...] = ()
    image: str = ""
    large: str = ""


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Parameters
    ----------
    source : SourceInfo
    classes : tuple of str
        The K labels.
    items : tuple of Item
        In the order in which they are shown.
    strata : tuple of Stratum
        Of the rows that were drawn at random.
    confusions : tuple of (int, int, int)
        Given and suggested label of all suspects, and how many there are; most first.
    summary : tuple of str
        Sentences above the items: how many labels are probably wrong, between which bounds.
    decided : tuple of Decision
        Made before, of other rows: the page saves them with its own.
    """

    source: SourceInfo
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    strata: tuple[Stratum, ...] = ()
    confusions: tuple[tuple[int, int, int], ...] = ()
    summary: tuple[str, ...] = ()
    decided: tuple[Decision, ...] = ()
