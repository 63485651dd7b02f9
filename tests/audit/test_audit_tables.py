"""JSON lines, Parquet and Feather: of a copy, only the labels differ, and the schema stays."""

import json
import sys

import numpy as np
import pytest
from decided import left, opened
from hypothesis import given
from hypothesis import strategies as st

from acestimator.audit.json_lines import replace_value
from acestimator.audit.sources import DROP, open_source

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")

# ---------------------------------------------------------------- JSON lines

LINES = (
    '{"x": 1, "label" :"a",\t"t":"é"}\r\n'
    "\r\n"
    ' {"label":"b","t": {"label": "inner"}, "x": 2.50}\r\n'
    '{"x":3,"t":[1, 2]}\r\n'
    '{"label": null, "x": 4, "t": "\\u00e9 \\"label\\": 1"}'
)


def test_only_the_values_of_changed_labels_differ(tmp_path):
    source = opened(tmp_path / "in.jsonl", LINES.encode(), label="label")
    assert [*source.labels] == ["a", "b", None, None]
    assert [source.name(row) for row in range(4)] == ["line 1", "line 3", "line 4", "line 5"]
    source.write({}, tmp_path / "same.jsonl")
    assert (tmp_path / "same.jsonl").read_bytes() == LINES.encode()
    source.write({0: 'ü"', 1: DROP, 2: "b", 3: "a"}, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes().decode() == (
        '{"x": 1, "label" :"ü\\"",\t"t":"é"}\r\n'
        "\r\n"
        '{"x":3,"t":[1, 2], "label": "b"}\r\n'
        '{"label": "a", "x": 4, "t": "\\u00e9 \\"label\\": 1"}'
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["label", "a", '"', "é", ""]), values),
    values,
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\t", " :  ")]),
    st.booleans(),
)
def test_a_line_with_another_value_is_read_as_one(content, value, separators, is_ascii):
    line = json.dumps(content, separators=separators, ensure_ascii=is_ascii)
    new = replace_value(line, "label", json.dumps(value))
    assert json.loads(new) == {**content, "label": value}
    assert [*json.loads(new)] == [*content] + ["label"] * ("label" not in content)
    assert replace_value(
        new, "label", json.dumps(content.get("label"), separators=separators, ensure_ascii=is_ascii)
    ) in (
        line,
        replace_value(line, "label", "null"),  # it had no label
    )


def test_numbers_stay_numbers_and_ascii_stays_ascii(tmp_path):
    source = opened(tmp_path / "in.ndjson", b'{"x":1,"y":1}\n{"x":2,"y":0}\n{"x":3,"y":1}\n', label="y")
    assert source.classes == ["0", "1"]
    source.write({0: "0", 2: "7"}, tmp_path / "out.ndjson")
    assert (tmp_path / "out.ndjson").read_bytes() == b'{"x":1,"y":0}\n{"x":2,"y":0}\n{"x":3,"y":7}\n'
    for label in ("a", "07", "1.5", "nan"):
        with pytest.raises(ValueError, match=r"cannot be one of .*, whose labels are of the kind int|no label"):
            source.write({0: label}, tmp_path / "other.ndjson")
    source = opened(tmp_path / "text.jsonl", b'{"x":1,"y":"a"}\n{"x":2,"y":"b"}\n', label="y")
    source.write({0: "é"}, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == b'{"x":1,"y":"\\u00e9"}\n{"x":2,"y":"b"}\n'


def test_a_frame_of_lines_has_all_keys_but_the_label(tmp_path):
    frame = opened(tmp_path / "in.jsonl", LINES.encode(), label="label").frame()
    assert [*frame.columns] == ["x", "t"]
    assert frame["x"].tolist() == [1, 2.5, 3, 4]
    assert frame["t"].tolist() == ["é", '{"label": "inner"}', "[1, 2]", 'é "label": 1']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"x":1,"y":"a"}\n\n{"x":2,"y":\n', "line 3, is no JSON"),
        ('{"x":1,"y":"a"}\n[1]\n', "line 2, holds a list, expected an object"),
        ('{"x":1,"y":"a"}\n{"x":1,"y":["b"]}\n', "line 2, has a list as 'y'"),
        ('{"x":1,"y":"a"}\n{"x":1,"Y":"b"}\n', "has the one label 'a'"),
        ('{"x":1,"Y":"a"}\n{"x":1,"Y":"b"}\n', "no column 'y', given by --label; did you mean 'Y'"),
        ('{"y":"a"}\n{"y":"b"}\n', "has the columns 'y', expected two or more"),
    ],
)
def test_lines_of_something_else_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path / "in.jsonl", content.encode(), label="y")


def test_rows_of_lines_are_named_by_ids(tmp_path):
    content = b'{"id":7,"y":"a"}\n{"id":8,"y":"b"}\n'
    assert opened(tmp_path / "in.jsonl", content, label="y", id="id").ids == ["7", "8"]
    with pytest.raises(ValueError, match=r"1 ids more than once in column 'id': '7'; the first is of line 1, line 2"):
        opened(tmp_path / "in.jsonl", content.replace(b"8", b"7"), label="y", id="id")


