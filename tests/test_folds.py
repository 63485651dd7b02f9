"""Folds and keys of samples: what they keep together, what they must not depend on, and that they are fair."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acestimator import folds as module
from acestimator.folds import folds, mixed, row_keys

SEEDS = st.integers(0, 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


def a_set(seed, n_samples=60, n_classes=3, n_keys=20):
    """Labels, keys of which some are alike, and weights that are numbers of copies."""
    rng = np.random.RandomState(seed)
    parts = rng.randint(n_classes, size=n_samples), rng.randint(n_keys, size=n_samples), rng.randint(1, 4, n_samples)
    return tuple(torch.from_numpy(part.astype(np.int64)) for part in parts)


def fold_of(labels, n_folds, seed, *others):
    """Number of each sample's fold, (N,); -1 of one that is in none."""
    found = torch.full_like(labels, -1)
    for number, (_, unseen) in enumerate(folds(labels, n_folds, torch.Generator().manual_seed(seed), *others)):
        found[unseen] = number
    return found


def classes_of(fold):
    """The same as sets of positions, whatever the folds' numbers."""
    return {tuple(torch.nonzero(fold == number).flatten().tolist()) for number in fold.unique().tolist()}


# --- folds ---


@given(SEEDS, st.integers(1, 80), st.integers(1, 6), st.integers(2, 10), st.booleans())
def test_folds_are_disjoint_and_cover_all(seed, n_samples, n_classes, n_folds, keyed):
    """But where all samples are in one of them: then there are none."""
    labels, keys, _ = a_set(seed, n_samples, n_classes)
    found = folds(labels, n_folds, torch.Generator().manual_seed(seed), keys if keyed else None)
    assert len(found) != 1
    assert len(found) <= n_folds
    if found:
        assert torch.equal(torch.cat([unseen for _, unseen in found]).sort().values, torch.arange(n_samples))
    for seen, unseen in found:
        assert len(seen)
        assert len(unseen)
        assert torch.equal(torch.cat((seen, unseen)).sort().values, torch.arange(n_samples))


@given(SEEDS, st.integers(2, 80), st.integers(1, 6), st.integers(2, 10))
def test_without_keys_two_folds_have_as_many_of_a_class_to_within_one(seed, n_samples, n_classes, n_folds):
    labels, _, _ = a_set(seed, n_samples, n_classes)
    found = folds(labels, n_folds, torch.Generator().manual_seed(seed))
    counts = torch.stack([torch.bincount(labels[unseen], minlength=n_classes) for _, unseen in found])
    there = torch.cat(
        (counts, counts.new_zeros(n_folds - len(counts), n_classes))
    )  # those without samples are left out
    assert (there.amax(dim=0) - there.amin(dim=0) <= 1).all()


@given(SEEDS, st.integers(2, 10))
def test_a_fold_has_its_share_of_each_class_s_weight_to_within_one_group(seed, n_folds):
    """A group: the samples of one key, and of one label."""
    labels, keys, copies = a_set(seed)
    fold, weight = fold_of(labels, n_folds, seed, keys, copies.double()), copies.numpy()
    for k in range(3):
        at = labels == k
        largest = np.bincount(keys[at], weight[at]).max()
        of_fold = np.bincount(fold[at], weight[at], minlength=n_folds)
        assert np.abs(of_fold - weight[at].sum() / n_folds).max() <= largest + 1e-6 * weight.sum()


@given(SEEDS, st.integers(2, 10))
def test_equal_samples_of_one_label_are_in_one_fold(seed, n_folds):
    labels, keys, _ = a_set(seed)
    fold = fold_of(labels, n_folds, seed, keys)
    for n in range(len(labels)):
        assert (fold[(keys == keys[n]) & (labels == labels[n])] == fold[n]).all()


@given(SEEDS, st.integers(2, 10))
def test_weight_two_is_the_sample_twice_for_the_folds_of_all(seed, n_folds):
    labels, keys, copies = a_set(seed)
    weighted = fold_of(labels, n_folds, seed, keys, copies.double())
    repeated = fold_of(*(labels.repeat_interleave(copies), n_folds, seed), keys.repeat_interleave(copies))
    assert torch.equal(weighted.repeat_interleave(copies), repeated)


@given(SEEDS, st.integers(2, 10), st.sampled_from([1e-30, 0.1, 3.0, 1e30]))
def test_only_the_ratios_of_weights_count(seed, n_folds, scale):
    labels, keys, copies = a_set(seed)
    given_fold = fold_of(labels, n_folds, seed, keys, copies.double())
    assert torch.equal(fold_of(labels, n_folds, seed, keys, scale * copies.double()), given_fold)


@given(SEEDS, st.integers(2, 10))
def test_the_order_of_the_samples_is_of_no_matter_where_there_are_keys(seed, n_folds):
    labels, keys, copies = a_set(seed)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(labels)))
    fold = fold_of(labels, n_folds, seed, keys, copies.double())
    assert torch.equal(fold_of(labels[order], n_folds, seed, keys[order], copies[order].double()), fold[order])


