"""The hour-of-week profile from gathered history."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.carbon.failures import NoDataError
from lowtide.carbon.profile import WeekProfile
from lowtide.carbon.signal import IntensityValue

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def value(hour: float, level: float, hours: float = 1.0) -> IntensityValue:
    start = MONDAY + HOUR * hour
    return IntensityValue(
        "DE", start, start + HOUR * hours, level, "marginal", "measured", "test", "direct"
    )


def weeks(count: int) -> list[IntensityValue]:
    return [value(h, h % 168 + 100 * (h // 168)) for h in range(168 * count)]


def profile(values: list[IntensityValue]) -> WeekProfile:
    def kept(start: datetime, end: datetime) -> list[IntensityValue]:
        return [v for v in values if start <= v.start and v.end <= end]

    return WeekProfile("DE", "test", kept)


def test_it_is_the_mean_of_the_same_hour_of_the_week() -> None:
    at = MONDAY + HOUR * (168 * 2 + 10.5)
    values = profile(weeks(2)).forecast(at, 48)
    assert [v.intensity_g_per_kwh for v in values] == [50.0 + h for h in range(10, 59)]
    assert {(v.kind, v.basis, v.status) for v in values} == {("marginal", "direct", "estimated")}
    assert values[0].start <= at
    assert values[-1].end >= at + HOUR * 48


def test_values_count_by_how_long_they_last() -> None:
    halves = [value(h + part, 100 + part * 200, 0.5) for h in range(336) for part in (0.0, 0.5)]
    halves[0] = value(0, 100, 0.5)
    assert profile(halves).current(MONDAY + HOUR * 400).intensity_g_per_kwh == 150


def test_what_came_later_is_not_seen() -> None:
    values = [*weeks(2), *(value(h, 9000) for h in range(336, 400))]
    assert profile(values).current(MONDAY + HOUR * 336).intensity_g_per_kwh == 50.0


def test_under_two_weeks_there_is_none() -> None:
    with pytest.raises(NoDataError, match="under two weeks"):
        profile(weeks(2)[:-1]).current(MONDAY + HOUR * 400)
    with pytest.raises(NoDataError, match="under two weeks"):
        profile([]).current(MONDAY)


def test_an_hour_never_seen_is_not_invented() -> None:
    without_noon = [v for v in weeks(3) if v.start.hour != 12]
    with pytest.raises(NoDataError, match="lacks hours"):
        profile(without_noon).current(MONDAY + HOUR * 600)
