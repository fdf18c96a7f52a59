"""Values of any step become the same hours; gaps stay gaps until they are filled causally."""

from datetime import timedelta

import numpy as np
import pytest

from lowtide.carbon.forecast.hourly import filled, hourly
from tests.carbon.forecast.grids import HOUR, START, grid_series, values_of


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_every_step_gives_the_same_hours(minutes: int) -> None:
    series = grid_series(48)
    found = hourly(values_of(series, timedelta(minutes=minutes)), START + HOUR * 48)
    assert found.start == START
    assert found.values == pytest.approx(series)


def test_mixed_steps_are_weighed_by_their_part_of_the_hour() -> None:
    coarse = values_of(np.array([100.0, 200.0]))
    fine = values_of(np.array([100.0, 100.0, 300.0, 500.0]), timedelta(minutes=30))
    halves = [value for value in fine if value.start >= START + HOUR * 2]
    found = hourly([*coarse, *halves], START + HOUR * 4)
    assert found.values == pytest.approx([100, 200, 300, 500])


def test_an_hour_that_is_mostly_missing_is_a_gap_and_so_is_what_has_not_ended() -> None:
    values = values_of(grid_series(6), timedelta(minutes=15))
    without = [v for v in values if not START + HOUR * 2 < v.start < START + HOUR * 3]
    found = hourly(without, START + HOUR * 4 + timedelta(minutes=20))
    assert len(found) == 4
    assert np.isnan(found.values).tolist() == [False, False, True, False]


def test_a_gap_takes_the_last_value_for_three_hours_and_then_the_day_before() -> None:
    series = np.arange(60.0)
    series[30:40] = np.nan
    assert filled(series)[30:40].tolist() == [29, 29, 29, 9, 10, 11, 12, 13, 14, 15]


def test_filling_sees_only_what_came_before() -> None:
    series = grid_series(200)
    series[[50, 51, 120]] = np.nan
    changed = np.append(series[:150], np.full(50, 999.0))
    assert np.array_equal(filled(series)[:150], filled(changed)[:150])
