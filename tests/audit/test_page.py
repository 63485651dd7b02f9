"""review.html, without a browser: what it holds, what it may load, and how large it gets."""

import json
import re
import sys
from base64 import b64encode
from dataclasses import asdict, replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import HOSTILE, contrast, drawn_of, hostile_page, item_of, page_of

from acestimator.audit import page as module
from acestimator.audit.decisions import Decision, SourceInfo, Stratum
from acestimator.audit.items import Item, Page
from acestimator.audit.page import MAX_BYTES, embed, render

TEMPLATES = Path(module.__file__).parent / "templates"
PICTURE = "data:image/png;base64,"


class Parts(HTMLParser):
    """Elements of a page, and what its scripts and styles hold."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.texts.append((tag, dict(attrs).get("type"), ""))

    def handle_data(self, data):
        if self.cdata_elem:
            tag, kind, text = self.texts[-1]
            self.texts[-1] = tag, kind, text + data

    def text(self, tag, kind=None):
        (found,) = [text for a, b, text in self.texts if (a, b) == (tag, kind)]
        return found


def embedded(text):
    return json.loads(Parts(text).text("script", "application/json"))


def as_json(page):
    """The page as JSON has it: tuples are lists."""
    return json.loads(json.dumps(asdict(page)))


# ---------------------------------------------------------------- what was put in comes out


# Halves of pairs, too; but two of them that make a whole one are that one, in JSON.
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=())).filter(
        lambda text: text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    ),
    st.lists(st.sampled_from(["</", "script", ">", "<!--", "]]>", "&lt;", "\u2028", "\\", '"', "'"])).map("".join),
)
probabilities = st.floats(0, 1)


@st.composite
def pages(draw):
    classes = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    label = st.integers(0, len(classes) - 1)
    items = st.builds(
        Item,
        row=st.integers(0, 10**9),
        id=st.none() | texts,
        digest=texts,
        name=texts,
        given=st.none() | label,
        suggested=label,
        probability=probabilities,
        likeliest=st.lists(label, max_size=9).map(tuple),
        group=st.sampled_from(["suspect", "random"]),
        stratum=st.none() | st.integers(0, 3),
        cells=st.lists(st.tuples(texts, texts, st.booleans()), max_size=3).map(tuple),
        text=st.lists(st.tuples(texts, st.sampled_from([-1, 0, 1])), max_size=3).map(tuple),
        image=texts.map(lambda text: f"data:image/{text}"),
    )
    source = st.builds(SourceInfo, texts, st.just("table"), texts, texts, st.none() | texts, st.integers(0, 10**9))
    strata = st.builds(Stratum, probabilities, probabilities, st.integers(0), st.integers(0))
    return Page(
        source=draw(source),
        classes=tuple(classes),
        items=tuple(draw(st.lists(items, max_size=3, unique_by=lambda item: item.row))),
        strata=tuple(draw(st.lists(strata, max_size=2))),
        confusions=tuple(draw(st.lists(st.tuples(label, label, st.integers(1)), max_size=2))),
        summary=tuple(draw(st.lists(texts, max_size=2))),
    )


@given(pages())
def test_embedded_data_are_what_was_put_in(page):
    text = render(page).encode("utf-8").decode("utf-8")
    assert embedded(text)["page"] == as_json(page)


@given(pages())
@settings(max_examples=20)
def test_data_change_nothing_around_them(page):
    """Neither elements nor the policy: all pages are one but for their data."""
    empty = Page(SourceInfo("", "table", "", "", None, 0), ("a",), ())
    assert Parts(render(page)).tags == Parts(render(empty)).tags


def test_hostile_page_is_embedded_too():
    assert embedded(render(hostile_page()))["page"] == as_json(hostile_page())


@given(st.recursive(texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)))
def test_embedding_holds_no_character_that_could_end_the_block(content):
    text = embed(content)
    assert not set(text) & {"<", ">", "&", "\u2028", "\u2029"}
    assert json.loads(text) == content
    text.encode("utf-8")


# ---------------------------------------------------------------- what it may load and run


@pytest.fixture(scope="module")
def parts():
    return Parts(render(hostile_page()))


def test_policy_names_the_hash_of_the_one_script_and_the_one_style(parts):
    (content,) = [a["content"] for _, a in parts.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in content.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("img-src") == "data:"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        digest = b64encode(sha256(parts.text(tag).encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert set(rules.values()) == {"'none'"}


def test_policy_comes_before_what_it_rules(parts):
    names = [tag for tag, _ in parts.tags]
    first = next(i for i, (_, a) in enumerate(parts.tags) if a.get("http-equiv") == "Content-Security-Policy")
    assert first < min(names.index(tag) for tag in ("script", "style", "link"))
    assert next(a.get("charset") for tag, a in parts.tags if tag == "meta") == "utf-8"


def test_nothing_is_loaded_and_nothing_runs_from_attributes(parts):
    for tag, attributes in parts.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset", "action")]
        assert attributes.get("src") is None
        assert attributes.get("href") in (None, "data:,"), tag
    text = render(page_of([item_of(0)]))
    assert not re.search(r"https?:|url\(|@import|[\"'(]//", text)


def test_script_makes_no_markup_of_text_and_is_short():
    script = (TEMPLATES / "review.js").read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", script
    )
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(|sendBeacon", script)
    assert len(script.splitlines()) < 600
    assert "<!--" not in script
    assert "</script" not in script


def test_page_says_its_language_and_names_its_controls(parts):
    assert ("html", {"lang": "en"}) in parts.tags
    assert all(a.get("type") for tag, a in parts.tags if tag in ("button", "input"))
    assert all(a.get("aria-label") for tag, a in parts.tags if tag == "dialog")


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize(
    ("ink", "grounds"),
    [
        ("ink", ["ground", "card", "soft", "given-ground", "other-ground"]),
        ("quiet", ["ground", "card", "soft", "given-ground", "other-ground"]),
        ("given", ["card", "given-ground", "soft"]),
        ("other", ["card", "other-ground", "soft"]),
        ("on-main", ["focus"]),
    ],
)
def test_text_stands_out_from_its_ground(is_dark, ink, grounds):
    """A contrast of 4.5 at least, WCAG 2's for text."""
    light, dark = (TEMPLATES / "review.css").read_text(encoding="utf-8").split("prefers-color-scheme: dark", 1)
    found = re.findall(r"--([\w-]+): #(\w{6});", dark if is_dark else light)
    colours = {name: [part / 255 for part in bytes.fromhex(digits)] for name, digits in found}
    for ground in grounds:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


