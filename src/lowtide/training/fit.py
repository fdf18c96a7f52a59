"""The training loop: one for the teacher, the student and the pruned student.

What happens around a step (pauses, progress, budgets) hangs on hooks; what an epoch is run with is
the controller's decision (`training.steering`). Neither is an if in here.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lowtide.controller.knobs import Knobs, Precision
from lowtide.data.batches import Batch, Batches
from lowtide.errors import ModelError
from lowtide.params import FitParams
from lowtide.training.average import EVERY, WeightAverage
from lowtide.training.batch_norm import over_all_processes
from lowtide.training.checkpoint import (
    Progress,
    restore_checkpoint,
    save_checkpoint,
    usable_checkpoint,
)
from lowtide.training.losses import LossFunction
from lowtide.training.protocols import Hook, Steering
from lowtide.training.recipe import autocast, make_optimizer
from lowtide.training.resize import shrink
from lowtide.training.schedule import image_side, learning_rate
from lowtide.training.world import ALONE, World

MAX_RESTORES = 3
RATE_AFTER_RESTORE = 0.5


class BudgetSpent(Exception):  # noqa: N818 -- no error: training ends with the best it has
    """A budget is used up."""


class NotFiniteError(ModelError):
    pass


@dataclass
class Fit:
    """Everything one fit works on. `progress` says where it begins."""

    model: nn.Module
    loss: LossFunction
    train: Batches
    val: Batches
    recipe: FitParams
    progress: Progress
    checkpoint: Path
    device: torch.device
    steering: Steering
    world: World = ALONE
    average: WeightAverage = field(default_factory=WeightAverage)
    optimizer: torch.optim.SGD = field(init=False)
    _replica: nn.Module | None = None

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.model, self.recipe)

    @property
    def knobs(self) -> Knobs:
        return self.progress.knobs

    @property
    def epochs_per_step(self) -> float:
        """Epochs of the base batch that a step of the present batch is worth."""
        return self.knobs.gain / len(self.train)

    @property
    def epoch(self) -> float:
        """Where the middle of the present step is, in epochs of the base batch."""
        return self.progress.position + (self.progress.step + 0.5) * self.epochs_per_step

    @property
    def best(self) -> Path:
        """Weights of the epoch with the highest validation accuracy, while the fit lasts."""
        return self.checkpoint.with_name(f"{self.checkpoint.stem}-best{self.checkpoint.suffix}")

    @property
    def averages(self) -> bool:
        """Whether validation is of averaged weights: at full rate, where it may be left early."""
        return self.steering.lands and not self.knobs.landed

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K] of this process's images."""
        model = self.model if self._replica is None else self._replica
        return model(images)  # type: ignore[no-any-return]

    @contextmanager
    def replicated(self) -> Iterator[None]:
        """In the body gradients through `forward` are means over all processes.

        Anew for each epoch, since channels leave between two.
        """
        self._replica = self.world.replica(self.model)
        try:
            yield
        finally:
            self._replica = None

    def usable(self, path: Path) -> tuple[Path, Progress] | None:
        """The checkpoint that the process that leads can use: all load the same."""
        mark = self.progress.fingerprint
        return self.world.share(lambda: usable_checkpoint(path, mark))

    def save(self, path: Path | None = None) -> None:
        if not self.world.leads:
            return
        extra = {f"average.{name}": value for name, value in self.average.tensors().items()}
        extra |= {f"steering.{name}": value for name, value in self.steering.tensors().items()}
        save_checkpoint(path or self.checkpoint, self.progress, self.model, self.optimizer, extra)


def fit(work: Fit, hooks: Sequence[Hook]) -> list[dict[str, float]]:
    """Train to the end that the knobs say and return one row of metrics per epoch.

    A checkpoint is written at the start, after each epoch, and before any exception leaves a
    step's start, so that a deferral in the middle of an epoch loses nothing. When a budget is
    spent, the weights are those of the best epoch. A loss that is not finite is answered with the
    last checkpoint and half the learning rate, `MAX_RESTORES` times.

    Raises:
        ModelError: the loss is again not finite.
        BudgetSpent: no epoch was through when a budget was used up.
    """
    with over_all_processes(work.model, work.world):
        _to_the_end(work, hooks)
    return work.progress.history


def _to_the_end(work: Fit, hooks: Sequence[Hook]) -> None:
    found = work.usable(work.checkpoint)
    if found is None:
        work.save()  # a kill in the first epoch, too, is followed by the same run
    else:
        _load(work, *found)
    while _decided(work):
        try:
            _run_epoch(work, hooks)
        except NotFiniteError as error:
            _calm_down(work, error)
        except BudgetSpent:
            if not work.progress.history:
                raise
            _load_best(work)
            break
    else:
        if work.knobs.cut and work.progress.best_accuracy > _last_accuracy(work):
            _load_best(work)
    work.steering.finish(work)


def _last_accuracy(work: Fit) -> float:
    return work.progress.history[-1]["val_accuracy"] if work.progress.history else -1.0


def _decided(work: Fit) -> bool:
    """Whether there is more to do, with the knobs for it set."""
    if work.progress.decided == work.progress.epoch:  # not so where it was left after that
        work.steering.next_epoch(work)
        work.progress.decided += 1
        work.save()
    return work.progress.step > 0 or work.progress.position < work.knobs.end - 1e-6


