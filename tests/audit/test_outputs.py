"""Files of an audit."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from acestimator.audit import outputs
from acestimator.audit.decisions import Decision, SourceInfo
from acestimator.audit.issues import read_issues
from acestimator.audit.judge import Findings, encode
from acestimator.audit.past import Review
from acestimator.audit.summary import confusions, summarize, variants


@pytest.fixture
def findings():
    return Findings(
        classes=("a", 'b "quoted", with a comma'),
        given=np.array([0, 1, -1, 0]),
        suggested=np.array([1, 1, 0, 0]),
        sure=np.array([True, False, False, False]),
        probability=np.array([0.9, 0.1, 0.3, np.nan]),
        quality=np.array([0.1, 0.9, 0.7, np.nan]),
        likeliest=np.array([[1, 0], [1, 0], [0, 1], [0, 1]]),
        rate=0.5,
        interval=(0.1, 0.6),
        notes=(),
    )


def test_the_table_has_every_row(findings):
    text = outputs.issues_csv(findings, ["line 2", "line 3", "line 4", "line 5"], None, ["d"] * 4, {})
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["given_label"] for row in rows] == ["a", 'b "quoted", with a comma', "", "a"]
    assert [row["suggested_label"] for row in rows] == ['b "quoted", with a comma'] * 2 + ["a", "a"]
    assert [row["mislabel_probability"] for row in rows] == ["0.9", "0.1", "0.3", ""]


def test_the_table_is_read_back_whatever_labels_hold(findings, tmp_path):
    labels = ("a\rb", "c" * 200_000)  # no csv module writes the one so that it reads it, or reads the other
    names = ["k\n0", 'k\r"1"', "k,2", "k3"]
    text = outputs.issues_csv(replace(findings, classes=labels), names, names, ["d"] * 4, {})
    (tmp_path / "label_issues.csv").write_text(text, encoding="utf-8", newline="")
    source = SimpleNamespace(
        path=tmp_path, info=SimpleNamespace(n_rows=4), labels=[*labels, None, labels[0]], digests=lambda: ["d"] * 4
    )
    issues = read_issues(source, tmp_path / "label_issues.csv")
    assert [one.suggested for one in issues] == [labels[1], labels[1], labels[0], labels[0]]


def test_suspects_are_the_likely_ones_and_those_without_a_label(findings):
    assert findings.suspects.tolist() == [0, 2]
    assert confusions(findings) == [(0, 1, 1)]


def test_tasks_have_the_suggestion_as_a_prediction(findings):
    tasks = json.loads(outputs.tasks_json(findings, {0: {"text": "x"}, 2: {"image": "y"}}, "m"))
    assert [task["predictions"][0]["result"][0]["value"]["choices"] for task in tasks] == [
        ['b "quoted", with a comma'],
        ["a"],
    ]
    assert [task["predictions"][0]["result"][0]["to_name"] for task in tasks] == ["text", "image"]
    assert [task["data"]["given_label"] for task in tasks] == ["a", None]


def test_a_folder_of_something_else_is_refused_and_one_of_an_audit_taken(tmp_path):
    (tmp_path / "review.html").write_text("mine")
    with pytest.raises(FileExistsError, match="which no audit has written"), outputs.folder(tmp_path):
        pass
    assert (tmp_path / "review.html").read_text() == "mine"
    (tmp_path / "summary.json").write_text(json.dumps({"format": "acestimator audit"}))
    with outputs.folder(tmp_path):
        assert (tmp_path / "review.html").read_text() == "mine"
    with pytest.raises(FileExistsError, match="is a file"), outputs.folder(tmp_path / "review.html"):
        pass


def test_a_folder_that_stays_empty_goes_again_and_others_stay(tmp_path):
    with outputs.folder(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with pytest.raises(ZeroDivisionError), outputs.folder(tmp_path / "new"):
        1 / 0  # noqa: B018 -- any error
    assert not (tmp_path / "new").exists()
    with outputs.folder(tmp_path / "new"):
        (tmp_path / "new/file").touch()
    with outputs.folder(tmp_path / "new"):
        pass
    assert (tmp_path / "new/file").exists()


def test_a_place_that_cannot_be_written_to_is_named_and_stays_as_it_was(tmp_path):
    for out in (Path("/proc/x/y"), tmp_path / "file" / "x"):
        (tmp_path / "file").write_text("mine")
        with (
            pytest.raises(OSError, match=rf"nothing can be written to {out} \(.*\): give another"),
            outputs.folder(out),
        ):
            pass
    with pytest.raises(ZeroDivisionError), outputs.folder(tmp_path / "a/b/c"):
        1 / 0  # noqa: B018 -- any error
    (tmp_path / ".acestimator").write_text("mine")
    with outputs.folder(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".acestimator", "file"]
    assert (tmp_path / ".acestimator").read_text() == "mine"


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_leaves_whole_files(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    outputs.write_files(tmp_path, {"a": "before", "b": "before"})
    monkeypatch.setattr(outputs.os, name, full)
    with pytest.raises(OSError, match=r"nothing can be written to .* \(No space left on device\): give another folder"):
        outputs.write_files(tmp_path, {"a": "after", "b": "after"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "before", "b": "before"}


def test_a_folder_in_which_an_audit_was_stopped_is_one_of_an_audit(tmp_path, monkeypatch):
    def stop(*paths):
        replace_file(*paths)
        raise KeyboardInterrupt

    replace_file = outputs.os.replace
    monkeypatch.setattr(outputs.os, "replace", stop)
    contents = {outputs.PAGE: "page", outputs.SUMMARY: json.dumps({"format": "acestimator audit"})}
    with pytest.raises(KeyboardInterrupt):
        outputs.write_files(tmp_path, contents)
    with outputs.folder(tmp_path):  # or nobody could begin again
        pass


def test_files_are_written_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(UnicodeEncodeError):
        outputs.write_files(tmp_path, {"a": "after", "b": "\udc80"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"
    assert outputs.write_files(tmp_path, {"a": "after", "b": "new"}) == [tmp_path / "a", tmp_path / "b"]
    assert (tmp_path / "a").read_text() == "after"


def test_labels_that_differ_in_blanks_and_capitals_are_named():
    assert len(variants(["Gold", "gold ", "silver"])) == 1
    assert variants(["gold", "silver"]) == []


def test_codes_are_positions_in_the_classes():
    labels = np.array(["b", None, "a", "b"], dtype=object)
    assert encode(labels, np.array(["a", "aa", "b"])).tolist() == [2, -1, 0, 2]


def test_what_was_decided_is_suspected_no_more_and_is_in_the_table(findings):
    decided = replace(findings, is_open=np.array([False, True, False, True]))
    assert decided.suspects.tolist() == []
    assert confusions(decided) == []
    one = Decision(0, None, "d", "a", "relabel", findings.classes[1])
    text = outputs.issues_csv(decided, [""] * 4, None, ["d"] * 4, {0: one})
    assert [row["decision"] for row in csv.DictReader(text.splitlines())] == ["relabel", "", "", ""]


def a_summary(findings, review):
    info = SourceInfo("in.csv", "table", "sha256:" + "0" * 64, "kind", None, 4)
    return summarize(info, findings, settings={}, versions={}, review=review)


def test_the_least_rate_is_that_of_what_was_drawn_at_random_where_there_is_one(findings):
    """Else that of the estimate, and the wrong labels that were found are wrong for sure."""
    assert a_summary(findings, None).least_rate == 0.1
    review = Review(2, 1, 0, 0, 0, 0, 0, None)
    assert a_summary(findings, review).least_rate == pytest.approx((1 + 0.1 * 3) / 3)
    drawn = Review(2, 1, 0, 0, 1, 0, 3, (0.4, 0.9))
    assert a_summary(findings, drawn).least_rate == 0.4


def test_a_review_is_told_in_words(findings):
    summary = a_summary(findings, Review(2, 1, 1, 1, 2, 1, 3, (1 / 3, 2 / 3)))
    told = summary.sentences()
    assert told[0] == "2 labels were decided, and 1 of them wrong. 1 row was dropped and 1 row was left open."
    assert told[1].startswith(
        "Of 2 labels that were drawn at random, 1 were wrong. So between 33.3 % and 66.7 % of all 3 "
    )
    assert told[1].endswith("(with a probability of 90 %), and 0 to 1 wrong ones are left.")
    assert told[2] == (
        "1 of the other 1 labels is likelier wrong than right. By the network's estimate, about 1 wrong ones are left, "
        "0 to 1."
    )
    assert summary.to_dict()["review"]["interval"] == (1 / 3, 2 / 3)


@pytest.mark.parametrize(
    ("sure", "beginning", "end"),
    [
        ([False, False], "None of these should be changed", "likelier right than wrong."),
        ([True, False], "1 of these can be changed", "A person should decide about the others."),
        ([True, True], "2 of these can be changed", "as few labels are wrong as can be."),
    ],
)
def test_how_many_can_be_changed_unseen_is_told(findings, sure, beginning, end):
    both = replace(findings, probability=np.array([0.9, 0.8, 0.3, np.nan]), sure=np.array([*sure, False, False]))
    told = [line for line in a_summary(both, None).sentences() if "without a look" in line]
    assert len(told) == 1
    assert told[0].startswith(beginning)
    assert told[0].endswith(end)