# ---------------------------------------------------------------- columns

FRAME = pd.DataFrame(
    {
        "x": [1.5, None, 3.0, 4.0],
        "when": pd.to_datetime(["2020-01-01", "2020-01-02", None, "2020-01-04"]),
        "label": ["a", "b", None, "a"],
    },
    index=[10, 20, 30, 40],
)
KINDS = {
    "text": lambda: pa.array(["a", "b", None, "a"]),
    "large": lambda: pa.array(["a", "b", None, "a"], pa.large_string()),
    "category": lambda: pa.array(["a", "b", None, "a"]).dictionary_encode(),
    "ordered": lambda: pa.DictionaryArray.from_arrays(
        pa.array([2, 0, None, 2], pa.int8()), pa.array(["b", "unused", "a"]), ordered=True
    ),
}


def save(table, path):
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd", row_group_size=2)
    else:
        feather.write_feather(table, path)
    return open_source(path, label="label")


def load(path):
    return pq.read_table(path) if path.suffix == ".parquet" else feather.read_table(path)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_schema_and_other_labels(tmp_path, kind, ending):
    table = pa.Table.from_pandas(FRAME)
    field = pa.field("label", KINDS[kind]().type, metadata={"says": "what it is"})
    table = table.set_column(2, field, KINDS[kind]())
    source = save(table, tmp_path / f"in.{ending}")
    assert [*source.labels] == ["a", "b", None, "a"]
    source.write({}, tmp_path / f"same.{ending}")
    assert (tmp_path / f"same.{ending}").read_bytes() == (tmp_path / f"in.{ending}").read_bytes()
    source.write({0: "new", 2: "b", 3: DROP}, tmp_path / f"out.{ending}")
    new = load(tmp_path / f"out.{ending}")
    assert new.schema.equals(load(tmp_path / f"in.{ending}").schema, check_metadata=True)
    assert new["label"].to_pylist() == ["new", "b", "b"]
    assert new.drop_columns("label").equals(load(tmp_path / f"in.{ending}").drop_columns("label").slice(0, 3))
    if kind == "ordered":
        assert new["label"].combine_chunks().dictionary.to_pylist() == ["b", "unused", "a", "new"]
    assert pd.read_parquet(tmp_path / "out.parquet").index.tolist() == [10, 20, 30] if ending == "parquet" else True
    source.write({0: "new", 2: "b", 3: DROP}, tmp_path / f"again.{ending}")
    assert (tmp_path / f"again.{ending}").read_bytes() == (tmp_path / f"out.{ending}").read_bytes()


def test_the_codec_and_the_groups_of_a_file_stay(tmp_path):
    table = pa.table({"x": range(10), "label": [*"ababababab"]})
    save(table, tmp_path / "in.parquet").write({0: "b"}, tmp_path / "out.parquet")
    old, new = (pq.ParquetFile(tmp_path / name).metadata for name in ("in.parquet", "out.parquet"))
    assert old.num_row_groups == new.num_row_groups == 5
    assert {new.row_group(1).column(j).compression for j in (0, 1)} == {"ZSTD"}
    assert old.format_version == new.format_version


@pytest.mark.parametrize(
    ("array", "texts", "new", "value", "refused"),
    [
        (pa.array([1, 0, None, 1], pa.int8()), ["1", "0", None, "1"], "7", 7, ["300", "x", "1.0", "01"]),
        (pa.array([1.0, 0.5, None, 1.0]), ["1", "0.5", None, "1"], "2", 2.0, ["x", "2.0", "1e3"]),
        (pa.array([True, False, None, True]), ["true", "false", None, "true"], "false", False, ["maybe", "0"]),
        (pa.array([1, 0, None, 1]).dictionary_encode(), ["1", "0", None, "1"], "9", 9, ["x"]),
    ],
)
def test_labels_that_are_no_texts_stay_what_they_are(tmp_path, array, texts, new, value, refused):
    source = save(pa.table({"x": [1, 2, 3, 4], "label": array}), tmp_path / "in.parquet")
    assert [*source.labels] == texts
    source.write({0: new}, tmp_path / "out.parquet")
    assert load(tmp_path / "out.parquet")["label"].to_pylist() == [value, *array.to_pylist()[1:]]
    for text in refused:
        with pytest.raises(ValueError, match=f"the new label '{text}' cannot be one of"):
            source.write({0: text}, tmp_path / "other.parquet")
    assert left(tmp_path) == ["in.parquet", "out.parquet"]


def test_categories_may_become_too_many_for_their_codes(tmp_path):
    names = [f"c{i}" for i in range(128)]
    array = pa.DictionaryArray.from_arrays(pa.array(range(128), pa.int8()), pa.array(names))
    source = save(pa.table({"x": range(128), "label": array}), tmp_path / "in.parquet")
    with pytest.raises(ValueError, match="cannot have more than 128 categories"):
        source.write({0: "new"}, tmp_path / "out.parquet")
    assert left(tmp_path) == ["in.parquet"]


