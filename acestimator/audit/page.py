"""``review.html``: one file that shows the rows in question, takes decisions and saves them, without server or network.

All that it shows stands in one block of JSON, which is never run, and is put on the page as text. The page's policy of
content (CSP) names the hashes of its one script and its one style, so a browser runs nothing else.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acestimator.audit.decisions import CHOICES, FORMAT, VERSION
from acestimator.audit.items import Item, Page

if TYPE_CHECKING:
    from jinja2 import Template

MAX_BYTES = 40_000_000

_FOLDER = Path(__file__).parent / "templates"
# What could end the block, or is no text of UTF-8: halves of surrogate pairs, as names of files hold.
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_LEFT_OUT = (
    "So that this page stays below {limit}, {n} of its pictures cannot be enlarged: those of the least likely errors."
)
_SPARE = 1_000  # bytes for that sentence


def render(page: Page, *, limit: int = MAX_BYTES) -> str:
    """Text of the page, to be written as UTF-8.

    Parameters
    ----------
    page : Page
        Its items in the order in which they are shown.
    limit : int, default=40,000,000
        Bytes at most. Where it is exceeded, large copies of images are left out from the end of the order on, until it
        is met; a sentence of the summary says how many.

    Returns
    -------
    str

    Raises
    ------
    ImportError
        If jinja2 is not installed.
    ValueError
        If an item has an impossible label, probability or image, if two are of one row, or if the page is too large
        without any large copy.
    """
    _check(page)
    text = _fill(page)
    if (size := _n_bytes(text)) <= limit:
        return text
    text = _fill(_without_large(page, size - limit, limit))
    if (size := _n_bytes(text)) > limit:
        raise ValueError(
            f"The page has {_megabytes(size)} without any enlarged picture, at most {_megabytes(limit)} are allowed: "
            "show fewer rows (--top), or smaller thumbnails."
        )
    return text


def policy(script: str, style: str) -> str:
    """Content security policy under which this one script and this one style work, images of ``data:``, and no more."""
    return (
        f"default-src 'none'; img-src data:; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def embed(content: Any) -> str:
    """JSON that may stand in a ``<script>`` element, whatever its strings hold, and in a file of UTF-8.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _fill(page: Page) -> str:
    template = _template()
    from markupsafe import Markup  # jinja2 brings it

    script, style = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("review.js", "review.css"))
    content = {"format": FORMAT, "version": VERSION, "choices": CHOICES, "page": asdict(page)}
    return template.render(
        policy=Markup(policy(script, style)),
        style=Markup(style),
        script=Markup(script),
        data=Markup(embed(content)),
    )


def _template() -> Template:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ImportError("review.html is made with jinja2: pip install acestimator[audit]") from error
    loader = FileSystemLoader(_FOLDER)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("review.html.j2")


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _n_bytes(text: str) -> int:
    return len(text.encode())


def _megabytes(n: int) -> str:
    return f"{n / 1e6:.3g} MB"


def _without_large(page: Page, excess: int, limit: int) -> Page:
    """The page without as many large copies as it is too large by.

    They go from the end of the order on, not by probability: otherwise a row that was drawn at random would be known by
    its lack of a copy.
    """
    items, excess, n = list(page.items), excess + _SPARE, 0
    for i in reversed(range(len(items))):
        if excess <= 0:
            break
        if items[i].large:
            excess -= len(items[i].large)
            items[i] = replace(items[i], large="")
            n += 1
    note = _LEFT_OUT.format(limit=_megabytes(limit), n=n)
    return replace(page, items=tuple(items), summary=(*page.summary, note))


def _check(page: Page) -> None:
    seen: set[int] = set()
    for item in page.items:
        if problem := _problem(item, len(page.classes)):
            raise ValueError(f"Row {item.row} cannot be shown: {problem}.")
        if item.row in seen:
            raise ValueError(f"Row {item.row} is there twice, expected each row once: decisions are kept by row.")
        seen.add(item.row)
    if again := [decision.row for decision in page.decided if decision.row in seen]:
        raise ValueError(f"Row {again[0]} is shown and was decided before, expected one of the two.")


def _problem(item: Item, n_classes: int) -> str:
    """What is impossible about an item; "" if nothing is."""
    labels = [item.suggested, *item.likeliest, *([] if item.given is None else [item.given])]
    if wrong := [label for label in labels if not 0 <= label < n_classes]:
        return f"a label is {wrong[0]}, expected 0 to {n_classes - 1}"
    if not 0 <= item.probability <= 1:  # NaN, too
        return f"its probability is {item.probability}, expected 0 to 1"
    for address in (item.image, item.large):
        if address and not address.startswith("data:image/"):
            return f"its image is {address[:30]!r}, expected an address that begins with 'data:image/'"
    return ""
