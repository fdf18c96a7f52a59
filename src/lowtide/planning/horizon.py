"""The receding horizon: asked again and again, says what to do until it wants to be asked anew."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from lowtide.carbon.signal import IntensitySource
from lowtide.errors import CarbonError, DeadlineError
from lowtide.params import ScheduleParams
from lowtide.planning.guard import Guard
from lowtide.planning.plan import Plan, plan_work
from lowtide.planning.profile import WorkProfile
from lowtide.planning.table import State
from lowtide.planning.unforeseen import guard_for, price_at

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Decision:
    """Run at `level` (0: wait) until `until`, then ask again.

    `resumes_at`: when waiting work is planned to go on, which may be later than `until`.
    """

    level: float
    until: datetime
    reason: str
    plan: Plan | None
    resumes_at: datetime | None = None


class Horizon:
    """Plans the work that is left from the newest forecast at each call.

    The deadline outranks carbon: once the work that is left fills the time that is left, the
    decision is to run, at the fastest level; for a slot, since work may turn out to be less than it
    was taken for. Where no forecast can be had the double-threshold
    policy decides on the present value; where that is unknown too, the work runs: it is late or
    early, but never taken for clean.
    """

    def __init__(
        self,
        source: IntensitySource,
        schedule: ScheduleParams,
        deadline: datetime,
        jitter: Random | None = None,
    ) -> None:
        """`jitter`: a first wait ends up to half a slot later: a fleet falls out of step."""
        self._source, self._schedule, self._deadline = source, schedule, deadline
        self._profile = WorkProfile.of(schedule)
        self._slot = timedelta(minutes=schedule.slot_minutes)
        self._begun = self._deviated = False
        self._shift = self._slot * (0.5 * jitter.random() if jitter else 0.0)
        self._guard: Guard | None = None
        self._last: tuple[datetime, Decision] | None = None

    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        """What to do with `work_hours` of full-power work left; `running`: it runs at present."""
        if self._guard is None:
            self._guard = guard_for(self._source, now, work_hours, self._profile, self._slot)
        self._begun = self._begun or running
        self._account(now)
        decision = self._decide(now, work_hours, running)
        self._last = (now, decision)
        if decision.level == 0:
            self._deviated = True
        return decision

    def _account(self, now: datetime) -> None:
        """Charge the guard with what was emitted since the last decision, if that is known."""
        if self._last is None or self._guard is None or self._last[1].level == 0:
            return
        then, decision = self._last
        price = price_at(self._source, then)
        if price is not None:
            level = next(one for one in self._profile.levels if one.level == decision.level)
            self._guard.worked((now - then) / self._slot, level, price)

    def _decide(self, now: datetime, work_hours: float, running: bool) -> Decision:
        fastest = max(self._profile.levels, key=lambda level: level.throughput)
        least = HOUR * (work_hours / fastest.throughput + self._profile.resume_hours)
        if now + least + self._slot >= self._deadline:
            reason = "runs on: the latest safe start has come"
            return Decision(fastest.level, now + self._slot, reason, None)
        if self._guard is not None and self._guard.broken:
            why = "the plan has emitted more than they guarantee"
            return self._by_thresholds(now, running, why)
        hours = (self._deadline - now) / HOUR
        try:
            plan = plan_work(
                self._source.forecast(now, hours), now=now, work_hours=work_hours,
                deadline=self._deadline, slot_minutes=self._schedule.slot_minutes,
                profile=self._profile, state=self._state(running), deviated=self._deviated,
            )  # fmt: skip
        except (CarbonError, DeadlineError) as error:
            return self._by_thresholds(now, running, f"there is no forecast: {error}")
        return self._follow(plan, now, self._deadline - least)

    def _state(self, running: bool) -> State:
        if running:
            return "running"
        return "paused" if self._begun else "fresh"

    def _follow(self, plan: Plan, now: datetime, latest: datetime) -> Decision:
        level = plan.level_at(now)
        if level > 0:
            return Decision(level, now + self._slot, plan.reason, plan)
        start = plan.next_start(now)
        if start is None or start - now < HOUR * self._profile.resume_hours:
            return Decision(self._profile.full.level, now + self._slot, plan.reason, plan)
        until = min(min(start, now + self._slot) + self._shift, latest)
        self._shift = timedelta()
        return Decision(0.0, until, plan.reason, plan, start)

    def _by_thresholds(self, now: datetime, running: bool, why: str) -> Decision:
        until, price = now + self._slot, price_at(self._source, now)
        full = self._profile.full.level
        if self._guard is None or price is None:
            return Decision(full, until, f"runs on without a plan: {why}", None)
        accepted = self._guard.accepts(price, running=running)
        return Decision(full if accepted else 0.0, until, f"by thresholds: {why}", None)
