"""The training loop: one for the teacher, the student and the pruned student.

What happens around a step (pauses, progress, budgets) hangs on hooks; what an epoch is run with is
the controller's decision (`training.steering`). Neither is an if in here.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from lowtide.training.average import EVERY
from lowtide.training.batch_norm import over_all_processes
from lowtide.training.checkpoint import Progress, restore_checkpoint
from lowtide.training.protocols import Hook
from lowtide.training.step import (
    NotFiniteError,
    evaluate,
    require_finite,
    require_finite_weights,
    take_step,
)
from lowtide.training.work import Fit

MAX_RESTORES = 3
RATE_AFTER_RESTORE = 0.5


class BudgetSpent(Exception):  # noqa: N818 -- no error: training ends with the best it has
    """A budget is used up."""


def fit(work: Fit, hooks: Sequence[Hook]) -> list[dict[str, float]]:
    """Train to the end that the knobs say and return one row of metrics per epoch.

    A checkpoint is written at the start, after each epoch, within an epoch every `SAVE_EVERY_S`,
    and before any exception leaves a step's start, so that a deferral in the middle of an epoch
    loses nothing. When a budget is
    spent, the weights are those of the best epoch. A loss that is not finite is answered with the
    epoch's start and half the learning rate, `MAX_RESTORES` times.

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
    """Whether there is more to do, with the knobs for it set: a finished model is left alone."""
    if work.progress.decided == work.progress.epoch and not _at_the_end(work):
        work.steering.next_epoch(work)
        work.progress.decided += 1
        work.save()
    return not _at_the_end(work)


def _at_the_end(work: Fit) -> bool:
    return work.progress.step == 0 and work.progress.position >= work.knobs.end - 1e-6


def _run_epoch(work: Fit, hooks: Sequence[Hook]) -> None:
    progress = work.progress
    with work.replicated():
        train_loss = _pass_over_data(work, hooks)
    work.steering.settle()
    with _saved_on_interruption(work), work.average.in_place(work.model):
        loss, accuracy = evaluate(
            work.model, work.val, work.device, work.knobs.precision, work.world,
            lambda: _between(hooks),
        )  # fmt: skip
    require_finite(work, loss)  # the last update may have broken what the loss before was of
    require_finite_weights(work)  # which averages need not tell
    with work.average.in_place(work.model):
        row = {"train_loss": train_loss, "val_loss": loss, "val_accuracy": accuracy}
        progress.history.append(row)
        progress.position += progress.step * work.epochs_per_step
        progress.epoch, progress.step, progress.loss_sum = progress.epoch + 1, 0, 0.0
        if accuracy > progress.best_accuracy:
            progress.best_accuracy = accuracy
            work.save(work.best)
    work.average.clear()
    work.save()
    for hook in hooks:
        hook.after_epoch(progress.epoch, row)


def _pass_over_data(work: Fit, hooks: Sequence[Hook]) -> float:
    """Mean loss of the epoch's batches, those of a process before this one included."""
    progress, base = work.progress, len(work.train)
    batches = work.train.resized(work.knobs.batch_size)
    left = math.ceil((work.knobs.end - progress.position) / work.epochs_per_step - 1e-6)
    num_steps = work.knobs.end * base
    work.model.train()
    to_do = max(min(left, len(batches)) - progress.step, 0)
    for batch in islice(batches.epoch(progress.epoch, progress.step), to_do):
        work.save_if_due()
        step = (progress.position + progress.step * work.epochs_per_step) * base
        with _saved_on_interruption(work):
            for hook in hooks:
                hook.before_step(step, num_steps)
        loss = take_step(work, batch)
        progress.step, progress.loss_sum = progress.step + 1, progress.loss_sum + loss
        if work.averages and 2 * progress.step > len(batches) and progress.step % EVERY == 0:
            work.average.add(work.model)
        for hook in hooks:
            hook.after_step(step, num_steps, loss)
    return progress.loss_sum / max(progress.step, 1)


def _between(hooks: Sequence[Hook]) -> None:
    for hook in hooks:
        hook.while_validating()


def _load(work: Fit, path: Path, progress: Progress) -> None:
    work.progress = progress
    extra = restore_checkpoint(path, work.model, work.optimizer)
    work.average.load(_named(extra, "average."), work.device)
    work.beside.load_state_dict(_named(extra, "beside."))
    work.steering.resume(work, _named(extra, "steering."))
    work.world.barrier()  # before the file is replaced


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_best(work: Fit) -> None:
    """Weights and gates of the best epoch; what has been done since stays in the history."""
    now, found = work.progress, work.usable(work.best)
    now.over_budget = True
    if found is None:  # damaged: the last weights are all there is
        now.best_accuracy = _last_accuracy(work)
    else:
        path, best = found
        _load(work, path, replace(now, steering=best.steering))


def _calm_down(work: Fit, error: NotFiniteError) -> None:
    """Back to the epoch's start, slower: a checkpoint since then may hold what broke."""
    restores = work.progress.restores + 1
    found = work.usable(work.checkpoint, begins_epoch=True)
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
