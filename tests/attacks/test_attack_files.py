"""Files under attack: images, pickles and archives that claim much or never end. What they ask for is never run."""

import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from acestimator import comparison
from acestimator.audit.sources import open_source
from acestimator.cli import main
from acestimator.comparison import own
from acestimator.datasets import ImageFolder, load_cifar10, load_cifar10n, load_samples
from acestimator.datasets._crops import evaluation_crop, read_image, training_crop
from acestimator.datasets._pickles import read_pickle

GIGABYTE = 1 << 30


def in_little_memory(code, *arguments, limit=3 * GIGABYTE):
    """Run code in a process with so much memory; the lines that it prints."""

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# ---------------------------------------------------------------- images


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000)])
def test_of_a_strip_little_memory_is_taken(pillow, size, tmp_path):
    """It was resized to 7.7 million by 256 pixels, 7 GB, of which a square was cut."""
    pillow.new("RGB", size, (1, 2, 3)).save(tmp_path / "strip.png")
    image = read_image(tmp_path / "strip.png")
    tracemalloc.start()
    try:
        views = [evaluation_crop(image, 224, 256), training_crop(image, 224, np.random.default_rng(0))]
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    for view in views:
        assert view.shape == (3, 224, 224)
        assert (view == np.array([1, 2, 3])[:, None, None]).all()


def a_png(width, height):
    """A file that claims so many pixels, and has none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


def test_pixels_are_bounded_by_pillow(pillow, tmp_path):
    (tmp_path / "bomb.png").write_bytes(a_png(50_000, 50_000))
    with pytest.raises(ValueError, match=r"cannot be decoded \(Image size \(2500000000 pixels\) exceeds limit"):
        read_image(tmp_path / "bomb.png")


def not_waited_for(act):
    """What ``act`` raised, if it ended in ten seconds."""
    raised = []

    def run():
        try:
            act()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return raised[0]


def test_pipes_and_devices_are_not_read(pillow, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pillow.new("RGB", (8, 8)).save(tmp_path / name / "image.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "zeros.png").symlink_to("/dev/zero")
    for name, kind in (("a/pipe.png", "a named pipe"), ("b/zeros.png", "a device")):
        error = not_waited_for(lambda name=name: read_image(tmp_path / name))
        assert f"is {kind}, expected a regular file" in str(error)
    folder = ImageFolder(tmp_path, 8)
    error = not_waited_for(lambda: folder.read(range(len(folder))))
    assert "a named pipe" in str(error)
    assert "a device" in str(error)
    with pytest.warns(UserWarning, match="2 of 4 images cannot be decoded"):
        assert len(ImageFolder(tmp_path, 8, on_error="skip")) == 2


@pytest.mark.parametrize("name", ["own.csv", "own.npz"])
def test_tables_are_regular_files(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for read in (load_samples, open_source):
        error = not_waited_for(lambda read=read: read(tmp_path / name))
        assert f"{name} is a named pipe, expected a regular file" in str(error)


def test_a_batch_of_cifar_is_a_regular_file(tmp_path):
    for number in range(1, 6):
        os.mkfifo(tmp_path / f"data_batch_{number}")
    assert "data_batch_1 is missing" in str(not_waited_for(lambda: load_cifar10(tmp_path)))


# ---------------------------------------------------------------- pickles

READ = """
import io, sys
from acestimator.datasets._pickles import read_pickle
for pickled in sys.argv[1:]:
    try:
        read_pickle(io.BytesIO(bytes.fromhex(pickled)), "FILE", "The cure.")
    except ValueError as error:
        print(error)
"""


def test_small_pickles_build_little():
    """Each of them took gigabytes, or hours, for a hundred bytes."""
    kept_text = b"\x8c\x64" + b"x" * 100 + b"\x940"
    encoded = b"c_codecs\nencode\nh\x00\x8c\x06latin1\x86R"
    level = b"(h%ch%cl\x940"  # a list of the one before, twice
    lists = b"(K\x01l\x940" + b"".join(level % (n, n) for n in range(40)) + b"h\x28"
    pickles = {
        "place 2,147,483,647 of its memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "place 4,294,967,295 of its memo": b"\x80\x02Nr\xff\xff\xff\xff.",
        "expected 1099511627776 bytes in a bytes8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        "expected 1099511627776 bytes in a bytearray8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
        "more than": b"\x80\x04}\x8c\x01a" + lists + b"s.",
        "the same tuple twice": b"\x80\x04}" + b"K\x01" + b"2\x86" * 40 + b"Ns.",
        "more bytes than it has": b"\x80\x04" + kept_text + b"}\x8c\x01a(" + encoded * 200 + b"ls.",
    }
    found = in_little_memory(READ, *(pickled.hex() for pickled in pickles.values()))
    assert len(found) == len(pickles)
    for said, expected in zip(found, pickles, strict=True):
        assert expected in said


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path):
    """Whatever is read: batches of CIFAR, labels of CIFAR-10N, archives of objects."""
    ran, pickled = tmp_path / "ran", pickle.dumps({"data": Harmful(tmp_path / "ran"), "labels": [0]})
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}").write_bytes(pickled)
    with zipfile.ZipFile(tmp_path / "CIFAR-10_human.pt", "w") as archive:
        archive.writestr("human/data.pkl", pickled)
    objects = np.array([Harmful(ran)], dtype=object)
    np.savez(tmp_path / "own.npz", X=objects, y=objects)
    np.save(tmp_path / "X.npy", objects, allow_pickle=True)
    np.save(tmp_path / "y.npy", objects, allow_pickle=True)
    reads = [
        lambda: load_cifar10(tmp_path),
        lambda: load_cifar10n(tmp_path / "CIFAR-10_human.pt"),
        lambda: load_cifar10n(tmp_path / "own.npz"),
        lambda: load_samples(tmp_path / "own.npz"),
        lambda: open_source(tmp_path / "own.npz"),
        lambda: open_source(tmp_path / "X.npy"),
        lambda: read_pickle(io.BytesIO(pickled), "FILE", ""),
    ]
    for read in reads:
        with pytest.raises(ValueError, match=r"\w"):
            read()
    assert not ran.exists()


# ---------------------------------------------------------------- archives


def claiming(path, shape, content=b"", compression=zipfile.ZIP_STORED):
    """An archive whose array X claims a shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("X.npy", header.getvalue() + content)
        archive.writestr("y.npy", header.getvalue() + content)


