"""Generation by fuel as a driver: gathered in blocks over the wire, by the hour, or left out."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.cache import DiskCache
from lowtide.carbon.forecast.drivers import Drivers, joined
from lowtide.carbon.generation import EPOCH, MIX, GenerationDrivers, Mix, mix_drivers, shares
from lowtide.carbon.providers.energy_charts import EnergyCharts
from lowtide.carbon.providers.gb import GreatBritain
from tests.carbon.fakes.energy_charts import FakeEnergyCharts
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake, broken
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)
WEEK_S = 7 * 24 * 3600


@pytest.fixture
def api(serve: Callable[[Fake], Fake], wall: FakeWall, series: Series) -> FakeGb:
    fake = FakeGb(wall, series)
    serve(fake)
    return fake


@pytest.fixture
def drivers(api: FakeGb, wall: FakeWall, tmp_path: Path) -> GenerationDrivers:
    return GenerationDrivers(
        GreatBritain("GB", wall, api.url), DiskCache(tmp_path, MIX, wall), wall
    )


def test_thirteen_weeks_by_the_hour_and_only_the_newest_is_asked_again(
    drivers: GenerationDrivers, api: FakeGb, wall: FakeWall
) -> None:
    found = drivers(wall.now())
    assert found is not None
    assert found.start.timestamp() % WEEK_S == 0  # as the weeks of the fits, from a Thursday on
    assert found.coming.shape == (0, 0)
    assert len(found.seen) == int((wall.now() - found.start) / HOUR) > 11 * 168
    hour = found.start + HOUR * 100
    halves = [60 - api.series.g_per_kwh(hour + HOUR * part / 2) / 10 for part in (0, 1)]
    assert found.seen[100].tolist() == pytest.approx([100 - np.mean(halves), np.mean(halves)])
    asked = api.count()
    assert asked == 14  # a week each
    wall.forward(HOUR * 2)
    assert len(getattr(drivers(wall.now()), "seen", ())) == len(found.seen) + 2
    assert api.count() == asked + 1


def test_a_lost_week_is_a_gap(drivers: GenerationDrivers, api: FakeGb, wall: FakeWall) -> None:
    lost = wall.now() - timedelta(days=30)
    api.lost = (lost, lost + timedelta(days=3))
    found = drivers(wall.now())
    assert found is not None
    assert np.isnan(found.seen[:, 0]).sum() in {71, 72, 73}


def test_without_an_answer_there_are_none_and_that_is_said_once(
    drivers: GenerationDrivers, api: FakeGb, wall: FakeWall, caplog: pytest.LogCaptureFixture
) -> None:
    api.fault = broken(503)
    assert drivers(wall.now()) is None
    assert drivers(wall.now()) is None
    assert caplog.text.count("does without generation") == 1


def test_energy_charts_is_asked_four_times_at_most(
    serve: Callable[[Fake], Fake], wall: FakeWall, series: Series, tmp_path: Path
) -> None:
    api = FakeEnergyCharts(wall, series)
    serve(api)
    wall.forward(timedelta(days=(EPOCH - wall.now()).days % 42 + 5))  # a block has just begun
    charts = EnergyCharts("DE", wall, api.url)
    found = GenerationDrivers(charts, DiskCache(tmp_path, MIX, wall), wall)(wall.now())
    assert found is not None
    assert found.seen.shape[1] == 3
    assert api.count() == 4


def test_a_fuel_that_is_mostly_unknown_is_left_out(wall: FakeWall) -> None:
    start = wall.now().replace(minute=0) - HOUR * 400
    rows = [
        Mix(start + HOUR * hour, start + HOUR * (hour + 1),
            {"wind": 1.0} if hour % 4 else {"wind": 1.0, "tide": 2.0})
        for hour in range(400)
    ]  # fmt: skip
    found = mix_drivers(rows, wall.now())
    assert found is not None
    assert found.seen.shape[1] == 1
    assert mix_drivers([], wall.now()) is None
    assert shares({"wind": 0.0}) == {}


def test_fuels_and_weather_side_by_side(wall: FakeWall) -> None:
    early = Drivers(wall.now(), np.ones((5, 2)), np.empty((0, 0)))
    late = Drivers(wall.now() + HOUR * 2, np.empty((0, 0)), np.full((9, 3), 7.0))
    both = joined([late, early])
    assert both is not None
    assert both.start == wall.now()
    assert both.seen.tolist() == np.ones((5, 2)).tolist()
    assert both.coming.shape == (11, 3)
    assert np.isnan(both.coming[:2]).all()
    assert (both.coming[2:] == 7.0).all()
    assert joined([]) is None
