"""What all augmentations have in common: calls, streams, epochs, copies, errors; the baseline and Cutout."""

import copy
import pickle

import numpy as np
import pytest
import torch
from pillow_reference import batch, crop, each
from sklearn.base import BaseEstimator, clone

from acestimator.augment import (
    Augmentation,
    AutoAugment,
    Baseline,
    Compose,
    Cutout,
    FastAutoAugment,
    PopulationBasedAugment,
)

FILL = (125, 123, 114)


def pipeline(**parameters):
    return Compose([Baseline(), PopulationBasedAugment(), AutoAugment(), Cutout(16)], **parameters)


MAKERS = [Baseline, Cutout, AutoAugment, FastAutoAugment, PopulationBasedAugment, pipeline]


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(batch(64))


@pytest.mark.parametrize("make", MAKERS)
def test_one_seed_one_result_and_the_input_stays(make, images):
    before = images.clone()
    first, second, other = make(random_state=0), make(random_state=0), make(random_state=1)
    a, b = first(images), first(images)
    assert torch.equal(images, before)
    assert a.dtype == torch.uint8
    assert a.shape == images.shape
    assert torch.equal(a, second(images))
    assert not torch.equal(a, b)
    assert not torch.equal(a, other(images))
    assert a.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("make", MAKERS)
def test_channels_last_has_the_same_levels(make, images):
    last = images.contiguous(memory_format=torch.channels_last)
    out = make(random_state=0)(last)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(out, make(random_state=0)(images))


@pytest.mark.parametrize("make", MAKERS)
def test_part_of_a_larger_array(make, images):
    assert torch.equal(make(random_state=0)(images[::2, :, 3:-3]), make(random_state=0)(images[::2, :, 3:-3].clone()))


@pytest.mark.parametrize("make", MAKERS)
def test_no_images(make):
    assert make()(torch.zeros(0, 3, 32, 32, dtype=torch.uint8)).shape == (0, 3, 32, 32)


def test_the_global_generator_is_the_default(images):
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(pipeline()(images))
    assert torch.equal(*results)


def test_a_generator_is_drawn_from(images):
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    out = pipeline(random_state=generator)(images)
    assert not torch.equal(generator.get_state(), state)
    assert torch.equal(out, pipeline(random_state=0)(images))


# ---------------------------------------------------------------- epochs


@pytest.mark.parametrize("make", MAKERS)
def test_a_resumed_epoch_repeats(make, images):
    whole, resumed = make(random_state=0), make(random_state=5)
    epochs = []
    for epoch in range(3):
        whole.begin_epoch(epoch, 3, seed=7)
        epochs.append([whole(images), whole(images)])
    resumed.begin_epoch(2, 3, seed=7)
    for out in epochs[2]:
        assert torch.equal(resumed(images), out)
    resumed.begin_epoch(2, 3, seed=8)
    assert not torch.equal(resumed(images), epochs[2][0])
    assert not torch.equal(epochs[1][0], epochs[2][0])


def test_without_a_seed_the_stream_goes_on(images):
    told, untold = Cutout(random_state=0), Cutout(random_state=0)
    for epoch in range(2):
        told.begin_epoch(epoch, 2)
        assert torch.equal(told(images), untold(images))


def test_parts_have_streams_of_their_own(images):
    transform = Compose([Cutout(4, fill=1), Cutout(4, fill=2)])
    transform.begin_epoch(0, 1, seed=0)
    first, second = transform._draw(64, 32, 32)
    assert (first != second).any(axis=1).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((3, 3), "epoch is 3"), ((-1, 3), "epoch is -1"), ((0, 0), "n_epochs 0"), ((0, 1, -1), "seed is -1")],
)
def test_epochs_that_are_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        pipeline().begin_epoch(*arguments)


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_copies_go_on_with_the_stream(make, copied, images):
    transform = make(random_state=0)
    transform(images)
    other = copied(transform)
    assert repr(other) == repr(transform)
    assert torch.equal(other(images), transform(images))


def test_a_parameter_of_an_estimator(images):
    class Estimator(BaseEstimator):
        def __init__(self, augment=None):
            self.augment = augment

    transform = pipeline(random_state=0)
    cloned = clone(Estimator(augment=transform)).augment
    assert cloned is not transform
    assert torch.equal(cloned(images), transform(images))


def test_representation():
    inner = Compose([Baseline(padding=2, fill=FILL), AutoAugment("svhn"), Cutout(8, random_state=3)])
    assert repr(inner) == (
        "Compose([Baseline(padding=2, flip=True, fill=(125, 123, 114)), AutoAugment(policy='svhn'), "
        "Cutout(size=8, random_state=3)])"
    )


