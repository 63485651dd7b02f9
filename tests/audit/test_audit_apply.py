"""From decisions or suggestions to a corrected copy, whole or not at all."""

import csv
import io
import json
import os
import resource
from dataclasses import asdict

import numpy as np
import pytest
from decided import decide, left, opened
from hypothesis import given
from hypothesis import strategies as st

from acestimator.audit import targets
from acestimator.audit.apply import apply_decisions, apply_suggestions
from acestimator.audit.decisions import Decisions, load_decisions, parse_decisions
from acestimator.audit.issues import audited as audited_source
from acestimator.audit.sources import DROP, open_source, reopen

ROWS = ["c0,10,a", "c1,11,b", "c2,12,a", "c3,13,", "c4,14,b", "c5,15,c"]
CSV = "\r\n".join(["key,x,label", *ROWS]).encode()
CHOICES = {0: ("relabel", "b"), 1: "keep", 2: DROP, 3: ("relabel", "c"), 4: "unsure"}
CORRECTED = b"key,x,label\r\nc0,10,b\r\nc1,11,b\r\nc3,13,c\r\nc4,14,b\r\nc5,15,c"


@pytest.fixture
def source(tmp_path):
    return opened(tmp_path / "in.csv", CSV, label="label")


def counts(applied):
    return applied.changed, applied.dropped, applied.kept, applied.unsure, applied.already


# ---------------------------------------------------------------- decisions


def test_decisions_are_applied_and_counted(tmp_path, source):
    applied = apply_decisions(source, decide(source, CHOICES), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == CORRECTED
    assert counts(applied) == (2, 1, 1, 1, 0)
    assert applied.report == (
        f"{tmp_path / 'out.csv'}: 5 of 6 rows; labels: 2 changed, 1 dropped, 1 confirmed, 1 unsure, 0 already so."
    )
    assert (tmp_path / "in.csv").read_bytes() == CSV
    assert left(tmp_path) == ["in.csv", "out.csv"]


def test_a_label_that_is_decided_to_be_what_it_is_counts_as_already_so(tmp_path, source):
    applied = apply_decisions(source, decide(source, {0: ("relabel", " a ")}), tmp_path / "out.csv")
    assert counts(applied) == (0, 0, 0, 0, 1)
    assert (tmp_path / "out.csv").read_bytes() == CSV


choices = st.sampled_from(["keep", "unsure", DROP, ("relabel", "b"), ("relabel", "new"), ("relabel", ' q"u,o\nte ')])


@given(st.dictionaries(st.integers(0, 5), choices))
def test_any_decisions(tmp_path_factory, chosen):
    folder = tmp_path_factory.mktemp("apply")
    source = opened(folder / "in.csv", CSV, label="label", id="key")
    decisions = decide(source, chosen)
    (folder / "decisions.json").write_text(decisions.to_json(), encoding="utf-8")
    for name in ("1.csv", "2.csv"):
        applied = apply_decisions(source, load_decisions(folder / "decisions.json"), folder / name)
    corrected = (folder / "1.csv").read_bytes()
    assert corrected == (folder / "2.csv").read_bytes()
    rows = {i: row.split(",") for i, row in enumerate(ROWS) if chosen.get(i) is not DROP}
    for i, choice in chosen.items():
        if isinstance(choice, tuple):
            rows[i][2] = choice[1].strip()
    read = csv.reader(io.StringIO(corrected.decode(), newline=""))
    assert [*read] == [["key", "x", "label"], *rows.values()]
    assert sum(counts(applied)) == len(chosen)
    if applied.changed + applied.dropped == 0:
        assert corrected == CSV
        return
    # The corrected file is another one: it takes the same decisions by ids alone, and they change nothing
    if len({row[2] for row in rows.values()} - {""}) < 2:
        return  # and it has to have two classes
    new = open_source(folder / "1.csv", label="label", id="key")
    with pytest.raises(ValueError, match="was changed since"):
        apply_decisions(new, decisions, folder / "3.csv")
    again = apply_decisions(new, decisions, folder / "3.csv", by_id="key")
    assert (folder / "3.csv").read_bytes() == corrected
    assert (again.changed, again.dropped) == (0, 0)
    assert again.already == applied.changed + applied.dropped + applied.already


def test_rows_that_differ_are_named(tmp_path, source):
    decisions = decide(source, {0: "keep", 2: "keep", 4: "keep", 5: "keep"})
    changed = CSV.replace(b"10,a", b"10,c").replace(b"12", b"99").replace(b"\r\nc5,15,c", b"")
    other = opened(tmp_path / "other.csv", changed, label="label")
    with pytest.raises(ValueError, match="It has 5 rows, not 6") as caught:
        apply_decisions(other, decisions, tmp_path / "out.csv")
    assert (
        "3 of the 4 decided rows differ: line 2 has the label 'c', not 'a'; line 4 holds something else; row 5 is not "
        "there. Apply" in str(caught.value)
    )
    other = opened(tmp_path / "other.csv", CSV.replace(b"11", b"99"), label="label")
    with pytest.raises(ValueError, match="The rows that were decided are as they were; others differ"):
        apply_decisions(other, decisions, tmp_path / "out.csv")
    assert left(tmp_path) == ["in.csv", "other.csv"]


def test_ten_of_many_rows_are_named(tmp_path):
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30))
    source = opened(tmp_path / "in.csv", f"x,label\n{rows}".encode(), label="label")
    decisions = decide(source, dict.fromkeys(range(30), "keep"))
    other = opened(
        tmp_path / "other.csv", f"x,label\n{rows}".replace(",a", ",b").replace("1,b", "1,a").encode(), label="label"
    )
    with pytest.raises(ValueError, match=r"differ: (line \d+ has[^;]*; ){10}and \d+ more\."):
        apply_decisions(other, decisions, tmp_path / "out.csv")


