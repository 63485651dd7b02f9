"""A training loop with a table, in several processes and in one that is given the union of their batches.

In a module of its own, which processes can import.
"""

import contextlib
import itertools

import torch
from torch import distributed, nn
from torch.distributed.algorithms.join import Join
from torch.nn.functional import one_hot
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable, OwnerSampler

K, D, EPOCHS = 4, 5, 3

# What each loop has of its own.
LOOPS = {
    "AC1": {},
    "AC2": {"variant": "AC2"},
    "rivals": {"rivals": 2},
    "momentum": {"momentum": 0.9},
    "Nesterov and decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "decay": {"weight_decay": 0.01},
    "l2": {"penalty": ("l2", 0.1)},
    "l1": {"penalty": ("l1", 0.1)},
    "group": {"penalty": ("group", 0.1)},
    "accumulation": {"momentum": 0.9, "accumulate": 2},
    "ragged": {"momentum": 0.9, "ragged": True},
    "soft": {"soft": True},
}


def data_of(n_samples):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(n_samples, D, generator=rng, dtype=torch.float64)
    return TensorDataset(features, torch.randint(K, (n_samples,), generator=rng), torch.arange(n_samples))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 7), nn.Tanh(), nn.Linear(7, K)).double()


def parts_of(name):
    """Settings of the table, and of the loop: accumulated batches, whether no sample is left out, soft labels."""
    settings = dict(LOOPS[name])
    loop = settings.pop("accumulate", 1), settings.pop("ragged", False), settings.pop("soft", False)
    return settings, *loop


def end_apart(name, n_samples, batch_size, world_size):
    """Whether a rank has a batch more than another."""
    counts = {-(-len(range(rank, n_samples, world_size)) // batch_size) for rank in range(world_size)}
    return parts_of(name)[2] and len(counts) > 1


def table_of(settings, own, labels):
    return AlphaTable(len(own), K, ids=own, labels=labels[own], lr=0.5, dtype=torch.float64, **settings)


def optimizer_of(net, apart):
    """Join makes the weights of ranks that end apart equal, and not the moments."""
    return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.0 if apart else 0.9)


def target_of(y, soft):
    return 0.8 * one_hot(y, K).double() + 0.05 if soft else y


def in_processes(name, n_samples, batch_size):
    """Train as one of the processes; returns the network's weights and the constants of the own samples."""
    settings, accumulate, ragged, soft = parts_of(name)
    data = data_of(n_samples)
    sampler = OwnerSampler(data, drop_last=not ragged)
    apart = end_apart(name, n_samples, batch_size, sampler.num_replicas)
    loader = DataLoader(data, batch_size, sampler=sampler)
    table = table_of(settings, sampler.own, data.tensors[1])
    net = DistributedDataParallel(network())
    optimizer = optimizer_of(net, apart)
    sizes = sampler.union_sizes(batch_size)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        with Join([net]) if apart else contextlib.nullcontext():
            for number, (x, y, index) in enumerate(loader):
                last = (number + 1) % accumulate == 0 or number + 1 == len(loader)
                with contextlib.nullcontext() if last else net.no_sync():
                    loss = table.cross_entropy(net(x), target_of(y, soft), index, reduction="sum" if ragged else "mean")
                    if ragged:  # DDP divides by the number of processes, and the batches are of different sizes
                        loss = loss * sampler.num_replicas / sizes[number]
                    (loss / accumulate).backward()
                if last:
                    optimizer.step()
                    optimizer.zero_grad()
                    table.step_pending()
        if len(loader) < len(sizes):  # the constants go on decaying at the steps of the others
            table.step(torch.empty(0, dtype=torch.int64), torch.empty(0, K, dtype=torch.float64))
    return {"net": net.module.state_dict(), "own": sampler.own, "alpha": table.dense(), "clock": table.clock}


def in_one(name, n_samples, batch_size, world_size):
    """Train in one process, with the union of the batches and a table of all samples."""
    settings, accumulate, ragged, soft = parts_of(name)
    data = data_of(n_samples)
    ranks = [OwnerSampler(data, rank=r, world_size=world_size, drop_last=not ragged) for r in range(world_size)]
    table, net = table_of(settings, torch.arange(n_samples), data.tensors[1]), network()
    optimizer = optimizer_of(net, end_apart(name, n_samples, batch_size, world_size))
    for epoch in range(EPOCHS):
        for sampler in ranks:
            sampler.set_epoch(epoch)
        batches = [torch.tensor(list(sampler)).split(batch_size) for sampler in ranks]
        unions = [torch.cat(parts) for parts in itertools.zip_longest(*batches, fillvalue=torch.empty(0).long())]
        for number, index in enumerate(unions, 1):
            x, y, _ = data[index]
            (table.cross_entropy(net(x), target_of(y, soft), index) / accumulate).backward()
            if number % accumulate == 0 or number == len(unions):
                optimizer.step()
                optimizer.zero_grad()
                table.step_pending()
    return {"net": net.state_dict(), "alpha": table.dense(), "clock": table.clock}


def run(rank, folder, jobs):
    """One process: trains each of the jobs (name, N, B), and leaves what comes of it in the folder.

    ``jobs`` are by the number of processes that are to train them. Who is none of these waits for the next.
    """
    torch.set_num_threads(1)
    for world_size in jobs:
        if rank < world_size:
            distributed.init_process_group("gloo", f"file://{folder}/{world_size}", rank=rank, world_size=world_size)
            torch.save([in_processes(*job) for job in jobs[world_size]], f"{folder}/{rank} of {world_size}.pt")
            distributed.destroy_process_group()