def test_compose_does_not_change_what_it_is_given(images):
    parts = [Baseline(), Compose([Cutout()])]
    filled = Compose(parts, fill=200, random_state=0)
    assert parts[0].fill is parts[1].transforms[0].fill is None
    assert filled.transforms[0].fill == filled.transforms[1].transforms[0].fill == 200
    assert torch.equal(filled(images), Compose([Baseline(fill=200), Cutout(fill=200)], random_state=0)(images))


def test_no_parts(images):
    out = Compose([])(images)
    assert torch.equal(out, images)
    assert out.data_ptr() != images.data_ptr()


# ---------------------------------------------------------------- baseline and Cutout


def test_baseline_is_flip_pad_and_crop(images):
    transform = Baseline(padding=5, fill=FILL, random_state=0)
    moves = transform._draw(len(images), 32, 32)
    want = each(images.numpy(), lambda image, i: crop(image, moves.flipped[i], moves.offsets[i], 5, FILL))
    np.testing.assert_array_equal(transform._apply(images, moves).numpy(), want)


def test_baselines_draws_are_uniform():
    moves = Baseline(padding=2, random_state=0)._draw(20_000, 32, 32)
    assert abs(moves.flipped.mean() - 0.5) < 0.02
    places = np.bincount(5 * moves.offsets[:, 0] + moves.offsets[:, 1], minlength=25) / 20_000
    np.testing.assert_allclose(places, 1 / 25, atol=0.008)
    assert not Baseline(flip=False, random_state=0)._draw(1000, 32, 32).flipped.any()


def test_baseline_without_padding_and_flip_changes_nothing(images):
    assert torch.equal(Baseline(padding=0, flip=False)(images), images)


def test_cutouts_centre_is_uniform_and_its_square_is_clipped():
    blank = torch.zeros(20_000, 1, 5, 8, dtype=torch.uint8)
    cut = Cutout(3, fill=1, random_state=0)(blank)[:, 0].float()
    # A pixel is cut by the centres at most one away from it that are in the image.
    near = [np.convolve(np.ones(size), np.ones(3), mode="same") for size in (5, 8)]
    np.testing.assert_allclose(cut.mean(0), np.outer(*near) / 40, atol=0.02)


def test_a_square_larger_than_the_image_cuts_all_of_it():
    assert (Cutout(65, fill=9)(torch.zeros(50, 3, 32, 32, dtype=torch.uint8)) == 9).all()


def test_fill_has_a_level_for_each_channel():
    out = Cutout(65, fill=FILL)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert out[0, :, 4, 4].tolist() == list(FILL)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 3, 8, 8), dtype=np.uint8), "images is ndarray, expected a torch.Tensor"),
        (torch.zeros(2, 3, 8, 8), r"images is torch.float32, expected torch.uint8"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), r"shape \(3, 8, 8\), expected \(B, C, H, W\)"),
        (torch.zeros(2, 8, 8, 3, dtype=torch.uint8), r"shape \(2, 8, 8, 3\).*movedim"),
    ],
)
def test_images_that_are_not(given, message):
    with pytest.raises(ValueError, match=message):
        pipeline()(given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Baseline(-1), "padding is -1"),
        (lambda: Cutout(0), "size is 0"),
        (lambda: Cutout(fill=256), "fill is 256, expected a level"),
        (lambda: Cutout(fill=0.5), "fill is 0.5"),
        (lambda: Cutout(fill=(1, 2)), r"fill is \(1, 2\)"),
        (lambda: Cutout(random_state="seed"), "random_state is 'seed'"),
        (lambda: Compose([Cutout]), r"transforms holds .*Cutout\(16\)"),
        (lambda: Cutout(fill=(1, 2, 3))(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)), "fill is .* 1 channels"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------- CUDA


@pytest.mark.cuda
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_cuda_is_the_cpu_and_waits_for_nothing(make, channels):
    host = torch.from_numpy(batch(256, channels=channels))
    transform, same = make(fill=FILL[:channels], random_state=0), make(fill=FILL[:channels], random_state=0)
    device = host.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        outs = [transform(device) for _ in range(3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for out in outs:
        assert torch.equal(out.cpu(), same(host))


def test_a_users_own_augmentation_takes_part(images):
    class Darker(Augmentation):
        def _draw(self, n, height, width):
            return None

        def _apply(self, images, decisions):
            return images // 2

    assert torch.equal(Compose([Darker()])(images), images // 2)
