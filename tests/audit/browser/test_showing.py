"""What is on the page: filters, confusions, pictures, long and hostile texts, a phone's width."""

import base64
import io
import json
import random
import re

import pytest
from pages import HOSTILE, contrast, drawn_of, hostile_page, item_of, page_of
from PIL import Image

pytestmark = pytest.mark.browser


def png(width, height=None):
    """Address of a grey picture."""
    file = io.BytesIO()
    Image.new("L", (width, height or width), 128).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def mixed(n=60):
    """Rows of all pairs and probabilities, likeliest errors first, some drawn at random."""
    draw = random.Random(0)
    items = []
    for i in range(n):
        given, suggested = draw.sample(range(3), 2)
        likeliest = (suggested, given, 3 - given - suggested)
        probability = 1 - i / n
        items.append(item_of(i, given=given, suggested=suggested, probability=probability, likeliest=likeliest))
    items[10] = drawn_of(10, given=0, likeliest=(0, 2, 1))
    items[11] = item_of(11, given=None, probability=items[11].probability)
    return page_of(items)


# ---------------------------------------------------------------- filters


def test_filters_show_the_rows_that_pass_them_all(review):
    page = mixed()
    review.open(page)

    def shown():
        names = review.names()
        while review.find("[data-do=after]").is_enabled():
            review.click("[data-do=after]")
            names += review.names()
        return names

    def expected(passes):
        return [item.name for item in page.items if passes(item)]

    assert shown() == expected(lambda item: True)
    review.select("class", "dog")
    assert shown() == expected(lambda item: item.row != 10 and 1 in (item.given, item.suggested))
    review.select("chance", "50 to 80")
    assert shown() == expected(lambda item: 1 in (item.given, item.suggested) and 0.5 <= item.probability < 0.8)
    review.select("class", "any")
    review.select("chance", "80 to 95")  # the row drawn at random is among them: it cannot be told apart
    assert shown() == expected(lambda item: 0.8 <= item.probability < 0.95 or item.row == 10)
    review.select("chance", "95 %")
    assert shown() == expected(lambda item: item.probability >= 0.95)
    review.select("chance", "under")
    assert shown() == expected(lambda item: item.probability < 0.5 and item.row != 10)


def test_pairs_are_listed_with_their_numbers(review):
    page = mixed()
    review.open(page)
    labels = [*page.classes, "(no label)"]
    for entry in review.entries("pair")[1:]:
        pair, n = entry.removesuffix(")").rsplit(" (", 1)
        given, other = (labels.index(label) for label in pair.split(" → "))
        rows = [
            item
            for item in page.items
            if (3 if item.given is None else item.given, 2 if item.row == 10 else item.suggested) == (given, other)
        ]
        assert len(rows) == int(n)
    assert sum(int(entry.removesuffix(")").rsplit(" (", 1)[1]) for entry in review.entries("pair")[1:]) == 60


def test_filter_by_decision_and_rows_that_stay_until_it_is_set_again(review):
    review.open(page_of([item_of(i) for i in range(6)]))
    review.press("k", "t", "d", "u")
    for status, names in (
        ("undecided", ["line 6", "line 7"]),
        ("decided", ["line 2", "line 3", "line 4", "line 5"]),
        *zip(("kept", "changed", "dropped", "unsure"), (["line 2"], ["line 3"], ["line 4"], ["line 5"]), strict=True),
    ):
        review.select("status", status)
        assert review.names() == names
    review.select("status", "undecided")
    review.do("document.activeElement.blur()")
    review.press("k")
    assert review.names() == ["line 6", "line 7"]
    review.select("status", "undecided")
    assert review.names() == ["line 7"]


def test_filters_that_nothing_passes_say_so_and_are_cleared(review):
    review.open(page_of([item_of(0)]))
    review.select("status", "dropped")
    assert review.names() == []
    assert not review.is_hidden("#empty")
    review.press("k", "t", "1", "a", "l", "o", "b", "n", "z")
    assert review.decisions() == {}
    review.click("#empty button")
    assert review.names() == ["line 2"]
    assert review.current() == "line 2"


def test_page_of_no_rows_opens(review):
    review.open(page_of([], summary=("No label is probably wrong.",)))
    assert review.text("#summary") == "No label is probably wrong."
    assert review.text("#count") == "0 of 0 decided"
    review.press("k", "n", "a")
    assert review.decisions() == {}


# ---------------------------------------------------------------- confusions


