"""Files of an audit."""

import csv
import json

import numpy as np
import pytest

from acestimator.audit import outputs
from acestimator.audit.judge import Findings, encode
from acestimator.audit.summary import confusions, variants


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


def test_codes_are_positions_in_the_sorted_labels():
    classes, given = encode(np.array(["b", None, "a", "b"], dtype=object))
    assert classes.tolist() == ["a", "b"]
    assert given.tolist() == [1, -1, 0, 1]
