"""A fit that was interrupted anywhere ends with the same weights as one that was not.

And what it does about a loss that is not finite, and a budget that is spent.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batch, Batches
from lowtide.errors import ModelError
from lowtide.models.factory import Classifier
from lowtide.training import work as module
from lowtide.training.checkpoint import peek_checkpoint, previous, usable_checkpoint
from lowtide.training.fit import MAX_RESTORES, BudgetSpent, fit
from lowtide.training.losses import distillation_loss, label_loss
from lowtide.training.protocols import Hook
from lowtide.training.steady import Steady
from lowtide.training.step import evaluate
from lowtide.training.work import Fit
from tests.training.small import (
    CPU,
    NUM_STEPS,
    RECIPE,
    KillAfter,
    StopAt,
    arrays,
    assert_same_weights,
    model,
    work,
)


class Spend(Hook):
    """A budget that is used up after so many steps, and the weights of each epoch."""

    def __init__(self, work: Fit, steps: int) -> None:
        self.work, self.left = work, steps
        self.weights: list[dict[str, Tensor]] = []

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            raise BudgetSpent

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        self.weights.append({k: v.clone() for k, v in self.work.model.state_dict().items()})


class Breaks(Hook):
    """The update after one step overflows: its loss was fine, the weights are not."""

    def __init__(self, model: nn.Module, step: int) -> None:
        self.model, self.left = model, step

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            with torch.no_grad():
                next(self.model.parameters()).fill_(torch.nan)


class Lands(Steady):
    """Validation is of averaged weights."""

    lands = True


def nan_at(*calls: int) -> Callable[[Batch, Tensor], Tensor]:
    """The loss of the labels, which is NaN each time that it is asked for the n-th time."""
    loss, count = label_loss(0.1), 0

    def sometimes(batch: Batch, logits: Tensor) -> Tensor:
        nonlocal count
        count += 1
        value = loss(batch, logits)
        return value * torch.nan if count in calls else value

    return sometimes


@pytest.mark.parametrize("step", [0, 3, 5, 12])
def test_interrupted_and_resumed_is_bit_identical(tmp_path: Path, step: int) -> None:
    whole = work(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(work(tmp_path / "parts"), [StopAt(step)])
    resumed = work(tmp_path / "parts")
    assert resumed.progress.epoch * NUM_STEPS + resumed.progress.step == step
    history = fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)
    assert len(history) == 3
    assert history[-1]["val_accuracy"] > 0.5


@pytest.mark.parametrize("step", [1, 7, 10])
def test_killed_after_any_step_it_begins_the_epoch_again(tmp_path: Path, step: int) -> None:
    whole = work(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(work(tmp_path / "parts"), [KillAfter(step)])
    resumed = work(tmp_path / "parts")
    assert fit(resumed, []) == whole.progress.history
    assert_same_weights(whole.model, resumed.model)


@pytest.mark.parametrize("lands", [False, True])
def test_killed_in_a_long_epoch_it_goes_on_within_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lands: bool
) -> None:
    """From the step before the last one: here each step is as long as checkpoints are apart."""
    steering = Lands() if lands else Steady()
    whole = work(tmp_path / "whole", steering=steering)
    fit(whole, [])
    with monkeypatch.context() as context:
        context.setattr(module, "SAVE_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            fit(work(tmp_path / "parts", steering=steering), [KillAfter(2 * NUM_STEPS)])
    resumed = work(tmp_path / "parts", steering=steering)
    assert (resumed.progress.epoch, resumed.progress.step) == (1, NUM_STEPS - 1)
    assert fit(resumed, []) == whole.progress.history
    assert_same_weights(whole.model, resumed.model)


def test_a_model_that_draws_in_a_step_draws_the_same_after_a_resume(tmp_path: Path) -> None:
    def with_dropout(folder: Path) -> Fit:
        made = work(folder)
        made.model = Classifier(
            nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 4)), (120.0,), (60.0,)
        )
        nn.init.constant_(made.model.net[2].weight, 0.01)
        nn.init.zeros_(made.model.net[2].bias)
        made.__post_init__()
        return made

    whole = with_dropout(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(with_dropout(tmp_path / "parts"), [StopAt(7)])
    torch.manual_seed(99)  # another process, where other things were drawn
    resumed = with_dropout(tmp_path / "parts")
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)


def test_a_checkpoint_of_other_work_is_not_used(tmp_path: Path) -> None:
    fit(work(tmp_path), [])
    assert peek_checkpoint(tmp_path / "train.safetensors", "mark") is not None
    assert peek_checkpoint(tmp_path / "train.safetensors", "other") is None


def test_after_a_broken_checkpoint_the_one_before_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the fit ends as if nothing had happened; when both are broken, it begins anew."""
    whole = work(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(work(tmp_path / "parts"), [StopAt(12)])
    checkpoint = tmp_path / "parts/train.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    found = usable_checkpoint(checkpoint, "mark")
    assert found is not None
    assert found[0] == previous(checkpoint)
    assert f"{checkpoint} cannot be used" in caplog.text
    resumed = work(tmp_path / "parts")
    assert (resumed.progress.epoch, resumed.progress.step) == (2, 0)
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)
    for file in (checkpoint, previous(checkpoint)):
        file.write_bytes(b"")
    assert peek_checkpoint(checkpoint, "mark") is None


