"""Training waits where the plan says so, never past the deadline, and defers when it may."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError
from lowtide.params import ScheduleParams
from lowtide.training.pacing import (
    LONG_STEP_S,
    MAY_DEFER,
    MEASURED_STEPS,
    Deferred,
    Pacer,
    Pause,
)

START = datetime(2022, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=6)


class Clock:
    replay = True

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant

    def sleep_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)

    def real_seconds(self, duration: timedelta) -> float:
        return duration.total_seconds()


class Grid:
    """Clean for two hours, dirty for six, clean again."""

    zone, name = "Z", "square"

    def current(self, at: datetime) -> IntensityValue:
        hours = (at - START) / timedelta(hours=1)
        level = 400.0 if 2 <= hours < 8 else 100.0
        return IntensityValue("Z", at, at + timedelta(minutes=30), level, "average", "measured", "")

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        slots = range(int(hours * 2) + 2)
        return [self.current(at + timedelta(minutes=30) * slot) for slot in slots]


class Blind(Grid):
    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        raise CarbonError("no forecast")


class Window:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def park(self) -> None:
        self.calls.append("park")

    def resume(self) -> None:
        self.calls.append("resume")


def schedule(**changes: object) -> ScheduleParams:
    content = {
        "deadline_hours": 24,
        "levels": [0.0, 1.0],
        "slot_minutes": 30,
        "throughput": None,
        "resume_minutes": 5,
        "idle_power": 0.0,
        "max_in_process_pause_minutes": 600,
        "release_memory": False,
        **changes,
    }
    return ScheduleParams.model_validate(content)


def pacer(hours: float, grid: Grid, **changes: object) -> tuple[Pacer, Clock, Window, list[Pause]]:
    clock, window, seen = Clock(), Window(), []
    made = Pacer(
        clock, grid, schedule(**changes), START + timedelta(hours=hours), window, 0.0,
        lambda pause, _plan: seen.append(pause),
    )  # fmt: skip
    return made, clock, window, seen


def train(pacer: Pacer, clock: Clock, num_steps: int) -> None:
    for step in range(num_steps):
        pacer.before_step(step, num_steps)
        clock.instant += STEP
        pacer.after_step(step, num_steps, 0.0)


def test_training_waits_out_the_dirty_hours() -> None:
    made, clock, window, seen = pacer(24, Grid())
    train(made, clock, 40)  # four hours of work
    assert len(seen) == len(made.pauses) == 1
    assert abs(seen[0].start - (START + timedelta(hours=2))) <= timedelta(minutes=30)
    assert timedelta(0) <= seen[0].end - (START + timedelta(hours=8)) < timedelta(minutes=30)
    assert window.calls == ["park", "resume"]
    assert clock.instant < START + timedelta(hours=24)


def test_the_deadline_outranks_the_grid() -> None:
    made, clock, _, seen = pacer(4.2, Grid())
    train(made, clock, 40)
    assert seen == []
    assert clock.instant <= START + timedelta(hours=4.2)


def test_without_a_pause_among_the_levels_training_runs_on() -> None:
    made, clock, _, seen = pacer(24, Grid(), levels=[1.0])
    train(made, clock, 40)
    assert seen == []


def test_without_a_forecast_training_runs_on(capsys: pytest.CaptureFixture[str]) -> None:
    made, clock, _, seen = pacer(24, Blind())
    train(made, clock, 40)
    assert seen == []
    assert "no forecast" in capsys.readouterr().err


def test_a_long_pause_is_a_deferral_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAY_DEFER, "1")
    made, clock, window, _ = pacer(24, Grid(), max_in_process_pause_minutes=60)
    with pytest.raises(Deferred) as deferred:
        train(made, clock, 40)
    late = deferred.value.until - (START + timedelta(hours=8))
    assert timedelta(0) <= late < timedelta(minutes=30)
    assert window.calls == []


class Left(Clock):
    """Somebody wants the process to leave as soon as it waits."""

    def sleep_until(self, instant: datetime) -> None:
        raise Deferred(self.instant)


def test_a_wait_that_is_cut_short_is_over_before_the_checkpoint_is_written() -> None:
    made, _, window, _ = pacer(24, Grid())
    made.clock = clock = Left()
    with pytest.raises(Deferred):
        train(made, clock, 40)
    assert window.calls == ["park", "resume"]


def train_by_second(pacer: Pacer, clock: Clock, num_steps: int, step_s: float) -> None:
    for step in range(num_steps):
        pacer.before_step(step, num_steps)
        clock.instant += timedelta(seconds=step_s)


def test_the_first_steps_are_only_timed_unless_they_are_long() -> None:
    made, clock, _, seen = pacer(24, Grid())
    clock.instant = START + timedelta(hours=3)
    train_by_second(made, clock, MEASURED_STEPS, 0.9 * LONG_STEP_S)
    assert seen == []
    made, clock, _, seen = pacer(24, Grid())
    clock.instant = START + timedelta(hours=3)
    train_by_second(made, clock, MEASURED_STEPS, 1.1 * LONG_STEP_S)
    assert len(seen) == 1


def test_a_fit_that_goes_back_to_a_checkpoint_is_planned_as_before() -> None:
    """As after a loss that is not finite: the time of a step stays what it was."""
    made, clock, _, seen = pacer(24, Grid())
    for step in [*range(12), *range(10, 40)]:
        made.before_step(step, 40)
        clock.instant += STEP
    assert made._step_hours == pytest.approx(0.1)
    assert len(seen) == 1


class Limited:
    """Levels of a device that does .8 of the work at half the power; steps last accordingly."""

    def __init__(self, measured: bool = True) -> None:
        self.measured, self.power = measured, 1.0
        self.run: list[float] = []

    @property
    def throughput(self) -> float | None:
        return {1.0: 1.0, 0.5: 0.8}[self.power] if self.measured else None

    def schedule(self, usual: ScheduleParams) -> ScheduleParams:
        return usual.model_copy(update={"levels": (1.0, 0.5), "throughput": (1.0, 0.8)})

    def run_at(self, power: float) -> bool:
        self.power = power or self.power
        self.run.append(power)
        return True


class Refused(Limited):
    """A driver that takes no limit: all there is is full power, and pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = False

    def schedule(self, usual: ScheduleParams) -> ScheduleParams:
        return usual.all_or_nothing() if self.gone else super().schedule(usual)

    def run_at(self, power: float) -> bool:
        was, self.gone = self.gone, self.gone or power == 0.5
        self.run.append(power)
        return was or not self.gone


