"""The training loop: one for the teacher, the student and the pruned student.

What happens around a step (pauses, progress, live metrics) hangs on hooks, not on ifs in here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from lowtide.data.batches import Batch, Batches
from lowtide.errors import ModelError
from lowtide.params import FitParams
from lowtide.training.checkpoint import Progress, restore_checkpoint, save_checkpoint
from lowtide.training.losses import LossFunction
from lowtide.training.recipe import Precision, autocast, learning_rate, make_optimizer


class Hook(Protocol):
    def before_step(self, step: int, num_steps: int) -> None:
        """May wait, or raise `Deferred`; `step` counts over all epochs."""

    def after_step(self, step: int, num_steps: int, loss: float) -> None: ...

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None: ...


@dataclass
class Fit:
    """Everything one fit works on. `progress` says where it begins."""

    model: nn.Module
    loss: LossFunction
    train: Batches
    val: Batches
    recipe: FitParams
    precision: Precision
    progress: Progress
    checkpoint: Path
    device: torch.device


def fit(work: Fit, hooks: Sequence[Hook]) -> list[dict[str, float]]:
    """Train to the last epoch and return one row of metrics per epoch.

    A checkpoint is written at the start, after each epoch, and before any exception leaves a
    step's start, so that a deferral in the middle of an epoch loses nothing.

    Raises:
        ModelError: the loss is no longer finite.
    """
    optimizer = make_optimizer(work.model, work.recipe)
    if work.progress.epoch or work.progress.step:
        restore_checkpoint(work.checkpoint, work.model, optimizer)
    else:  # so that a kill in the first epoch, too, is followed by the same run
        save_checkpoint(work.checkpoint, work.progress, work.model, optimizer)
    while work.progress.epoch < work.recipe.epochs:
        train_loss = _run_epoch(work, optimizer, hooks)
        accuracy = evaluate_accuracy(work.model, work.val, work.device, work.precision)
        row = {"train_loss": train_loss, "val_accuracy": accuracy}
        work.progress.history.append(row)
        work.progress.epoch, work.progress.step = work.progress.epoch + 1, 0
        save_checkpoint(work.checkpoint, work.progress, work.model, optimizer)
        for hook in hooks:
            hook.after_epoch(work.progress.epoch, row)
    return work.progress.history


def _run_epoch(work: Fit, optimizer: torch.optim.SGD, hooks: Sequence[Hook]) -> float:
    """Mean loss of the epoch's remaining batches."""
    progress, per_epoch = work.progress, len(work.train)
    num_steps = per_epoch * work.recipe.epochs
    work.model.train()
    losses: list[float] = []
    for batch in islice(work.train.epoch(progress.epoch), progress.step, None):
        step = progress.epoch * per_epoch + progress.step
        with _saved_on_interruption(work, optimizer):
            for hook in hooks:
                hook.before_step(step, num_steps)
        rate = learning_rate(step, num_steps, work.recipe.learning_rate)
        losses.append(_take_step(work, optimizer, batch, rate))
        progress.step += 1
        for hook in hooks:
            hook.after_step(step, num_steps, losses[-1])
    return sum(losses) / max(len(losses), 1)


def _take_step(work: Fit, optimizer: torch.optim.SGD, batch: Batch, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast(work.device, work.precision):
        logits = work.model(batch.images)
    loss = work.loss(batch, logits.float())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    value = loss.item()
    if value != value or value in (float("inf"), float("-inf")):
        raise ModelError(
            f"the loss became {value} in epoch {work.progress.epoch + 1}: "
            "lower the learning_rate of this stage in params.yaml"
        )
    return value


@contextmanager
def _saved_on_interruption(work: Fit, optimizer: torch.optim.SGD) -> Iterator[None]:
    """Write a checkpoint when the body raises, and let the exception go on."""
    try:
        yield
    except BaseException:
        save_checkpoint(work.checkpoint, work.progress, work.model, optimizer)
        raise


def evaluate_accuracy(
    model: nn.Module, batches: Batches, device: torch.device, precision: Precision
) -> float:
    model.eval()
    correct = total = 0
    with torch.no_grad(), autocast(device, precision):
        for batch in batches.epoch(0):
            correct += int((model(batch.images).argmax(1) == batch.labels).sum())
            total += len(batch.labels)
    return correct / total
