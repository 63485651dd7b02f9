"""The policies: their magnitudes, their draws, and whole pipelines against the image-by-image reference."""

import numpy as np
import pytest
import torch
from pillow_reference import apply_choice, batch, crop, cut, each

from acestimator.augment import (
    AutoAugment,
    Baseline,
    Compose,
    Cutout,
    FastAutoAugment,
    PopulationBasedAugment,
    _policies,
)
from acestimator.augment._operations import NONE, Operation

FILL = (125, 123, 114)
METHODS = [
    *(("autoaugment", AutoAugment, name) for name in ("cifar10", "svhn", "imagenet")),
    *(("fast_autoaugment", FastAutoAugment, name) for name in ("cifar10", "svhn", "imagenet")),
    *(("pba", PopulationBasedAugment, name) for name in ("cifar10", "svhn")),
]
N = 20_000  # draws; the bounds below are five standard deviations and more


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("method", "cls", "name"), METHODS)
def test_a_batch_is_pillows_image_by_image(method, cls, name, channels):
    policy = cls(name, fill=FILL[:channels], random_state=0)
    images = batch(150, channels=channels)
    choice = policy._draw(len(images), 32, 32)
    want = apply_choice(images, policy._operations, choice, FILL[:channels])
    np.testing.assert_array_equal(policy._apply(torch.from_numpy(images), choice).numpy(), want)


def test_the_papers_pipeline_is_pillows_image_by_image():
    transform = Compose([Baseline(), AutoAugment("cifar10"), Cutout(16)], fill=FILL, random_state=0)
    images = batch(100)
    decisions = transform._draw(len(images), 32, 32)
    moves, choice, boxes = decisions
    want = each(images, lambda image, i: crop(image, moves.flipped[i], moves.offsets[i], 4, FILL))
    want = apply_choice(want, transform.transforms[1]._operations, choice, FILL)
    centres = boxes[:, ::2] + 8
    want = each(want, lambda image, i: cut(image, centres[i], 16, FILL))
    np.testing.assert_array_equal(transform._apply(torch.from_numpy(images), decisions).numpy(), want)


# ---------------------------------------------------------------- magnitudes


@pytest.mark.parametrize(
    ("name", "level", "first", "second"),
    [
        ("ShearX", 5, 0.15, -0.15),
        ("TranslateY", 9, 9, -9),
        ("Rotate", 2, 6, -6),
        ("Color", 7, 1.36, 1.36),
        ("Brightness", 0, 0.1, 0.1),
        ("Posterize", 7, 2, 2),
        ("Posterize", 9, 1, 1),
        ("Posterize", 0, 4, 4),
        ("Solarize", 2, 205, 205),
        ("Solarize", 0, 256, 256),
        ("Cutout", 9, 18, 18),
        ("Equalize", None, 0, 0),
    ],
)
def test_magnitudes_on_cifar_and_svhn(name, level, first, second):
    got = _policies.cifar(name, level)
    assert got == (Operation(name, pytest.approx(first)), Operation(name, pytest.approx(second)))


@pytest.mark.parametrize(
    ("sub_policy", "want"),
    [
        (0, [("Posterize", 4, 4), ("Rotate", 30, -30)]),
        (1, [("Solarize", 255 - 255 * 5 / 9, 255 - 255 * 5 / 9), ("AutoContrast", 0, 0)]),
        (14, [("Color", 1.4, 0.6), ("Contrast", 1.8, 0.2)]),
        (18, [("ShearX", 0.3 * 5 / 9, -0.3 * 5 / 9), ("Equalize", 0, 0)]),
    ],
)
def test_magnitudes_on_imagenet(sub_policy, want):
    for entry, (name, first, second) in zip(_policies.autoaugment("imagenet")[sub_policy], want, strict=True):
        assert entry.pair == (Operation(name, pytest.approx(first)), Operation(name, pytest.approx(second)))


def test_magnitudes_of_fast_autoaugment():
    (contrast, shift), *_ = _policies.fast_autoaugment("cifar10")
    assert contrast == (0.832066, (Operation("Contrast", pytest.approx(0.1 + 1.8 * 0.498843)),) * 2)
    share = pytest.approx(-0.45 + 0.9 * 0.394023)
    assert shift == (0.418499, (Operation("TranslateX", share, True), Operation("TranslateX", -share.expected, True)))


