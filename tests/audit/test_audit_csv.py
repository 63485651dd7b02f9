"""CSV as people have it: what is read, and that a copy differs in what was decided alone."""

import csv
import gzip
import io
import time

import pytest
from decided import left, opened
from hypothesis import example, given
from hypothesis import strategies as st

from acestimator.audit import records
from acestimator.audit.contents import GAPS
from acestimator.audit.csv_source import CsvSource
from acestimator.audit.sources import DROP, open_source

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"\xef\xbb\xbf",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32-le": b"\xff\xfe\x00\x00",
}


def read_by_csv(content, encoding, separator):
    text = content.decode(encoding.removesuffix("-sig"))
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator)
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


# ---------------------------------------------------------------- any file, and any decisions

# A file in pieces: quoted fields may hold anything, plain ones what does no harm
cells = st.text(st.sampled_from('ab é"“,;|\t\n\r 1?🙂'), max_size=5)
labels = st.sampled_from(["ham", "spam", "", "NA", "x, y", 'a "b"', "two\nlines", "ß"])


@st.composite
def files(draw):
    """Pieces of each record as (fields, line end), values of the cells, separator, and encoding."""
    separator = draw(st.sampled_from(records.SEPARATORS))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    n_columns, at = draw(st.sampled_from([(2, 0), (2, 1), (3, 1), (4, 3)]))
    pieces, values = [], []
    for i in range(draw(st.integers(2, 6))):
        row = [draw(labels if j == at else cells) for j in range(n_columns)]
        row[at] = ("ham", "spam")[i] if i < 2 else row[at]
        fields = []
        for value in row:
            must = any(mark in value for mark in (separator, "\r", "\n")) or value.startswith('"')
            quoted = must or draw(st.booleans())
            fields.append('"' + value.replace('"', '""') + '"' if quoted else value)
        pieces.append((fields, end))
        values.append(row)
    if draw(st.booleans()):
        pieces[-1] = (pieces[-1][0], "")
    header = [f"c{j}" for j in range(n_columns)]
    header[at] = "label"
    before = [draw(st.sampled_from(["", "", end, "  " + end])) for _ in pieces]
    return header, pieces, before, values, separator, draw(st.sampled_from([*ENCODINGS])), at, end


def joined(header, pieces, before, separator, encoding, end, skip=()):
    text = separator.join(header) + end
    for i, (fields, line_end) in enumerate(pieces):
        text += before[i] + ("" if i in skip else separator.join(fields) + line_end)
    return ENCODINGS[encoding] + text.encode(encoding.removesuffix("-sig"))


@given(files(), st.data())
def test_a_copy_has_the_decided_labels_and_every_other_byte(tmp_path_factory, file, data):
    header, pieces, before, values, separator, encoding, at, end = file
    folder = tmp_path_factory.mktemp("csv")
    content = joined(header, pieces, before, separator, encoding, end)
    source = opened(folder / "in.csv", content, label="label")
    assert read_by_csv(content, encoding, separator) == [header, *values]
    assert source.records.header == header
    assert list(source.records.cells()) == values
    assert [*source.labels] == [None if row[at].strip() in GAPS else row[at].strip() for row in values]
    assert len(source.frame()) == len(values)

    source.write({}, folder / "same.csv")
    assert (folder / "same.csv").read_bytes() == content

    new = st.sampled_from(["ham", "new", "a,b;c|d\te", 'q"q', '"q', "é", "l\nm", DROP])
    changes = data.draw(st.dictionaries(st.integers(0, len(values) - 1), new))
    source.write(changes, folder / "out.csv")
    corrected = (folder / "out.csv").read_bytes()
    expected = [[*row[:at], changes.get(i, row[at]), *row[at + 1 :]] for i, row in enumerate(values)]
    kept = [row for i, row in enumerate(expected) if changes.get(i) is not DROP]
    assert read_by_csv(corrected, encoding, separator) == [header, *kept]
    # Every other byte: with the label fields of the copy, the pieces are the copy
    again = iter(
        records.read_records(
            corrected[len(ENCODINGS[encoding]) :].decode(encoding.removesuffix("-sig")), separator
        ).spans(at)
    )
    text = corrected[len(ENCODINGS[encoding]) :].decode(encoding.removesuffix("-sig"))
    for i, (fields, _) in enumerate(pieces):
        if changes.get(i) is not DROP:
            start, stop = next(again)
            assert (text[start:stop] == fields[at]) or changes[i] != values[i][at]
            assert text[start : start + 1] == '"' or not fields[at].startswith('"')  # quoted as before
            fields[at] = text[start:stop]
    dropped = {i for i, change in changes.items() if change is DROP}
    assert corrected == joined(header, pieces, before, separator, encoding, end, dropped)


