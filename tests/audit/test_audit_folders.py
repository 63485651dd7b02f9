"""Folders of images: a copy has each under its new class, and the folder itself is never touched."""

import shutil

import pytest
from decided import left

from acestimator.audit.folders import SUFFIXES
from acestimator.audit.sources import DROP, ImageSource, open_source
from acestimator.datasets import image_folder


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder


def held(folder):
    """All files of a folder and what they hold."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in folder.rglob("*") if path.is_file()
    }


CLASSES = {
    "cat/1.png": "one",
    "cat/deep/2.JPG": "two",
    "dog/1.png": "three",
    "dog/3.png": "four",
    "dog/notes.txt": "no image",
    "dog/.hidden.png": "no image",
    "README": "of all",
}


def test_images_have_the_class_of_their_folder(tmp_path):
    source = open_source(fill(tmp_path / "pets", CLASSES))
    assert isinstance(source, ImageSource)
    assert source.files == source.ids == ["cat/1.png", "cat/deep/2.JPG", "dog/1.png", "dog/3.png"]
    assert [*source.labels] == ["cat", "cat", "dog", "dog"]
    assert (source.info.kind, source.info.name, source.info.label, source.info.id) == ("images", "pets", "", None)
    assert source.name(1) == "cat/deep/2.JPG"
    assert source.file(1).read_text() == "two"
    assert [*source.files] == [
        str(image_folder.ImageFolder(tmp_path / "pets").path(i).relative_to(tmp_path / "pets")) for i in range(4)
    ]
    assert SUFFIXES == image_folder._SUFFIXES


@pytest.mark.parametrize("move", [False, True])
def test_images_move_to_their_new_class_in_the_copy(tmp_path, move):
    root = fill(tmp_path / "pets", CLASSES)
    source = open_source(root)
    assert source.write({}, tmp_path / "same", move=move) == []
    assert held(tmp_path / "same") == CLASSES
    assert open_source(tmp_path / "same").info.fingerprint == source.info.fingerprint
    notes = source.write({0: "dog", 1: "bird", 2: DROP, 3: "dog"}, tmp_path / "out", move=move)
    assert notes == []  # the other 1.png is left out
    others = {name: CLASSES[name] for name in ("dog/3.png", "dog/notes.txt", "dog/.hidden.png", "README")}
    assert held(tmp_path / "out") == {"dog/1.png": "one", "bird/deep/2.JPG": "two", **others}
    assert held(root) == CLASSES
    assert (root / "cat/1.png").samefile(tmp_path / "out" / "dog/1.png") is move
    assert not (tmp_path / "out" / "cat").exists()


def test_a_name_that_is_taken_gets_another_and_is_told(tmp_path):
    files = {"cat/1.png": "a", "cow/1.PNG": "b", "dog/1.png": "c", "dog/1 (from cat).png": "d", "eel/1.png": "e"}
    source = open_source(fill(tmp_path / "in", files))
    notes = source.write({0: "dog", 1: "dog"}, tmp_path / "out")
    assert notes == [
        "cat/1.png is dog/1 (from cat) 2.png in the copy, since there is another image of its name.",
        "cow/1.PNG is dog/1 (from cow).PNG in the copy, since there is another image of its name.",
    ]
    assert sorted(held(tmp_path / "out").values()) == [*"abcde"]
    assert source.write({0: "elk", 1: "elk"}, tmp_path / "new") == [
        "cow/1.PNG is elk/1 (from cow).PNG in the copy, since there is another image of its name."
    ]
    # Two that change places meet nobody
    assert source.write({0: "eel", 4: "cat"}, tmp_path / "swapped") == []
    assert held(tmp_path / "swapped")["cat/1.png"] == "e"
    assert held(tmp_path / "swapped")["eel/1.png"] == "a"


TABLE = 'file;label;by\r\na.png;"x";me\r\nsub/b.png;y;you\r\n'
LABELLED = {"labels.csv": TABLE, "a.png": "one", "sub/b.png": "two", "extra.png": "no label"}


@pytest.mark.parametrize("move", [False, True])
def test_labels_beside_images_are_rewritten_and_images_stay(tmp_path, move):
    root = fill(tmp_path / "in", LABELLED)
    source = open_source(root)
    assert (source.files, [*source.labels], source.info.id) == (["a.png", "sub/b.png"], ["x", "y"], "file")
    source.write({}, tmp_path / "same", move=move)
    assert held(tmp_path / "same") == LABELLED
    source.write({0: "z", 1: DROP}, tmp_path / "out", move=move)
    table = 'file;label;by\r\na.png;"z";me\r\n'
    assert held(tmp_path / "out") == {"labels.csv": table, "a.png": "one", "extra.png": "no label"}
    assert held(root) == LABELLED


def test_the_fingerprint_covers_paths_images_and_labels(tmp_path):
    known = set()
    for i, files in enumerate(
        [
            CLASSES,
            {**CLASSES, "cat/1.png": "other"},
            {**CLASSES, "cat/9.png": "one"},
            {name.replace("cat/1", "cat/0"): content for name, content in CLASSES.items()},
            {name.replace("cat/1", "dog/9"): content for name, content in CLASSES.items()},
            LABELLED,
            {**LABELLED, "labels.csv": TABLE.replace("you", "me")},
        ]
    ):
        known.add(open_source(fill(tmp_path / str(i), files)).info.fingerprint)
    assert len(known) == 7


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({}, {}, "has no images"),
        ({"1.png": "", "readme": ""}, {}, "has no images .* in folders of classes, expected in.csv/CLASS/IMAGE"),
        ({"cat/1.png": ""}, {}, "has the one label 'cat', .*: a folder for each class is needed"),
        (CLASSES, {"label": "y"}, "is a folder of class folders, which has no column 'y'"),
        (CLASSES, {"id": "y"}, "has no column 'y'"),
        ({"labels.csv": "file,label\na.png,x\nb.png,y\n"}, {}, "names 2 files that are not there: 'a.png', 'b.png'"),
        ({"labels.csv": "file,label\n../a.png,x\n/b.png,y\n"}, {}, "names files outside of its folder: '../a.png'"),
        ({"labels.csv": "file,label\na.png,x\na.png,y\n", "a.png": ""}, {}, "1 ids more than once .* 'a.png'"),
        ({"labels.csv": "file,label\n,x\na.png,y\n", "a.png": ""}, {}, "1 rows without an id .* line 2"),
        ({"labels.csv": "file,label\na.png,x\n"}, {}, "has the one label"),
        ({"labels.csv": "path,label\na.png,x\nb.png,y\n"}, {}, "no column 'file', given by --id; there are"),
        ({"labels.csv": "file,labels\na.png,x\nb.png,y\n"}, {}, "no column 'label', given by --label; did you mean"),
        ({"labels.csv": ""}, {}, "is empty"),
    ],
)
def test_folders_of_something_else_are_refused(tmp_path, files, options, message):
    (tmp_path / "in.csv").mkdir()  # whatever its name
    with pytest.raises(ValueError, match=message):
        open_source(fill(tmp_path / "in.csv", files), **options)


def test_copies_are_refused_where_they_would_touch_the_source_or_leave_the_folder(tmp_path):
    source = open_source(fill(tmp_path / "in", CLASSES))
    with pytest.raises(ValueError, match="is inside of"):
        source.write({}, tmp_path / "in" / "out")
    with pytest.raises(FileExistsError, match="is there already"):
        source.write({}, tmp_path / "in" / ".." / "in")
    for label in ("../up", "a/b", ".hidden", "..", "a\\b"):
        with pytest.raises(ValueError, match="cannot be a folder's name"):
            source.write({0: label}, tmp_path / "out")
    assert left(tmp_path) == ["in"]
    assert held(tmp_path / "in") == CLASSES


def test_links_in_a_circle_are_followed_once(tmp_path):
    root = fill(tmp_path / "in", CLASSES)
    (root / "cat" / "again").symlink_to(root / "cat", target_is_directory=True)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "9.png").write_text("nine")
    (root / "elk").symlink_to(tmp_path / "far", target_is_directory=True)
    source = open_source(root)
    assert source.files[2:] == ["dog/1.png", "dog/3.png", "elk/9.png"]
    source.write({4: "dog"}, tmp_path / "out", move=True)
    assert held(tmp_path / "out")["dog/9.png"] == "nine"
    assert left(tmp_path / "far") == ["9.png"]


def test_images_whose_link_leads_nowhere_are_not_lost_in_silence(tmp_path):
    root = fill(tmp_path / "in", CLASSES)
    (root / "dog" / ".#notes.txt").symlink_to("somebody@somewhere")  # as an editor locks a file
    assert len(open_source(root).files) == 4
    (root / "dog" / "4.png").symlink_to("nowhere.png")
    with pytest.raises(ValueError, match=r"dog/4\.png is a link that leads nowhere"):
        open_source(root)


def test_classes_are_not_mixed_up_by_blanks_or_with_files(tmp_path):
    with pytest.raises(ValueError, match="blanks around their names: 'cat '; rename them"):
        open_source(fill(tmp_path / "blank", {"cat /1.png": "a", "dog/1.png": "b"}))
    source = open_source(fill(tmp_path / "in", CLASSES))
    with pytest.raises(ValueError, match="the new label 'README' is the name of a file of"):
        source.write({0: "README"}, tmp_path / "out")
    assert left(tmp_path) == ["blank", "in"]


def test_an_image_has_one_name_however_it_is_written(tmp_path):
    files = {"labels.csv": "file,label\n./a.png,x\nsub//b.png,y\n", "a.png": "one", "sub/b.png": "two"}
    source = open_source(fill(tmp_path / "in", files))
    assert source.files == ["a.png", "sub/b.png"]
    source.write({0: DROP, 1: "z"}, tmp_path / "out")
    assert held(tmp_path / "out") == {"labels.csv": "file,label\nsub//b.png,z\n", "sub/b.png": "two"}
    fill(tmp_path / "in", {"labels.csv": "file,label\n./a.png,x\na.png,y\n"})
    with pytest.raises(ValueError, match="1 ids more than once"):
        open_source(tmp_path / "in")


def test_names_that_are_no_unicode_are_refused(tmp_path):
    fill(tmp_path / "in", {**CLASSES, "dog/\udcff.png": "odd"})
    with pytest.raises(ValueError, match="that is no Unicode: change it"):
        open_source(tmp_path / "in")


def test_folders_called_as_gaps_are_classes(tmp_path):
    source = open_source(fill(tmp_path / "in", {"NA/1.png": "a", "None/1.png": "b"}))
    assert source.classes == ["NA", "None"]
    source.write({0: "None"}, tmp_path / "out")
    assert held(tmp_path / "out") == {"None/1 (from NA).png": "a", "None/1.png": "b"}


def test_an_image_that_was_changed_meanwhile_is_not_copied(tmp_path):
    source = open_source(fill(tmp_path / "in", CLASSES))
    (tmp_path / "in" / "dog" / "3.png").write_text("other")
    with pytest.raises(ValueError, match=r"3\.png was changed since the folder was opened"):
        source.write({0: "dog"}, tmp_path / "out")
    assert left(tmp_path) == ["in"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_copy_that_was_stopped(tmp_path, monkeypatch, error):
    source = open_source(fill(tmp_path / "in", CLASSES))
    copies = []

    def copy(*paths):
        copies.append(paths)
        if len(copies) == 3:
            raise error
        return original(*paths)

    original = shutil.copy2
    monkeypatch.setattr(shutil, "copy2", copy)
    with pytest.raises(type(error)):
        source.write({0: "dog"}, tmp_path / "out")
    assert len(copies) == 3
    assert left(tmp_path) == ["in"]
    assert held(tmp_path / "in") == CLASSES
