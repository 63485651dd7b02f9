"""OwnerSampler: each sample stays with the process that owns it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable, OwnerSampler


def samplers(n_samples, world_size, **parameters):
    return [OwnerSampler(range(n_samples), rank=r, world_size=world_size, **parameters) for r in range(world_size)]


sizes = st.integers(1, 5).flatmap(lambda w: st.tuples(st.integers(w, 40), st.just(w)))


@given(sizes, st.booleans(), st.integers(0, 3))
def test_every_sample_is_seen_once_and_by_its_owner(size, shuffle, epoch):
    n_samples, world_size = size
    seen = []
    for rank, sampler in enumerate(samplers(n_samples, world_size, shuffle=shuffle, drop_last=False)):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler)
        assert sorted(order) == sampler.own.tolist() == list(range(n_samples))[rank::world_size]
        seen += order
    assert sorted(seen) == list(range(n_samples))


@given(sizes, st.integers(0, 3))
def test_dropping_leaves_all_ranks_as_many_and_out_fewer_than_there_are_ranks(size, epoch):
    n_samples, world_size = size
    seen = []
    for sampler in samplers(n_samples, world_size):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler) == n_samples // world_size
        assert {*order} <= {*sampler.own.tolist()}
        seen += order
    assert len(seen) == len({*seen}) > n_samples - world_size


@given(sizes, st.integers(1, 9), st.booleans())
def test_union_sizes_are_those_of_the_loaders_batches(size, batch_size, drop_last):
    n_samples, world_size = size
    ranks = samplers(n_samples, world_size, drop_last=drop_last)
    loaders = [DataLoader(range(n_samples), batch_size, sampler=sampler) for sampler in ranks]
    counts = [[len(batch) for batch in loader] for loader in loaders]
    longest = max(map(len, counts))
    union = [sum(of_rank[step] for of_rank in counts if step < len(of_rank)) for step in range(longest)]
    assert all(sampler.union_sizes(batch_size) == union for sampler in ranks)
    if drop_last:
        assert all(of_rank == counts[0] for of_rank in counts)


def test_other_epochs_seeds_and_ranks_have_other_orders():
    """The same order of places twice would mean that one of the three does not count, or that two of them are added."""
    orders = []
    for seed in range(3):
        for sampler in samplers(60, 3, seed=seed):
            for epoch in range(3):
                sampler.set_epoch(epoch)
                order = list(sampler)
                assert order == list(sampler)
                orders.append(tuple(n // 3 for n in order))
    assert len({*orders}) == 27
    assert list(samplers(7, 2, shuffle=False)[0]) == [0, 2, 4]


def test_the_samples_left_out_are_others_in_other_epochs():
    sampler = samplers(7, 2)[0]
    left_out = set()
    for epoch in range(30):
        sampler.set_epoch(epoch)
        left_out |= {*sampler.own.tolist()} - {*sampler}
    assert left_out == {0, 2, 4, 6}


def test_own_are_the_ids_of_a_table_that_knows_no_others(monkeypatch):
    """As another sampler would ask for: whose cure is not to add them."""
    sampler = samplers(7, 2)[1]
    table = AlphaTable(len(sampler.own), 3, lr=1.0, ids=sampler.own)
    data = TensorDataset(torch.arange(7))
    for (index,) in DataLoader(data, batch_size=2, sampler=sampler):
        table.rows(index)
    with pytest.raises(IndexError, match=r"id 2 is none of the 3 of this table: extend\(\) adds some"):
        table.rows([1, 2])
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(IndexError, match="this is process 1 of 2, and OwnerSampler keeps samples with their owners"):
        table.rows([1, 2])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "2", "WORLD_SIZE": "3"}, (2, 3)),
        ({"WORLD_SIZE": "3"}, (0, 1)),
    ],
)
def test_rank_and_number_of_processes_are_torchruns(environment, expected, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sampler = OwnerSampler(range(9))
    assert (sampler.rank, sampler.num_replicas) == expected
    assert sampler.own.tolist() == list(range(9))[expected[0] :: expected[1]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rank": 2, "world_size": 2}, "rank is 2, expected 0 to 1 of the 2 processes"),
        ({"rank": -1, "world_size": 2}, "rank is -1, expected an integer of at least 0"),
        ({"rank": 0, "world_size": 0}, "world_size is 0, expected an integer of at least 1"),
        ({"rank": 0}, "rank is 0 and world_size None: give both, or neither"),
        ({"rank": 0, "world_size": 8}, "there are 7 samples and 8 processes"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        OwnerSampler(range(7), **parameters)


def test_a_batch_of_none_has_no_union():
    with pytest.raises(ValueError, match="batch_size is 0, expected an integer of at least 1"):
        samplers(7, 2)[0].union_sizes(0)