def test_policies_have_their_published_sizes():
    assert [len(_policies.autoaugment(name)) for name in ("cifar10", "svhn", "imagenet")] == [25, 25, 25]
    assert [len(_policies.fast_autoaugment(name)) for name in ("cifar10", "svhn", "imagenet")] == [493, 497, 498]
    for name, n_epochs in (("cifar", 200), ("svhn", 160)):
        scheduled, stages = _policies.pba(name)
        assert scheduled == sum(length for length, _ in stages) == n_epochs
        assert {len(entries) for _, entries in stages} == {30}


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("cls", [AutoAugment, FastAutoAugment])
def test_sub_policies_are_uniform_and_operations_have_their_probabilities(cls):
    policy = cls("cifar10", random_state=0)
    rows = policy._draw(N, 32, 32).rows
    entries = rows // 2
    used = rows != NONE
    assert (rows.max() < len(policy._operations)) & (rows.min() >= NONE)
    # Both operations, where both are used, are of one sub-policy; a row's remainder is its sign.
    both = used.all(axis=0)
    assert (entries[0, both] // 2 == entries[1, both] // 2).all()
    assert (entries[0, used[0]] % 2 == 0).all()
    assert (entries[1, used[1]] % 2 == 1).all()
    frequency = np.bincount(entries[used], minlength=len(policy._probabilities)) / N
    want = policy._probabilities / policy._n_sub_policies
    assert (np.abs(frequency - want) <= 5 * np.sqrt(want / N) + 1e-12).all()
    assert abs((rows[used] % 2).mean() - 0.5) < 0.02


def test_counts_and_probabilities_of_population_based_augmentation():
    policy = PopulationBasedAugment("cifar10", random_state=0)
    rows = policy._draw(N, 32, 32).rows
    used = rows != NONE
    # With this many entries of these probabilities there is practically always an operation for the count.
    np.testing.assert_allclose(np.bincount(used.sum(axis=0)) / N, [0.2, 0.3, 0.5], atol=0.02)
    assert (used[0] | ~used[1]).all()
    entries = rows // 2
    assert (entries[0] != entries[1])[used.all(axis=0)].all()
    # Never drawn exactly where the probability is zero; and as in a loop over shuffled entries.
    frequency = np.bincount(entries[used], minlength=30) / N
    np.testing.assert_array_equal(frequency > 0, policy._probabilities > 0)
    np.testing.assert_allclose(frequency, by_shuffling(policy._probabilities), atol=0.02)


def by_shuffling(probabilities):
    """How often each entry is applied, by the published algorithm, image by image."""
    rng = np.random.RandomState(0)
    applied = np.zeros(len(probabilities))
    for count in rng.choice(3, size=N // 4, p=[0.2, 0.3, 0.5]):
        for entry in rng.permutation(len(probabilities)):
            if count == 0:
                break
            if rng.uniform() < probabilities[entry]:
                applied[entry] += 1
                count -= 1
    return applied / (N // 4)


def test_the_schedule_is_stretched_to_the_run():
    policy = PopulationBasedAugment("cifar10")
    lengths = [length for length, _ in policy._stages]
    assert policy._stage == len(lengths) - 1  # before any epoch begins

    def stages(n_epochs):
        entered = []
        for epoch in range(n_epochs):
            policy.begin_epoch(epoch, n_epochs)
            entered.append(policy._stage)
        return entered

    assert stages(200) == np.repeat(np.arange(len(lengths)), lengths).tolist()
    assert stages(600) == np.repeat(np.arange(len(lengths)), 3 * np.array(lengths)).tolist()
    assert stages(20) == stages(200)[::10]
    policy.begin_epoch(0, 200)
    assert (policy._draw(50, 32, 32).rows == NONE).all()  # nothing is probable in the first twelve epochs


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("cls", [AutoAugment, FastAutoAugment, PopulationBasedAugment])
def test_cifar100_shares_the_policy_of_cifar10(cls):
    images = torch.from_numpy(batch(50))
    assert torch.equal(cls("cifar100", random_state=0)(images), cls("cifar10", random_state=0)(images))


def test_a_data_set_without_a_policy():
    with pytest.raises(ValueError, match=r"policy is 'mnist', expected .*'cifar10', 'cifar100', 'imagenet', 'svhn'"):
        AutoAugment("mnist")
    with pytest.raises(ValueError, match=r"policy is 'fashion'.*'imagenet'"):
        FastAutoAugment("fashion")
    with pytest.raises(ValueError, match=r"policy is 'imagenet', expected .*'cifar', 'cifar10', 'cifar100', 'svhn'"):
        PopulationBasedAugment("imagenet")
