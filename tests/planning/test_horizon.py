"""Asked again and again: waits, runs, and is never late."""

from datetime import datetime
from random import Random

import numpy as np
import pytest

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError
from lowtide.params import ScheduleParams
from lowtide.planning.horizon import Horizon
from tests.carbon.forecast.grids import HOUR, START, values_of

SCHEDULE = ScheduleParams.model_validate(
    {
        "deadline_hours": 24,
        "levels": [0.0, 1.0],
        "throughput": None,
        "slot_minutes": 60,
        "resume_minutes": 5,
        "idle_power": 0.0,
        "max_in_process_pause_minutes": 60,
        "release_memory": False,
    }
)


class Told:
    """A grid whose future is known; `blind` has no forecast, `gone` has nothing at all."""

    zone = "Z"
    name = "test"

    def __init__(self, levels: list[float], blind: bool = False, gone: bool = False) -> None:
        self._values = values_of(np.array(levels))
        self._blind, self._gone = blind, gone

    def current(self, at: datetime) -> IntensityValue:
        if self._gone:
            raise CarbonError("no intensity")
        return next(value for value in self._values if value.start <= at < value.end)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return [v for v in self._values if start <= v.start and v.end <= end]

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        if self._blind or self._gone:
            raise CarbonError("no forecast")
        end = at + HOUR * hours
        return [value for value in self._values if value.end > at and value.start < end]


def follow(horizon: Horizon, work: float, deadline: datetime) -> tuple[list[int], float]:
    """(hours that were worked in, work left), asking whenever the horizon wants to be asked."""
    now, running, worked = START, False, []
    while work > 1e-9 and now < deadline:
        decision = horizon.decide(now, work, running=running)
        assert decision.until > now
        running = decision.level > 0
        until = min(decision.until, deadline)
        if running:
            step = min((until - now) / HOUR, work)
            work -= step
            worked.append(round((now - START) / HOUR))
            until = now + HOUR * step
        now = until
    return worked, work


def test_it_works_in_the_clean_hours() -> None:
    levels = [300.0] * 4 + [100.0] * 2 + [300.0] * 6
    horizon = Horizon(Told(levels), SCHEDULE, START + HOUR * 12)
    assert follow(horizon, 2.0, START + HOUR * 12) == ([4, 5], 0.0)


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_never_late(seed: int, blind: bool) -> None:
    levels = list(np.random.default_rng(seed).uniform(50, 500, 12))
    deadline = START + HOUR * 12
    horizon = Horizon(Told(levels, blind=blind), SCHEDULE, deadline)
    assert follow(horizon, 5.0, deadline)[1] == pytest.approx(0, abs=1e-6)


def test_without_a_forecast_a_dirty_present_is_waited_out_by_thresholds() -> None:
    levels = [500.0, 100, 200, 500, 500, 100, 500, 500, 500, 500, 500, 500]
    source = Told(levels, blind=True)
    horizon = Horizon(source, SCHEDULE, START + HOUR * 12)
    dirty = horizon.decide(START + HOUR * 4, 1.0, running=False)
    assert dirty.level == 0
    assert "thresholds" in dirty.reason
    assert horizon.decide(START + HOUR * 5, 1.0, running=False).level == 1


def test_an_unknown_grid_is_not_taken_for_clean_and_stops_no_work() -> None:
    decision = Horizon(Told([1.0], gone=True), SCHEDULE, START + HOUR * 12).decide(
        START, 2.0, running=False
    )
    assert decision.level == 1
    assert "without a plan" in decision.reason


def test_jitter_spreads_a_fleet_by_half_a_slot_at_most() -> None:
    levels = [300.0] * 4 + [100.0] * 2 + [300.0] * 6
    deadline = START + HOUR * 12
    asked = {
        Horizon(Told(levels), SCHEDULE, deadline, Random(seed)).decide(START, 2.0, running=False)
        .until
        for seed in range(5)
    }  # fmt: skip
    assert len(asked) == 5
    assert all(START + HOUR <= until <= START + HOUR * 1.5 for until in asked)


def test_a_wait_is_looked_at_anew_in_every_slot_and_names_its_planned_end() -> None:
    levels = [300.0] * 4 + [100.0] * 2 + [300.0] * 6
    decision = Horizon(Told(levels), SCHEDULE, START + HOUR * 12).decide(START, 2.0, running=False)
    assert (decision.level, decision.until) == (0, START + HOUR)
    assert decision.resumes_at == START + HOUR * 4


def test_the_latest_safe_start_is_not_final_where_less_work_is_left_than_was_thought() -> None:
    levels = [300.0] * 4 + [100.0] * 2 + [300.0] * 6
    horizon = Horizon(Told(levels), SCHEDULE, START + HOUR * 12)
    late = horizon.decide(START, 11.5, running=True)
    assert (late.level, late.until) == (1, START + HOUR)
    assert "latest safe start" in late.reason
    assert horizon.decide(late.until, 2.0, running=True).level == 0
