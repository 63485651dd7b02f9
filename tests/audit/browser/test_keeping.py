"""Decisions outlive the page: in the browser's storage, and in files that are saved and loaded."""

import json
from dataclasses import asdict, replace

import pytest
from pages import STRATA, drawn_of, hostile_page, item_of, page_of

from acestimator.audit.decisions import Decision, Decisions, Stratum, parse_decisions

pytestmark = pytest.mark.browser

PAGE = page_of([item_of(0), item_of(1), drawn_of(2), item_of(3, id="a name", given=None), drawn_of(4, stratum=1)])


def decided_of(page, **choices):
    """The file of these decisions: choices are ``row_3="drop"``, or a pair with the new label."""
    items = {item.row: item for item in page.items}
    made = []
    for name, choice in choices.items():
        item = items[int(name.removeprefix("row_"))]
        decision, label = choice if isinstance(choice, tuple) else (choice, None)
        given = None if item.given is None else page.classes[item.given]
        made.append(Decision(item.row, item.id, item.digest, given, decision, label, item.group, item.stratum))
    new = [d.label for d in made if d.label is not None and d.label not in page.classes]
    return Decisions(page.source, page.classes + tuple(dict.fromkeys(new)), tuple(made), page.strata)


def same(text, decisions):
    """A saved file is this one, with its keys in this order."""
    assert json.loads(text, object_pairs_hook=list) == json.loads(decisions.to_json(), object_pairs_hook=list)


# ---------------------------------------------------------------- in the browser


def test_reload_keeps_decisions_and_goes_on_where_they_end(review):
    review.open(PAGE).press("k", "t", "k")
    before = review.decisions()
    review.driver.refresh()
    assert review.decisions() == before == {0: ("keep", None), 1: ("relabel", "dog"), 2: ("keep", None)}
    assert review.text("#count") == "3 of 5 decided"
    assert review.current() == "line 5"
    assert review.find(".card:nth-child(2) .take").get_attribute("aria-pressed") == "true"


def test_storage_is_of_a_file_and_of_a_column_of_labels(review):
    """All pages opened from disk may share one."""
    review.open(PAGE).press("k")
    other_file = replace(PAGE, source=replace(PAGE.source, fingerprint=f"sha256:{'b' * 64}"))
    other_column = replace(PAGE, source=replace(PAGE.source, label="colour"))
    for name, page in (("file.html", other_file), ("column.html", other_column)):
        review.open(page, name)
        assert review.text("#count") == "0 of 5 decided"
        review.press("d")
    assert len(review.stored()) == 3
    review.open(replace(PAGE, items=PAGE.items[:1]), "same.html")
    assert review.text("#count") == "1 of 1 decided"


def test_decisions_of_another_tab_are_seen_here(review):
    review.open(PAGE).press("k")
    here = review.driver.current_window_handle
    review.driver.switch_to.new_window("tab")
    try:
        review.driver.get((review.folder / "review.html").as_uri())
        assert review.text("#count") == "1 of 5 decided"
        review.press("t", "z", "b", "d")  # what is undone there is undone here
    finally:
        review.driver.close()
        review.driver.switch_to.window(here)
    review.wait("return document.querySelector('.card').dataset.decision === 'drop'")
    review.press("n", "k")
    assert review.decisions() == {0: ("drop", None), 2: ("keep", None)}


FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') };"
NONE = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } });"


@pytest.mark.parametrize(("script", "error"), [(FULL, "QuotaExceededError"), (NONE, "SecurityError")])
def test_without_storage_it_says_so_and_goes_on(review, script, error):
    made = review.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        review.open(PAGE).press("k", "t")
        said = review.notice()
        same(review.save(), decided_of(PAGE, row_0="keep", row_1=("relabel", "dog")))
        review.click("[data-do=undo]")
        review.click("[data-do=undo]")  # else the browser asks before it leaves the page
    finally:
        review.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
    assert said.startswith(f"This browser does not keep your decisions ({error}). Save them")


@pytest.mark.parametrize("kept", ["{", "[]", json.dumps({"format": "acestimator decisions", "version": 2})])
def test_what_cannot_be_read_of_the_storage_is_not_lost(review, kept):
    review.open(PAGE).press("k")
    (key,) = review.stored()
    review.do("localStorage.setItem(arguments[0], arguments[1])", key, kept)
    review.driver.refresh()
    assert review.notice().startswith("What this browser kept of earlier decisions cannot be used.")
    review.press("d")
    assert kept in review.stored().values()
    review.click("#notice button")
    assert review.notice() == ""


# ---------------------------------------------------------------- files


def test_saved_file_is_that_of_the_commands(review):
    review.open(PAGE)
    same(review.save(), decided_of(PAGE))
    review.press("k", "l", *"llama", "ENTER", "d", "2", "u")
    choices = {"row_0": "keep", "row_1": ("relabel", "llama"), "row_2": "drop", "row_3": ("relabel", "cat")}
    text = review.save()
    same(text, decided_of(PAGE, **choices, row_4="unsure"))
    assert text.endswith("\n")
    assert parse_decisions(json.loads(text), "decisions.json") == decided_of(PAGE, **choices, row_4="unsure")
    assert json.loads(text)["classes"] == ["cat", "dog", "horse", "llama"]
    assert review.text("#said") == "Saved 5 decisions to decisions.json."


