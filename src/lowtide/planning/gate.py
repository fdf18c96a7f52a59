"""When a job that has just arrived should start."""

from datetime import datetime, timedelta
from random import Random

from lowtide.carbon.signal import IntensitySource
from lowtide.errors import CarbonError
from lowtide.params import ScheduleParams
from lowtide.planning.plan import Plan, plan_work
from lowtide.planning.profile import WorkProfile


def plan_start(
    source: IntensitySource,
    schedule: ScheduleParams,
    now: datetime,
    deadline: datetime,
    work_hours: float,
) -> Plan:
    """The plan for the whole work; the deadline outranks carbon.

    A deadline that has become too close (a late start, slower work) is moved to the earliest
    possible finish: the work then runs at once.
    """
    profile = WorkProfile.of(schedule.all_or_nothing())
    due = max(deadline, now + timedelta(hours=work_hours / profile.fastest))
    hours = (due - now) / timedelta(hours=1)
    return plan_work(
        source.forecast(now, hours),
        now=now,
        work_hours=work_hours,
        deadline=due,
        slot_minutes=schedule.slot_minutes,
        profile=profile,
    )


def outlasts(source: IntensitySource, plan: Plan) -> str | None:
    """Of a replay: what follows where the recorded intensity ends before the plan does."""
    try:
        source.current(plan.end)
    except CarbonError as error:
        return (
            "the intensity at the end of the work is unknown, so what it emits will be, and the "
            f"verdict refuses that: lower carbon.replay_speed, or begin earlier ({error})"
        )
    return None


def spread_start(plan: Plan, schedule: ScheduleParams, jitter: Random) -> datetime:
    """A delayed start up to half a slot later, so that a fleet does not start as one.

    As far as the deadline allows; who starts at once starts at once.
    """
    if plan.start <= plan.issued_at:
        return plan.start
    later = timedelta(minutes=schedule.slot_minutes) * (0.5 * jitter.random())
    return plan.start + min(later, max(plan.deadline - plan.end, timedelta()))
