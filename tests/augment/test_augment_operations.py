"""Every operation against Pillow's, level for level."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp
from pillow_reference import batch, each, one_operation

from acestimator.augment import _operations, _policies
from acestimator.augment._operations import Operation, Plan

GREY = (125, 123, 114)
POLICIES = [
    *((_policies.autoaugment, name) for name in ("cifar10", "svhn", "imagenet")),
    *((_policies.fast_autoaugment, name) for name in ("cifar10", "svhn", "imagenet")),
]


def run(images, operations, places=None, fill=GREY):
    """The i-th operation on the i-th image."""
    n, channels, height, width = images.shape
    places = np.zeros((n, 2)) if places is None else places
    plan = Plan(operations, height, width)
    levels = np.array(fill, dtype=np.uint8)[:channels].reshape(-1, 1, 1)
    return _operations.apply(torch.from_numpy(images), plan, np.arange(n)[None], places[None], levels).numpy()


def expected(images, operations, places=None, fill=GREY):
    places = np.zeros((len(images), 2)) if places is None else places
    fill = fill[: images.shape[1]]
    return each(images, lambda image, i: one_operation(image, operations[i], places[i], fill))


def published():
    """Every operation of every policy, once."""
    pairs = [entry.pair for make, name in POLICIES for sub in make(name) for entry in sub]
    pairs += [entry.pair for name in ("cifar", "svhn") for _, stage in _policies.pba(name)[1] for entry in stage]
    return sorted({operation for pair in pairs for operation in pair})


@pytest.mark.parametrize(("height", "width", "channels"), [(32, 32, 3), (32, 32, 1), (23, 40, 3), (40, 27, 1)])
def test_every_published_operation_is_pillows_to_the_level(height, width, channels):
    operations = published()
    assert {operation.name for operation in operations} >= {"Cutout", "Rotate", "Sharpness"}
    images = batch(len(operations), height, width, channels)
    places = np.random.RandomState(0).uniform(size=(len(operations), 2))
    got, want = run(images, operations, places), expected(images, operations, places)
    wrong = [operations[i] for i in np.flatnonzero((got != want).any(axis=(1, 2, 3)))]
    assert not wrong


VALUES = {
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), st.floats(0.0, 3.0)),
    **dict.fromkeys(("AutoContrast", "Equalize", "Invert"), st.just(0.0)),
    **dict.fromkeys(("ShearX", "ShearY"), st.floats(-1.0, 1.0)),
    **dict.fromkeys(("TranslateX", "TranslateY"), st.integers(-80, 80).map(lambda v: v / 4)),
    "Rotate": st.floats(-180.0, 180.0),
    "Posterize": st.integers(1, 8),
    "Solarize": st.floats(0.0, 256.0),
}


@st.composite
def images_of_any_size(draw):
    """Random, of a few levels only, or constant: the last two are special cases of contrast and histograms."""
    n, channels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3]))
    shape = (n, channels, draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    rng = np.random.RandomState(draw(st.integers(0, 2**16)))
    levels = draw(hnp.arrays(np.uint8, draw(st.integers(1, 4))))
    return draw(st.sampled_from([rng.randint(256, size=shape), rng.choice(levels, size=shape)])).astype(np.uint8)


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
def test_images_of_any_size_and_content(name, data):
    images = data.draw(images_of_any_size())
    operations = [Operation(name, data.draw(VALUES[name])) for _ in images]
    np.testing.assert_array_equal(run(images, operations), expected(images, operations))


def test_equalize_clips_where_few_levels_hold_many_pixels():
    # 509 of 510 pixels below the last level: a step of one, and levels up to 508 before they are clipped.
    images = np.repeat(np.arange(3, dtype=np.uint8), [200, 309, 1]).reshape(1, 1, 17, 30)
    got = run(images, [Operation("Equalize")])
    np.testing.assert_array_equal(got, expected(images, [Operation("Equalize")]))
    assert got.max() == 255


@given(images_of_any_size())
def test_operations_that_undo_each_other(images):
    n = len(images)
    invert = [Operation("Invert")] * n
    np.testing.assert_array_equal(run(run(images, invert), invert), images)
    for name, value in [("Contrast", 1), ("Color", 1), ("Sharpness", 1), ("Posterize", 8), ("Solarize", 256)]:
        np.testing.assert_array_equal(run(images, [Operation(name, value)] * n), images)
    for name in _operations.GEOMETRIC:
        np.testing.assert_array_equal(run(images, [Operation(name, 0.0)] * n), images)


def test_images_whose_coordinates_need_more_than_32_bits():
    images = np.zeros((1, 1, 1, 40_000), dtype=np.uint8)
    images[..., -1] = 200
    got = run(images, [Operation("TranslateX", 39_999)])
    assert got[0, 0, 0, 0] == 200
    assert (got[0, 0, 0, 1:] == GREY[0]).all()


@given(st.lists(st.tuples(st.sampled_from([torch.uint8, torch.int32, torch.float32, torch.int64]), st.integers(0, 9))))
def test_what_is_packed_for_a_device_comes_out_again(kinds):
    tensors = [torch.arange(n).to(dtype) for dtype, n in kinds]
    packed, starts = _operations.pack(tensors, pin=False)
    for start, tensor in zip(starts, tensors, strict=True):
        assert torch.equal(packed[start : start + tensor.nbytes].view(tensor.dtype), tensor)