def test_a_loss_that_is_once_not_finite_is_followed_by_the_epochs_start(tmp_path: Path) -> None:
    shaky = work(tmp_path)
    shaky.loss = nan_at(8)
    history = fit(shaky, [])
    assert len(history) == 3
    assert all(row["val_loss"] == row["val_loss"] for row in history)
    assert shaky.progress.restores == 1
    assert shaky.knobs.rate_factor == 0.5
    assert history[-1]["val_accuracy"] > 0.5


def test_an_update_that_breaks_the_weights_is_never_saved_as_good(tmp_path: Path) -> None:
    """The last update of the second epoch: no later loss of that epoch would tell."""
    shaky = work(tmp_path)
    history = fit(shaky, [Breaks(shaky.model, 2 * NUM_STEPS)])
    assert shaky.progress.restores == 1
    assert all(torch.isfinite(tensor).all() for tensor in shaky.model.state_dict().values())
    assert history[-1]["val_accuracy"] > 0.5


def test_weights_that_break_out_of_sight_of_their_average_are_not_saved_either(
    tmp_path: Path,
) -> None:
    """The average that is validated was taken before the last update."""
    shaky = work(tmp_path, steering=Lands())
    history = fit(shaky, [Breaks(shaky.model, 2 * NUM_STEPS)])
    assert shaky.progress.restores == 1
    assert history[-1]["val_accuracy"] > 0.5


def test_weights_that_broke_before_a_pause_are_left_for_the_epochs_start(tmp_path: Path) -> None:
    """Though each process that is stopped writes them anew; and the fit ends as one would."""
    whole = work(tmp_path / "whole")
    fit(whole, [Breaks(whole.model, 7)])
    parts = work(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        fit(parts, [Breaks(parts.model, 7), StopAt(7)])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(work(tmp_path / "parts"), [StopAt(0)])
    resumed = work(tmp_path / "parts")
    assert (resumed.progress.epoch, resumed.progress.step) == (1, 2)
    assert fit(resumed, []) == whole.progress.history
    assert resumed.progress.restores == whole.progress.restores == 1
    assert_same_weights(whole.model, resumed.model)


def test_a_loss_that_is_never_finite_again_is_an_error(tmp_path: Path) -> None:
    shaky = work(tmp_path)
    shaky.loss = nan_at(*range(8, 999))
    with pytest.raises(ModelError, match="epoch 2: lower the learning_rate of this stage"):
        fit(shaky, [])
    assert shaky.progress.restores == MAX_RESTORES
    assert shaky.knobs.rate_factor == 0.5**MAX_RESTORES


def test_restores_are_counted_across_processes(tmp_path: Path) -> None:
    shaky = work(tmp_path)
    shaky.loss = nan_at(8, 11)
    with pytest.raises(KeyboardInterrupt):
        fit(shaky, [StopAt(12)])
    resumed = work(tmp_path)
    assert resumed.progress.restores == 2
    assert resumed.knobs.rate_factor == 0.25


def test_a_diverging_loss_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    wild = RECIPE.model_copy(update={"learning_rate": 1e30, "epochs": 5})
    with pytest.raises(ModelError, match="lower the learning_rate"):
        fit(work(tmp_path, wild), [])


def test_when_the_budget_is_spent_the_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    spent = work(tmp_path, RECIPE.model_copy(update={"epochs": 6}))
    hook = Spend(spent, 4 * NUM_STEPS + 2)
    history = fit(spent, [hook])
    accuracies = [row["val_accuracy"] for row in history]
    assert len(history) == 4
    assert spent.progress.over_budget
    best = hook.weights[accuracies.index(max(accuracies))]
    assert all(torch.equal(best[k], v) for k, v in spent.model.state_dict().items())
    assert evaluate(spent.model, spent.val, CPU, "fp32")[1] == max(accuracies)


def test_a_budget_that_ends_in_the_first_epoch_leaves_nothing(tmp_path: Path) -> None:
    spent = work(tmp_path)
    with pytest.raises(BudgetSpent):
        fit(spent, [Spend(spent, NUM_STEPS - 1)])


def test_the_distillation_loss_vanishes_when_the_student_is_the_teacher() -> None:
    teacher = model().eval()
    batch = next(iter(Batches(arrays(), 40, shuffle=False, seed=0, device=CPU).epoch(0)))
    loss = distillation_loss(lambda batch: teacher(batch.images), 4.0, 1.0)
    logits = teacher(batch.images)
    assert loss(batch, logits).item() == pytest.approx(0, abs=1e-6)
    assert loss(batch, logits.flip(1)).item() > 1e-3
