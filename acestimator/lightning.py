"""AlphaTable in Lightning: ``pip install ".[lightning]"`` in a checkout."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from acestimator.alpha import AlphaTable


class AlphaCallback(Callback):
    """Steps and saves the constants of a module whose ``training_step`` returns ``table.cross_entropy(...)``.

    A step takes the gradients of all accumulated batches; one that a loss scaler skips is skipped for both.

    Parameters
    ----------
    table : AlphaTable
    follow_schedule : bool, default=True
        Multiply the table's rate by that of the optimizer's first group over its ``initial_lr`` (or ``max_lr``).
    """

    def __init__(self, table: AlphaTable, *, follow_schedule: bool = True) -> None:
        self.table, self.follow_schedule = table, follow_schedule

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hook onto the optimizer; RuntimeError if optimization is manual, or in several processes."""
        if not pl_module.automatic_optimization or trainer.world_size > 1:
            raise RuntimeError("expected automatic optimization on one device; or call table.step_pending() yourself.")
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
        """State of the table; gradients half accumulated are left out, as Lightning leaves out the network's."""
        return self.table.state_dict(leave_out_pending=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the table's state from a checkpoint."""
        self.table.load_state_dict(state_dict)
