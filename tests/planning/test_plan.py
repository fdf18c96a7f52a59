"""The planner against brute force, and what it promises."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.signal import IntensityValue
from lowtide.carbon.trace import TraceSource
from lowtide.errors import DeadlineError
from lowtide.planning.plan import Plan, plan_work
from lowtide.planning.profile import WorkProfile
from tests.carbon.forecast.grids import START, grid_series

NOW = datetime(2022, 4, 14, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def forecast(levels: list[float]) -> list[IntensityValue]:
    return [
        IntensityValue("Z", NOW + HOUR * i, NOW + HOUR * (i + 1), level, "average", "forecast", "t")
        for i, level in enumerate(levels)
    ]


def plan(levels: list[float], work_hours: float, **changes: float) -> Plan:
    resume_hours = changes.pop("resume_minutes", 0.0) / 60
    settings = {"slot_minutes": 60, "profile": WorkProfile(resume_hours=resume_hours), **changes}
    deadline = NOW + HOUR * len(levels)
    return plan_work(
        forecast(levels), now=NOW, work_hours=work_hours, deadline=deadline, **settings
    )


def test_waits_for_the_clean_hours_and_pauses_between_them() -> None:
    chosen = plan([300, 300, 100, 300, 100, 300], 2.0)
    assert [slot.start for slot in chosen.slots] == [NOW + HOUR * 2, NOW + HOUR * 4]
    assert chosen.saving == pytest.approx(1 - 200 / 600)
    assert "pauses 1 time" in chosen.reason


def test_does_not_pause_when_resuming_costs_more_than_it_saves() -> None:
    chosen = plan([300, 300, 100, 110, 100, 300], 2.0, resume_minutes=30)
    assert len(chosen.slots) == 1


def test_a_part_of_the_last_slot_suffices() -> None:
    chosen = plan([300, 100, 300], 0.5)
    assert (chosen.start, chosen.end) == (NOW + HOUR, NOW + HOUR * 1.5)


def test_contiguous_never_pauses() -> None:
    assert len(plan([300, 300, 100, 300, 100, 300], 2.0, contiguous=True).slots) == 1


def test_refuses_work_that_cannot_be_done_and_names_the_earliest_finish() -> None:
    with pytest.raises(DeadlineError, match="earliest finish is 2022-04-14T06:00:00Z"):
        plan([100, 100], 3.0)


def test_runs_now_where_the_forecast_ends_before_the_work() -> None:
    short = plan_work(
        forecast([300, 100]),
        now=NOW,
        work_hours=4,
        deadline=NOW + HOUR * 10,
        slot_minutes=60,
    )
    assert short.start == NOW
    assert "does not hold the work" in short.reason


def test_runs_now_where_the_work_takes_all_the_time_there_is() -> None:
    full = plan_work(
        forecast([300, 100, 100]),
        now=NOW,
        work_hours=2.1,
        deadline=NOW + HOUR * 2.2,
        slot_minutes=60,
    )
    assert (full.start, full.reason) == (NOW, "runs now: the deadline is near")


def traced(folder: Path, minutes: Sequence[int]) -> Plan:
    """Of 8 h, ten weeks into a trace told in the given steps, each for a week."""
    rows = ["timestamp_utc,gco2_per_kwh"]
    for hour, level in enumerate(grid_series(24 * 70 + 1)):
        step = minutes[hour // 168 % len(minutes)]
        for minute in range(0, 60, step):
            rows.append(f"{START + HOUR * hour + timedelta(minutes=minute):%FT%TZ},{level}")
    path = folder / "trace.csv"
    path.write_text("\n".join(rows) + "\n")
    now = START + HOUR * 24 * 70
    return plan_work(
        TraceSource(path, "Z").forecast(now, 30), now=now, work_hours=8,
        deadline=now + HOUR * 30, slot_minutes=30, profile=WorkProfile(resume_hours=0.1),
    )  # fmt: skip


@pytest.mark.parametrize("minutes", [(5,), (15,), (30,), (30, 15, 5, 60)], ids=str)
def test_the_step_of_the_data_does_not_change_the_plan(
    tmp_path: Path, minutes: tuple[int, ...]
) -> None:
    expected, found = traced(tmp_path, (60,)), traced(tmp_path, minutes)
    assert found.slots == expected.slots
    assert expected.start > expected.issued_at
    assert found.emissions_g_per_kw == pytest.approx(expected.emissions_g_per_kw)


@pytest.mark.parametrize("seed", range(10))
def test_is_done_by_the_deadline_and_never_worse_than_now_or_contiguous(seed: int) -> None:
    generator = np.random.default_rng(seed)
    levels = list(generator.uniform(20, 600, 24))
    work = float(generator.uniform(0.3, 20))
    free = plan(levels, work, slot_minutes=30, resume_minutes=10)
    block = plan(levels, work, slot_minutes=30, contiguous=True)
    worked = sum((slot.end - slot.start) / HOUR for slot in free.slots)
    assert free.end <= free.deadline
    assert worked >= work - 1e-6
    assert free.emissions_g_per_kw <= free.run_now_emissions_g_per_kw + 1e-9
    assert free.emissions_g_per_kw <= block.emissions_g_per_kw * 1.01
