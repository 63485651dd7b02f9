"""The file of decisions: what is written is read back, and nothing impossible is believed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestimator.audit.decisions import (
    CHOICES,
    Decision,
    Decisions,
    SourceInfo,
    Stratum,
    load_decisions,
    parse_decisions,
    row_digest,
)

INFO = SourceInfo("in.csv", "table", "sha256:" + "0123456789abcdef" * 4, "label", "id", 10)
SEEN = Decision(3, "c3", "0123456789abcdef", "a", "relabel", "b")
DRAWN = Decision(4, None, "0123456789abcdef", None, "unsure", None, "random", 0)
WHOLE = Decisions(INFO, ("a", "b"), (SEEN, DRAWN), (Stratum(0.0, 0.5, 9, 1),))

texts = st.text(max_size=5)
ids = st.none() | texts


@st.composite
def decisions(draw):
    n_strata = draw(st.integers(0, 3))
    strata = []
    for _ in range(n_strata):
        above, upto = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True)))
        n_rows = draw(st.integers(0, 100))
        strata.append(Stratum(above, upto, n_rows, draw(st.integers(0, n_rows))))
    info = replace(INFO, name=draw(texts), label=draw(texts), id=draw(ids), n_rows=draw(st.integers(1, 10**9)))
    found = []
    for row in draw(st.lists(st.integers(0, info.n_rows - 1), unique=True, max_size=5)):
        word = draw(st.sampled_from(CHOICES))
        label = draw(texts.filter(str.strip)) if word == "relabel" else None
        stratum = draw(st.none() | st.integers(0, n_strata - 1)) if n_strata else None
        group = "suspect" if stratum is None else draw(st.sampled_from(["suspect", "random"]))
        digest = row_digest([draw(st.binary(max_size=3))])
        found.append(Decision(row, draw(ids), digest, draw(ids), word, label, group, stratum))
    return Decisions(info, tuple(draw(st.lists(texts, unique=True))), tuple(found), tuple(strata))


@given(decisions())
def test_decisions_survive_save_and_load(tmp_path_factory, whole):
    path = tmp_path_factory.mktemp("decisions") / "decisions.json"
    path.write_text(whole.to_json(), encoding="utf-8")
    assert load_decisions(path) == whole
    path.write_text(whole.to_json(), encoding="utf-8-sig")  # as some editors save it
    assert load_decisions(path) == whole


def test_entries_that_are_not_known_are_passed_over():
    content = json.loads(WHOLE.to_json())
    content["saved"] = "today"
    content["decisions"][0]["seconds"] = 3
    assert parse_decisions(content, "here") == WHOLE


def changed(*path, value):
    """The content with another value in one place; without it, where the value is ``...``."""
    content = inner = json.loads(WHOLE.to_json())
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return content


FIRST, SECOND = ("decisions", 0), ("decisions", 1)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), "other", "is no file of decisions"),
        (("format",), ..., "is no file of decisions"),
        (("version",), 2, "has version 2 of the format, expected 1: another release"),
        (("source",), ..., "source is None, expected an object"),
        (("source", "fingerprint"), "sha256:0", "source has fingerprint 'sha256:0', expected \"sha256:\" and 64"),
        (("source", "fingerprint"), ..., "source has no 'fingerprint'"),
        (("source", "kind"), "film", "expected one of table, arrays, images"),
        (("source", "n_rows"), True, "source has n_rows True, expected a whole number"),
        (("source", "label"), None, "source has label None, expected a text"),
        (("source", "id"), 3, "source has id 3, expected a text"),
        (("classes",), "ab", "has classes 'ab', expected a list"),
        (("classes",), ["a", "a"], "expected texts, each of them once"),
        (("classes",), ["a", 1], "expected texts, each of them once"),
        (("decisions",), {}, "expected a list"),
        (FIRST, [], r"decision 0 is \[\], expected an object"),
        ((*FIRST, "row"), 10, "decision 0 has row 10, expected a position below the 10"),
        ((*FIRST, "row"), -1, "has row -1, expected a whole number, 0 or more"),
        ((*FIRST, "row"), 1.0, r"has row 1\.0, expected a whole number"),
        ((*FIRST, "row"), 4, "decides 1 rows more than once, the first is row 4"),
        ((*FIRST, "digest"), "0123456789ABCDEF", "expected 16 hexadecimal digits"),
        ((*FIRST, "digest"), "0123456789abcdef\n", "expected 16 hexadecimal digits"),
        ((*FIRST, "decision"), "delete", "has decision 'delete', expected one of keep, relabel, drop, unsure"),
        ((*FIRST, "label"), None, "expected the new label, since the decision is to relabel"),
        ((*FIRST, "label"), " ", "expected the new label"),
        ((*FIRST, "decision"), "keep", "has label 'b', expected null, since the decision is keep"),
        ((*FIRST, "given"), 1, "has given 1, expected a text"),
        ((*FIRST, "group"), "chosen", "expected one of suspect, random"),
        ((*FIRST, "stratum"), 1, "decision 0 has stratum 1, expected one of the 1 strata"),
        ((*SECOND, "stratum"), None, "decision 1 has stratum None, expected one of the 1 strata"),
        ((*SECOND, "stratum"), 1, "expected one of the 1 strata"),
        (("strata", 0, "above"), 0.5, "stratum 0 has upto 0.5, expected more than above"),
        (("strata", 0, "upto"), 1.5, "expected a number from 0 to 1"),
        (("strata", 0, "upto"), float("nan"), "expected a number from 0 to 1"),
        (("strata", 0, "n_drawn"), 10, "has n_drawn 10, expected at most n_rows, 9"),
        (("strata", 0, "n_rows"), "9" * 99, r"has n_rows '9+\.\.\., expected a whole number"),
    ],
)
def test_nothing_impossible_is_believed(path, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_decisions(changed(*path, value=value), "decisions.json")
    assert str(caught.value).startswith("decisions.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\x89PNG\r\n\x1a\n", b'"text"', b"[" * 100_000])
def test_other_files_are_no_decisions(tmp_path, content):
    (tmp_path / "decisions.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"decisions.json is no file of decisions .*save one from review\.html"):
        load_decisions(tmp_path / "decisions.json")
    with pytest.raises(FileNotFoundError, match=r"other\.json is no file, expected decisions: save them"):
        load_decisions(tmp_path / "other.json")
    with pytest.raises(FileNotFoundError, match="is a folder, by whose suggestions --all-suggested goes"):
        load_decisions(tmp_path)


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_digests_tell_rows_apart(a, b):
    assert (row_digest(a) == row_digest(b)) is (a == b)
    assert len(row_digest(a)) == 16
