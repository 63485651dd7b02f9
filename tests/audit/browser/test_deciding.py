"""Keys, buttons, undo, and what rows drawn at random give away."""

import pytest
from pages import drawn_of, item_of, page_of

pytestmark = pytest.mark.browser

FIVE = page_of([item_of(i) for i in range(5)])


def test_keys_decide_and_go_on(review):
    review.open(FIVE)
    assert review.current() == "line 2"
    assert review.text("#count") == "0 of 5 decided"
    review.press("k", "t", "d", "u")
    assert review.current() == "line 6"
    assert review.decisions() == {0: ("keep", None), 1: ("relabel", "dog"), 2: ("drop", None), 3: ("unsure", None)}
    assert review.text("#count") == "4 of 5 decided"
    assert review.text("#detail") == "1 changed, 1 kept, 1 dropped, 1 unsure"
    assert [review.find(f".card:nth-child({i})").get_attribute("data-decision") for i in range(1, 6)] == [
        *("keep", "relabel", "drop", "unsure", "")
    ]


def test_cards_say_what_was_decided_and_how_likely_it_was_wrong(review):
    review.open(page_of([item_of(0, probability=0.97), item_of(1, probability=0.31), item_of(2, given=None)]))
    assert [review.text(f".card:nth-child({i}) .verdict").strip() for i in (1, 2, 3)] == ["", "", ""]
    review.press("k", "t", "3")
    said = [
        review.text(f".card:nth-child({i}) .verdict").replace("\u2068", "").replace("\u2069", "") for i in (1, 2, 3)
    ]
    assert said == [
        "Kept probably wrong: 97 %",
        "Changed to dog probably right: 69 %",
        "Changed to horse suggestion probably wrong: 90 %",
    ]


def test_back_and_next_decide_nothing(review):
    review.open(FIVE)
    review.press("n", "ARROW_RIGHT", "n")
    assert review.current() == "line 5"
    review.press("b", "ARROW_LEFT", "b", "b", "b")
    assert review.current() == "line 2"
    review.press(*"nnnnnnnn")
    assert review.current() == "line 6"
    assert review.decisions() == {}


def test_rows_passed_over_come_last(review):
    review.open(FIVE)
    review.press("n", "k", "n", "k", "k")
    assert review.current() == "line 2"
    review.press("k")
    assert review.current() == "line 4"
    review.press("k")
    assert review.text("#said").startswith("All rows that are shown are decided")
    assert len(review.decisions()) == 5


def test_a_second_decision_takes_the_place_of_the_first(review):
    review.open(FIVE)
    review.press("k", "b", "d")
    assert review.decisions() == {0: ("drop", None)}


def test_digits_are_the_likeliest_labels_and_the_given_one_is_kept(review):
    classes = [f"class {k}" for k in range(12)]
    likeliest = (3, 1, 4, 0, 5, 9, 2, 6, 8)
    review.open(page_of([item_of(i, suggested=3, likeliest=likeliest) for i in range(9)], classes=classes))
    review.press(*"123456789")
    expected = {i: ("relabel", classes[k]) if k else ("keep", None) for i, k in enumerate(likeliest)}
    assert review.decisions() == expected


def test_digits_of_fewer_labels_do_nothing(review):
    review.open(FIVE)
    review.press(*"456789")
    assert review.decisions() == {}


def test_type_ahead_finds_labels_that_begin_so_before_those_that_hold_it(review):
    review.open(page_of([item_of(i) for i in range(3)], classes=("cat", "dog", "horse", "seahorse", "Dogfish")))
    review.press("l", *"do")
    assert review.text("#options").startswith("dogDogfishNew label")
    review.press("ARROW_DOWN", "ENTER", "l", *"seah", "ENTER", "l", *"CAT", "ENTER")
    assert review.decisions() == {0: ("relabel", "Dogfish"), 1: ("relabel", "seahorse"), 2: ("keep", None)}


def test_new_label_is_offered_and_known_from_then_on(review):
    review.open(FIVE)
    review.press("l", *"llama k", "ENTER", "l", *"lla", "ENTER")
    assert review.decisions() == {0: ("relabel", "llama k"), 1: ("relabel", "llama k")}


