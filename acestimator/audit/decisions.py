"""What a reviewer decided: the file ``decisions.json``, read and written by the page and by the commands.

A file of decisions says which source it is about, and of each row that was decided which label it had and what it held.
So it can be refused for another file, and say which rows differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acestimator.audit.entries import Entries

FORMAT = "acestimator decisions"
VERSION = 1
CHOICES = ("keep", "relabel", "drop", "unsure")
GROUPS = ("suspect", "random")
KINDS = ("table", "arrays", "images")

_FINGERPRINT = re.compile("sha256:[0-9a-f]{64}")
_DIGEST = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class SourceInfo:
    """Which rows decisions are about.

    Parameters
    ----------
    name : str
        Of the file or folder, without the folders above it.
    kind : {"table", "arrays", "images"}
    fingerprint : str
        Of all that it holds, labels too: "sha256:" and 64 hexadecimal digits.
    label : str
        Column of the labels; "" of a folder of class folders.
    id : str or None
        Column that names the rows; None if they are known by their position.
    n_rows : int
    """

    name: str
    kind: str
    fingerprint: str
    label: str
    id: str | None
    n_rows: int


@dataclass(frozen=True)
class Decision:
    """What was decided of one row.

    Parameters
    ----------
    row : int
        Position in the source, from 0.
    id : str or None
        Its name in the id column; the path of an image, relative to the folder.
    digest : str
        Of the row without its label: see :func:`row_digest`.
    given : str or None
        Its label in the source, as text; None if it has none.
    decision : {"keep", "relabel", "drop", "unsure"}
    label : str or None
        The new one; None unless ``decision`` is "relabel".
    group : {"suspect", "random"}
        Why it was shown: for its suspicion, or drawn at random.
    stratum : int or None
        In which the row was when some were drawn, whether or not it was; None of rows that were in none: those without
        a label, and those that had been decided before.
    """

    row: int
    id: str | None
    digest: str
    given: str | None
    decision: str
    label: str | None = None
    group: str = "suspect"
    stratum: int | None = None


@dataclass(frozen=True)
class Stratum:
    """Rows of which some were drawn at random, by the probability that their label is wrong.

    Parameters
    ----------
    above, upto : float
        Bounds of that probability: above < p <= upto, and from 0 on for the first.
    n_rows, n_drawn : int
    """

    above: float
    upto: float
    n_rows: int
    n_drawn: int


@dataclass(frozen=True)
class Decisions:
    """All of a file.

    Parameters
    ----------
    source : SourceInfo
    classes : tuple of str
        Labels of the source, and those that the reviewer added.
    decisions : tuple of Decision
        At most one a row.
    strata : tuple of Stratum
        Of the random draw.
    """

    source: SourceInfo
    classes: tuple[str, ...]
    decisions: tuple[Decision, ...]
    strata: tuple[Stratum, ...] = field(default=())

    def to_json(self) -> str:
        """Text of the file."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def row_digest(parts: Iterable[bytes]) -> str:
    """16 hexadecimal digits of what a row holds, its label left out: its cells' texts, or the bytes of its image."""
    # With its length before each part, ("ab", "c") is not ("a", "bc")
    return hashlib.blake2b(
        b"".join([len(part).to_bytes(8, "little") + part for part in parts]), digest_size=8
    ).hexdigest()


def load_decisions(path: str | Path) -> Decisions:
    """Read and check a file of decisions.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is none, or holds something impossible: what, and where.
    """
    path = Path(path)
    if not path.is_file():
        what = "a folder, by whose suggestions --all-suggested goes" if path.is_dir() else "no file"
        raise FileNotFoundError(f"{path} is {what}, expected decisions: save them from review.html.")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of the encoding, the syntax, or the depth
        raise ValueError(f"{path} is no file of decisions ({error}): save one from review.html.") from error
    return parse_decisions(content, str(path))


def parse_decisions(content: Any, where: str) -> Decisions:
    """Decisions by what a file holds. Entries that it does not know are passed over.

    Parameters
    ----------
    content : object
        As :func:`json.loads` returns it.
    where : str
        Of the content, for errors.

    Raises
    ------
    ValueError
        As :func:`load_decisions`.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f'{where} is no file of decisions (it has no "format": {FORMAT!r}): save one from review.html.'
        )
    if content.get("version") != VERSION:
        raise ValueError(
            f"{where} has version {content.get('version')!r} of the format, expected {VERSION}: another release of "
            "acestimator wrote it; install that, or save the decisions again from a page of this one."
        )
    source = parse_source(content.get("source"), f"{where}, source")
    strata = tuple(
        _stratum(Entries(one, f"{where}, stratum {i}")) for i, one in enumerate(Entries(content, where).list("strata"))
    )
    classes = Entries(content, where).list("classes")
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise ValueError(f"{where} has classes {classes[:20]!r}, expected texts, each of them once.")
    decisions = []
    for i, one in enumerate(Entries(content, where).list("decisions")):
        decisions.append(_decision(Entries(one, f"{where}, decision {i}"), source, len(strata)))
    rows = Counter(decision.row for decision in decisions)
    if twice := [row for row, count in rows.items() if count > 1]:
        raise ValueError(
            f"{where} decides {len(twice)} rows more than once, the first is row {twice[0]}: decide each once."
        )
    return Decisions(source, tuple(classes), tuple(decisions), strata)


def parse_source(content: Any, where: str) -> SourceInfo:
    """What a file says of the source that it is about; raises ValueError as :func:`parse_decisions`."""
    entries = Entries(content, where)
    fingerprint = entries.text("fingerprint")
    entries.expect("fingerprint", _FINGERPRINT.fullmatch(fingerprint), '"sha256:" and 64 hexadecimal digits')
    kind = entries.text("kind")
    entries.expect("kind", kind in KINDS, f"one of {', '.join(KINDS)}")
    texts = (entries.text("name"), kind, fingerprint, entries.text("label"))
    return SourceInfo(*texts, entries.text_or_none("id"), entries.count("n_rows"))


def _stratum(entries: Entries) -> Stratum:
    above, upto = entries.share("above"), entries.share("upto")
    entries.expect("upto", above < upto, f"more than above, {above}")
    n_rows, n_drawn = entries.count("n_rows"), entries.count("n_drawn")
    entries.expect("n_drawn", n_drawn <= n_rows, f"at most n_rows, {n_rows}")
    return Stratum(above, upto, n_rows, n_drawn)


def _decision(entries: Entries, source: SourceInfo, n_strata: int) -> Decision:
    row, digest, decision = entries.count("row"), entries.text("digest"), entries.text("decision")
    entries.expect("row", row < source.n_rows, f"a position below the {source.n_rows} of the rows")
    entries.expect("digest", _DIGEST.fullmatch(digest), "16 hexadecimal digits")
    entries.expect("decision", decision in CHOICES, f"one of {', '.join(CHOICES)}")
    label = entries.text_or_none("label")
    if decision == "relabel":
        entries.expect("label", label is not None and label.strip(), "the new label, since the decision is to relabel")
    else:
        entries.expect("label", label is None, f"null, since the decision is {decision}")
    group = entries.text("group")
    entries.expect("group", group in GROUPS, f"one of {', '.join(GROUPS)}")
    stratum = None if entries.get("stratum") is None else entries.count("stratum")
    is_one = stratum is not None and stratum < n_strata
    entries.expect("stratum", is_one or (stratum is None and group != "random"), f"one of the {n_strata} strata")
    id, given = entries.text_or_none("id"), entries.text_or_none("given")
    return Decision(row, id, digest, given, decision, label, group, stratum)
