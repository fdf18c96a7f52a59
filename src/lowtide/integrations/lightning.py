"""For Lightning: `Trainer(callbacks=[LowtideCallback(deadline_hours=24)])`."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lowtide.errors import UsageError
from lowtide.integrations.together import Looks
from lowtide.loops import Pace


class LowtideCallback(Callback):
    """Meters `fit`, pauses it for clean power, and stops it where a budget is spent.

    Options as for `lowtide.Pace`. `energy_kwh` and `emissions_g` are logged with each epoch.
    Under several processes the first of each node meters the node, and the others wait for it.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._looks = Looks()
        self.pace: Pace | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del pl_module
        self._looks = Looks()
        if trainer.local_rank == 0:
            timed = self._options.get("deadline_hours") is not None
            self.pace = Pace(_num_steps(trainer, timed), **self._options).__enter__()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        del trainer, pl_module, batch, batch_idx
        if self.pace is not None:
            self.pace.before_step()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        del outputs, batch, batch_idx
        if self.pace is not None:
            self.pace.after_step()
        over = self.pace is not None and self.pace.over
        if self._looks.any(over, trainer.world_size, pl_module.device):  # all stop, or none
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del trainer
        if self.pace is None:
            return
        totals = self.pace.totals
        figures = {"energy_kwh": totals.energy_kwh, "emissions_g": totals.emissions_g}
        known = {name: value for name, value in figures.items() if value is not None}
        pl_module.log_dict(known, rank_zero_only=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del trainer, pl_module
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        del trainer, pl_module, exception
        self._close()

    def _close(self) -> None:
        if self.pace is not None:
            self.pace.__exit__(None, None, None)
            self.pace = None


def _num_steps(trainer: Trainer, needed: bool) -> int:
    """Batches that the fit has before it; 0 where that is not known and not `needed`."""
    if trainer.max_steps > 0:
        left = trainer.max_steps - trainer.global_step
        return int(left * trainer.accumulate_grad_batches)
    num_epochs, num_batches = trainer.max_epochs or 0, trainer.num_training_batches
    if num_epochs > 0 and num_batches != float("inf"):
        return int((num_epochs - trainer.current_epoch) * num_batches)
    if needed:
        raise UsageError("how long the fit is, is not known: give max_steps, or no deadline_hours")
    return 0
