"""Images in class folders: what is found, how it is shown, and that workers change nothing."""

import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from acestimator.datasets import ImageFolder, _crops, load_image_folder
from acestimator.datasets._crops import evaluation_crop, random_box, training_crop

# Python 3.12 and 3.13 warn when a process with threads forks
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

SIZE = 16


def ramp(width, height):
    """An image whose red is the column and whose green is the row."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 7)], axis=2).astype(np.uint8))


def noise(width, height, seed=0):
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, size=(height, width, 3)).astype(np.uint8))


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def root(tmp_path):
    """Three classes: 5 bees, 3 cows, 4 apes, of several sizes."""
    for name, n in (("bee", 5), ("cow", 3), ("ape", 4)):
        for i in range(n):
            save(noise(20 + 3 * i, 30 - 2 * i, seed=len(name) + i), tmp_path / name / f"{i}.png")
    return tmp_path


# ---------------------------------------------------------------- what is found


def test_classes_and_files_are_sorted(root):
    folder = ImageFolder(root, SIZE)
    assert folder.classes == ["ape", "bee", "cow"]
    np.testing.assert_array_equal(folder.labels, [0] * 4 + [1] * 5 + [2] * 3)
    assert folder.labels.dtype == np.int64
    assert (len(folder), folder.shape) == (12, (3, SIZE, SIZE))
    assert [folder.path(i) for i in (0, 3, 4, 11)] == [
        root / p for p in ("ape/0.png", "ape/3.png", "bee/0.png", "cow/2.png")
    ]


def test_the_digest_is_of_the_names_in_their_order(root):
    folder = ImageFolder(root, SIZE)
    # As it is in checkpoints: another one would end their trainings
    assert folder.digest(np.array([0, 4])) == "|S9 of shape (2,), digest beadfd29c3b23123"
    others = {folder.digest(np.array(index, dtype=int)) for index in ([0, 4], [4, 0], [0, 5], [0], [], [0, 4, 4])}
    assert len(others) == 6
    save(noise(9, 9), root / "ape" / "0.png")
    assert ImageFolder(root, SIZE, random_state=1).digest(np.array([0, 4])) == folder.digest(np.array([0, 4]))


def test_what_lies_beside_the_images_is_passed_over(root):
    (root / "readme.txt").write_text("no class")
    (root / ".cache").mkdir()
    (root / "ape" / "Thumbs.db").write_bytes(b"no image")
    (root / "ape" / "._0.png").write_bytes(b"no image")
    save(noise(8, 8), root / "ape" / ".hidden" / "0.png")
    save(noise(8, 8), root / "cow" / "below" / "Größe 1.JPEG")
    save(noise(8, 8), root / "ape" / "0a.png")
    folder = ImageFolder(str(root), SIZE)
    assert folder.classes == ["ape", "bee", "cow"]
    np.testing.assert_array_equal(folder.labels, [0] * 5 + [1] * 5 + [2] * 4)
    assert folder.path(1) == root / "ape" / "0a.png"
    assert folder.path(13) == root / "cow" / "below" / "Größe 1.JPEG"
    assert folder.read([13]).shape == (1, 3, SIZE, SIZE)


def test_errors_of_folders(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none is no folder: expected ROOT/CLASS/IMAGE.*image-net.org"):
        ImageFolder(root / "none")
    with pytest.raises(ValueError, match="ape has no folders in it: expected ROOT/CLASS/IMAGE"):
        ImageFolder(root / "ape")
    (root / "dog").mkdir()
    with pytest.raises(ValueError, match=r"dog has no images \(.jpg, "):
        ImageFolder(root)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 0}, "size is 0 and resize 0"),
        ({"size": 32, "resize": 31}, "size is 32 and resize 31, expected 1 <= size <= resize"),
        ({"workers": -1}, "workers is -1"),
        ({"random_state": -1}, "random_state -1, expected no negative number"),
    ],
)
def test_errors_of_parameters(root, parameters, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(root, **parameters)


def test_errors_of_indices(root):
    folder = ImageFolder(root, SIZE)
    for index, message in (
        ([3, 12], "from 3 to 12, expected 0 to 11"),
        ([-1], "from -1 to -1"),
        ([0.5], "dtype float64"),
        ([True] * 12, "dtype bool"),
        ([[1]], r"shape \(1, 1\)"),
    ):
        with pytest.raises(IndexError, match=message):
            folder.read(index)
        with pytest.raises(IndexError, match=message):
            next(folder.stream([index]))
    with pytest.raises(ValueError, match="epoch is -1, expected None or a number from 0 on"):
        folder.read([0], epoch=-1)
    assert folder.read([]).shape == (0, 3, SIZE, SIZE)


# ---------------------------------------------------------------- decoding


def test_all_kinds_of_images_become_rgb(tmp_path):
    grey = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE)
    colours = np.asarray(noise(SIZE, SIZE))
    alpha = np.full((SIZE, SIZE, 1), 9, np.uint8)
    palette = Image.fromarray(grey // 64)
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    images = {
        "cmyk.tif": (Image.fromarray(colours).convert("CMYK"), colours),
        "grey.png": (Image.fromarray(grey), np.dstack([grey] * 3)),
        "grey_alpha.png": (Image.fromarray(np.dstack([grey[..., None], alpha])), np.dstack([grey] * 3)),
        "one_bit.png": (Image.fromarray(grey > 99), np.dstack([grey > 99] * 3) * 255),
        "palette.png": (palette, (np.array([10, 20, 30]) + 30 * (grey[..., None] // 64))),
        "rgb.png": (Image.fromarray(colours), colours),
        "rgba.png": (Image.fromarray(np.dstack([colours, alpha])), colours),
        "transparent.png": (palette, (np.array([10, 20, 30]) + 30 * (grey[..., None] // 64))),
    }
    for name, (image, _) in images.items():
        options = {"transparency": b"\x00\x80\xff\xff"} if name == "transparent.png" else {}
        save(image, tmp_path / "all" / name, **options)
    X, _, _ = load_image_folder(tmp_path, SIZE)
    for x, (name, (_, expected)) in zip(X, images.items(), strict=True):
        np.testing.assert_array_equal(x.transpose(1, 2, 0), expected, err_msg=name)


def test_jpeg_files(tmp_path):
    smooth = ramp(48, 40).resize((96, 80), Image.Resampling.BICUBIC)
    save(smooth, tmp_path / "a" / "rgb.jpg", quality=95)
    save(smooth.convert("CMYK"), tmp_path / "a" / "cmyk.jpg", quality=95)
    crops = ImageFolder(tmp_path, SIZE).read([0, 1]).numpy().astype(int)
    save(smooth, tmp_path / "a" / "exact.png")
    exact = ImageFolder(tmp_path, SIZE).read([1]).numpy().astype(int)
    assert np.abs(crops - exact).max() <= 3


@pytest.mark.parametrize("width_height", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_tiny_and_thin_images(tmp_path, width_height):
    save(Image.new("RGB", width_height, (1, 2, 3)), tmp_path / "a" / "a.png")
    folder = ImageFolder(tmp_path, SIZE)
    for epoch in (None, 0, 1, 2):
        crop = folder.read([0], epoch)
        np.testing.assert_array_equal(crop, np.array([1, 2, 3])[None, :, None, None] * np.ones((1, 3, SIZE, SIZE)))


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_files_are_named(root, workers):
    path = root / "bee" / "2.png"
    whole = path.read_bytes()
    folder = ImageFolder(root, SIZE, workers=workers)
    expected = folder.read([6])
    for content in (b"", b"no image", whole[: len(whole) // 2], whole[:40] + b"\xff" * 40 + whole[80:]):
        path.write_bytes(content)
        stream = folder.stream([[0, 1], [5, 6], [7]])
        next(stream)
        with pytest.raises(ValueError, match=r"bee/2.png cannot be decoded \(.+\): replace it"):
            next(stream)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"bee/2.png"):
        next(folder.stream([[6]]))
    path.write_bytes(whole)
    assert torch.equal(next(folder.stream([[6]])), expected)  # an error ends a stream, not the workers


def test_sixteen_bits_are_refused(tmp_path):
    save(Image.fromarray(np.full((8, 8), 40_000, np.uint16)), tmp_path / "a" / "deep.png")
    with pytest.raises(
        ValueError, match=r"deep.png cannot be decoded \(it has more than 8 bits a channel, mode I;16\)"
    ):
        ImageFolder(tmp_path, SIZE).read([0])


def test_without_pillow(root, monkeypatch):
    for name in [name for name in sys.modules if name == "PIL" or name.startswith("PIL.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    folder = ImageFolder(root, SIZE)
    with pytest.raises(ImportError, match="decoded by Pillow, which is missing: pip install pillow"):
        folder.read([0])


# ---------------------------------------------------------------- evaluation crops


def test_the_central_square_is_taken(tmp_path):
    save(ramp(250, 256), tmp_path / "a" / "high.png")
    save(ramp(256, 250), tmp_path / "a" / "wide.png")
    high, wide = ImageFolder(tmp_path, 224, resize=250).read([0, 1]).numpy()
    for crop, left, upper in ((high, 13, 16), (wide, 16, 13)):
        np.testing.assert_array_equal(crop[0], np.tile(np.arange(left, left + 224), (224, 1)))
        np.testing.assert_array_equal(crop[1], np.tile(np.arange(upper, upper + 224), (224, 1)).T)
        np.testing.assert_array_equal(crop[2], 7)


@pytest.mark.parametrize("lying", [True, False])
def test_of_a_strip_the_middle_alone_is_resized(monkeypatch, lying):
    resize, sizes = Image.Image.resize, []
    monkeypatch.setattr(Image.Image, "resize", lambda self, size, *a: (sizes.append(size), resize(self, size, *a))[1])
    strip = noise(*((400, 4) if lying else (4, 400)))
    found = evaluation_crop(strip, 8, 8)
    assert max(sizes.pop()) == 128
    monkeypatch.setattr(_crops, "_STRIP", 400)
    np.testing.assert_array_equal(found, evaluation_crop(strip, 8, 8))
    assert max(sizes.pop()) == 800


def test_the_shorter_side_becomes_256_for_crops_of_224(tmp_path):
    # On the ramp each crop's slope is the factor of the resizing
    save(ramp(128, 200), tmp_path / "a" / "a.png")
    crop = ImageFolder(tmp_path).read([0])[0].numpy().astype(float)
    assert crop.shape == (3, 224, 224)
    assert (crop[0, 0, -1] - crop[0, 0, 0]) / 223 == pytest.approx(128 / 256, abs=0.01)
    assert (crop[1, -1, 0] - crop[1, 0, 0]) / 223 == pytest.approx(128 / 256, abs=0.01)
    assert crop[0].mean() == pytest.approx(63.5, abs=0.5)  # the middle stays in the middle
    assert crop[1].mean() == pytest.approx(99.5, abs=0.5)


def test_images_of_the_right_size_are_loaded_as_they_are(tmp_path):
    images = [noise(SIZE, SIZE, seed) for seed in range(300)]  # more than one batch
    for i, image in enumerate(images):
        save(image, tmp_path / ("odd" if i % 2 else "even") / f"{i:03}.bmp")
    X, y, classes = load_image_folder(tmp_path, SIZE)
    expected = np.stack([np.asarray(image) for image in images[::2] + images[1::2]]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(X, expected)
    np.testing.assert_array_equal(classes[y], ["even"] * 150 + ["odd"] * 150)
    assert (X.dtype, y.dtype, X.flags.c_contiguous) == (np.uint8, np.int64, True)


# ---------------------------------------------------------------- training crops

sides = st.integers(1, 2000)


@settings(deadline=None, max_examples=200)
@given(sides, sides, st.integers(0, 2**32 - 1))
def test_boxes_lie_inside_and_have_the_area_and_ratio(width, height, seed):
    draws = np.random.RandomState(seed).uniform(size=(10, 4))
    left, upper, right, lower = random_box(width, height, draws)
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height
    w, h = right - left, lower - upper
    # Sides are rounded to whole pixels
    assert (w - 0.5) / (h + 0.5) <= 4 / 3
    assert (w + 0.5) / (h - 0.5) >= 3 / 4
    thin = not 3 / 4 <= width / height <= 4 / 3
    assert thin or 0.08 * width * height <= (w + 0.5) * (h + 0.5)


def test_draws_are_even_in_area_in_the_logarithm_of_the_ratio_and_in_place():
    for u in np.linspace(0, 0.999, 12):
        left, upper, right, lower = random_box(3000, 3000, np.array([[u, 0.5, 0.0, 0.0]]))
        assert (right - left) * (lower - upper) / 3000**2 == pytest.approx(0.08 + 0.92 * u, abs=0.001)
        _, _, w, h = random_box(3000, 3000, np.array([[0.2, u, 0.0, 0.0]]))
        assert np.log(w / h) == pytest.approx((2 * u - 1) * np.log(4 / 3), abs=0.002)
    places = [random_box(10, 10, np.array([[0.0, 0.5, u, 1 - u]]))[:2] for u in (np.arange(800) + 0.5) / 800]
    for axis in zip(*places, strict=True):  # a box of 3 by 3 has 8 places along a side
        np.testing.assert_array_equal(np.bincount(axis), [100] * 8)


def test_the_first_box_that_fits_is_taken_and_the_centre_if_none_does():
    draws = np.array([[0.999, 0.0, 0.5, 0.5], [0.25, 0.5, 0.0, 0.0], [0.1, 0.5, 0.0, 0.0]])
    assert random_box(100, 100, draws) == random_box(100, 100, draws[1:2]) == (0, 0, 56, 56)
    assert random_box(100, 20, draws[:1]) == (36, 0, 63, 20)
    assert random_box(20, 100, draws[:1]) == (0, 36, 20, 63)
    assert random_box(100, 90, np.array([[0.999, 0.0, 0.5, 0.5]])) == (0, 0, 100, 90)


@pytest.mark.parametrize("seed", range(4))
def test_a_training_crop_is_the_box_resized_and_flipped_or_not(seed):
    image = noise(50, 40)
    crop = training_crop(image, SIZE, np.random.default_rng(seed))
    box = random_box(50, 40, np.random.default_rng(seed).random((10, 4)))
    expected = np.asarray(image.crop(box).resize((SIZE, SIZE), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(crop, expected) != np.array_equal(crop, expected[:, :, ::-1])


def test_half_of_the_training_crops_are_flipped(tmp_path):
    save(ramp(30, 30), tmp_path / "a" / "a.png")
    folder = ImageFolder(tmp_path, SIZE)
    crops = torch.cat([folder.read([0], epoch) for epoch in range(400)]).numpy().astype(int)
    rises = crops[:, 0, 0, -1] > crops[:, 0, 0, 0]
    assert rises.mean() == pytest.approx(0.5, abs=4 * 0.5 / 20)
    assert (crops[:, 1, -1] > crops[:, 1, 0]).all()  # none is upside down


def test_training_crops_depend_on_seed_epoch_and_index_alone(root):
    for name in ("0", "1"):
        save(noise(40, 40), root / "ape" / f"{name}.png")  # two files, one image
    folder = ImageFolder(root, SIZE, random_state=3)
    crops = folder.read(range(12), epoch=5)
    order = torch.tensor([7, 1, 0, 11])
    assert torch.equal(ImageFolder(root, SIZE, random_state=3).read(order, epoch=5), crops[order])
    assert not torch.equal(crops[0], crops[1])
    for other in (folder.read([0], epoch=6), ImageFolder(root, SIZE, random_state=4).read([0], epoch=5)):
        assert not torch.equal(other[0], crops[0])
    assert torch.equal(folder.read([0]), folder.read([1]))  # evaluation crops are not drawn


# ---------------------------------------------------------------- streams

BATCHES = [np.array(batch) for batch in ([3, 1, 4], [], [11, 5, 9, 2], [6], [5, 3], [0, 7, 8, 10])]


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("epoch", [None, 4])
def test_a_stream_is_what_is_read(root, workers, epoch):
    folder = ImageFolder(root, SIZE, workers=workers)
    state = torch.get_rng_state()
    crops = list(folder.stream(iter(BATCHES), epoch))
    assert torch.equal(torch.get_rng_state(), state)
    assert len(crops) == len(BATCHES)
    for crop, batch in zip(crops, BATCHES, strict=True):
        assert crop.dtype == torch.uint8
        assert torch.equal(crop, folder.read(batch, epoch))


def test_workers_that_are_spawned(root):
    folder = ImageFolder(root, SIZE, workers=1, start_method="spawn")
    for crop, batch in zip(folder.stream(BATCHES, 2), BATCHES, strict=True):
        assert torch.equal(crop, folder.read(batch, 2))


def test_streams_one_after_another_keep_their_workers(root):
    folder = ImageFolder(root, SIZE, workers=2)
    workers = []
    for epoch in (None, 0, 1):
        stream = folder.stream(BATCHES, epoch)
        next(stream)  # and the rest is dropped
        for crop, batch in zip(folder.stream(BATCHES[::-1], epoch), BATCHES[::-1], strict=True):
            assert torch.equal(crop, folder.read(batch, epoch))
        workers.append([worker.pid for worker in folder._loader._iterator._workers])
    assert workers[0] == workers[1] == workers[2]


def test_streams_that_would_mix_are_refused(root):
    folder = ImageFolder(root, SIZE, workers=1)
    first, second = folder.stream(BATCHES), folder.stream(BATCHES, 0)
    next(first)
    assert torch.equal(next(second), folder.read(BATCHES[0], 0))
    with pytest.raises(RuntimeError, match="another stream was begun before this one ended"):
        next(first)
    assert [len(crop) for crop in second] == [len(batch) for batch in BATCHES[1:]]


def test_workers_take_only_what_is_needed_ahead(root):
    taken = []
    folder = ImageFolder(root, SIZE, workers=1)
    stream = folder.stream([taken.append(i) or i % 12] for i in range(1000))
    next(stream)
    assert len(taken) <= 4


def test_a_copy_reads_the_same(root):
    folder = ImageFolder(root, SIZE, workers=1, random_state=2)
    crops = list(folder.stream(BATCHES, 1))
    copy = pickle.loads(pickle.dumps(folder))
    np.testing.assert_array_equal(copy.labels, folder.labels)
    for a, b in zip(crops, copy.stream(BATCHES, 1), strict=True):
        assert torch.equal(a, b)


def test_loading_with_workers_changes_nothing(root):
    for a, b in zip(load_image_folder(root, SIZE), load_image_folder(root, SIZE, workers=2), strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- broken files

BROKEN = ("ape/0.png", "bee/2.png", "cow/2.png")


@pytest.fixture
def damaged(root):
    """The three classes with three broken files, and the positions of the whole ones."""
    for name, content in zip(BROKEN, (b"", b"no image", (root / BROKEN[2]).read_bytes()[:200]), strict=True):
        (root / name).write_bytes(content)
    return root, [1, 2, 3, 4, 5, 7, 8, 9, 10]


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_files_are_skipped_and_listed_at_once(damaged, workers):
    root, whole = damaged
    everything = ImageFolder(root, SIZE)
    with pytest.warns(UserWarning, match="3 of 12 images cannot be decoded and are left out") as caught:
        folder = ImageFolder(root, SIZE, workers=workers, on_error="skip")
    assert [one.filename for one in caught] == [__file__]
    assert [path for path, _ in folder.skipped] == [root / name for name in BROKEN]
    for path, reason in folder.skipped:
        assert f"{path} ({reason})" in str(caught[0].message)
        assert reason
        assert str(path) not in reason
    assert folder.classes == everything.classes
    np.testing.assert_array_equal(folder.labels, everything.labels[whole])
    assert [folder.path(i) for i in range(len(folder))] == [everything.path(i) for i in whole]
    for epoch in (None, 0):
        assert torch.equal(
            torch.cat(list(folder.stream([[0, 1, 2, 3], [4, 5, 6, 7, 8]], epoch))), folder.read(range(9), epoch)
        )
    assert torch.equal(folder.read(range(9)), everything.read(whole))
    assert folder.seeded(3).skipped == folder.skipped


@pytest.mark.parametrize("workers", [0, 1])
def test_all_broken_files_of_a_read_are_named(damaged, workers):
    root, _ = damaged
    folder = ImageFolder(root, SIZE, workers=workers)
    stream = folder.stream([[0, 1, 6], [11]])
    with pytest.raises(
        ValueError, match=r"^2 images cannot be decoded: .*on_error='skip':\n.*ape/0.png.*\n.*bee/2.png"
    ):
        next(stream)
    with pytest.raises(ValueError, match=r"^3 images cannot be decoded") as caught:
        load_image_folder(root, SIZE, workers)
    assert all(name in str(caught.value) for name in BROKEN)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_folder_is_loaded_without_its_broken_files_and_with_its_paths(damaged, workers):
    root, whole = damaged
    with pytest.warns(UserWarning, match=r"3 of 12 images .* They are:\n.*0.png .*\n.*2.png .*\n.*2.png") as caught:
        X, y, classes, paths = load_image_folder(root, SIZE, workers, on_error="skip", return_paths=True)
    assert [one.filename for one in caught] == [__file__]
    folder = ImageFolder(root, SIZE, resize=SIZE)
    np.testing.assert_array_equal(X, folder.read(whole))
    np.testing.assert_array_equal(y, folder.labels[whole])
    assert [root / path for path in paths] == [folder.path(i) for i in whole]
    assert [path.split("/")[0] for path in paths] == classes[y].tolist()
    assert X.flags.c_contiguous


def test_a_whole_folder_has_nothing_to_skip(root):
    folder = ImageFolder(root, SIZE, on_error="skip")
    assert (folder.skipped, len(folder)) == ([], 12)
    for a, b in zip(load_image_folder(root, SIZE, on_error="skip"), load_image_folder(root, SIZE), strict=True):
        np.testing.assert_array_equal(a, b)
    assert load_image_folder(str(root), SIZE, return_paths=True)[3].tolist() == [
        folder.path(i).relative_to(root).as_posix() for i in range(12)
    ]


def test_a_class_of_broken_files_alone_keeps_its_number(root):
    for path in (root / "bee").iterdir():
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="5 of 12 .* None is left of 'bee'"):
        folder = ImageFolder(root, SIZE, on_error="skip")
    np.testing.assert_array_equal(folder.labels, [0] * 4 + [2] * 3)
    assert folder.classes == ["ape", "bee", "cow"]


def test_a_warning_names_a_hundred_at_most(tmp_path):
    save(noise(8, 8), tmp_path / "a" / "whole.png")
    for i in range(130):
        (tmp_path / "a" / f"{i:03}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="130 of 131 images") as caught:
        folder = ImageFolder(tmp_path, 8, on_error="skip")
    lines = str(caught[0].message).split("\n")
    assert len(lines) == 102
    assert lines[-1] == "and 30 more"
    assert len(folder.skipped) == 130


def test_links_to_nowhere_are_skipped(root):
    (root / "ape" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(FileNotFoundError, match=r"ape/gone.png cannot be decoded \(No such file"):
        load_image_folder(root, SIZE)
    with pytest.warns(UserWarning, match="1 of 13 images"):
        folder = ImageFolder(root, SIZE, on_error="skip")
    assert len(folder) == 12


def test_errors_where_nothing_is_left_to_skip(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(b"")
    for read in (ImageFolder, load_image_folder):
        with pytest.raises(
            ValueError, match=r"none of the 1 images in .* can be decoded: cannot identify image file\."
        ):
            read(tmp_path, SIZE, on_error="skip")
        with pytest.raises(ValueError, match="on_error is 'ignore', expected 'raise' or 'skip'"):
            read(tmp_path, SIZE, on_error="ignore")
