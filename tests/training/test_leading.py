"""One process runs the hooks; what ends its fit ends the others' in the same step."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lowtide.training.checkpoint import peek_checkpoint
from lowtide.training.fit import BudgetSpent, fit
from lowtide.training.leading import Follower, led
from lowtide.training.pacing import Deferred
from lowtide.training.protocols import Hook
from lowtide.training.world import World
from tests.training.processes import in_processes
from tests.training.small import NUM_STEPS, work
from tests.training.test_fit import Spend

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class DeferAt(Hook):
    """The plan wants to come back later, before a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def before_step(self, step: float, num_steps: float) -> None:
        if self.left == 0:
            raise Deferred(NOON)
        self.left -= 1


class DeferInValidation(Hook):
    """The system wants the process to leave while it validates."""

    def __init__(self, batch: int) -> None:
        self.left = batch

    def while_validating(self) -> None:
        if self.left == 0:
            raise Deferred(NOON)
        self.left -= 1


def deferred(world: World, folder: Path, hook: Hook) -> datetime | dict[str, Tensor]:
    """With a last batch of validation of one image, too few for two processes."""
    done = work(folder, world=world)
    done.val = done.val.resized(13)
    try:
        fit(done, led([hook], world) if world.leads else [Follower(world)])
    except Deferred as raised:
        return raised.until
    return done.model.state_dict()


@pytest.mark.parametrize(
    ("hook", "step"), [(DeferAt(0), 0), (DeferAt(7), 7), (DeferInValidation(7), 2 * NUM_STEPS)]
)
def test_all_leave_at_the_same_place_and_go_on_to_the_same_weights(
    tmp_path: Path, hook: Hook, step: int
) -> None:
    whole = in_processes(2, deferred, tmp_path / "whole", Hook())[0]
    assert in_processes(2, deferred, tmp_path / "parts", hook) == [NOON, NOON]
    progress = peek_checkpoint(tmp_path / "parts/train.safetensors", "mark")
    assert progress is not None
    assert progress.epoch * NUM_STEPS + progress.step == step
    for resumed in in_processes(2, deferred, tmp_path / "parts", Hook()):
        assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def spent(world: World, folder: Path, steps: int) -> tuple[int, bool, dict[str, Tensor]] | str:
    done = work(folder, world=world)
    hooks = led([Spend(done, steps)], world) if world.leads else [Follower(world)]
    try:
        history = fit(done, hooks)
    except BudgetSpent:
        return "spent"
    return len(history), done.progress.over_budget, done.model.state_dict()


def test_a_spent_budget_gives_all_the_best_epoch(tmp_path: Path) -> None:
    first, second = in_processes(2, spent, tmp_path, NUM_STEPS + 2)
    assert first[:2] == second[:2] == (1, True)
    assert all(torch.equal(first[2][name], tensor) for name, tensor in second[2].items())


def test_a_budget_of_less_than_an_epoch_leaves_nothing_to_any(tmp_path: Path) -> None:
    assert in_processes(2, spent, tmp_path, 2) == ["spent", "spent"]
