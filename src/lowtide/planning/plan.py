"""Which slots to work in: least emissions, done by the deadline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import isnan, nan
from typing import Any

import numpy as np

from lowtide.carbon.forecast.step_function import HALF, StepFunction
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import DeadlineError
from lowtide.planning.choice import BAND_WIDTH, Outlook, choose
from lowtide.planning.dynamic import Use, plan_cost
from lowtide.planning.profile import Slot, WorkProfile
from lowtide.planning.table import State

HOUR = timedelta(hours=1)
UNKNOWN = 10.0  # how much dirtier than the dirtiest forecast an unknown slot counts


@dataclass(frozen=True)
class Plan:
    """Slots to work in. Emissions are per kW of full power, by the forecast.

    `sure` is the chance that the cheapest slots emit less than running now, None without bands.
    """

    issued_at: datetime
    deadline: datetime
    slots: tuple[Slot, ...]
    emissions_g_per_kw: float
    run_now_emissions_g_per_kw: float
    reason: str
    covered_until: datetime
    forecast: tuple[IntensityValue, ...]
    sure: float | None = None

    @property
    def start(self) -> datetime:
        return self.slots[0].start

    @property
    def end(self) -> datetime:
        return self.slots[-1].end

    @property
    def saving(self) -> float:
        """Share of the run-now emissions that is not emitted."""
        if self.run_now_emissions_g_per_kw == 0:
            return 0.0
        return 1 - self.emissions_g_per_kw / self.run_now_emissions_g_per_kw

    def level_at(self, instant: datetime) -> float:
        return next((s.level for s in self.slots if s.start <= instant < s.end), 0.0)

    def next_start(self, instant: datetime) -> datetime | None:
        """When work goes on after `instant`; None if no work is left."""
        return next((s.start for s in self.slots if s.start >= instant), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "issued_at": _iso(self.issued_at),
            "deadline": _iso(self.deadline),
            "start": _iso(self.start),
            "end": _iso(self.end),
            "slots": [
                {"start": _iso(s.start), "end": _iso(s.end), "level": s.level} for s in self.slots
            ],
            "emissions_g_per_kw": self.emissions_g_per_kw,
            "run_now_emissions_g_per_kw": self.run_now_emissions_g_per_kw,
            "saving": self.saving,
            "sure": self.sure,
            "covered_until": _iso(self.covered_until),
            "reason": self.reason,
        }


def plan_work(
    forecast: Sequence[IntensityValue],
    *,
    now: datetime,
    work_hours: float,
    deadline: datetime,
    slot_minutes: int,
    profile: WorkProfile = WorkProfile(),  # noqa: B008 -- frozen
    contiguous: bool = False,
    state: State = "fresh",
    deviated: bool = False,
) -> Plan:
    """Choose the slots, counted from `now`, and their levels, so that least is emitted.

    `state`: running work that waits pauses, paused work has to resume; `deviated`: it has waited
    or paused before (see `choose`). Slots beyond the forecast are not used; where the
    forecast or the time left does not hold the work, it runs now.

    Raises:
        DeadlineError: the work does not fit even if it starts now; names the earliest finish.
    """
    _require_fit(now, work_hours, deadline, profile)
    slot_hours = slot_minutes / 60
    covered = min(deadline, forecast[-1].end if forecast else now)
    num_slots = int((covered - now) / HOUR / slot_hours + 1e-9)
    baseline = _run_now(forecast, now, work_hours, deadline, profile)
    unplanned = _unplanned(work_hours, num_slots * slot_hours * profile.fastest, covered < deadline)
    if unplanned is not None:
        return replace(baseline, reason=f"runs now: {unplanned}")
    outlook = _outlook(forecast, now, num_slots, slot_hours)
    try:
        choice = choose(
            outlook, work_hours, profile, slot_hours,
            state=state, deviated=deviated, pausing=not contiguous,
        )  # fmt: skip
    except ValueError:  # only the part of a slot before the deadline would still hold it
        return replace(baseline, reason="runs now: the deadline is near")
    sure = None if isnan(choice.sure) else choice.sure
    if choice.stays:
        return replace(
            baseline, sure=sure, reason=f"runs now: only {sure:.0%} sure that waiting saves"
        )
    plan = replace(
        baseline,
        slots=_slots(choice.uses, profile, now, slot_hours),
        emissions_g_per_kw=plan_cost(outlook.mean * slot_hours, choice.uses, profile, state=state),
        sure=sure,
    )
    return _explained(plan, baseline)


def _unplanned(work_hours: float, known_hours: float, short: bool) -> str | None:
    """Why there are no slots to choose from; `short`: the forecast ends before the deadline."""
    if work_hours == 0:
        return "there is nothing to do"
    if known_hours >= work_hours:
        return None
    if not short:
        return "the deadline is near"
    return (
        f"the forecast does not hold the work ({work_hours:.1f} h of work, {known_hours:.1f} h "
        "known)"
    )


def _require_fit(
    now: datetime, work_hours: float, deadline: datetime, profile: WorkProfile
) -> None:
    earliest = now + HOUR * (work_hours / profile.fastest)
    if earliest > deadline:
        raise DeadlineError(
            f"{work_hours:.2f} h of work do not fit before {_iso(deadline)}: the earliest finish "
            f"is {_iso(earliest)}; raise the deadline or lower the work"
        )


def _outlook(
    forecast: Sequence[IntensityValue], now: datetime, num_slots: int, slot_hours: float
) -> Outlook:
    """By slots; the spread is half the band in standard deviations, NaN without bands.

    A slot of which the forecast covers less than half counts as dirtier than all others.
    """
    half = np.array(
        [nan if v.low is None or v.high is None else v.high - v.intensity_g_per_kwh
         for v in forecast]
    )  # fmt: skip
    levels = np.array([value.intensity_g_per_kwh for value in forecast])
    mean = slot_means(forecast, levels, now, num_slots, slot_hours)
    unknown = np.isnan(mean)
    mean[unknown] = UNKNOWN * levels.max()
    return Outlook(mean, slot_means(forecast, half, now, num_slots, slot_hours) / BAND_WIDTH)


def slot_means(
    forecast: Sequence[IntensityValue],
    values: np.ndarray,
    now: datetime,
    num_slots: int,
    slot_hours: float,
) -> np.ndarray:
    """Mean over each slot of `values`, one per interval of the forecast and NaN where unknown:
    exact for steps; NaN where less than half of a slot is known."""
    ticks = np.arange(num_slots + 1) * slot_hours
    edges = [((value.start - now) / HOUR, (value.end - now) / HOUR) for value in forecast]
    return StepFunction(np.array(edges), values).means(ticks[:-1], ticks[1:], HALF)


def _slots(
    uses: Sequence[Use], profile: WorkProfile, now: datetime, slot_hours: float
) -> tuple[Slot, ...]:
    """As instants; adjoining slots at one level become one."""
    slots: list[Slot] = []
    for use in uses:
        begin = use.slot + (1 - use.share if use.late else 0.0)
        start = now + HOUR * (slot_hours * begin)
        end = now + HOUR * (slot_hours * (begin + use.share))
        level = profile.levels[use.level].level
        if slots and slots[-1].end == start and slots[-1].level == level:
            slots[-1] = Slot(slots[-1].start, end, level)
        else:
            slots.append(Slot(start, end, level))
    return tuple(slots)


def _run_now(
    forecast: Sequence[IntensityValue],
    now: datetime,
    work_hours: float,
    deadline: datetime,
    profile: WorkProfile,
) -> Plan:
    """At full power at once; at the fastest level where full power would miss the deadline."""
    level = profile.full
    if now + HOUR * (work_hours / level.throughput) > deadline:
        level = max(profile.levels, key=lambda candidate: candidate.throughput)
    end = now + HOUR * (work_hours / level.throughput)
    emissions = level.power * sum(
        max((min(value.end, end) - max(value.start, now)) / HOUR, 0.0) * value.intensity_g_per_kwh
        for value in forecast
    )
    slots = (Slot(now, end, level.level),)
    covered = forecast[-1].end if forecast else now
    return Plan(
        now, deadline, slots, emissions, emissions, "runs now: now is as clean as it gets",
        covered, tuple(forecast),
    )  # fmt: skip


def _explained(plan: Plan, baseline: Plan) -> Plan:
    if plan.emissions_g_per_kw >= baseline.emissions_g_per_kw * (1 - 1e-9):
        known = {value.intensity_g_per_kwh for value in plan.forecast}
        flat = "runs now: the forecast is the same for all hours"
        return baseline if len(known) > 1 else replace(baseline, reason=flat)
    hours = (plan.start - plan.issued_at) / HOUR
    start = f"starts {hours:.1f} h later" if hours > 0 else "starts now"
    pauses = sum(a.end < b.start for a, b in pairwise(plan.slots))
    paused = f", pauses {pauses} time{'s' if pauses != 1 else ''}" if pauses else ""
    certainty = "" if plan.sure is None else f", {_percent(plan.sure)} sure"
    short = ""
    if plan.covered_until < plan.deadline:
        short = f"; the forecast ends at {_iso(plan.covered_until)}, before the deadline"
    reason = f"{start}{paused}: {plan.saving:.0%} less than running now, by the forecast"
    return replace(plan, reason=f"{reason}{certainty}{short}")


def _percent(chance: float) -> str:
    return "over 99%" if chance > 0.995 else f"{chance:.0%}"


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