def _run_epoch(work: Fit, hooks: Sequence[Hook]) -> None:
    progress = work.progress
    with work.replicated():
        train_loss = _pass_over_data(work, hooks)
    work.steering.settle()
    with work.average.in_place(work.model):
        loss, accuracy = evaluate(
            work.model, work.val, work.device, work.knobs.precision, work.world
        )
        _require_finite(work, loss)  # the last update may have broken what the loss before was of
        row = {"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy}
        progress.history.append(row)
        progress.position += progress.step * work.epochs_per_step
        progress.epoch, progress.step = progress.epoch + 1, 0
        if accuracy > progress.best_accuracy:
            progress.best_accuracy = accuracy
            work.save(work.best)
    work.average.clear()
    work.save()
    for hook in hooks:
        hook.after_epoch(progress.epoch, row)


def _pass_over_data(work: Fit, hooks: Sequence[Hook]) -> float:
    """Mean loss of the epoch's remaining batches."""
    progress, base = work.progress, len(work.train)
    batches = work.train.resized(work.knobs.batch_size)
    left = math.ceil((work.knobs.end - progress.position) / work.epochs_per_step - 1e-6)
    num_steps = work.knobs.end * base
    work.model.train()
    losses: list[float] = []
    for batch in islice(batches.epoch(progress.epoch), progress.step, min(left, len(batches))):
        step = (progress.position + progress.step * work.epochs_per_step) * base
        with _saved_on_interruption(work):
            for hook in hooks:
                hook.before_step(step, num_steps)
        losses.append(_take_step(work, batch))
        progress.step += 1
        if work.averages and 2 * progress.step > len(batches) and progress.step % EVERY == 0:
            work.average.add(work.model)
        for hook in hooks:
            hook.after_step(step, num_steps, losses[-1])
    return sum(losses) / max(len(losses), 1)


def _take_step(work: Fit, batch: Batch) -> float:
    rate = learning_rate(work.epoch, work.recipe, work.knobs)
    for group in work.optimizer.param_groups:
        group["lr"] = rate
    work.optimizer.zero_grad(set_to_none=True)
    _reseed(work)
    value = work.steering.backward(work, batch)
    _require_finite(work, value)
    work.optimizer.step()
    work.steering.after_update()
    return value


def _reseed(work: Fit) -> None:
    """What a model draws in a step (dropout) follows from seed, epoch, step and process."""
    where = (work.train.seed, work.progress.epoch, work.progress.step, work.world.rank)
    torch.manual_seed(int(np.random.SeedSequence(where).generate_state(1)[0]))


def _require_finite(work: Fit, loss: float) -> None:
    if not math.isfinite(loss):
        raise NotFiniteError(
            f"the loss became {loss} in epoch {work.progress.epoch + 1}: "
            "lower the learning_rate of this stage in params.yaml"
        )


def backward(work: Fit, batch: Batch) -> float:
    """Gradients of the loss of one batch; returns the loss. Both are means over all processes."""
    side = image_side(work.epoch, min(batch.images.shape[2:]), work.knobs)
    with autocast(work.device, work.knobs.precision):
        logits = work.forward(shrink(batch.images, side))
    loss = work.loss(batch, logits.float())
    loss.backward()  # type: ignore[no-untyped-call]
    return work.world.mean(loss.item())


def _load(work: Fit, path: Path, progress: Progress) -> None:
    work.progress = progress
    extra = restore_checkpoint(path, work.model, work.optimizer)
    work.average.load(_named(extra, "average."), work.device)
    work.steering.resume(work, _named(extra, "steering."))
    work.world.barrier()  # before the file is replaced


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_best(work: Fit) -> None:
    """Weights and gates of the best epoch; what has been done since stays in the history."""
    now, found = work.progress, work.usable(work.best)
    now.over_budget = True
    if found is not None:
        path, best = found
        _load(work, path, replace(now, steering=best.steering))


def _calm_down(work: Fit, error: NotFiniteError) -> None:
    """Back to the last good checkpoint, slower."""
    restores = work.progress.restores + 1
    found = work.usable(work.checkpoint)
    if restores > MAX_RESTORES or found is None:
        raise error
    _load(work, *found)
    work.progress.restores = restores
    knobs = replace(work.knobs, rate_factor=work.knobs.rate_factor * RATE_AFTER_RESTORE)
    work.progress.knobs = knobs
    work.save()


@contextmanager
def _saved_on_interruption(work: Fit) -> Iterator[None]:
    """Write a checkpoint when the body raises, and let the exception go on."""
    try:
        yield
    except BaseException:
        work.save()
        raise


def evaluate(
    model: nn.Module,
    batches: Batches,
    device: torch.device,
    precision: Precision,
    world: World = ALONE,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on a split, of which each process has its share."""
    model.eval()
    total_loss = correct = total = 0.0
    with torch.no_grad(), autocast(device, precision):
        for batch in batches.epoch(0):
            logits = model(batch.images).float()
            total_loss += float(nn.functional.cross_entropy(logits, batch.labels, reduction="sum"))
            correct += int((logits.argmax(1) == batch.labels).sum())
            total += len(batch.labels)
    total_loss, correct, total = world.sum(total_loss, correct, total)
    return total_loss / total, correct / total