def test_decisions_about_another_column_or_kind_are_refused(tmp_path, source):
    other = opened(tmp_path / "other.csv", CSV.replace(b"x,label", b"label,y"), label="y")
    with pytest.raises(ValueError, match=r"about labels 'label' of in\.csv \(table\), and .* opened with labels 'y'"):
        apply_decisions(other, decide(source, {0: "keep"}), tmp_path / "out.csv")


def test_decisions_of_rows_that_are_not_there_are_refused_whatever_the_fingerprint(tmp_path, source):
    content = json.loads(decide(source, {5: "keep"}).to_json())
    content["source"]["n_rows"] = 9
    content["decisions"][0]["row"] = 8
    with pytest.raises(ValueError, match="1 of the 1 decided rows differ: row 8 is not there"):
        apply_decisions(source, parse_decisions(content, "here"), tmp_path / "out.csv")


def test_rows_are_found_by_ids_wherever_they_are(tmp_path):
    source = opened(tmp_path / "in.csv", CSV, label="label", id="key")
    moved = "\n".join(["label,key,x", "new,c9,1", ",c3,13", "b,c4,7", "a,c0,10", "b,c1,11", "q,c2,99"])
    other = opened(tmp_path / "moved.csv", moved.encode(), label="label", id="key")
    decisions = decide(source, {0: ("relabel", "b"), 1: "keep", 3: ("relabel", "c"), 4: ("relabel", "a"), 2: "unsure"})
    applied = apply_decisions(other, decisions, tmp_path / "out.csv", by_id="key")
    expected = moved.replace("a,c0", "b,c0").replace("\n,c3", "\nc,c3").replace("b,c4", "a,c4")
    assert (tmp_path / "out.csv").read_bytes().decode() == expected
    assert counts(applied) == (3, 0, 1, 1, 0)
    assert "2 rows held something else when looked at: c4, c2." in applied.report


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["c0,1,b", "c1,1,b", "c2,1,c"], "1 of the 3 decided rows differ: c2 has the label 'c', not 'a'"),
        (["c0,1,c", "c1,1,b"], "c0 has the label 'c', not 'a' or 'b'; c2 is not there"),
        (["c0,1,a", "c1,1,a", "c2,1,b"], "differ: c1 has the label 'a', not 'b'; c2 has"),
    ],
)
def test_ids_that_do_not_go_with_the_decisions_are_named(tmp_path, rows, message):
    source = opened(tmp_path / "in.csv", CSV, label="label", id="key")
    other = opened(
        tmp_path / "other.csv", "\n".join(["key,x,label", *rows, "c7,1,d"]).encode(), label="label", id="key"
    )
    decisions = decide(source, {0: ("relabel", "b"), 1: "keep", 2: "keep"})
    with pytest.raises(ValueError, match=message):
        apply_decisions(other, decisions, tmp_path / "out.csv", by_id="key")
    assert left(tmp_path) == ["in.csv", "other.csv"]


