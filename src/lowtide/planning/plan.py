"""Which slots to work in: least emissions, done by the deadline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import DeadlineError
from lowtide.planning.dynamic import cheapest_block, cheapest_slots

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Slot:
    start: datetime
    end: datetime
    level: float


@dataclass(frozen=True)
class Plan:
    """Slots to work in. Emissions are per kW of full power, by the forecast."""

    issued_at: datetime
    deadline: datetime
    slots: tuple[Slot, ...]
    emissions_g_per_kw: float
    run_now_emissions_g_per_kw: float
    reason: str

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
            "reason": self.reason,
        }


def plan_work(
    forecast: Sequence[IntensityValue],
    *,
    now: datetime,
    work_hours: float,
    deadline: datetime,
    slot_minutes: int,
    resume_minutes: float = 0.0,
    contiguous: bool = False,
    running: bool = False,
) -> Plan:
    """Choose the slots, counted from `now`, that emit least and hold the work.

    Each resume after a pause costs `resume_minutes` of full-power work; if the work is `running`
    already, a wait before the first slot is such a pause. Slots beyond the forecast
    are not used; where the forecast does not hold the work, it runs now. The last slot may be
    used in part.

    Raises:
        DeadlineError: the work does not fit even if it starts now; names the earliest finish.
    """
    earliest = now + HOUR * work_hours
    if earliest > deadline:
        raise DeadlineError(
            f"{work_hours:.2f} h of work do not fit before {_iso(deadline)}: the earliest finish "
            f"is {_iso(earliest)}; raise the deadline or lower the work"
        )
    slot_hours = slot_minutes / 60
    covered = min(deadline, forecast[-1].end if forecast else now)
    num_slots = int((covered - now) / HOUR / slot_hours + 1e-9)
    need = work_hours / slot_hours
    if num_slots < need or need == 0:
        return _run_now(forecast, now, work_hours, deadline, "the forecast does not hold the work")
    cost = _slot_means(forecast, now, num_slots, slot_hours) * slot_hours
    if contiguous:
        used = cheapest_block(cost, need)
    else:
        used = cheapest_slots(cost, need, resume_minutes / slot_minutes, running)
    plan = _assemble(used, cost, now, slot_hours, deadline)
    baseline = _run_now(forecast, now, work_hours, deadline, "now is as clean as it gets")
    if plan.emissions_g_per_kw >= baseline.emissions_g_per_kw * (1 - 1e-9):
        return baseline
    return _explained(plan, baseline)


def _slot_means(
    forecast: Sequence[IntensityValue], now: datetime, num_slots: int, slot_hours: float
) -> np.ndarray:
    """Mean intensity of each slot [g/kWh], exact for piecewise constant forecasts."""
    edges = np.array([(value.start - now) / HOUR for value in forecast])
    edges = np.append(edges, (forecast[-1].end - now) / HOUR)
    values = np.array([value.intensity_g_per_kwh for value in forecast])
    integral = np.append(0.0, np.cumsum(values * np.diff(edges)))
    ticks = np.arange(num_slots + 1) * slot_hours
    means: np.ndarray = np.diff(np.interp(ticks, edges, integral)) / slot_hours
    return means


def _assemble(
    used: np.ndarray, cost: np.ndarray, now: datetime, slot_hours: float, deadline: datetime
) -> Plan:
    """`used`: share of each slot that is worked in; adjoining slots become one."""
    slots: list[Slot] = []
    for index in np.flatnonzero(used > 1e-9):
        start = now + HOUR * (int(index) * slot_hours)
        end = start + HOUR * (slot_hours * float(used[index]))
        if slots and slots[-1].end == start:
            slots[-1] = Slot(slots[-1].start, end, 1.0)
        else:
            slots.append(Slot(start, end, 1.0))
    return Plan(now, deadline, tuple(slots), float(used @ cost), 0.0, "")


def _run_now(
    forecast: Sequence[IntensityValue],
    now: datetime,
    work_hours: float,
    deadline: datetime,
    why: str,
) -> Plan:
    emissions = 0.0
    end = now + HOUR * work_hours
    for value in forecast:
        overlap = (min(value.end, end) - max(value.start, now)) / HOUR
        emissions += max(overlap, 0.0) * value.intensity_g_per_kwh
    return Plan(now, deadline, (Slot(now, end, 1.0),), emissions, emissions, f"runs now: {why}")


def _explained(plan: Plan, baseline: Plan) -> Plan:
    hours = (plan.start - plan.issued_at) / HOUR
    start = f"starts {hours:.1f} h later" if hours > 0 else "starts now"
    pauses = len(plan.slots) - 1
    paused = f", pauses {pauses} time{'s' if pauses != 1 else ''}" if pauses else ""
    run_now = baseline.emissions_g_per_kw
    saving = 1 - plan.emissions_g_per_kw / run_now
    return Plan(
        plan.issued_at, plan.deadline, plan.slots, plan.emissions_g_per_kw, run_now,
        f"{start}{paused}: {saving:.0%} less than running now, by the forecast",
    )  # fmt: skip


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