def test_file_that_was_saved_loads_again(review):
    review.open(PAGE).press("k", "t", "d", "u", "l", *"llama", "ENTER")
    text = review.save()
    review.press(*"zzzzz")
    assert review.decisions() == {}
    review.load(text)
    assert review.save() == text
    assert review.text("#said").startswith("Saved 5")
    review.click("#acts [data-do=undo]")
    assert review.decisions() == {}


def test_file_of_the_commands_loads(review):
    made = decided_of(PAGE, row_0="drop", row_2=("relabel", "llama"), row_3=("relabel", "cat"))
    review.open(PAGE).load("\ufeff" + made.to_json())
    assert review.notice() == ""
    same(review.save(), made)


def test_loading_adds_to_what_was_decided(review):
    review.open(PAGE).press("k", "k")
    review.load(decided_of(PAGE, row_1="drop", row_2="unsure").to_json())
    assert review.decisions() == {0: ("keep", None), 1: ("drop", None), 2: ("unsure", None)}
    assert review.current() == "line 5"


def test_hostile_labels_and_names_survive_save_and_load(review):
    page = hostile_page()
    review.open(page).press(*"123456789" * 2)
    made = {f"row_{i}": ("relabel", page.classes[(i + i % 9) % 13]) for i in range(18)}
    expected = decided_of(page, **{row: "keep" if row in ("row_0", "row_9") else made[row] for row in made})
    text = review.save()
    same(text, expected)
    review.press(*"z" * 18)
    review.load(text)
    assert review.save() == text


def test_decisions_of_rows_that_are_not_on_this_page_are_kept_and_saved(review):
    other = Decision(77, "x", "ab" * 8, "cat", "relabel", "llama", "random", 1)
    review.open(PAGE).load(replace(decided_of(PAGE, row_0="keep"), decisions=(other,)).to_json())
    assert review.text("#said") == "Loaded 1 decision, 1 of rows that are not on this page."
    assert review.text("#detail") == "1 of rows that are not on this page"
    review.press("k")
    review.driver.refresh()
    saved = json.loads(review.save())
    assert saved["decisions"][0] == asdict(other)
    assert [each["row"] for each in saved["decisions"]] == [77, 0]
    assert saved["classes"] == ["cat", "dog", "horse", "llama"]


def test_rows_drawn_from_other_strata_are_facts_and_no_part_of_this_draw(review):
    other = Decision(77, "x", "ab" * 8, "cat", "keep", None, "random", 0)
    of_page = replace(decided_of(PAGE, row_2="keep").decisions[0], group="suspect", stratum=None)
    strata = (Stratum(0.0, 0.5, 900, 4),)
    review.open(PAGE).load(replace(decided_of(PAGE), decisions=(other, of_page), strata=strata).to_json())
    saved = json.loads(review.save())
    assert saved["decisions"] == [asdict(replace(other, group="suspect", stratum=None)), asdict(PAGE_2)]
    assert saved["strata"] == [asdict(each) for each in STRATA]


PAGE_2 = decided_of(PAGE, row_2="keep").decisions[0]


def changed(**fields):
    return {**json.loads(decided_of(PAGE, row_0="keep", row_1=("relabel", "dog")).to_json()), **fields}


def changed_decision(**fields):
    content = changed()
    content["decisions"][1].update(fields)
    return content


def changed_source(**fields):
    return changed(source={**changed()["source"], **fields})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "It is no file of decisions."),
        ("null", "It is no file of decisions. Choose one"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "It is no file of decisions."),
        (changed(format="label studio"), "It is no file of decisions. Choose one"),
        (changed(version=2), "It has version 2 of the format, this page reads 1."),
        (
            changed_source(fingerprint="sha256:0123456789"),
            "It is about other data: pets.csv, labels “animal”, sha256:01234567…. ",
        ),
        (changed_source(label="colour"), "It is about other data: pets.csv, labels “colour”, "),
        (changed(source=None), "It is about other data: "),
        (changed(decisions={}), "It holds no list of decisions."),
        (changed_decision(row=1000), "Decision 2 is about row 1000, expected each row once, 0 to 999."),
        (changed_decision(row=0), "Decision 2 is about row 0, expected each row once"),
        (changed_decision(row="1"), "Decision 2 is about row 1, expected each row once"),
        (changed_decision(decision="constructor", label=None), "Decision 2, of row 1, is none that can be made."),
        (changed_decision(decision="keep"), "Decision 2, of row 1, is none that can be made."),
        (changed_decision(label=None), "Decision 2, of row 1, is none that can be made."),
        (changed_decision(digest=None), "Decision 2, of row 1, is none that can be made."),
    ],
)
def test_files_that_are_refused_change_nothing(review, content, message):
    review.open(PAGE).press("k")
    review.load(content if isinstance(content, str | bytes) else json.dumps(content), "that.json")
    assert review.notice().startswith(f"that.json was not loaded. {message}")
    assert review.decisions() == {0: ("keep", None)}
