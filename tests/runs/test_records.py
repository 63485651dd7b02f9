"""A file of JSON lines: what is read of it, and what is left alone."""

import json

import pytest

from acestimator.runs import records

KEY = ("kind", "seed")


def read(path):
    return records.read(path, KEY, "record of a run")


def record(kind, seed=0, **measured):
    return {"kind": kind, "seed": seed} | measured


def test_no_file_has_no_records(tmp_path):
    assert read(tmp_path / "nothing.jsonl") == []


def test_the_last_record_of_a_key_counts_and_keeps_the_first_ones_place(tmp_path):
    path = tmp_path / "runs.jsonl"
    written = [record("a", value=1), record("b", value=2), record("a", 1, value=3), record("a", value=4)]
    assert list(records.append(path, written, n_done=0, n_all=4)) == written
    assert [found["value"] for found in read(path)] == [4, 2, 3]


def test_records_are_in_the_file_before_the_next_is_made(tmp_path):
    path, seen = tmp_path / "new" / "runs.jsonl", []

    def results():
        for kind in "abc":
            seen.append(len(read(path)))
            yield record(kind)

    list(records.append(path, results(), n_done=0, n_all=3))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("line", ["no json", "[1, 2]", '{"kind": "a"}', "3", '{"kind": [1], "seed": 0}'])
def test_a_file_that_holds_something_else(tmp_path, line):
    path = tmp_path / "runs.jsonl"
    path.write_text(line + "\n" + json.dumps(record("a")) + "\n")
    with pytest.raises(
        ValueError, match=r"runs.jsonl, line 1, is no record of a run \(.*mend it, or take another file"
    ):
        read(path)


@pytest.mark.parametrize(
    "content", [b"a note, and no line's end", b'{"kind": "a"', b"PK\x03\x04\x9f\x00", b'{"kind": 1}', b"3", b" "]
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_nothing_is_dropped_but_the_beginning_of_a_record(tmp_path, content, end):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(content + end)
    if content == b'{"kind": "a"' and not end:
        assert read(path) == []
        return
    with pytest.raises(ValueError, match=r"runs.jsonl.* holds no JSON lines|line 1, is no record of a run"):
        read(path)
    assert path.read_bytes() == content + end