def test_escape_leaves_the_type_ahead_and_keys_work_again(review):
    review.open(FIVE)
    review.press("l", *"kd", "ESCAPE")
    assert review.decisions() == {}
    review.press("k")
    assert review.decisions() == {0: ("keep", None)}


def test_labels_of_no_row_and_of_one_class(review):
    review.open(
        page_of([item_of(0, given=None, likeliest=(1, 0)), drawn_of(1, likeliest=(0,))], classes=("cat", "dog"))
    )
    assert review.text(".tile.keep b") == "(no label)"
    review.press("k", "t")  # there is nothing to take of the second
    assert review.decisions() == {0: ("keep", None)}


# ---------------------------------------------------------------- undo


def test_undo_takes_steps_back_until_nothing_is_left(review):
    review.open(FIVE)
    review.press("k", "t", "b", "d", "z")
    assert review.decisions() == {0: ("keep", None), 1: ("relabel", "dog")}
    assert review.current() == "line 3"
    review.press("z")
    review.press("z", "z")
    assert review.decisions() == {}
    assert review.current() == "line 2"
    assert review.text("#said") == "Nothing to undo."
    assert review.find(".card").get_attribute("data-decision") == ""


def test_control_and_z_is_undo_and_no_other_control_key_decides(review):
    review.open(FIVE)
    review.press("k")
    control = (
        "arguments[0].dispatchEvent(new KeyboardEvent('keydown', {key: arguments[1], ctrlKey: true, bubbles: true}))"
    )
    review.do(control, review.find("body"), "d")
    assert len(review.decisions()) == 1
    review.do(control, review.find("body"), "z")
    assert review.decisions() == {}


# ---------------------------------------------------------------- all on this screen


def test_all_on_this_screen_are_taken_in_one_step(review):
    items = [item_of(i) for i in range(30)]
    items[3] = item_of(3, suggested=0)  # its own label is the likeliest
    items[5], items[9] = drawn_of(5), drawn_of(9, suggested=1)
    review.open(page_of(items))
    review.press("k", "a")
    taken = dict.fromkeys(set(range(1, 20)) - {3, 5, 9}, ("relabel", "dog"))
    assert review.decisions() == {0: ("keep", None)} | taken
    assert review.text("#said") == "Took 16 suggestions; 3 rows left, to be decided one by one."
    assert review.current() == "line 5"
    review.press("z")
    assert review.decisions() == {0: ("keep", None)}


def test_screens_follow_each_other(review):
    review.open(page_of([item_of(i) for i in range(45)]))
    assert review.names() == [f"line {i + 2}" for i in range(20)]
    review.click("[data-do=after]")
    assert review.names() == [f"line {i + 2}" for i in range(20, 40)]
    assert review.text("#screen") == "Screen 2 of 3"
    review.press("b")
    assert review.current() == "line 21"
    assert review.text("#screen") == "Screen 1 of 3"


def test_550_rows_are_never_on_the_page_at_once(review):
    review.open(page_of([item_of(i) for i in range(550)]))
    review.press(*"k" * 45)
    assert len(review.names()) == 20
    assert review.text("#screen") == "Screen 3 of 28"


# ---------------------------------------------------------------- rows drawn at random


def test_rows_drawn_at_random_look_like_suspects_until_decided(review):
    """All of the card is one, and of what is at hand below."""
    alike = {"name": "a row", "cells": (("age", "3", False),)}
    review.open(page_of([item_of(0, **alike), drawn_of(1, **alike), item_of(2, **alike)]))
    _, drawn, suspect = review.do("return [...document.querySelectorAll('.card')].map((node) => node.outerHTML)")
    assert drawn == suspect
    below = []
    for _ in range(2):
        review.press("n")
        below.append(
            review.do("return document.querySelector('#labels').outerHTML + document.querySelector('#acts').outerHTML")
        )
    assert below[0] == below[1]
    review.press("b", "b")
    for status in ("undecided", "any"):
        review.select("chance", "80 to 95")
        review.select("status", status)
        assert len(review.names()) == 3
    review.select("chance", "any")
    review.press("n", "k")
    assert review.text(".card:nth-child(2) .verdict") == "Kept probably right: 99 % · drawn at random"
    assert review.text("#checked") == "Of 1 row drawn at random that you decided, 0 had a wrong label."
    review.press("b", "b", "t")
    assert "at random" not in review.text(".card:nth-child(1) .verdict")


