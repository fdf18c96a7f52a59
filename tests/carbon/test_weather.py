"""The weather as drivers of a forecast: over the wire, through the cache, and without an answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.cache import DiskCache
from lowtide.carbon.providers.open_meteo import OpenMeteo
from lowtide.carbon.weather import WEATHER, WeatherDrivers, WeatherSource
from tests.carbon.fakes.open_meteo import FakeOpenMeteo
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake, broken
from tests.carbon.fakes.wall import FakeWall

WEEK_S = 7 * 24 * 3600


@pytest.fixture
def api(serve: Callable[[Fake], Fake], wall: FakeWall, series: Series) -> FakeOpenMeteo:
    fake = FakeOpenMeteo(wall, series)
    serve(fake)
    return fake


@pytest.fixture
def drivers(api: FakeOpenMeteo, wall: FakeWall, tmp_path: Path) -> WeatherDrivers:
    source = WeatherSource(OpenMeteo(wall, api.url), DiskCache(tmp_path, WEATHER, wall))
    return WeatherDrivers(source, [(54.0, 8.8), (48.5, 11.5)])


def test_wind_its_power_and_sunshine_of_each_place(
    drivers: WeatherDrivers, api: FakeOpenMeteo, wall: FakeWall
) -> None:
    found = drivers(wall.now())
    assert found is not None
    assert found.start.timestamp() % WEEK_S == 0
    assert found.seen.shape == (0, 0)
    assert found.coming.shape[1] == 6
    hours_ahead = len(found.coming) - (wall.now() - found.start).total_seconds() / 3600
    assert hours_ahead > 192
    noon = int((wall.now().replace(minute=0) - found.start).total_seconds() // 3600)
    wind, power, radiation = found.coming[noon, :3]
    assert 5 <= wind <= 11
    assert power == pytest.approx((wind**3 - 27) / (12**3 - 27))
    assert radiation == (wall.now().hour + 1) * 10
    drivers(wall.now())
    assert api.count() == 2  # a place each, once


def test_a_missing_hour_is_unknown(
    drivers: WeatherDrivers, api: FakeOpenMeteo, wall: FakeWall
) -> None:
    api.null_hours = {1000}
    found = drivers(wall.now())
    assert found is not None
    assert np.isnan(found.coming).any(axis=1).sum() == 1


def test_without_an_answer_there_are_none_and_that_is_said_once(
    drivers: WeatherDrivers,
    api: FakeOpenMeteo,
    wall: FakeWall,
    caplog: pytest.LogCaptureFixture,
) -> None:
    api.fault = broken(503)
    assert drivers(wall.now()) is None
    assert drivers(wall.now()) is None
    assert caplog.text.count("does without the weather") == 1