def test_numbers_of_the_confusions_show_their_rows(review):
    page = mixed()
    review.open(page)
    cells = review.do(
        "return [...document.querySelectorAll('#matrix button')].map((node) => [node.dataset.pair, +node.textContent])"
    )
    assert sorted(cells) == sorted([f"{a},{b}", n] for a, b, n in page.confusions)
    pair = f"{page.confusions[0][0]},{page.confusions[0][1]}"
    selector = f"#matrix [data-pair='{pair}']"
    review.click(selector)
    assert review.find(selector).get_attribute("aria-pressed") == "true"
    assert {review.text(f".card:nth-child({i + 1}) .keep b") for i in range(len(review.names()))} == {
        page.classes[page.confusions[0][0]]
    }
    assert review.text("#where").startswith(f"1 of {page.confusions[0][2]} ")
    review.click(selector)
    assert review.text("#where").startswith("1 of 60 ")


def test_confusions_of_rows_that_are_not_on_this_page_cannot_be_pressed(review):
    review.open(page_of([item_of(0)], confusions=((0, 1, 5), (2, 0, 900))))
    assert not review.find("#matrix [data-pair='2,0']").is_enabled()
    assert review.find("#matrix [data-pair='0,1']").is_enabled()


def test_of_many_classes_the_ten_with_most_are_shown(review):
    classes = tuple(f"c{k}" for k in range(40))
    confusions = tuple((k, (k + 1) % 40, 40 - k) for k in range(40))
    review.open(page_of([item_of(0)], classes=classes, confusions=confusions))
    heads = review.do("return [...document.querySelectorAll('#matrix th[scope=row]')].map((node) => node.textContent)")
    assert len(heads) == 10
    assert heads == [f"c{k}" for k in range(1, 11)]  # c0 has 40 and 1, c1 has 40 and 39


# ---------------------------------------------------------------- pictures


def test_pictures_are_thumbnails_and_open_large(review):
    large = [png(200, 100), ""]
    items = [item_of(i, name=f"cat/{i}.png", cells=(), image=png(30 + i), large=large[i]) for i in range(2)]
    review.open(page_of(items, kind="images", label=""))
    assert review.do("return document.body.className") == "pictures"
    assert review.do("return [...document.querySelectorAll('.card img')].map((image) => image.naturalWidth)") == [
        30,
        31,
    ]
    review.click(".card:nth-child(1) .thumbnail")
    assert review.do("return document.querySelector('#picture img').naturalWidth") == 200
    assert review.text("#picture p") == "cat/0.png"
    review.press("k", "ESCAPE", "n", "o")
    review.wait("return document.querySelector('#picture img').naturalWidth === 31")  # there is no larger one
    review.click("#picture button")
    assert review.is_hidden("#picture")
    assert review.decisions() == {}
    assert review.current() == "cat/1.png"


# ---------------------------------------------------------------- texts


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(review):
    page = hostile_page()
    review.open(page)
    assert review.driver.title == f"Review labels: {HOSTILE[0]}"
    assert review.text("#title") == HOSTILE[0]
    every = "return [...document.querySelectorAll('main *, aside *, #dock *')].map((node) => node.localName)"
    assert not set(review.do(every)) & {"script", "img", "iframe", "object", "a"}
    assert review.do("return document.scripts.length") == 1
    for i, item in enumerate(page.items[:13], start=1):
        card = f".card:nth-child({i})"
        for button in review.driver.find_elements("css selector", f"{card} .more[aria-expanded=false]"):
            review.do("arguments[0].click()", button)
        script = """const texts = (selector) => [...document.querySelector(arguments[0]).querySelectorAll(selector)]
            .map((node) => node.textContent);
            return JSON.stringify([texts('.name'), texts('.cells dt'), texts('.cells dd > span:first-child')])"""
        name, columns, values = json.loads(review.do(script, card))  # as JSON: halves of characters get through
        assert name == [item.name]
        assert [c for c in columns if len(c) <= 60] == [column for column, _, _ in item.cells if len(column) <= 60]
        opened = [
            value for _, value, _ in item.cells
        ]  # of those behind "show all columns", the long ones are cut again
        assert [v for v in values if len(v) <= 200] == [value for value in opened if len(value) <= 200]
        assert len(values) == 15


def test_long_texts_are_cut_and_shown_whole_on_request(review):
    long, emoji = "word " * 2000, "😀" * 10_000
    item = item_of(0, name=long, cells=(("a", emoji, False), ("b", "😀" * 150, False)), text=((long, 1), (" end", 0)))
    review.open(page_of([item]))
    assert review.text(".card .name") == long[:120] + "…"
    assert review.text(".cells dd > span") == "😀" * 200 + "…"
    assert review.text(".cells > div:nth-child(2) dd") == "😀" * 150  # 300 units, but no more than 200 characters
    assert review.text(".card p.text") == long[:800] + "…"
    buttons = review.driver.find_elements("css selector", ".card .more")
    assert [button.text for button in buttons] == [f"show all {n} characters" for n in ("10,000", "10,004", "10,000")]
    for button in buttons:
        review.do("arguments[0].click()", button)
    assert review.text(".card .name") == long
    assert review.text(".cells dd > span") == emoji
    assert review.text(".card p.text") == long + " end"
    assert review.text(".card p.text mark.for") == long
    review.do("arguments[0].click()", buttons[0])
    assert review.text(".card .name") == long[:120] + "…"


