"""The receding horizon: asked again and again, says what to do until it wants to be asked anew."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensitySource
from lowtide.errors import CarbonError, DeadlineError
from lowtide.params import ScheduleParams
from lowtide.planning.plan import Plan, plan_work
from lowtide.planning.profile import WorkProfile
from lowtide.planning.unforeseen import accepts_now

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Decision:
    """Run at `level` (0: wait) until `until`, then ask again."""

    level: float
    until: datetime
    reason: str
    plan: Plan | None


class Horizon:
    """Plans the work that is left from the newest forecast at each call.

    The deadline outranks carbon: once the work that is left fills the time that is left, the
    decision is to run, at the fastest level. Where no forecast can be had the double-threshold
    policy decides on the present value; where that is unknown too, the work runs: it is late or
    early, but never taken for clean.
    """

    def __init__(
        self,
        source: IntensitySource,
        schedule: ScheduleParams,
        deadline: datetime,
        jitter: random.Random | None = None,
    ) -> None:
        """`jitter` spreads the waits of a fleet: each ends up to half a slot later."""
        self._source, self._schedule, self._deadline = source, schedule, deadline
        self._profile = WorkProfile.of(schedule)
        self._slot = timedelta(minutes=schedule.slot_minutes)
        self._jitter = jitter
        self._deviated = False

    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        """What to do with `work_hours` of full-power work left; `running`: it runs at present."""
        decision = self._decide(now, work_hours, running)
        if decision.level == 0:
            self._deviated = True
        return decision

    def _decide(self, now: datetime, work_hours: float, running: bool) -> Decision:
        fastest = max(self._profile.levels, key=lambda level: level.throughput)
        least = HOUR * (work_hours / fastest.throughput + self._profile.resume_hours)
        if now + least + self._slot >= self._deadline:
            reason = "runs on: the latest safe start has come"
            return Decision(fastest.level, max(self._deadline, now + self._slot), reason, None)
        hours = (self._deadline - now) / HOUR
        try:
            plan = plan_work(
                self._source.forecast(now, hours), now=now, work_hours=work_hours,
                deadline=self._deadline, slot_minutes=self._schedule.slot_minutes,
                profile=self._profile, running=running, deviated=self._deviated,
            )  # fmt: skip
        except (CarbonError, DeadlineError) as error:
            return self._without_forecast(now, work_hours, running, str(error))
        return self._follow(plan, now, now + (self._deadline - now - least))

    def _follow(self, plan: Plan, now: datetime, latest: datetime) -> Decision:
        level = plan.level_at(now)
        if level > 0:
            return Decision(level, now + self._slot, plan.reason, plan)
        start = plan.next_start(now)
        if start is None or start - now < HOUR * self._profile.resume_hours:
            return Decision(self._profile.full.level, now + self._slot, plan.reason, plan)
        spread = self._slot * (0.5 * self._jitter.random()) if self._jitter else timedelta()
        return Decision(0.0, min(start + spread, latest), plan.reason, plan)

    def _without_forecast(
        self, now: datetime, work_hours: float, running: bool, why: str
    ) -> Decision:
        until = now + self._slot
        slots = work_hours / (self._slot / HOUR)
        accepted = accepts_now(self._source, now, slots, self._profile, self._slot, running=running)
        if accepted is None:
            return Decision(self._profile.full.level, until, f"runs on without a plan: {why}", None)
        level = self._profile.full.level if accepted else 0.0
        return Decision(level, until, f"by thresholds, there is no forecast: {why}", None)
