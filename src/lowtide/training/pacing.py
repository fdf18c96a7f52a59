"""Running in clean hours: the hook that asks the plan before each step how to go on."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from lowtide.carbon.signal import IntensitySource, intensity_at
from lowtide.clock import Clock
from lowtide.params import ScheduleParams
from lowtide.planning.horizon import Decision, Horizon
from lowtide.training.protocols import Hook

MEASURED_STEPS = 8  # after these the time of a step is known well enough to plan with
LONG_STEP_S = 60.0  # of the wall: one such step, an epoch for instance, tells enough
DEFERRED_EXIT_CODE = 75  # EX_TEMPFAIL: come back later
MAY_DEFER = "LOWTIDE_MAY_DEFER"


class Deferred(BaseException):
    """The plan, or a signal, says to come back later: no error, and whoever catches those lets it
    pass, wherever it is raised."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until

    def __str__(self) -> str:
        return f"deferred until {self.until.isoformat()}"


class Paused(Deferred):
    """By a signal: it may go on at once."""

    def __str__(self) -> str:
        return "paused"


class Window(Protocol):
    def park(self) -> None: ...

    def resume(self) -> None: ...


@dataclass(frozen=True)
class Pause:
    start: datetime
    end: datetime
    intensity_g_per_kwh: float | None


class Levels(Protocol):
    """What the device can run at beside full power, once that is measured."""

    measured: bool

    @property
    def throughput(self) -> float | None:
        """Of the present level, over full power's; None while levels are measured."""

    def schedule(self, usual: ScheduleParams) -> ScheduleParams: ...

    def run_at(self, power: float) -> bool:
        """False where the level cannot be had any more, and `schedule` is another one."""


@dataclass
class Pacer(Hook):
    """A training hook. Re-plans when a planned slot ends; waits where the plan holds no work, and
    runs at the level it says.

    `later_work` is what other stages still need, as a multiple of this fit's own work: they share
    the deadline, so this much time is kept for them. Without `levels` work runs at full power.
    `aside`: entered while it waits.
    """

    clock: Clock
    source: IntensitySource
    schedule: ScheduleParams
    deadline: datetime
    window: Window
    later_work: float
    on_pause: Callable[[Pause, Decision], None]
    levels: Levels | None = None
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    pauses: list[Pause] = field(default_factory=list)
    _measured: int = 0
    _step_started: tuple[datetime, float] | None = None  # when, and which
    _step_hours: float = 0.0
    _look_at: datetime | None = None
    _horizon: Horizon | None = None
    _said: str | None = None

    def before_step(self, step: float, num_steps: float) -> None:
        now = self.clock.now()
        if self._step_started is not None:
            started, last = self._step_started
            if step > last:  # not so after the fit has gone back to a checkpoint
                self._measure((now - started) / timedelta(hours=1) / (step - last))
        due = self._look_at is None or now >= self._look_at
        choice = 0.0 in self.schedule.levels or self.levels is not None
        if due and choice and self._is_measured():
            self._follow_plan(now, step, num_steps)
        self._step_started = (self.clock.now(), step)

    def _measure(self, hours: float) -> None:
        """From one step to the next, waits left out: loading and validation are work, too.

        In hours at full power.
        """
        throughput = 1.0 if self.levels is None else self.levels.throughput
        if throughput is None:
            return
        hours *= throughput
        self._measured += 1
        weight = max(1 / self._measured, 0.05)
        self._step_hours += weight * (hours - self._step_hours)

    def _is_measured(self) -> bool:
        step_s = self.clock.real_seconds(timedelta(hours=1)) * self._step_hours
        return self._measured >= MEASURED_STEPS or (self._measured > 0 and step_s >= LONG_STEP_S)

    def _follow_plan(self, now: datetime, step: float, num_steps: float) -> None:
        work_hours = (num_steps - step) * self._step_hours
        if self._horizon is None:  # the work of later stages is kept free before the deadline
            later = timedelta(hours=num_steps * self._step_hours * self.later_work)
            jitter = None if self.clock.replay else Random()
            self._horizon = Horizon(self.source, self._schedule(), self.deadline - later, jitter)
        decision = self._horizon.decide(now, work_hours, running=True)
        if decision.plan is None and decision.reason != self._said:
            self._said = decision.reason
            print(f"lowtide: training {decision.reason}", file=sys.stderr)
        if decision.level == 0:
            decision = self._wait(now, decision, work_hours)
        self._look_at = decision.until
        if self.levels is not None and not self.levels.run_at(decision.level):
            self._look_at = self._horizon = None  # a level is gone: plan with what is left

    def _schedule(self) -> ScheduleParams:
        if self.levels is None:
            return self.schedule.all_or_nothing()
        return self.levels.schedule(self.schedule)

    def _wait(self, now: datetime, decision: Decision, work_hours: float) -> Decision:
        """Wait until a decision to run, asking again as often as the horizon wants to be asked."""
        assert self._horizon is not None
        self._defer_if_long(now, decision)
        intensity, first = intensity_at(self.source, now), decision
        with self.aside():
            self.window.park()
            try:
                while decision.level == 0:
                    self.clock.sleep_until(decision.until)
                    decision = self._horizon.decide(self.clock.now(), work_hours, running=False)
            finally:  # a wait that a signal ends is followed by a checkpoint, which is work
                self.window.resume()
        pause = Pause(now, self.clock.now(), intensity)
        self.pauses.append(pause)
        self.on_pause(pause, first)
        return decision

    def _defer_if_long(self, now: datetime, decision: Decision) -> None:
        resumes_at = decision.resumes_at or decision.until
        longest = timedelta(minutes=self.schedule.max_in_process_pause_minutes)
        if resumes_at - now > longest and os.environ.get(MAY_DEFER) == "1":
            pause = Pause(now, resumes_at, intensity_at(self.source, now))
            self.pauses.append(pause)
            self.on_pause(pause, decision)
            raise Deferred(resumes_at)
