"""Pickles are read without running what they ask for."""

import io
import os
import pickle

import numpy as np
import pytest

from acestimator.datasets._pickles import read_pickle


def read(content):
    return read_pickle(io.BytesIO(content), "FILE", "The cure.")


class Call:
    """Asks that a function is called when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


ARRAYS = {
    "data": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4)),
    "big endian": np.arange(3, dtype=">i4"),
    "reals": np.array([0.5, -1e300]),
    "flags": np.array([True, False]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_come_back(protocol):
    content = {**ARRAYS, "labels": [1, 2], "nested": ({"a": None}, "b")}
    found = read(pickle.dumps(content, protocol=protocol))
    assert found.keys() == content.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert (found["labels"], found["nested"]) == ([1, 2], ({"a": None}, "b"))


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_a_pickle_of_python_2(module):
    # {'data': array([[1, 2], [255, 4]], dtype=uint8), 'labels': [7]}, by cPickle with protocol 2: text is bytes
    array = (
        b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x01\x02\xff\x04tb"
    )
    found = read(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x07eu.")
    np.testing.assert_array_equal(found["data"], np.array([[1, 2], [255, 4]], dtype=np.uint8))
    assert found["labels"] == [7]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(tmp_path, protocol):
    created = tmp_path / "created"
    for function, arguments in ((os.system, (f"touch {created}",)), (open, (str(created), "w")), (eval, ("1 + 1",))):
        content = pickle.dumps({"data": Call(function, *arguments)}, protocol=protocol)
        with pytest.raises(ValueError, match=rf"FILE asks for \w+\.{function.__name__}, which .* The cure\."):
            read(content)
    assert not created.exists()
    pickle.loads(pickle.dumps(Call(os.system, f"touch {created}")))
    assert created.exists()  # the pickle was one that does run


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array(["a", 1], dtype=object), "asks for an array of dtype 'O8'"),
        (np.array([(1, 2)], dtype="i4,i4"), "asks for an array of dtype 'V8'"),
        (np.array(["a"]), "asks for an array of dtype 'U1'"),
        (np.float64(1), r"asks for numpy\._core\.multiarray\.scalar"),
        (1j, r"asks for \w+\.complex"),
        (Call(os.path.join, "a"), "asks for posixpath.join"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_what_published_files_do_not_hold(value, message, protocol):
    with pytest.raises(ValueError, match=message):
        read(pickle.dumps({"data": value}, protocol=protocol))


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\n_core.multiarray._reconstruct\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x14ndarray.tobytes.call\x93.",  # a dotted name
        b"c_codecs\nencode\n(Va\nVzip\ntR.",  # an encoding that is none of text
    ],
)
def test_ways_around_the_names(content):
    with pytest.raises(ValueError, match="FILE asks for"):
        read(content)


def test_a_pickle_changes_nothing_for_the_next_one():
    # BUILD with a pair sets attributes of what a name stands for: here, defaults of a function
    with pytest.raises(ValueError, match="holds a function, expected a dictionary"):
        read(b"\x80\x02c_codecs\nencode\nN}V__defaults__\nVa\nVlatin1\n\x86s\x86b.")
    with pytest.raises(ValueError, match="is damaged"):
        read(b"\x80\x02}Va\nc_codecs\nencode\n)Rs.")  # which it still needs


def test_bytes_that_are_cut_off():
    content = pickle.dumps(ARRAYS, protocol=2)
    for n in range(0, len(content), 7):
        with pytest.raises(ValueError, match=r"FILE is damaged .* The cure\."):
            read(content[:n])


def test_a_shape_that_its_bytes_do_not_fill():
    content = pickle.dumps({"data": np.zeros((3, 5), np.uint8)}, protocol=2)
    at = content.index(b"K\x03K\x05\x86")
    with pytest.raises(ValueError, match="is damaged"):
        read(content[:at] + b"K\x03K\x06\x86" + content[at + 5 :])
