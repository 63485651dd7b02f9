"""AlphaCallback against the loop of one's own that it stands for."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from acestimator import AlphaTable

pytest.importorskip("lightning")

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision

from acestimator.lightning import AlphaCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`training_step` returned `None`"),
]

N, K, BATCHES, EPOCHS, LR, ALPHA_LR = 12, 3, 3, 2, 0.1, 0.3
LABELS = torch.arange(N) % K
DATA = TensorDataset(torch.randn(N, 4, generator=torch.Generator().manual_seed(0)), LABELS, torch.arange(N))
LOADER = DataLoader(DATA, batch_size=5)  # 5, 5 and 2 samples
SCHEDULES = {
    "none": None,
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * BATCHES),
    "warm-up": lambda optimizer: torch.optim.lr_scheduler.LinearLR(optimizer, 0.25, total_iters=4),
    "one cycle": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LR, EPOCHS * BATCHES, cycle_momentum=False
    ),
}


class Module(LightningModule):
    """A linear network; ``schedule`` "by hand" halves the rate after the first epoch, without a scheduler."""

    def __init__(self, schedule="none", fused=False, automatic=True):
        super().__init__()
        torch.manual_seed(0)
        self.network, self.schedule = torch.nn.Linear(4, K), schedule
        self.optimizer = torch.optim.SGD(self.network.parameters(), LR, fused=fused)
        self.table = AlphaTable(N, K, lr=ALPHA_LR, momentum=0.9)
        self.automatic_optimization = automatic

    def training_step(self, batch, number):
        x, y, index = batch
        return self.table.cross_entropy(self.network(x), y, index)

    def configure_optimizers(self):
        make = SCHEDULES.get(self.schedule)
        if make is None:
            return self.optimizer
        scheduler = {"scheduler": make(self.optimizer), "interval": "step"}
        return {"optimizer": self.optimizer, "lr_scheduler": scheduler}

    def on_train_epoch_start(self):
        if self.schedule == "by hand" and self.current_epoch == 1:
            self.optimizer.param_groups[0]["lr"] /= 2


@pytest.fixture
def trainer_of(tmp_path):
    def make(module, *callbacks, follow_schedule=True, own=None, **parameters):
        own = own or AlphaCallback(module.table, follow_schedule=follow_schedule)
        quiet = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
        defaults = {"max_epochs": EPOCHS, "accelerator": "cpu", "default_root_dir": tmp_path, **quiet}
        return Trainer(callbacks=[own, *callbacks], **{**defaults, **parameters})

    return make


def plain_loop(module, accumulate=1, follow_schedule=True):
    """Train without Lightning."""
    optimizer, table = module.optimizer, module.table
    make = SCHEDULES.get(module.schedule)
    scheduler = make and make(optimizer)
    for epoch in range(EPOCHS):
        if module.schedule == "by hand" and epoch == 1:
            optimizer.param_groups[0]["lr"] /= 2
        for number, batch in enumerate(LOADER, 1):
            (module.training_step(batch, number) / accumulate).backward()
            if number % accumulate and number < BATCHES:
                continue
            optimizer.step()
            factor = optimizer.param_groups[0]["lr"] / LR if follow_schedule else 1.0
            table.step_pending(ALPHA_LR * factor)
            optimizer.zero_grad()
            if scheduler is not None:
                scheduler.step()
    return module


def assert_equal(one, other):
    assert one.table.clock == other.table.clock
    torch.testing.assert_close(one.table.dense(), other.table.dense(), rtol=0, atol=0)
    torch.testing.assert_close(one.network.state_dict(), other.network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("follow_schedule", [True, False])
@pytest.mark.parametrize("schedule", [*SCHEDULES, "by hand"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_fit_is_the_plain_loop(accumulate, schedule, follow_schedule, trainer_of):
    """Bit for bit; the last step of an epoch has fewer batches to accumulate."""
    module, plain = Module(schedule), plain_loop(Module(schedule), accumulate, follow_schedule)
    trainer_of(module, follow_schedule=follow_schedule, accumulate_grad_batches=accumulate).fit(module, LOADER)
    assert_equal(module, plain)
    assert module.table.clock == EPOCHS * (BATCHES if accumulate == 1 else 2)


@pytest.mark.parametrize("schedule", ["cosine", "by hand"])
def test_a_fit_resumed_from_a_checkpoint_is_the_fit_in_one_go(schedule, trainer_of, tmp_path):
    straight, first, second = Module(schedule), Module(schedule), Module(schedule)
    trainer_of(straight).fit(straight, LOADER)
    trainer = trainer_of(first, max_epochs=1)
    trainer.fit(first, LOADER)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert set(torch.load(tmp_path / "one.ckpt", weights_only=True)["callbacks"]) == {"AlphaCallback"}
    trainer_of(second).fit(second, LOADER, ckpt_path=tmp_path / "one.ckpt")
    assert_equal(second, straight)


class SaveEachBatch(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/{number}.ckpt")


def test_a_checkpoint_between_accumulated_batches_changes_nothing(trainer_of):
    module, saved = Module(), Module()
    trainer_of(module, accumulate_grad_batches=2).fit(module, LOADER)
    trainer_of(saved, SaveEachBatch(), accumulate_grad_batches=2).fit(saved, LOADER)
    assert_equal(saved, module)


class Validated(Module):
    seen = 0

    def validation_step(self, batch, number):
        self.seen += 1
        return self.training_step(batch, number)


def test_validation_and_sanity_checking_move_nothing(trainer_of):
    module, validated = Module(), Validated()
    trainer_of(module, accumulate_grad_batches=2).fit(module, LOADER)
    trainer = trainer_of(validated, accumulate_grad_batches=2, val_check_interval=1, num_sanity_val_steps=2)
    trainer.fit(validated, LOADER, LOADER)
    trainer.validate(validated, LOADER)
    assert validated.seen == 2 + EPOCHS * BATCHES * BATCHES + BATCHES
    assert_equal(validated, module)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_the_loss_scaler_skips_is_skipped_by_the_constants(fused, trainer_of):
    """Half precision on a CPU, which Lightning has only as a plugin; the first steps overflow."""
    module, plain = Module(fused=fused), Module(fused=fused)
    scalers = [torch.amp.GradScaler("cpu", init_scale=2.0**21) for _ in range(2)]
    trainer_of(module, plugins=MixedPrecision("16-mixed", "cpu", scalers[0])).fit(module, LOADER)
    skipped = 0
    for _ in range(EPOCHS):
        for number, batch in enumerate(LOADER):
            with torch.autocast("cpu", torch.float16):
                loss = plain.training_step(batch, number)
            scalers[1].scale(loss).backward()
            scalers[1].step(plain.optimizer)
            scale = scalers[1].get_scale()
            scalers[1].update()
            if scalers[1].get_scale() < scale:
                plain.table.discard_pending()
                skipped += 1
            else:
                plain.table.step_pending()
            plain.optimizer.zero_grad()
    assert 0 < skipped < EPOCHS * BATCHES
    assert module.table.clock == EPOCHS * BATCHES - skipped
    assert_equal(module, plain)


def test_bfloat16(trainer_of):
    module, plain = Module(), Module()
    trainer_of(module, precision="bf16-mixed").fit(module, LOADER)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        plain_loop(plain)
    assert_equal(module, plain)


class Diverged(Module):
    def training_step(self, batch, number):
        return super().training_step([batch[0] * torch.nan, *batch[1:]], number)


def test_a_diverged_step_in_full_precision_is_an_error(trainer_of):
    module = Diverged()
    with pytest.raises(ValueError, match="grad is NaN or infinite in row 0"):
        trainer_of(module).fit(module, LOADER)
    assert not module.table.dense().any()


class LeavesOut(Module):
    """Lightning skips a batch whose ``training_step`` returns None."""

    def training_step(self, batch, number):
        return None if number == 1 else super().training_step(batch, number)


@pytest.mark.parametrize("precision", ["full", "16 bits"])
def test_a_batch_left_out_is_no_step(precision, trainer_of):
    module = LeavesOut()
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    plugins = MixedPrecision("16-mixed", "cpu", scaler) if precision == "16 bits" else None
    trainer_of(module, plugins=plugins).fit(module, LOADER)
    assert module.table.clock == EPOCHS * (BATCHES - 1)
    assert not module.table.dense()[5:10].any()


class Forgets(Module):
    def training_step(self, batch, number):
        return F.cross_entropy(self.network(batch[0]), batch[1])


def test_a_loss_without_the_constants_is_an_error(trainer_of):
    module = Forgets()
    with pytest.raises(RuntimeError, match="no gradient is pending"):
        trainer_of(module).fit(module, LOADER)


def test_an_optimizer_is_let_go_after_the_fit(trainer_of):
    """It can go on in another, which then steps once."""
    module, plain = Module(), plain_loop(plain_loop(Module()))
    for _ in range(2):
        trainer_of(module).fit(module, LOADER)
    assert_equal(module, plain)


class Two(Module):
    def configure_optimizers(self):
        return [self.optimizer, torch.optim.SGD(self.network.parameters(), LR)]


def test_manual_optimization_is_an_error_that_names_the_cure(trainer_of):
    """Of several optimizers it is Lightning itself that asks for manual optimization."""
    with pytest.raises(RuntimeError, match="multiple optimizers is only supported with manual optimization"):
        trainer_of(module := Two()).fit(module, LOADER)
    for module in (Module(automatic=False), Two(automatic=False)):
        with pytest.raises(RuntimeError, match=r"call table\.step_pending\(\) yourself"):
            trainer_of(module).fit(module, LOADER)


def test_a_table_that_was_made_before_the_processes_is_an_error(monkeypatch):
    """As with strategy="ddp_spawn", whose processes would share its memory; the callback says where it was made."""
    module = Module()
    for callback in (AlphaCallback(module.table), AlphaCallback()):
        callback.setup(SimpleNamespace(world_size=2), module, "fit")
        monkeypatch.setattr("os.getpid", lambda: -1)
        callback.setup(SimpleNamespace(world_size=1), module, "fit")
        with pytest.raises(RuntimeError, match=r"made before the 2 processes were.*make it in setup\(\) of the module"):
            callback.setup(SimpleNamespace(world_size=2), module, "fit")
        monkeypatch.undo()


def test_the_table_may_be_the_modules_own(trainer_of):
    module, plain = Module(), plain_loop(Module())
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        max_epochs=EPOCHS, accelerator="cpu", callbacks=AlphaCallback(), enable_model_summary=False, **quiet
    )
    trainer.fit(module, LOADER)
    assert_equal(module, plain)
    with pytest.raises(RuntimeError, match=r"there is no table: give AlphaCallback\(table\), or make"):
        AlphaCallback().table  # noqa: B018


def test_lightning_is_imported_only_for_the_callback():
    code = "import sys, acestimator; assert not {'lightning', 'acestimator.lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