def test_ids_must_have_been_named_before(tmp_path, source):
    with pytest.raises(ValueError, match=r"name their rows by position alone, not by 'key': audit with --id key"):
        apply_decisions(source, decide(source, {0: "keep"}), tmp_path / "out.csv", by_id="key")
    named = opened(tmp_path / "in.csv", CSV, label="label", id="key")
    with pytest.raises(ValueError, match="name their rows by 'key', not by 'x'"):
        apply_decisions(named, decide(named, {0: "keep"}), tmp_path / "out.csv", by_id="x")
    with pytest.raises(ValueError, match="was opened without ids"):
        apply_decisions(source, decide(named, {0: "keep"}), tmp_path / "out.csv", by_id="key")
    twice = decide(named, {0: "keep", 1: "keep"})
    twice = Decisions(
        twice.source,
        twice.classes,
        tuple(parse_decisions(json.loads(twice.to_json().replace("c1", "c0")), "").decisions),
    )
    with pytest.raises(ValueError, match="the decisions name 2 rows more than once: 'c0', 'c0'"):
        apply_decisions(named, twice, tmp_path / "out.csv", by_id="key")


def test_images_are_found_where_they_were_moved_to(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png", "dog/3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    source = open_source(tmp_path / "in")
    decisions = decide(source, {0: ("relabel", "dog"), 1: DROP, 2: "keep", 3: ("relabel", "cat")})
    first = apply_decisions(source, decisions, tmp_path / "out")
    assert counts(first) == (2, 1, 1, 0, 0)
    assert "cat/1.png is dog/1 (from cat).png in the copy" in first.report
    (tmp_path / "out" / "dog" / "new.png").write_text("new")
    other = open_source(tmp_path / "out")
    with pytest.raises(ValueError, match="is not in as it was looked at"):
        apply_decisions(other, decisions, tmp_path / "again")
    again = apply_decisions(other, decisions, tmp_path / "again", by_id="path", move=True)
    assert counts(again) == (0, 0, 1, 0, 3)
    assert open_source(tmp_path / "again").info.fingerprint == other.info.fingerprint


def test_of_images_that_are_the_same_none_is_taken_for_one_that_is_gone(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("same")
    decisions = decide(open_source(tmp_path / "in"), {0: ("relabel", "dog")})
    (tmp_path / "in" / "cat" / "1.png").rename(tmp_path / "in" / "dog" / "1.png")
    with pytest.raises(ValueError, match=r"differ: cat/1\.png is not there\."):
        apply_decisions(open_source(tmp_path / "in"), decisions, tmp_path / "out", by_id="path")
    (tmp_path / "in" / "dog" / "3.png").write_text("other")
    (tmp_path / "in" / "cat" / "2.png").write_text("another")
    assert counts(apply_decisions(open_source(tmp_path / "in"), decisions, tmp_path / "out", by_id="path"))[4] == 1


# ---------------------------------------------------------------- whole, or not at all


def test_nothing_is_written_over(tmp_path, source):
    decisions = decide(source, CHOICES)
    (tmp_path / "out.csv").write_text("mine")
    (tmp_path / "broken.csv").symlink_to(tmp_path / "nowhere")
    for name in ("out.csv", "in.csv", "broken.csv"):
        with pytest.raises(FileExistsError, match=r"is there already and is not written over: .* --out"):
            apply_decisions(source, decisions, tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no folder .*made: make it first"):
        apply_decisions(source, decisions, tmp_path / "made" / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert left(tmp_path) == ["broken.csv", "in.csv", "out.csv"]


def test_a_target_that_comes_up_meanwhile_is_not_written_over(tmp_path, source, monkeypatch):
    def made_by_somebody_else(path):
        (tmp_path / "out.csv").write_text("mine")

    monkeypatch.setattr(targets, "_sync", made_by_somebody_else)
    with pytest.raises(FileExistsError):
        apply_decisions(source, decide(source, CHOICES), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert left(tmp_path) == ["in.csv", "out.csv"]


def test_a_full_disk_leaves_nothing_of_the_copy(tmp_path, source):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))  # bytes of a file
        with pytest.raises(OSError, match=r"out\.csv could not be written \(File too large\)\. Nothing is left of it"):
            apply_decisions(source, decide(source, CHOICES), tmp_path / "out.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left(tmp_path) == ["in.csv"]
    assert (tmp_path / "in.csv").read_bytes() == CSV


@pytest.mark.parametrize("name", ["fsync", "rename"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(13, "Permission denied")])
def test_an_interrupt_leaves_nothing_of_the_copy(tmp_path, source, monkeypatch, name, error):
    def stop(*_):
        raise error

    monkeypatch.setattr(os, name, stop)
    with pytest.raises(type(error)):
        apply_decisions(source, decide(source, CHOICES), tmp_path / "out.csv")
    monkeypatch.undo()
    assert left(tmp_path) == ["in.csv"]
    assert (tmp_path / "in.csv").read_bytes() == CSV


# ---------------------------------------------------------------- suggestions

HEADER = "row,name,id,given_label,suggested_label,mislabel_probability,sure,label_quality,decision,digest"
SUGGESTED = [("b", 0.9), ("b", 0.99), ("c", 0.5), ("a", ""), ("a", 0.51), ("a", 0.96)]


def audited(folder, source, suggested=SUGGESTED, decided=("",) * 6, sure="1" * 6):
    """The folder of an audit, as the command writes it."""
    folder.mkdir()
    digests, lines = source.digests(), [HEADER]
    for row, (label, probability) in enumerate(suggested):
        given = source.labels[row] or ""
        lines.append(
            f"{row},line {row + 2},,{given},{label},{probability},{sure[row]},0.1,{decided[row]},{digests[row]}"
        )
    (folder / "label_issues.csv").write_text("\n".join(lines) + "\n")
    (folder / "summary.json").write_text(json.dumps({"source": asdict(source.info)}))
    return folder


def labels(path):
    return [*open_source(path, label="label").labels]


def test_labels_that_are_likelier_wrong_than_right_are_changed(tmp_path, source):
    applied = apply_suggestions(source, audited(tmp_path / "audit", source), tmp_path / "out.csv")
    assert labels(tmp_path / "out.csv") == ["b", "b", "a", "a", "a", "a"]
    assert counts(applied) == (4, 0, 0, 0, 0)
    assert applied.report.splitlines()[1:] == [
        "Nobody has looked at 3 rows whose label was changed for being likelier wrong than right. By their "
        "probabilities, about 1 of those labels were right before.",
        "1 row had no label and got the predicted one.",
    ]


def test_without_a_bound_labels_stay_of_which_the_audit_is_not_sure(tmp_path, source):
    apply_suggestions(source, audited(tmp_path / "audit", source, sure="011101"), tmp_path / "out.csv")
    assert labels(tmp_path / "out.csv") == ["a", "b", "a", "a", "b", "a"]


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        (0.5, ["b", "b", "a", "a", "a", "a"]),
        (0.9, ["a", "b", "a", "a", "b", "a"]),
        (0.99, ["a", "b", "a", "a", "b", "c"]),
    ],
)
def test_a_bound_lets_fewer_labels_be_changed(tmp_path, source, above, expected):
    apply_suggestions(source, audited(tmp_path / "audit", source), tmp_path / "out.csv", above=above)
    assert labels(tmp_path / "out.csv") == expected


def test_rows_that_were_decided_before_the_audit_are_as_decided(tmp_path, source):
    decided = ("keep", "", "relabel", "drop", "unsure", "")
    applied = apply_suggestions(source, audited(tmp_path / "audit", source, decided=decided), tmp_path / "out.csv")
    assert labels(tmp_path / "out.csv") == ["a", "b", "c", "b", "a"]
    assert counts(applied) == (2, 1, 1, 1, 0)


def test_the_table_alone_is_taken_too(tmp_path, source):
    pd = pytest.importorskip("pandas")
    folder = audited(tmp_path / "audit", source)
    apply_suggestions(source, folder, tmp_path / "1.csv")
    apply_suggestions(source, folder / "label_issues.csv", tmp_path / "2.csv")
    apply_suggestions(source, pd.read_csv(folder / "label_issues.csv"), tmp_path / "3.csv")
    columns = {
        "row": np.arange(6),
        "given_label": [*source.labels],
        "suggested_label": [label for label, _ in SUGGESTED],
        "mislabel_probability": [p or None for _, p in SUGGESTED],
    }
    apply_suggestions(source, columns, tmp_path / "4.csv")
    assert len({(tmp_path / f"{i}.csv").read_bytes() for i in (1, 2, 3, 4)}) == 1


def test_sources_are_read_again_as_they_were(tmp_path):
    named = opened(tmp_path / "in.csv", CSV, label="label", id="key")
    folder = audited(tmp_path / "audit", named)
    assert audited_source(folder) == named.info
    assert reopen(tmp_path / "in.csv", audited_source(folder)).info == named.info
    plain = opened(tmp_path / "in.csv", CSV, label="label")
    assert reopen(tmp_path / "in.csv", plain.info).info == plain.info
    assert reopen(tmp_path / "in.csv", plain.info, by_id="key").info == named.info
    for name in ("cat/1.png", "dog/2.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True)
        (tmp_path / "pets" / name).write_text(name)
    pets = open_source(tmp_path / "pets")
    assert reopen(tmp_path / "pets", pets.info).info == pets.info
    assert reopen(tmp_path / "pets", pets.info, by_id="path").info == pets.info


def test_an_audit_of_something_else_is_refused(tmp_path, source):
    folder = audited(tmp_path / "audit", source)
    for change, message in (
        ((b"10,a", b"10,c"), "has 6 rows, the audit 6. 1 rows differ: line 2."),
        ((b"12", b"99"), "1 rows differ: line 4."),
        ((b"\r\nc5,15,c", b""), "has 5 rows, the audit 6. Run"),
        ((b"\r\nc5", b"\nc5"), "all of its rows hold the same"),
    ):
        other = opened(tmp_path / "other.csv", CSV.replace(*change), label="label")
        with pytest.raises(ValueError, match=message):
            apply_suggestions(other, folder, tmp_path / "out.csv")
    other = opened(tmp_path / "other.csv", CSV, label="key")
    with pytest.raises(ValueError, match=r"is about labels 'label', and .* was opened with 'key'"):
        apply_suggestions(other, folder, tmp_path / "out.csv")
    assert left(tmp_path) == ["audit", "in.csv", "other.csv"]


@pytest.mark.parametrize("above", [0.49, 1.0, -1.0, float("nan")])
def test_bounds_that_would_change_right_labels_or_none_are_refused(tmp_path, source, above):
    with pytest.raises(ValueError, match=r"expected at least 0\.5 and below 1"):
        apply_suggestions(source, audited(tmp_path / "audit", source), tmp_path / "out.csv", above=above)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("label_issues.csv", None, "there is no .*label_issues.csv: give the folder"),
        ("summary.json", None, "there is no .*summary.json: give the folder"),
        ("summary.json", "{}", r"summary\.json is no summary of an audit"),
        ("summary.json", "[", r"summary\.json is no summary of an audit"),
        ("label_issues.csv", "", r"label_issues\.csv is no table of an audit"),
        ("label_issues.csv", "row,given_label\n0\n", "is no table of an audit"),
        ("label_issues.csv", "row,given_label,suggested_label\n0,a,b\n", "has no column 'mislabel_probability'"),
        ("label_issues.csv", f"{HEADER}\n1,,,a,b,0.5,1,,,\n", "has row '1' with probability '0.5' at position 0"),
        ("label_issues.csv", f"{HEADER}\n0,,,a,b,1.5,1,,,\n", "with probability '1.5' at position 0"),
        ("label_issues.csv", f"{HEADER}\n0,,,a,b,x,1,,,\n", "row 0: could not convert string to float"),
        ("label_issues.csv", f"{HEADER}\n0,,,a,b,0.5,1,,maybe,\n", "has the decision 'maybe'"),
    ],
)
def test_folders_of_something_else_are_no_audits(tmp_path, source, name, content, message):
    folder = audited(tmp_path / "audit", source)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        apply_suggestions(source, folder, tmp_path / "out.csv")
    assert left(tmp_path) == ["audit", "in.csv"]
