"""Tables of several processes, in DistributedDataParallel, against one process with the union of their batches."""

import processes
import pytest
import torch
from torch import multiprocessing

# By the number of processes: N samples in batches of B. Of 21 in batches of 5 one of two ranks has a batch more, and of
# 23 a last batch that is larger by one.
JOBS = {
    2: [*((name, 23, 5) for name in processes.LOOPS), ("ragged", 21, 5), ("momentum", 22, 4), ("l1", 3, 8)],
    3: [("Nesterov and decay", 23, 3), ("ragged", 19, 3), ("ragged", 20, 4)],
}
ALL = [(world_size, *job) for world_size, jobs in JOBS.items() for job in jobs]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each rank has in the end, by the number of processes and by job; one start of processes for all."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(processes.run, (folder, JOBS), nprocs=max(JOBS))
    of_jobs = []
    for world_size in JOBS:
        of_jobs += zip(*(torch.load(folder / f"{rank} of {world_size}.pt") for rank in range(world_size)), strict=True)
    return dict(zip(ALL, of_jobs, strict=True))


@pytest.mark.parametrize(("world_size", "name", "n_samples", "batch_size"), ALL)
def test_network_and_constants_are_those_of_one_process(world_size, name, n_samples, batch_size, trained):
    one = processes.in_one(name, n_samples, batch_size, world_size)
    assert one["alpha"].abs().max() > 0.1
    for rank in trained[world_size, name, n_samples, batch_size]:
        torch.testing.assert_close(rank["net"], one["net"], rtol=0, atol=1e-10)
        torch.testing.assert_close(rank["alpha"], one["alpha"][rank["own"]], rtol=0, atol=1e-10)
        assert rank["clock"] == one["clock"]


def test_ranks_end_apart_in_some_of_the_loops():
    """Else Join would be tested of nothing."""
    assert [job for job in ALL if processes.end_apart(*job[1:], job[0])] == [(2, "ragged", 21, 5), (3, "ragged", 19, 3)]
