"""Open-Meteo over the wire: radiation belongs to the hour before its label."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lowtide.carbon.cache import DiskCache
from lowtide.carbon.failures import AwayError, FormatError
from lowtide.carbon.providers.open_meteo import OpenMeteo, Weather
from lowtide.carbon.weather import WEATHER, WeatherSource
from tests.carbon.fakes.open_meteo import FakeOpenMeteo
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall


@pytest.fixture
def api(
    serve: Callable[[FakeOpenMeteo], FakeOpenMeteo], wall: FakeWall, series: Series
) -> FakeOpenMeteo:
    return serve(FakeOpenMeteo(wall, series))


@pytest.fixture
def meteo(api: FakeOpenMeteo, wall: FakeWall) -> OpenMeteo:
    return OpenMeteo(wall, api.url)


def ask(meteo: OpenMeteo) -> list[Weather]:
    return meteo.hourly(52.52, 13.42, past_days=1, forecast_days=2)


def test_radiation_is_shifted_and_wind_is_not(meteo: OpenMeteo) -> None:
    weather = {entry.start: entry for entry in ask(meteo)}
    noon = next(start for start in weather if start.hour == 12)
    assert weather[noon].radiation_w_m2 == 130.0  # labelled 13:00, the mean from 12:00
    assert weather[noon].wind_m_s == 5.0 + 12 % 7
    assert len(weather) == 71  # the last hour's radiation comes with the next label


def test_nulls_are_missing_hours(meteo: OpenMeteo, api: FakeOpenMeteo) -> None:
    api.null_hours = {3, 4}
    weather = ask(meteo)
    assert len(weather) == 69
    assert {entry.start.hour for entry in weather[:3]} == {0, 1, 2}
    assert weather[3].start.hour == 5


def test_a_list_of_one_place(meteo: OpenMeteo, api: FakeOpenMeteo) -> None:
    whole = ask(meteo)
    api.as_list = True
    assert ask(meteo) == whole


def test_times_without_a_zone_count_only_where_they_are_utc(
    meteo: OpenMeteo, api: FakeOpenMeteo
) -> None:
    whole = ask(meteo)
    api.texts = True
    assert ask(meteo) == whole
    api.offset_s = 3600
    with pytest.raises(FormatError, match="no time zone"):
        ask(meteo)


@pytest.mark.parametrize(
    ("limit", "silence"),
    [
        ("hour", timedelta(hours=1)),
        ("day", timedelta(hours=11, minutes=50)),  # it is 12:10
    ],
)
def test_a_limit_is_not_asked_against(
    meteo: OpenMeteo, api: FakeOpenMeteo, wall: FakeWall, limit: str, silence: timedelta
) -> None:
    api.limit = limit
    with pytest.raises(AwayError, match="request limit exceeded"):
        ask(meteo)
    api.limit = None
    wall.forward(silence - timedelta(minutes=1))
    with pytest.raises(AwayError, match="left alone"):
        ask(meteo)
    assert api.count() == 1
    wall.forward(timedelta(minutes=2))
    assert ask(meteo)


def test_the_limit_of_a_minute_is_waited_for(
    meteo: OpenMeteo, api: FakeOpenMeteo, wall: FakeWall
) -> None:
    api.faults.append(lambda _: as_json(
        {"error": True, "reason": "Minutely API request limit exceeded. Try in one minute."}, 429
    ))  # fmt: skip
    assert ask(meteo)
    assert wall.slept_s == [60.0]


def test_other_units_are_refused(meteo: OpenMeteo, api: FakeOpenMeteo) -> None:
    units = {"wind_speed_120m": "km/h", "shortwave_radiation": "W/m²"}
    api.fault = lambda _: as_json({"hourly_units": units, "hourly": {}})
    with pytest.raises(FormatError, match="asked for wind_speed_120m m/s, answered for km/h"):
        ask(meteo)


def test_weather_is_kept_for_an_hour(
    meteo: OpenMeteo, api: FakeOpenMeteo, wall: FakeWall, tmp_path: Path
) -> None:
    def source() -> WeatherSource:
        return WeatherSource(meteo, DiskCache(tmp_path, WEATHER, wall))

    first = source().hourly(52.52, 13.42, past_days=1, forecast_days=2)
    wall.forward(timedelta(minutes=50))
    assert source().hourly(52.52, 13.42, past_days=1, forecast_days=2) == first
    assert api.count() == 1
    wall.forward(timedelta(minutes=20))
    source().hourly(52.52, 13.42, past_days=1, forecast_days=2)
    assert api.count() == 2
