"""When a job that has just arrived starts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from lowtide.carbon.trace import TraceSource
from lowtide.params import ScheduleParams, load_params
from lowtide.planning.gate import outlasts, plan_start, spread_start
from lowtide.planning.plan import Plan
from tests.conftest import ROOT

START = datetime(2022, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = START + 72 * HOUR


@pytest.fixture
def source(tmp_path: Path) -> TraceSource:
    """Five days, every other half day clean."""
    rows = [f"{START + hour * HOUR:%FT%TZ},{300 if hour % 24 < 12 else 100}" for hour in range(120)]
    (tmp_path / "trace.csv").write_text("\n".join(["timestamp_utc,gco2_per_kwh", *rows]) + "\n")
    return TraceSource(tmp_path / "trace.csv", "Z")


@pytest.fixture
def schedule() -> ScheduleParams:
    return load_params(ROOT / "params.yaml").schedule


def test_it_waits_for_the_clean_hours(source: TraceSource, schedule: ScheduleParams) -> None:
    plan = plan_start(source, schedule, NOW, NOW + 24 * HOUR, 4.0)
    assert plan.start >= NOW + 10 * HOUR
    assert plan.end <= NOW + 24 * HOUR


def test_a_deadline_too_close_moves_to_the_earliest_finish(
    source: TraceSource, schedule: ScheduleParams
) -> None:
    plan = plan_start(source, schedule, NOW, NOW + HOUR, 4.0)
    assert (plan.start, plan.end, plan.deadline) == (NOW, NOW + 4 * HOUR, NOW + 4 * HOUR)


def test_work_that_outlasts_its_replay_is_told_what_follows(
    source: TraceSource, schedule: ScheduleParams
) -> None:
    fits = plan_start(source, schedule, NOW, NOW + 24 * HOUR, 20.0)
    assert outlasts(source, fits) is None
    late = plan_start(source, schedule, NOW, NOW + 24 * HOUR, 60.0)
    assert "begin earlier (trace trace.csv has no intensity" in str(outlasts(source, late))


def spread(plan: Plan, schedule: ScheduleParams, seed: int) -> datetime:
    return spread_start(plan, schedule, Random(seed))


def test_a_fleet_does_not_start_as_one(source: TraceSource, schedule: ScheduleParams) -> None:
    plan = plan_start(source, schedule, NOW, NOW + 40 * HOUR, 4.0)
    starts = {spread(plan, schedule, seed) for seed in range(20)}
    slot = timedelta(minutes=schedule.slot_minutes)
    assert len(starts) == 20
    assert all(plan.start <= start <= plan.start + slot / 2 for start in starts)


def test_who_starts_at_once_is_not_spread(source: TraceSource, schedule: ScheduleParams) -> None:
    plan = plan_start(source, schedule, NOW, NOW + HOUR, 4.0)
    assert {spread(plan, schedule, seed) for seed in range(5)} == {NOW}