@given(st.text(st.sampled_from('a",;\n\r '), max_size=12))
@example('"a"b"c",d')
@example('"a""b" ,d')
@example('a "b",c')
def test_fields_are_those_of_the_csv_module(text):
    text = "x,label\n" + text
    all_rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    is_whole, is_open = True, False
    try:
        found = records.read_records(text, ",")
    except records.MalformedError as error:
        is_whole, is_open = False, "closes it" in error.what
    if is_whole:
        assert [found.header, *found.cells()] == read_by_csv(text.encode(), "utf-8", ",")
    else:
        assert is_open or any(len(row) != 2 for row in all_rows)


def test_a_long_quoted_text_takes_one_pass():
    text = 'x,label\n"' + '""' * 500_000 + '",a\n"' + "b" * 500_000
    start = time.process_time()
    with pytest.raises(records.MalformedError, match="closes it"):
        records.read_records(text, ",")
    assert time.process_time() - start < 2


# ---------------------------------------------------------------- odd files

PLAIN = "name,label\nJosé,a\nBo,b\n\nAl,a\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", [*ENCODINGS, "latin-1", "cp1252"])
@pytest.mark.parametrize("separator", records.SEPARATORS)
def test_encodings_line_ends_and_separators_stay(tmp_path, end, encoding, separator):
    text = PLAIN.replace(",", separator).replace("\n", end)
    content = ENCODINGS.get(encoding, b"") + text.encode(encoding.removesuffix("-sig"))
    source = opened(tmp_path / "in.CSV", content, label="label")
    assert [*source.labels] == ["a", "b", "a"]
    assert [source.name(row) for row in range(3)] == ["line 2", "line 3", "line 5"]  # the blank one is no row
    assert source.frame()["name"].tolist() == ["José", "Bo", "Al"]
    source.write({0: "ü", 1: DROP}, tmp_path / "out.csv")
    new = text.replace(f"José{separator}a", f"José{separator}ü").replace(f"Bo{separator}b{end}", "")
    assert (tmp_path / "out.csv").read_bytes() == ENCODINGS.get(encoding, b"") + new.encode(
        encoding.removesuffix("-sig")
    )


