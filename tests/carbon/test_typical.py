"""Typical profiles: what is usual at an hour of a month, with the spread of the days behind it."""

from datetime import UTC, datetime

import pytest

from lowtide.carbon.typical import TypicalSource
from lowtide.errors import CarbonError

NOON = datetime(2026, 4, 14, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["US-CISO", "US-ERCO", "US-PJM"])
def test_a_forecast_has_the_usual_value_inside_its_band(zone: str) -> None:
    values = TypicalSource(zone).forecast(NOON, 48)
    assert values[0].start <= NOON
    assert values[-1].end >= NOON.replace(day=16)
    for value in values:
        assert value.low is not None
        assert value.high is not None
        assert value.low <= value.intensity_g_per_kwh <= value.high
        assert value.high > value.low
        assert value.status == "estimated"


def test_the_present_and_the_past_have_no_band() -> None:
    source = TypicalSource("US-CISO")
    for value in (source.current(NOON), *source.history(NOON, NOON.replace(hour=18))):
        assert (value.low, value.high) == (None, None)


def test_an_unknown_zone_is_told_the_known_ones() -> None:
    with pytest.raises(CarbonError, match="US-CISO, US-ERCO, US-PJM"):
        TypicalSource("XX")
