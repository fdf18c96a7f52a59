"""From points to a series: nothing invented, nothing zero that was missing."""

import logging
import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from lowtide.carbon.clean import Origin, Point, clean, trim
from lowtide.carbon.signal import IntensityValue

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORIGIN = Origin("Z", "average", "lifecycle", "test", START, START)


def point(hour: float, level: float | None, hours: float | None = None) -> Point:
    start = START + HOUR * hour
    return Point(start, level, "measured", None if hours is None else start + HOUR * hours)


def shape(values: list[IntensityValue]) -> list[tuple[float, float, float, str]]:
    return [
        ((v.start - START) / HOUR, (v.end - START) / HOUR, v.intensity_g_per_kwh, v.status)
        for v in values
    ]


def test_order_and_repetition_do_not_matter() -> None:
    points = [point(hour, 100 + hour) for hour in range(5)]
    mixed = [*points, *points]
    random.Random(1).shuffle(mixed)
    assert clean(mixed, ORIGIN) == clean(points, ORIGIN)
    assert len(clean(mixed, ORIGIN)) == 5


def test_of_two_values_the_later_wins_but_a_null_never() -> None:
    points = [point(0, 100), point(0, 120), point(0, None), point(1, 130)]
    assert shape(clean(points, ORIGIN))[0] == (0, 1, 120, "measured")


@pytest.mark.parametrize("wrong", [None, math.nan, math.inf, -1.0, 3001.0])
def test_what_is_no_intensity_is_a_gap_and_never_zero(
    wrong: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    points = [point(0, 100), point(1, wrong), point(2, wrong), point(3, wrong), point(4, 200)]
    assert shape(clean(points, ORIGIN)) == [(0, 1, 100, "measured"), (4, 5, 200, "measured")]
    assert ("count as gaps" in caplog.text) == (wrong is not None)


def test_one_missing_step_is_carried_and_marked() -> None:
    found = shape(clean([point(0, 100), point(1, None), point(2, 200)], ORIGIN))
    assert found == [(0, 1, 100, "measured"), (1, 2, 100, "estimated"), (2, 3, 200, "measured")]


def test_nothing_is_carried_beyond_the_end() -> None:
    assert shape(clean([point(0, 100), point(1, None)], ORIGIN)) == [(0, 1, 100, "measured")]


def test_a_point_lasts_until_the_next_even_where_the_step_changes() -> None:
    points = [point(0, 1), point(1, 2), point(1.25, 3), point(1.5, 4)]
    assert [(a, b) for a, b, *_ in shape(clean(points, ORIGIN, HOUR))] == [
        (0, 1), (1, 1.25), (1.25, 1.5), (1.5, 2.5)
    ]  # fmt: skip


def test_overlapping_intervals_are_cut() -> None:
    found = shape(clean([point(0, 1, 0.5), point(0.25, 2, 0.5)], ORIGIN))
    assert [(a, b) for a, b, *_ in found] == [(0, 0.25), (0.25, 0.75)]


def test_nothing_from_nothing() -> None:
    assert clean([], ORIGIN) == []
    assert clean([point(0, None)], ORIGIN) == []


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_a_step_function_is_the_same_at_any_step(minutes: int) -> None:
    steps = [point(m / 60, 100 + m // 60) for m in range(0, 24 * 60, minutes)]
    values = clean(steps, ORIGIN)
    total = sum(v.intensity_g_per_kwh * ((v.end - v.start) / HOUR) for v in values)
    assert total == pytest.approx(sum(100 + hour for hour in range(24)))


def test_trimming_keeps_what_overlaps() -> None:
    values = clean([point(hour, 1) for hour in range(6)], ORIGIN)
    kept = trim(values, START + HOUR * 1.5, START + HOUR * 4)
    assert [(a, b) for a, b, *_ in shape(kept)] == [(1, 2), (2, 3), (3, 4)]