def test_digests_tell_rows_by_what_they_hold_beside_the_label(tmp_path):
    table = pa.table({"x": [1, 1, None, 1], "t": ["a", "a", "a", None], "label": ["u", "v", "u", "v"]})
    digests = save(table, tmp_path / "in.parquet").digests()
    assert digests == save(table, tmp_path / "in.feather").digests()
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_frame_has_the_types_of_the_file(tmp_path):
    frame = save(pa.Table.from_pandas(FRAME), tmp_path / "in.parquet").frame()
    assert [*frame.columns] == ["x", "when", "__index_level_0__"]
    assert [column.kind for column in frame.dtypes] == ["f", "M", "i"]
    assert frame.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(frame["x"], FRAME["x"])


def test_lists_objects_and_bytes_are_texts_in_a_frame(tmp_path):
    nested = pa.array([[{"a": 1}], None, [], [{"a": 2}]])  # which pandas cannot tell apart
    raw = pa.array([b"abc", b"\xc8", None, b""])
    frame = save(pa.table({"x": nested, "raw": raw, "label": [*"abab"]}), tmp_path / "in.parquet").frame()
    assert frame["x"].fillna("gap").tolist() == ['[{"a": 1}]', "gap", "[]", '[{"a": 2}]']
    assert frame["raw"].fillna("gap").tolist() == ["abc", "\ufffd", "gap", ""]


def test_files_that_are_no_tables_are_refused(tmp_path):
    for name in ("in.parquet", "in.feather"):
        with pytest.raises(ValueError, match="is empty"):
            opened(tmp_path / name, b"", label="label")
        with pytest.raises(ValueError, match=r"is no whole (Parquet|Feather) file"):
            opened(tmp_path / name, b"x,label\n1,a\n", label="label")
        table = pa.table({"x": [1, 2], "label": [["a"], ["b"]]})
        with pytest.raises(ValueError, match="holds a list a row"):
            save(table, tmp_path / name)
        with pytest.raises(ValueError, match="more than one column 'x'"):
            save(pa.Table.from_arrays([[1], [2], ["a"]], ["x", "x", "label"]), tmp_path / name)
        with pytest.raises(ValueError, match="0 rows"):
            save(pa.table({"x": pa.array([], pa.int8()), "label": pa.array([], pa.string())}), tmp_path / name)


def test_a_file_that_was_changed_meanwhile_is_not_copied(tmp_path):
    source = save(pa.table({"x": [1, 2], "label": ["a", "b"]}), tmp_path / "in.parquet")
    save(pa.table({"x": [1, 3], "label": ["a", "b"]}), tmp_path / "in.parquet")
    with pytest.raises(ValueError, match="was changed since it was opened"):
        source.write({0: "b"}, tmp_path / "out.parquet")
    assert left(tmp_path) == ["in.parquet"]


def test_pyarrow_is_asked_for(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "acestimator\[audit\]"'):
        opened(tmp_path / "in.parquet", b"PAR1", label="label")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([*"uvwx"], pa.string_view()),  # which pyarrow cannot filter
        pa.chunked_array([pa.array([*"uv"]).dictionary_encode(), pa.array([*"wu"]).dictionary_encode()]),
        pa.array([[{"a": 1}], None, [], [{"a": 2}]]),
        pa.array([1, None, 3, 4], pa.timestamp("ns", "Europe/Berlin")),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_rows_are_left_out_of_columns_of_any_type(tmp_path, ending, column):
    source = save(pa.table({"x": column, "label": [*"abab"]}), tmp_path / f"in.{ending}")
    source.write({1: DROP, 2: DROP}, tmp_path / f"out.{ending}")
    new, old = load(tmp_path / f"out.{ending}"), load(tmp_path / f"in.{ending}")
    assert new.schema.equals(old.schema, check_metadata=True)
    assert new["x"].to_pylist() == [column.to_pylist()[row] for row in (0, 3)]


def test_a_category_that_is_there_twice_is_no_place_for_a_new_one(tmp_path):
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 1]), pa.array(["a", "b", "a"]))
    source = save(pa.table({"x": [1, 2, 3, 4], "label": array}), tmp_path / "in.feather")
    source.write({1: "new", 3: "other"}, tmp_path / "out.feather")
    assert load(tmp_path / "out.feather")["label"].to_pylist() == ["a", "new", "a", "other"]


def test_a_label_has_the_spaces_that_the_file_has_around_it(tmp_path):
    source = save(pa.table({"x": [1, 2, 3], "label": [" a", " b", " a"]}), tmp_path / "in.parquet")
    source.write({0: "b"}, tmp_path / "out.parquet")
    assert load(tmp_path / "out.parquet")["label"].to_pylist() == [" b", " b", " a"]


def test_dates_that_python_has_not_are_named(tmp_path):
    far = pa.array([10**12, 1], pa.timestamp("s"))
    with pytest.raises(ValueError, match=r"column 'x', holds values that cannot be read \(date"):
        save(pa.table({"x": far, "label": ["a", "b"]}), tmp_path / "in.parquet").digests()
    exact = pa.array([1, 2], pa.time64("ns"))
    with pytest.raises(ValueError, match="has a column of a type that pandas has not"):
        save(pa.table({"x": exact, "label": ["a", "b"]}), tmp_path / "in.feather").frame()