def test_columns_beyond_twelve_are_shown_on_request(review):
    cells = tuple((f"column {i}", str(i), i == 0) for i in range(30))
    review.open(page_of([item_of(0, cells=cells)]))
    count = "return document.querySelectorAll('.cells > div').length"
    assert review.do(count) == 12
    review.click(".card .more")
    assert review.do(count) == 30
    assert review.do("return document.querySelectorAll('.cells .departs').length") == 1
    assert "unusual" in review.text(".cells .departs")


def test_words_are_marked_for_what_they_speak(review):
    review.open(page_of([item_of(0, cells=(), text=(("It ", 0), ("barks", 1), (" and ", 0), ("purrs", -1), (".", 0)))]))
    assert review.text("p.text") == "It barks and purrs."
    assert review.text("mark.for") == "the suggestion"  # of the legend
    assert review.text("p.text mark.for") == "barks"
    assert review.text("p.text mark.against") == "purrs"


def test_texts_run_their_own_way(review):
    review.open(page_of([item_of(0, name="שלום", cells=(("گ", "مرحبا", False), ("b", "left", False)))]))
    way = "return [...document.querySelectorAll(arguments[0])].map((node) => getComputedStyle(node).direction)"
    assert review.do(way, ".card .name") == ["rtl"]
    assert review.do(way, ".cells dd > span") == ["rtl", "ltr"]