# ---------------------------------------------------------------- how large it gets


def with_pictures(n, large=20_000):
    items = [item_of(i, image=PICTURE + "A" * 100, large=PICTURE + "A" * large) for i in range(n)]
    return page_of([*items[:2], drawn_of(n, image=PICTURE, large=PICTURE + "A" * large), *items[2:]])


def n_bytes(page):
    return len(render(page).encode())


def test_page_within_the_limit_is_left_as_it_is():
    page = with_pictures(6)
    assert n_bytes(page) <= MAX_BYTES == 40_000_000
    assert embedded(render(page, limit=n_bytes(page)))["page"] == as_json(page)


@pytest.mark.parametrize("missing", [1, 20_000, 45_000, 100_000, 139_000])
def test_larger_page_loses_large_copies_from_the_end_of_the_order(missing):
    page = with_pictures(6)
    limit = n_bytes(page) - missing
    text = render(page, limit=limit)
    assert len(text.encode()) <= limit
    content = embedded(text)["page"]
    has_large = [bool(item["large"]) for item in content["items"]]
    n = has_large.count(False)
    assert n == -(-(missing + 1_000) // 20_022)  # as few as do: 20,022 bytes each, and 1,000 for the sentence
    assert has_large == [True] * (7 - n) + [False] * n
    assert all(item["image"] for item in content["items"])
    assert f" {n} of its pictures" in content["summary"][-1]


def test_bytes_are_counted_not_characters():
    page = page_of([item_of(0, cells=(("a", "😀" * 1000, False),))])
    plain = page_of([item_of(0, cells=(("a", "x" * 1000, False),))])
    assert n_bytes(page) - n_bytes(plain) == 3_000


def test_page_that_is_too_large_without_any_is_refused():
    with pytest.raises(ValueError, match=r"MB without any enlarged picture, at most 0.05 MB .*--top"):
        render(page_of([item_of(0, cells=(("a", "x" * 100_000, False),))]), limit=50_000)


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"given": 3}, "a label is 3, expected 0 to 2"),
        ({"suggested": -1}, "a label is -1, expected 0 to 2"),
        ({"likeliest": (0, 7)}, "a label is 7, expected 0 to 2"),
        ({"probability": float("nan")}, "its probability is nan, expected 0 to 1"),
        ({"probability": 1.5}, r"its probability is 1\.5, expected 0 to 1"),
        ({"image": "cat.png"}, "its image is 'cat.png', expected an address that begins with 'data:image/'"),
        ({"large": "data:text/html,x"}, "its image is 'data:text/html,x', expected"),
    ],
)
def test_impossible_items_are_named(fields, message):
    with pytest.raises(ValueError, match=rf"Row 5 cannot be shown: {message}"):
        render(page_of([item_of(4), replace(item_of(5), **fields)]))


def test_two_items_of_one_row_are_refused():
    with pytest.raises(ValueError, match="Row 4 is there twice"):
        render(page_of([item_of(4), item_of(4)]))


def test_without_jinja2_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install acestimator\[audit\]"):
        render(page_of([]))


def test_what_was_decided_before_is_on_the_page_and_its_rows_are_not():
    before = Decision(77, "x", "ab" * 8, "cat", "relabel", "llama")
    page = page_of([item_of(0)], decided=(before,))
    assert embedded(render(page))["page"]["decided"] == [asdict(before)]
    with pytest.raises(ValueError, match="Row 77 is shown and was decided before, expected one of the two"):
        render(replace(page, items=(item_of(77),)))
