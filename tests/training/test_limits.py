"""What ends a fit from outside: a budget that is spent, and a signal to leave."""

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.clock import Clock, ReplayClock, SystemClock
from lowtide.energy import budget
from lowtide.energy.budget import Budget, BudgetWatch
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.training.fit import BudgetSpent, fit
from lowtide.training.limits import BudgetGuard, Leaving
from lowtide.training.pacing import Deferred
from lowtide.training.protocols import Hook
from tests.training.small import NUM_STEPS, assert_same_weights, work

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class TermAt(Hook):
    """The system's polite kill, while a step is computed."""

    def __init__(self, step: int) -> None:
        self.left = step

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def guard(kwh_per_look: float, said: list[str]) -> BudgetGuard:
    looks = 0

    def totals() -> Totals:
        nonlocal looks
        looks += 1
        used = looks * kwh_per_look
        return Totals(used, 100 * used, 1.0, {"cpu": ComponentTotal(used, "s", "measured")})

    return BudgetGuard(BudgetWatch(Budget(energy_kwh=1.0), said.append), totals)


def test_a_budget_warns_and_then_ends_the_fit_with_what_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "EVERY_S", 0.0)
    said: list[str] = []
    spent = work(tmp_path)
    fit(spent, [guard(1 / 7.99, said)])
    assert said == [
        "80% of the budget is used after 7 of 15 steps", "the budget is spent after 8 of 15 steps"
    ]  # fmt: skip
    assert spent.progress.over_budget
    assert len(spent.progress.history) == 1


def test_a_budget_of_less_than_an_epoch_ends_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "EVERY_S", 0.0)
    said: list[str] = []
    with pytest.raises(BudgetSpent):
        fit(work(tmp_path), [guard(0.5, said)])
    assert said == ["the budget is spent after 2 of 15 steps"]


def test_the_budget_is_looked_at_now_and_then_only() -> None:
    said: list[str] = []
    watched = guard(0.4, said)
    for step in range(9):
        watched.after_step(step, 9, 1.0)
    assert said == []  # one look


def test_a_signal_to_leave_is_answered_before_the_next_step(tmp_path: Path) -> None:
    """With a checkpoint from which the fit goes on to the same weights."""
    whole = work(tmp_path / "whole")
    fit(whole, [])
    before = signal.getsignal(signal.SIGTERM)
    clock = ReplayClock(NOON, 1.0, monotonic=lambda: 0.0)
    with Leaving(clock).listening() as leaving, pytest.raises(Deferred) as raised:
        fit(work(tmp_path / "parts"), [leaving, TermAt(7)])
    assert raised.value.until == NOON
    assert signal.getsignal(signal.SIGTERM) == before
    resumed = work(tmp_path / "parts")
    assert (resumed.progress.epoch, resumed.progress.step) == (1, 2)
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)


class TermInValidation(Hook):
    """The same between two batches of validation."""

    def __init__(self, batch: int) -> None:
        self.left = batch

    def while_validating(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_ends_a_long_validation_and_the_curves_are_those_of_a_whole_fit(
    tmp_path: Path,
) -> None:
    whole = work(tmp_path / "whole")
    fit(whole, [])
    leaving = Leaving(ReplayClock(NOON, 1.0))
    with leaving.listening(), pytest.raises(Deferred):
        fit(work(tmp_path / "parts"), [TermInValidation(4), leaving])
    resumed = work(tmp_path / "parts")
    assert (resumed.progress.epoch, resumed.progress.step) == (1, NUM_STEPS)
    fit(resumed, [])
    assert resumed.progress.history == whole.progress.history
    assert_same_weights(whole.model, resumed.model)


class Waits(Hook):
    """A pause of an hour before a step, as the plan may want it, and a signal soon after."""

    def __init__(self, step: int, clock: Clock, signals: bool) -> None:
        self.left, self.clock, self.signals = step, clock, signals

    def before_step(self, step: float, num_steps: float) -> None:
        if self.left == 0:
            if self.signals:
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            self.clock.sleep_until(self.clock.now() + timedelta(hours=1))
        self.left -= 1


@pytest.mark.parametrize("early", [False, True])
def test_a_signal_ends_a_pause_too(tmp_path: Path, early: bool) -> None:
    """While it waits, and where the signal came in the step before."""
    whole = work(tmp_path / "whole")
    fit(whole, [])
    leaving = Leaving(SystemClock())
    hooks: list[Hook] = [Waits(7, leaving.clock, signals=not early)]
    hooks += [TermAt(7)] if early else []
    with leaving.listening(), pytest.raises(Deferred):
        fit(work(tmp_path / "parts"), hooks)
    resumed = work(tmp_path / "parts")
    assert (resumed.progress.epoch, resumed.progress.step) == (1, 2)
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)


def test_the_former_handler_comes_back_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), Leaving(ReplayClock(NOON, 1.0)).listening():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) == before