# ---------------------------------------------------------------- windows, wide and narrow


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("kind", ["table", "text", "images", "hostile"])
def test_nothing_sticks_out_of_the_window(review, width, kind):
    review.size(width=width, height=844, deviceScaleFactor=1, mobile=width < 500)
    words = tuple((f"{'long' * (i % 12)}word ", i % 3 - 1) for i in range(60))
    fields = {
        "table": {"cells": tuple((f"a_column_with_a_name_{i}", "v" * 20 * i, i % 2 == 0) for i in range(12))},
        "text": {"cells": (), "text": words},
        "images": {"cells": (), "image": png(128, 40), "large": png(256, 80)},
    }
    classes = [f"a class with a long name, {k}" for k in range(12)]
    page = page_of([item_of(i, **fields.get(kind, {})) for i in range(30)], classes=classes, summary=("So it is.",) * 4)
    review.open(hostile_page() if kind == "hostile" else page)
    review.do("document.querySelector('#find').open = true")
    review.press("k", "t", "d")
    widths = review.do("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1] == width
    review.press("l")
    box = review.do(
        "const box = document.querySelector('#other').getBoundingClientRect(); return [box.left, box.right]"
    )
    assert 0 <= box[0] < box[1] <= width


def test_current_row_is_in_sight_between_the_bars(review):
    review.size(width=390, height=844, deviceScaleFactor=1, mobile=True)
    review.open(page_of([item_of(i) for i in range(30)]))
    for _ in range(6):
        review.press("k")
        top, bottom, above, below = review.do(
            """const box = (selector) => document.querySelector(selector).getBoundingClientRect();
            const card = box('.card[aria-current=true]');
            return [card.top, card.bottom, box('#bar').bottom, box('#dock').top]"""
        )
        assert above <= top < bottom <= below


@pytest.mark.parametrize("width", [360, 390])
def test_fingers_have_room_on_one_line(review, width):
    """44 pixels of what is pressed most, and the rest is left to the rows."""
    review.size(width=width, height=844, deviceScaleFactor=1, mobile=True)
    review.open(page_of([item_of(i) for i in range(3)]))
    sizes = review.do(
        """return [...document.querySelectorAll('#acts button')].map((node) => node.getBoundingClientRect())
            .map((box) => [box.width, box.height, box.top])"""
    )
    assert len(sizes) == 7
    assert min(min(size[:2]) for size in sizes) >= 44
    assert len({top for _, _, top in sizes}) == 1


def test_buttons_of_a_narrow_window_hold_their_words(review):
    review.size(width=390, height=844, deviceScaleFactor=1, mobile=False)
    review.open(page_of([item_of(0)]))
    wide = "return [...document.querySelectorAll('#acts button')].filter((b) => b.scrollWidth > b.clientWidth).length"
    assert review.do(wide) == 0


def test_a_phone_held_sideways_shows_more_than_its_bars(review):
    review.size(width=640, height=360, deviceScaleFactor=1, mobile=True)
    review.open(page_of([item_of(i) for i in range(30)])).press("k", "k", "k")
    top, bottom, dock = review.do(
        """const box = (selector) => document.querySelector(selector).getBoundingClientRect();
        const card = box('.card[aria-current=true]'); return [card.top, card.bottom, box('#dock').top]"""
    )
    assert 0 <= top < bottom <= dock
    assert review.do("return document.querySelector('#bar').getBoundingClientRect().bottom") < top
    assert dock > 0.6 * 360


@pytest.mark.parametrize("width", [360, 1280])
def test_long_labels_and_files_are_told_apart(review, width):
    """They may differ in their last characters alone."""
    review.size(width=width, height=844, deviceScaleFactor=1, mobile=width < 500)
    classes = [f"n02098105_soft-coated wheaten terrier, of variety {k}" for k in range(3)]
    file = "n02098105_soft-coated wheaten terrier/IMG_20190304_0506"
    items = [item_of(i, name=f"{file}{i}.jpeg", cells=(), image=png(96)) for i in range(2)]
    review.open(page_of(items, classes=classes, kind="images", label=""))
    texts = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
    assert len(set(review.do(texts, "#labels span"))) == 3
    assert len(set(review.do(texts, "#matrix th[scope=row]"))) == 2
    assert review.entries("class")[1:] == [f"n02098105_soft-coate…errier, of variety {k}" for k in range(2)]
    assert review.text("#where").endswith("IMG_20190304_05060.jpeg\u2069")
    hidden = """return [...document.querySelectorAll('.tile b, .card .head, .card .name, #matrix th span')]
        .filter((node) => node.scrollHeight > node.clientHeight + 1 && node.clientHeight ||
            node.scrollWidth > node.clientWidth && node.clientWidth).length"""
    assert review.do(hidden) == 0
    assert review.text(".tile.take b") == classes[1]


def test_long_cells_have_lines_of_their_own(review):
    review.open(page_of([item_of(0, cells=(("a", "1", False), ("b", "word " * 30, True), ("c", "2", False)))]))
    boxes = review.do(
        """return [...document.querySelectorAll('.cells, .cells > div')].map((node) => node.getBoundingClientRect())
            .map((box) => [box.width, box.height])"""
    )
    (whole, _), *cells = boxes
    assert cells[1][0] > 0.9 * whole > 2 * cells[0][0]
    assert cells[1][1] < 5 * cells[0][1]


def test_screen_readers_are_told_what_a_row_is_about(review):
    review.open(page_of([item_of(0), item_of(1, given=None)])).press("k", "b")
    assert review.do("return document.activeElement.ariaLabel").replace("\u2068", "").replace("\u2069", "") == (
        "line 2, label now: cat, suggested: dog, Kept, probably wrong: 90\xa0%"
    )
    review.press("n")
    assert "label now: (no label)" in review.do("return document.activeElement.ariaLabel")


MATRIX = "return getComputedStyle(document.querySelector('#matrix button'))[arguments[0]]"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system(review, scheme):
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    review.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        review.open(page_of([item_of(0)]))
        red = int(review.do("return getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
        moves = review.do("return getComputedStyle(document.querySelector('.card')).transitionDuration")
        ground, ink = (
            [float(part) for part in re.findall(r"[\d.]+", review.do(MATRIX, name))][:3]
            for name in ("backgroundColor", "color")
        )
    finally:
        review.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (red < 60) == (scheme == "dark")
    assert contrast(ground, [part / 255 for part in ink]) >= 4.5  # of the largest number of the confusions
    assert moves == "0s"


def test_policy_lets_nothing_else_run_or_load(review):
    review.open(page_of([item_of(0)]))
    review.do(
        """for (const [tag, more] of arguments[0])
            document.body.append(Object.assign(document.createElement(tag), more));
        document.body.setAttribute("onclick", "document.title = 'taken'");
        document.body.click();""",
        [
            ["script", {"textContent": "document.title = 'taken'"}],
            ["style", {"textContent": "body { display: none }"}],
            ["img", {"src": "blank.html"}],
            ["iframe", {"src": "blank.html"}],
        ],
    )
    assert review.driver.title == "Review labels: pets.csv"
    assert not review.is_hidden("body")
    review.wait("return document.querySelector('img[src]').complete")
    messages = review.messages()
    for rule in ("script-src", "style-src", "img-src", "default-src"):
        assert any(f"{rule} " in message for message in messages), rule
