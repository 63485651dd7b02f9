"""AlphaTable in Lightning: ``pip install ".[lightning]"`` in a checkout."""

import os
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import CombinedLoader
from torch import distributed
from torch.optim import Optimizer

from acestimator.alpha import AlphaTable, OwnerSampler


class AlphaCallback(Callback):
    """Steps and saves the constants of a module whose ``training_step`` returns ``table.cross_entropy(...)``.

    A step takes the gradients of all accumulated batches; one that a loss scaler skips is skipped for both.

    Parameters
    ----------
    table : AlphaTable, optional
        By default the module's attribute ``table``.
    follow_schedule : bool, default=True
        Multiply the table's rate by that of the optimizer's first group over its ``initial_lr`` (or ``max_lr``).

    Raises
    ------
    RuntimeError
        When a training starts: if there is no table, if optimization is manual, or if several processes would not each
        have the rows of their own samples; the text says what is missing.

    Notes
    -----
    In several processes, with ``strategy="ddp"``, each has a table of the samples that it owns, and sees no others. It
    makes both when it is there, in ``setup`` and ``train_dataloader`` of the module::

        def setup(self, stage):
            if stage == "fit":
                own = OwnerSampler(data).own
                self.table = AlphaTable(len(own), n_classes, lr=0.3, ids=own)

        def train_dataloader(self):
            return DataLoader(data, batch_size=64, sampler=OwnerSampler(data))

    Lightning leaves an :class:`acestimator.OwnerSampler` alone, whatever ``use_distributed_sampler`` is, and tells it
    the epoch. A checkpoint has the tables of all processes, which rank 0 gathers; it is for as many processes again.
    """

    def __init__(self, table: AlphaTable | None = None, *, follow_schedule: bool = True) -> None:
        self._given, self.follow_schedule = table, follow_schedule
        self._module: LightningModule | None = None
        self._process = os.getpid()

    @property
    def table(self) -> AlphaTable:
        """The table that was given, or the module's."""
        table = getattr(self._module, "table", None) if self._given is None else self._given
        if not isinstance(table, AlphaTable):
            raise RuntimeError(
                "there is no table: give AlphaCallback(table), or make the module's attribute `table` in setup()."
            )
        return table

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Know the module. It is called before the module's own."""
        self._module = pl_module
        has_table = self._given is not None or getattr(pl_module, "table", None) is not None
        if trainer.world_size > 1 and has_table and os.getpid() != self._process:
            raise RuntimeError(
                f"the table was made before the {trainer.world_size} processes were, which would write to one memory "
                "or file: make it in setup() of the module, of each process's own samples."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hook onto the optimizer, if all is as it has to be."""
        if not pl_module.automatic_optimization:
            raise RuntimeError("expected automatic optimization; with manual, call table.step_pending() yourself.")
        if trainer.world_size > 1:
            _check_processes(trainer, self.table)
        self._hook = trainer.optimizers[0].register_step_post_hook(self._step)  # not called if a scaler skips it

    def on_before_zero_grad(self, *_: Any) -> None:
        """Forget the gradients of a step left out, as the network does."""
        self.table.discard_pending()

    def _step(self, optimizer: Optimizer, *_: Any) -> None:
        """One step, unless training_step returned None or a fused optimizer was told to skip it."""
        rate, groups = self.table.lr, optimizer.param_groups
        if self.follow_schedule:
            initial = groups[0].setdefault("initial_lr", float(groups[0]["lr"]))  # as a scheduler does; is saved
            rate *= float(groups[0]["lr"]) / float(groups[0].get("max_lr", initial))
        idle = all(weight.grad is None for group in groups for weight in group["params"])
        if not idle and not getattr(optimizer, "found_inf", False):
            self.table.step_pending(rate)

    def on_train_end(self, *_: Any) -> None:
        """Let go of the optimizer."""
        self._hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """State of the table; gradients half accumulated are left out, as Lightning leaves out the network's.

        Of several processes, which all have to call it, rank 0 has the states of all: it alone writes checkpoints.
        """
        state, n_processes = self.table.state_dict(leave_out_pending=True), _n_processes()
        if n_processes == 1:
            return state
        states: list[Any] | None = [None] * n_processes if distributed.get_rank() == 0 else None
        distributed.gather_object(state, states)
        return {} if states is None else {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the table's state from a checkpoint; ValueError if that is of another number of processes."""
        states, n_processes = state_dict.get("processes", [state_dict]), _n_processes()
        if len(states) != n_processes:
            raise ValueError(
                f"the checkpoint has the tables of {len(states)} processes, and there are {n_processes}: go on with as "
                "many as before, for each has the rows of its own samples."
            )
        self.table.load_state_dict(states[distributed.get_rank() if n_processes > 1 else 0])


def _n_processes() -> int:
    """W, that of the process group; 1 without one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _check_processes(trainer: Trainer, table: AlphaTable) -> None:
    """RuntimeError unless each process sees the samples that it has rows of, and all take as many steps."""
    if not isinstance(trainer.strategy, DDPStrategy):
        raise RuntimeError(f"the strategy is {type(trainer.strategy).__name__}, expected strategy='ddp'.")
    rank, n_processes = trainer.global_rank, trainer.world_size
    loaders = CombinedLoader(trainer.train_dataloader).flattened
    for loader in loaders:
        sampler = _sampler(loader)
        if not isinstance(sampler, OwnerSampler):
            raise RuntimeError(
                f"the sampler of a training loader is {type(sampler).__name__}, which does not keep samples with the "
                f"{n_processes} processes that own them: give DataLoader(..., sampler=OwnerSampler(data))."
            )
        if (sampler.rank, sampler.num_replicas) != (rank, n_processes):
            raise RuntimeError(
                f"an OwnerSampler is of rank {sampler.rank} of {sampler.num_replicas}, and this is rank {rank} of "
                f"{n_processes}: make it in train_dataloader() of the module, which is called when the processes are "
                "there."
            )
        if not sampler.drop_last and sampler.n_samples % n_processes:
            raise RuntimeError(
                f"{sampler.n_samples} samples are no multiple of {n_processes}, so that a process may have a batch "
                "more, and wait for the others for ever: make the OwnerSampler with drop_last=True."
            )
        if len(loaders) == 1 and table.n_samples != len(sampler.own):
            raise RuntimeError(
                f"the table has {table.n_samples} rows and rank {rank} owns {len(sampler.own)} samples: make it in "
                "setup() of the module, by own = OwnerSampler(data).own and AlphaTable(len(own), ..., ids=own)."
            )


def _sampler(loader: Any) -> Any:
    """What chooses the samples of a loader, within its batch sampler if need be."""
    inner = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
    return inner if isinstance(inner, OwnerSampler) else getattr(loader, "sampler", loader)