@pytest.mark.parametrize("shape", [(2 * 10**13,), (10**9, 2), (2**62, 2)])
def test_an_archive_holds_what_it_claims(tmp_path, shape):
    claiming(tmp_path / "own.npz", shape, bytes(64))
    for read in (load_samples, open_source, load_cifar10n):
        with pytest.raises(ValueError, match=r"'X' claims shape .* bytes, and has 64"):
            read(tmp_path / "own.npz")


def test_an_archive_whose_directory_lies_is_refused(tmp_path):
    """The size of a member as the archive states it is no room to take, either."""
    path = tmp_path / "own.npz"
    claiming(path, (10**9,), bytes(64))
    content = path.read_bytes()
    size = zipfile.ZipFile(path).getinfo("X.npy").file_size
    for at in (content.find(struct.pack("<I", size), 0), content.rfind(b"PK\x01\x02", 0, content.rfind(b"PK\x01\x02"))):
        assert at > 0
    first = content.find(b"PK\x01\x02")
    lying = content[: first + 24] + struct.pack("<I", 4_000_000_000) + content[first + 28 :]
    path.write_bytes(lying)
    with pytest.raises(ValueError, match=r"it claims 4,000,000,000 bytes of 'X\.npy', and has"):
        load_samples(path)


def test_what_deflates_well_is_read(tmp_path):
    np.savez_compressed(tmp_path / "own.npz", X=np.zeros((100_000, 10)), y=np.arange(100_000) % 2)
    X, _ = load_samples(tmp_path / "own.npz")
    assert X.shape == (100_000, 10)


# ---------------------------------------------------------------- acestimator compare


def rows(n=60):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.choice(["no", "yes"], n))
    return [f"{a:.3f},{b:.3f},{label}" for a, b, label in zip(*rng.normal(size=(2, n)), labels, strict=True)]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "__index_level_0__"])
def test_numbers_of_rows_are_no_feature(tmp_path, name):
    """The file is sorted by its labels: with them, noise was 91 % right."""
    path = tmp_path / "own.CSV"
    path.write_text("\n".join([f"{name},a,b,label", *(f"{7 * i},{row}" for i, row in enumerate(rows()))]))
    with pytest.warns(UserWarning, match=rf"own\.CSV: column 1, '{name}', numbers the rows, and is left out"):
        X, y = load_samples(path)
    assert X.shape == (60, 2)
    assert set(y) == {"no", "yes"}


@pytest.mark.parametrize(("name", "number"), [("id", "{i}"), ("", "{i}.5"), ("", "1")])
def test_other_columns_stay(tmp_path, name, number):
    path = tmp_path / "own.csv"
    lines = [f"{number.format(i=i)},{row}" for i, row in enumerate(rows())]
    path.write_text("\n".join([f"{name},a,b,label", *lines]))
    assert load_samples(path)[0].shape == (60, 3)


def test_a_comparison_says_what_is_left_out(tmp_path, capsys):
    path = tmp_path / "own.csv"
    path.write_text("\n".join([",a,b,label", *(f"{i},{row}" for i, row in enumerate(rows()))]))
    own._read.cache_clear()
    with pytest.warns(UserWarning, match="numbers the rows, and is left out"):
        found = own.compare(path, methods=["cross_entropy"], n_seeds=1)
    assert isinstance(found, comparison.Comparison)
    assert main(["compare", str(tmp_path / "missing.CSV")]) == 2
    assert "missing.CSV" in capsys.readouterr().err


def test_workers_are_no_negative_number(tmp_path, capsys):
    command = ["experiment", "table8", "--data", str(tmp_path), "--workers", "-1", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "--workers is -1, expected at least 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="workers is -1"):
        ImageFolder(tmp_path, workers=-1)