def train_at_levels(levels: Limited, hours: float) -> tuple[Clock, list[tuple[float, float]]]:
    """(hour, power) of each of 80 steps: eight hours of work at full power."""
    made, clock, _, _ = pacer(hours, Grid())
    made.levels = levels
    ran = []
    for step in range(80):
        made.before_step(step, 80)
        ran.append(((clock.instant - START) / timedelta(hours=1), levels.power))
        clock.instant += STEP / (levels.throughput or 1.0)
    return clock, ran


def test_dirty_hours_are_worked_at_the_level_that_emits_least() -> None:
    clock, ran = train_at_levels(Limited(), 9.5)
    assert clock.instant <= START + timedelta(hours=9.5)
    clean = [power for hour, power in ran if 1 <= hour < 1.9]
    dirty = [power for hour, power in ran if 2.6 <= hour < 7.9]
    assert sum(clean) / len(clean) > sum(dirty) / len(dirty)


def test_with_time_enough_all_work_is_done_at_the_efficient_level() -> None:
    _, ran = train_at_levels(Limited(), 24)
    assert {power for hour, power in ran if hour > 1.5} == {0.5}


def test_once_a_level_is_refused_nothing_is_planned_with_it() -> None:
    levels = Refused()
    clock, _ = train_at_levels(levels, 24)
    assert levels.gone
    assert 0.5 not in levels.run[levels.run.index(0.5) + 1 :]
    assert clock.instant <= START + timedelta(hours=24)


def test_nothing_is_planned_before_the_levels_are_measured() -> None:
    levels = Limited(measured=False)
    train_at_levels(levels, 24)
    assert levels.run == []