def test_lines_are_counted_in_quotes_too(tmp_path):
    source = opened(tmp_path / "in.csv", b'x,label\n"a\nb\r\nc",u\n\n"d",v\ne,u', label="label")
    assert [source.name(row) for row in range(3)] == ["line 2", "line 6", "line 7"]
    source.write({2: DROP, 0: "w"}, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b'x,label\n"a\nb\r\nc",w\n\n"d",v\n'


def test_gaps_are_no_labels_and_get_one_in_their_place(tmp_path):
    source = opened(tmp_path / "in.csv", b'x,label\n1,a\n2,\n3,NA\n4," "\n5,?\n6, b \n', label="label")
    assert [*source.labels] == ["a", None, None, None, None, "b"]
    assert source.classes == ["a", "b"]
    source.write(dict.fromkeys(range(1, 6), "c"), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b'x,label\n1,a\n2,c\n3,c\n4,"c"\n5,c\n6, c \n'


def test_a_label_that_is_given_again_stays_as_it_is_written(tmp_path):
    content = b'x,label\n1,"a" \n2,"b"c\n3,"d""e"\n'
    source = opened(tmp_path / "in.csv", content, label="label")
    assert [*source.labels] == ["a", "bc", 'd"e']
    source.write(dict(enumerate(source.labels)), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == content


def test_spaces_after_commas_are_no_part_of_names_and_labels(tmp_path):
    source = opened(tmp_path / "in.csv", b"age, job, label\n39, clerk, low\n50, smith, high\n", label="label")
    assert [*source.labels] == ["low", "high"]
    assert source.info.label == " label"  # as it is in the file, so that it is found again
    source.write({0: "high"}, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"age, job, label\n39, clerk, high\n50, smith, high\n"


def test_the_separator_is_the_one_of_the_header(tmp_path):
    text = "note;label\none, two, three;a\none, two, three;b\n"
    assert opened(tmp_path / "in.csv", text.encode(), label="label").classes == ["a", "b"]
    assert opened(tmp_path / "in.tsv", b"x,y\tlabel\n1,2\ta\n3,4\tb\n", label="label").columns == ["x,y", "label"]


def test_a_frame_has_numbers_texts_and_gaps(tmp_path):
    text = 'whole,part,text,flag,label\n1,0.5,"a, b",True,u\n?,2,NA,False,v\n3,,\n,True,u\n'.replace(
        "\n,True", '"\n",True'
    )
    frame = opened(tmp_path / "in.csv", text.encode(), label="label").frame()
    assert [str(kind)[:5] for kind in frame.dtypes] == ["float", "float", "str", "bool"]
    assert frame["whole"].isna().tolist() == [False, True, False]
    assert frame["text"].isna().tolist() == [False, True, True]


def test_decimal_commas_are_numbers_where_commas_separate_nothing(tmp_path):
    frame = opened(tmp_path / "in.csv", b"x;t;label\n1,5;1,2;a\n-2;b;b\n;c;a\n", label="label").frame()
    assert frame["x"].tolist()[:2] == [1.5, -2.0]
    assert frame["t"].tolist() == ["1,2", "b", "c"]


def test_columns_without_names_are_called_as_pandas_does(tmp_path):
    source = opened(tmp_path / "in.csv", b",x,,label\n0,1,2,a\n1,1,2,b\n", label="label")
    assert [*source.frame().columns] == ["Unnamed: 0", "x", "Unnamed: 2"]


def test_compressed_files_are_read_and_written_by_their_names(tmp_path):
    content = gzip.compress(PLAIN.encode(), mtime=77)
    source = opened(tmp_path / "in.csv.gz", content, label="label")
    source.write({}, tmp_path / "same.csv.gz")
    assert (tmp_path / "same.csv.gz").read_bytes() == content
    for name in ("1.csv.gz", "2.csv.gz", "3.csv"):
        source.write({1: "c"}, tmp_path / name)
    corrected = PLAIN.replace("Bo,b", "Bo,c").encode()
    assert gzip.decompress((tmp_path / "1.csv.gz").read_bytes()) == (tmp_path / "3.csv").read_bytes() == corrected
    assert (tmp_path / "1.csv.gz").read_bytes() == (tmp_path / "2.csv.gz").read_bytes()
    assert (tmp_path / "1.csv.gz").read_bytes()[4:8] == bytes(4)  # the time is none, or a second later it would differ
    source.write({}, tmp_path / "plain.csv")
    assert (tmp_path / "plain.csv").read_bytes() == PLAIN.encode()
    opened(tmp_path / "plain.csv", PLAIN.encode(), label="label").write({}, tmp_path / "4.csv.gz")
    assert gzip.decompress((tmp_path / "4.csv.gz").read_bytes()) == PLAIN.encode()


def test_digests_are_of_what_a_row_holds_beside_its_label(tmp_path):
    a = opened(tmp_path / "a.csv", b"x,y,label\n1,2,u\n1,2,v\n12,,u\n", label="label").digests()
    b = opened(tmp_path / "b.csv", b'"x";label;y\n"1";w;2\n1;v;"2"\n12;u;\n', label="label").digests()
    assert a == b
    assert a[0] == a[1] != a[2]


def test_large_files_are_read_in_seconds(tmp_path):
    lines = [f'{i},{i / 7:.5f},"a, ""{i % 97}""",word {i},x,y,z,{"ab"[i % 2]}\n' for i in range(100_000)]
    content = ("i,p,q,r,s,t,u,label\n" + "".join(lines)).encode()
    start = time.process_time()
    source = opened(tmp_path / "in.csv", content, label="label", id="i")
    assert len(set(source.digests())) == 100_000
    assert time.process_time() - start < 10  # on a busy machine; 1.3 s on an idle one


# ---------------------------------------------------------------- what is refused

BAD = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n", "is empty"),
    "no rows": (b"x,label\n", "has 0 rows"),
    "zeros": (b"x,label\n1,\0\n2,a\n", "is no text"),
    "controls": (bytes(range(1, 32)) * 9 + b"x,label\n", "is no text"),
    "zip": (b"PK\x03\x04\x14\x00", "an Excel workbook"),
    "image": (b"\x89PNG\r\n\x1a\n\x00\x00", "it is an image"),
    "parquet": (b"PAR1\x15\x04", "name it .parquet"),
    "half a mark": (b"\xff\xfex", "goes on as something else"),
    "one class": (b"x,label\n1,a\n2,a\n", "has the one label 'a', expected two or more"),
    "no labels": (b"x,label\n1,\n2,NA\n", "has no labels, in any of 2 rows"),
    "long row": (b"x,label\n1,a\n2,b,c\n", "line 3, has 3 fields, expected 2 as in the header"),
    "short row": (b'x,y,label\n1,2,a\n"\n\n",2,b\n4\n', "line 6, has 1 fields, expected 3"),
    "open quote": (b'x,label\n1,a\n"2,b\n3,a\n', "line 3, has a quote that opens a field"),
    "open header": (b'"x,label\n1,a\n', "line 1, has a quote"),
    "twice": (b"x,x,label\n1,1,a\n2,2,b\n", "more than one column 'x'"),
    "one column": (b"label\na\nb\n", "has the columns 'label', expected two or more"),
    "other column": (b"x,Lable,y\n1,a,2\n2,b,3\n", "has no column 'label', given by --label; did you mean 'Lable'?"),
    "no such": (b"x,y,z\n1,a,2\n2,b,3\n", "has no column 'label', given by --label; there are 'x', 'y', 'z'."),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_with_labels_is_refused(tmp_path, name):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as caught:
        opened(tmp_path / "in.csv", content, label="label")
    assert str(tmp_path / "in.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


IDS = {
    "1,x,a\n2,x,b\n1,x,a\n2,x,b\n": "2 ids more than once in column 'id': '1', '2'; the first is of line 2, line 4",
    "1,x,a\n,x,b\nNA,x,b\n": "has 2 rows without an id in column 'id': line 3, line 4",
}


@pytest.mark.parametrize("rows", IDS)
def test_ids_name_one_row_each(tmp_path, rows):
    with pytest.raises(ValueError, match=IDS[rows]):
        opened(tmp_path / "in.csv", f"id,t,label\n{rows}".encode(), label="label", id="id")


def test_columns_are_asked_for_by_their_names(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,label\n1,a\n2,b\n")
    with pytest.raises(ValueError, match="say which column has the labels, by --label; there are 'id', 'label'"):
        open_source(path)
    with pytest.raises(ValueError, match="given by --id; did you mean 'id'"):
        open_source(path, label="label", id="ID")
    with pytest.raises(ValueError, match="is given as label and as id"):
        open_source(path, label="label", id="label")
    assert open_source(path, label="label", id="id").ids == ["1", "2"]


def test_files_of_no_known_kind_are_refused(tmp_path):
    (tmp_path / "in.csv").write_text("x,label\n1,a\n2,b\n")
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*inn.csv. Did you mean .*in.csv\?"):
        open_source(tmp_path / "inn.csv", label="label")
    with pytest.raises(ValueError, match=r"is of no kind that is known by its name: expected .* \.csv, \.tsv"):
        open_source(tmp_path / "book.xlsx", label="label")
    (tmp_path / "half.csv.gz").write_bytes(gzip.compress(b"x,label\n1,a\n2,b\n")[:-9])
    with pytest.raises(ValueError, match="is no whole file of gzip"):
        open_source(tmp_path / "half.csv.gz", label="label")


def test_labels_that_cannot_be_written_are_refused_before_anything_is(tmp_path):
    source = opened(tmp_path / "in.csv", "x,label\né,a\n2,b\n".encode("cp1252"), label="label")
    for changes, message in (
        ({0: "🙂"}, "is written in cp1252, which has no '🙂'"),
        ({0: "  "}, "which stands for no label"),
        ({1: "NA"}, "new label of line 3 is 'NA', which stands for no label"),
        ({2: "a"}, "has no row 2: it has 2, from 0"),
        ({-1: "a"}, "has no row -1"),
    ):
        with pytest.raises(ValueError, match=message):
            source.write(changes, tmp_path / "out.csv")
    with pytest.raises(ValueError, match=r"cannot be a copy of .*: give it a name that ends in .csv"):
        source.write({}, tmp_path / "out.parquet")
    with pytest.raises(ValueError, match="is no folder of images"):
        source.write({}, tmp_path / "out.csv", move=True)
    assert left(tmp_path) == ["in.csv"]


def test_pandas_is_needed_for_the_frame_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    source = opened(tmp_path / "in.csv", b"x,label\n1,a\n2,b\n", label="label")
    assert isinstance(source, CsvSource)
    source.write({0: "b"}, tmp_path / "out.csv")
    with pytest.raises(ImportError, match=r'pip install "acestimator\[audit\]"'):
        source.frame()
