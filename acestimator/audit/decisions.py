"""What a reviewer decided: the file ``decisions.json``, read and written by the page and by the commands.

A file of decisions says which source it is about, and of each row that was decided which label it had and what it held.
So it can be refused for another file, and say which rows differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = "acestimator decisions"
VERSION = 1
CHOICES = ("keep", "relabel", "drop", "unsure")


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
        Of the draw; None of suspects.
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
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))  # ("ab", "c") is not ("a", "bc")
        digest.update(part)
    return digest.hexdigest()


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
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no file of decisions ({error}): save one from review.html.") from error
    return parse_decisions(content, str(path))


def parse_decisions(content: Any, where: str) -> Decisions:
    """Decisions by what a file holds.

    Raises
    ------
    ValueError
        As :func:`load_decisions`.
    """
    raise NotImplementedError