@given(SEEDS, st.integers(2, 10))
def test_another_class_changes_nothing_for_a_class(seed, n_folds):
    """Of its samples, which are together: the parts of each class are cut without a look at the others."""
    labels, keys, _ = a_set(seed, n_classes=3)
    fold = fold_of(labels, n_folds, seed, keys)
    without = labels > 0
    alone = fold_of(labels[without], n_folds, seed, keys[without])
    for k in (1, 2):
        assert classes_of(fold[labels == k]) == classes_of(alone[labels[without] == k])


def test_folds_are_drawn():
    labels = torch.arange(60) % 3
    assert torch.equal(fold_of(labels, 2, 0), fold_of(labels, 2, 0))
    assert classes_of(fold_of(labels, 2, 0)) != classes_of(fold_of(labels, 2, 1))


def test_every_pair_of_a_class_is_parted_as_often_by_drawing():
    """Of ten samples in two halves, 5 of 9 others are in the other half: to four standard errors of 2,000 draws."""
    labels, together = torch.zeros(10, dtype=torch.int64), torch.zeros(10, 10)
    for seed in range(2000):
        fold = fold_of(labels, 2, seed)
        together += fold[:, None] == fold[None]
    share = together[~torch.eye(10, dtype=torch.bool)] / 2000
    assert (share - 4 / 9).abs().max() < 4 * (4 / 9 * 5 / 9 / 2000) ** 0.5


@pytest.mark.parametrize("n_samples", [1, 4])
def test_equal_samples_alone_are_no_folds(n_samples):
    labels = torch.zeros(n_samples, dtype=torch.int64)
    assert folds(labels, 2, torch.Generator().manual_seed(0), torch.ones_like(labels)) == []


# --- keys ---


@given(
    arrays(np.float32, (8, 3, 2), elements=st.floats(width=32, allow_nan=False)),
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 40),
)
def test_equal_rows_have_one_key_and_others_have_others(rows, kind, chunk):
    """However many are looked at together."""
    given_rows = torch.from_numpy(rows.repeat(2, axis=0).astype(kind))
    before, module._CHUNK_ELEMENTS = module._CHUNK_ELEMENTS, chunk
    try:
        keys = row_keys(given_rows)
    finally:
        module._CHUNK_ELEMENTS = before
    alike = (rows[:, None] == rows[None]).all(axis=(2, 3))
    np.testing.assert_array_equal((keys[::2, None] == keys[None, ::2]).numpy(), alike)
    assert torch.equal(keys[::2], keys[1::2])


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_ten_thousand_rows_of_few_numbers_have_ten_thousand_keys(kind):
    """Numbers that are near each other and often the same, in all orders."""
    rows = torch.cartesian_prod(*[torch.arange(10)] * 4)
    assert len(row_keys(rows.to(kind)).unique()) == 10_000


def test_zero_has_no_sign():
    zeros = torch.tensor([[0.0, 1.0], [-0.0, 1.0]])
    assert row_keys(zeros).unique().numel() == 1
    assert row_keys(zeros.double()).unique().numel() == 1


def test_rounding_in_float64_does_not_count_and_float32_does():
    rows = torch.tensor([[0.1, 1.0]], dtype=torch.float64)
    near = rows + 1e-12
    assert torch.equal(row_keys(rows), row_keys(near))
    assert torch.equal(row_keys(rows), row_keys(rows.float()))
    assert not torch.equal(row_keys(rows.float()), row_keys(torch.nextafter(rows.float(), torch.ones(1))))


def test_mixing_is_splitmix64():
    """The first numbers of the generator's sequence from two seeds, as published with it."""
    steps = module._STEP * torch.arange(5)
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [key % 2**64 for key in mixed(1234567 + steps).tolist()] == first
    assert int(mixed(torch.tensor(0))) % 2**64 == 0xE220A8397B1DCDAF


@given(st.lists(INT64, unique=True, min_size=1, max_size=50))
def test_mixing_is_one_to_one(numbers):
    """Undone step by step: by the inverses of odd numbers modulo 2^64, and of the shifts."""
    found = [number % 2**64 for number in mixed(torch.tensor(numbers, dtype=torch.int64)).tolist()]
    for n, key in zip(numbers, found, strict=True):
        for shift, factor in ((31, module._SECOND), (27, module._FIRST), (30, 1)):
            shifted = key
            for _ in range(64 // shift):
                key = shifted ^ (key >> shift)
            key = key * pow(factor % 2**64, -1, 2**64) % 2**64
        assert (key - module._STEP) % 2**64 == n % 2**64


def test_near_numbers_become_far_ones():
    """Half of the 64 bits change, to four standard errors of the mean over 1,000 numbers."""
    before, after = mixed(torch.arange(1000)), mixed(torch.arange(1000) + 1)
    changed = [bin((a ^ b) % 2**64).count("1") for a, b in zip(before.tolist(), after.tolist(), strict=True)]
    assert np.mean(changed) == pytest.approx(32, abs=4 * 4 / 1000**0.5)