def test_probabilities_are_shown_before_where_they_are_wanted(review):
    review.open(page_of([item_of(0), drawn_of(1)]))
    assert review.text(".card .verdict").strip() == ""
    review.click("#open-chances")
    assert review.text(".card .verdict").strip() == "probably wrong: 90 %"
    review.press("t")
    assert review.decisions() == {0: ("relabel", "dog")}


def test_hint_to_stop_counts_the_last_30_suspects(review):
    review.open(page_of([*(item_of(i) for i in range(40)), *(drawn_of(i) for i in range(40, 80))]))
    review.press(*"t" * 10, *"k" * 10, "u", *"k" * 9)
    assert review.is_hidden("#stop")
    review.press("k")
    assert review.text("#stop") == "Of the last 30 suspects that you decided, 20 labels were right."
    review.press(*"k" * 4)
    assert review.text("#stop").startswith(
        "Of the last 30 suspects that you decided, 24 labels were right. You may stop"
    )
    review.press(*"z" * 3, *"t" * 3)
    assert review.text("#stop") == "Of the last 30 suspects that you decided, 21 labels were right."
    review.press("k", *"t" * 4)
    assert " 22 labels" in review.text("#stop")  # of ten that were wrong at first, eight are out of sight
    review.press(*"k" * 20)  # of rows drawn at random: they say nothing about suspects
    assert " 22 labels" in review.text("#stop")
    assert review.text("#checked") == "Of 20 rows drawn at random that you decided, 0 had a wrong label."


# ---------------------------------------------------------------- mouse, finger, keyboard alone


def test_buttons_do_what_keys_do(review):
    review.open(FIVE)
    for act in ("keep", "take", "drop", "unsure"):
        review.click(f"#acts [data-do={act}]")
    review.click("#labels button:nth-child(3)")
    assert review.decisions() == {
        0: ("keep", None),
        1: ("relabel", "dog"),
        2: ("drop", None),
        3: ("unsure", None),
        4: ("relabel", "horse"),
    }
    review.click("#acts [data-do=undo]")
    review.click("#acts [data-do=back]")
    assert review.current() == "line 5"
    assert 4 not in review.decisions()


def test_tiles_of_a_card_decide_about_that_card(review):
    review.open(FIVE)
    review.click(".card:nth-child(3) .take")
    assert review.decisions() == {2: ("relabel", "dog")}
    assert review.current() == "line 5"
    assert review.find(".card:nth-child(3) .take").get_attribute("aria-pressed") == "true"
    assert review.find(".card:nth-child(3) .keep").get_attribute("aria-pressed") == "false"
    review.click(".card:nth-child(1)")
    assert review.current() == "line 2"


def test_tabulator_leads_from_the_current_row_to_its_buttons(review):
    review.open(FIVE)
    review.press("n", "TAB", "TAB", "ENTER")
    assert review.decisions() == {1: ("relabel", "dog")}
    assert review.current() == "line 4"


def test_keys_are_no_decisions_where_they_are_text_or_held_or_switched_off(review):
    review.open(FIVE)
    review.find("#status").send_keys("t")  # of no entry's name
    assert review.decisions() == {}
    held = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', repeat: true, bubbles: true}))"
    review.do(held)
    assert review.decisions() == {}
    review.do("document.activeElement.blur()")
    review.press("?")
    assert not review.is_hidden("#help")
    review.press("k")
    review.click("#use-keys")
    review.press("ESCAPE", "k")
    assert review.is_hidden("#help")
    assert review.decisions() == {}


def test_keys_count_by_their_place_on_keyboards_of_other_letters(review):
    review.open(FIVE)
    down = """const [key, code] = arguments;
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, code, bubbles: true }))"""
    review.do(down, "л", "KeyK")
    review.do(down, "é", "Digit2")  # of a French keyboard
    review.do(down, "q", "KeyA")  # there, too: q is no key of the page
    assert review.decisions() == {0: ("keep", None), 1: ("keep", None)}
