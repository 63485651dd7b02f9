"""AlphaCallback in two processes, against the same training in one."""

import re
import socket

import pytest
import torch
from torch import multiprocessing

from acestimator import OwnerSampler

pytest.importorskip("lightning")

import lightning_processes as two

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the two processes found, and the checkpoints that they and one process wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    trainer = two.trainer_of(folder, epochs=1, strategy="auto", devices=1)
    trainer.fit(two.Module())
    trainer.save_checkpoint(folder / "one.ckpt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(two.run, (folder, port), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def in_one():
    """A plain loop over the union of the batches, with all rows."""
    module, data = two.Module(), two.data_of()
    table, ranks = two.table_of(torch.arange(two.N)), [OwnerSampler(data, rank=r, world_size=2) for r in range(2)]
    (optimizer,), (scheduler,) = module.configure_optimizers()
    for epoch in range(two.EPOCHS):
        for sampler in ranks:
            sampler.set_epoch(epoch)
        batches = list(zip(*(torch.tensor(list(sampler)).split(two.BATCH) for sampler in ranks), strict=True))
        for number, index in enumerate(map(torch.cat, batches), 1):
            x, y, _ = data[index]
            (table.cross_entropy(module.network(x), y, index) / two.ACCUMULATE).backward()
            if number % two.ACCUMULATE == 0 or number == len(batches):
                optimizer.step()
                table.step_pending(table.lr * optimizer.param_groups[0]["lr"] / two.LR)
                optimizer.zero_grad()
        scheduler.step()
    return {"network": module.network.state_dict(), "alpha": table.dense(), "clock": table.clock}


@pytest.mark.parametrize("fit", range(4), ids=["plain", "use_distributed_sampler=False", "one epoch", "resumed"])
def test_a_fit_is_the_plain_loop_in_one_process(fit, found, in_one):
    """Lightning leaves the sampler alone, tells it the epoch, and a checkpoint has the tables of both."""
    for rank in range(2):
        left = found[rank]["fits"][fit]
        if fit == 2:
            assert left["clock"] == in_one["clock"] / 2
            continue
        torch.testing.assert_close(left["network"], in_one["network"], rtol=0, atol=1e-10)
        torch.testing.assert_close(left["alpha"], in_one["alpha"][rank::2], rtol=0, atol=1e-10)
        assert left["clock"] == in_one["clock"]
        torch.testing.assert_close(left, found[rank]["fits"][0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no owners", "RuntimeError: the sampler of a training loader is DistributedSampler, which does not keep"),
        ("random", r"is RandomSampler, .* give DataLoader\(\.\.\., sampler=OwnerSampler\(data\)\)"),
        ("of one", r"RuntimeError: an OwnerSampler is of rank 0 of 1, .* make it in train_dataloader\(\)"),
        ("ragged", r"RuntimeError: 23 samples are no multiple of 2, .* drop_last=True"),
        ("all rows", r"RuntimeError: the table has 23 rows and rank \d owns 1\d samples"),
        ("checkpoint of one", r"ValueError: the checkpoint has the tables of 1 processes, and there are 2"),
    ],
)
def test_what_cannot_be_right_is_said_on_both_ranks(case, message, found):
    """And nothing has moved."""
    for rank in range(2):
        assert re.search(message, found[rank][case]), found[rank][case]


def test_a_checkpoint_of_two_is_none_of_one(folder):
    trainer = two.trainer_of(folder, strategy="auto", devices=1)
    with pytest.raises(ValueError, match="the checkpoint has the tables of 2 processes, and there are 1"):
        trainer.fit(two.Module(), ckpt_path=folder / "two.ckpt")
