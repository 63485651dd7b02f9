"""AlphaCallback in one of two processes: what a fit leaves, and what is said where it cannot be right.

In a module of its own, which processes can import.
"""

import os

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import distributed
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable, OwnerSampler
from acestimator.lightning import AlphaCallback

N, K, BATCH, EPOCHS, ACCUMULATE, LR = 23, 3, 4, 2, 2, 0.1


def data_of():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(N, 4, generator=rng, dtype=torch.float64)
    return TensorDataset(features, torch.randint(K, (N,), generator=rng), torch.arange(N))


def table_of(own):
    return AlphaTable(len(own), K, lr=0.3, momentum=0.9, weight_decay=0.01, dtype=torch.float64, ids=own)


class Module(LightningModule):
    """``sampler`` and ``own`` are there to be wrong."""

    def __init__(self, sampler=OwnerSampler, own=lambda: OwnerSampler(range(N)).own):
        super().__init__()
        torch.manual_seed(0)
        self.network = torch.nn.Linear(4, K).double()
        self.sampler, self.own = sampler, own

    def setup(self, stage):
        self.table = table_of(self.own())

    def train_dataloader(self):
        data = data_of()
        return DataLoader(data, BATCH, sampler=self.sampler(data))

    def training_step(self, batch, number):
        x, y, index = batch
        return self.table.cross_entropy(self.network(x), y, index)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.network.parameters(), LR, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)]


def trainer_of(folder, epochs=EPOCHS, **parameters):
    quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    devices = {"accelerator": "cpu", "strategy": "ddp", "devices": 2, "accumulate_grad_batches": ACCUMULATE}
    callback = AlphaCallback()
    return Trainer(max_epochs=epochs, callbacks=callback, default_root_dir=folder, **{**devices, **quiet, **parameters})


def error_of(folder, *arguments, checkpoint=None, **parameters):
    module = Module(*arguments)
    try:
        trainer_of(folder, **parameters).fit(module, ckpt_path=checkpoint)
    except (RuntimeError, ValueError) as error:
        assert not getattr(module, "table", torch.zeros(1)).dense().any()
        return f"{type(error).__name__}: {error}"
    return None


def left(module):
    return {"network": module.network.state_dict(), "alpha": module.table.dense(), "clock": module.table.clock}


def run(rank, folder, port):
    """One process of two; leaves what it found in the folder."""
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    fits = [Module(), Module(), Module(), Module()]
    trainer_of(folder).fit(fits[0])
    trainer_of(folder, use_distributed_sampler=False).fit(fits[1])
    first = trainer_of(folder, epochs=1)
    first.fit(fits[2])
    first.save_checkpoint(f"{folder}/two.ckpt")
    trainer_of(folder).fit(fits[3], ckpt_path=f"{folder}/two.ckpt")
    found = {
        "fits": [left(module) for module in fits],
        "no owners": error_of(folder, lambda data: None),
        "random": error_of(folder, torch.utils.data.RandomSampler, use_distributed_sampler=False),
        "of one": error_of(folder, lambda data: OwnerSampler(data, rank=0, world_size=1)),
        "ragged": error_of(folder, lambda data: OwnerSampler(data, drop_last=False)),
        "all rows": error_of(folder, OwnerSampler, lambda: torch.arange(N)),
        "checkpoint of one": error_of(folder, checkpoint=f"{folder}/one.ckpt"),
    }
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
