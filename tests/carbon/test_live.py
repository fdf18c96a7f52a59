"""A provider behind its cache: what counts as now, and forecasts that reach the horizon."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from lowtide.carbon.failures import AwayError, NoDataError
from lowtide.carbon.live import LiveSource
from lowtide.carbon.providers import Provider
from lowtide.carbon.providers.electricity_maps import ElectricityMaps
from lowtide.carbon.providers.energy_charts import EnergyCharts
from lowtide.carbon.providers.gb import GreatBritain
from lowtide.carbon.providers.watttime import WattTime
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.electricity_maps import TOKEN, FakeElectricityMaps
from tests.carbon.fakes.energy_charts import FakeEnergyCharts
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake
from tests.carbon.fakes.wall import FakeWall
from tests.carbon.fakes.watttime import PASSWORD, USER, FakeWattTime

HOUR = timedelta(hours=1)
Live = Callable[[Provider], LiveSource]
Serve = Callable[[Fake], Fake]


@pytest.fixture
def api(serve: Serve, wall: FakeWall, series: Series) -> FakeGb:
    fake = FakeGb(wall, series)
    serve(fake)
    return fake


@pytest.fixture
def gb(api: FakeGb, wall: FakeWall, live: Live) -> LiveSource:
    return live(GreatBritain("GB", wall, api.url))


@pytest.fixture
def charts_api(serve: Serve, wall: FakeWall, series: Series) -> FakeEnergyCharts:
    fake = FakeEnergyCharts(wall, series)
    serve(fake)
    return fake


@pytest.fixture
def charts(charts_api: FakeEnergyCharts, wall: FakeWall, live: Live) -> LiveSource:
    return live(EnergyCharts("DE", wall, charts_api.url))


def covers(values: list[IntensityValue], at: datetime, hours: float) -> bool:
    joined = all(a.end == b.start for a, b in pairwise(values))
    return joined and values[0].start <= at and values[-1].end >= at + HOUR * hours


def test_current_is_asked_once_in_a_half_hour(gb: LiveSource, api: FakeGb, wall: FakeWall) -> None:
    """Also in the minutes after the half hour, before the next answer is out."""
    levels = set()
    while wall.now().hour == 12:
        value = gb.current(wall.now())
        assert value.start <= wall.now() < value.end
        assert value.intensity_g_per_kwh == api.series.g_per_kwh(value.start)
        assert not value.source.endswith("carried on")
        levels.add(value.start)
        wall.forward(timedelta(seconds=30))
    assert (api.count(), len(levels)) == (2, 2)


def test_one_answer_is_both_latest_and_forecast(
    charts: LiveSource, charts_api: FakeEnergyCharts, wall: FakeWall
) -> None:
    assert charts.current(wall.now()).status == "forecast"  # the actual figure lags
    assert covers(charts.forecast(wall.now(), 12), wall.now(), 12)
    assert charts_api.count() == 1


def test_a_value_that_ended_a_while_ago_is_an_estimate_and_then_refused(
    serve: Serve, live: Live, wall: FakeWall, series: Series
) -> None:
    api = FakeElectricityMaps(wall, series)
    serve(api)
    maps = live(ElectricityMaps("DE", TOKEN, wall, api.url))
    api.lag = HOUR * 2
    value = maps.current(wall.now())
    assert (value.status, value.start <= wall.now() < value.end) == ("estimated", True)
    assert value.source.endswith("last value carried on")
    api.lag = HOUR * 4
    wall.forward(HOUR)
    with pytest.raises(NoDataError, match="too old"):
        maps.current(wall.now())


def test_a_forecast_that_reaches_is_the_providers_alone(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    values = gb.forecast(wall.now(), 24)
    assert covers(values, wall.now(), 24)
    assert {v.source for v in values} == {"GB Carbon Intensity API"}
    assert api.count() == 1


def test_a_short_forecast_is_carried_on_from_history_of_the_same_signal(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    api.num_ahead = 29
    values = gb.forecast(wall.now(), 36)
    assert covers(values, wall.now(), 36)
    assert [v.source for v in values[:29]] == ["GB Carbon Intensity API"] * 29
    assert all(v.source != "GB Carbon Intensity API" for v in values[29:])
    assert {(v.kind, v.basis, v.status) for v in values} == {("average", "operational", "forecast")}


def test_without_history_a_short_forecast_stays_short(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    api.num_ahead = 29
    gb.forecast(wall.now(), 1)
    api.fault = server.broken(503)
    values = gb.forecast(wall.now(), 36)
    assert len(values) == 29


def test_a_plan_without_forecasts_gets_one_from_history(
    serve: Serve, live: Live, wall: FakeWall, series: Series, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeElectricityMaps(wall, series, paid=False)
    serve(api)
    maps = live(ElectricityMaps("DE", TOKEN, wall, api.url))
    values = maps.forecast(wall.now(), 24)
    assert covers(values, wall.now(), 24)
    assert {(v.kind, v.basis, v.issued_at) for v in values} == {
        ("average", "lifecycle", wall.now())
    }
    wall.forward(timedelta(minutes=20))
    maps.forecast(wall.now(), 24)
    assert caplog.text.count("one is made from history") == 1


def test_a_forecast_that_begins_with_the_next_hour_is_filled_to_now(
    serve: Serve, live: Live, wall: FakeWall, series: Series
) -> None:
    api = FakeElectricityMaps(wall, series)
    serve(api)
    maps = live(ElectricityMaps("DE", TOKEN, wall, api.url))
    values = maps.forecast(wall.now(), 24)
    assert covers(values, wall.now(), 24)
    assert [v.status for v in values[:2]] == ["estimated", "forecast"]
    assert len(values) == 25  # not the 73 that came


def test_a_forecast_for_the_past_does_not_see_what_came_later(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    at = wall.now() - timedelta(days=3)
    values = gb.forecast(at, 24)
    assert api.count("/intensity") == 9  # history in pieces, no forecast
    assert "ridge" in values[0].source
    assert all("fw48h" not in seen.path for seen in api.seen)
    assert covers(values, at, 24)


def test_current_of_the_past_comes_from_history(gb: LiveSource, wall: FakeWall) -> None:
    at = wall.now() - timedelta(days=3)
    value = gb.current(at)
    assert (value.status, value.start <= at < value.end) == ("measured", True)


def test_history_is_asked_for_in_whole_once_and_then_only_what_is_new(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    start = wall.now().replace(hour=0, minute=0) - timedelta(days=28)
    assert len(gb.history(start, wall.now())) == 28 * 48 + 24
    assert api.count() == 3  # pieces of 13 days
    for _ in range(5):
        gb.history(start, wall.now())
    assert api.count() == 3
    wall.forward(HOUR)
    assert len(gb.history(start, wall.now())) == 28 * 48 + 26
    assert api.count() == 4


def test_history_stays_when_the_provider_is_away(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    start = wall.now() - timedelta(days=2)
    before = gb.history(start, wall.now())
    api.fault = server.broken(503)
    wall.forward(HOUR)
    assert gb.history(start, wall.now())[: len(before) - 2] == before[: len(before) - 2]


def test_history_gathers_what_the_provider_no_longer_gives(
    serve: Serve, live: Live, wall: FakeWall, series: Series
) -> None:
    """The free plan of Electricity Maps has 24 hours; three days later there are four."""
    api = FakeElectricityMaps(wall, series, paid=False)
    serve(api)
    maps = live(ElectricityMaps("DE", TOKEN, wall, api.url))
    start = wall.now() - timedelta(days=1)
    for _ in range(4):
        maps.history(start, wall.now())
        wall.forward(timedelta(hours=23))
    values = maps.history(start, wall.now())
    assert len(values) >= 4 * 23


def test_marginal_stays_marginal(serve: Serve, live: Live, wall: FakeWall, series: Series) -> None:
    api = FakeWattTime(wall, series)
    serve(api)
    watttime = live(WattTime("CAISO_NORTH", USER, PASSWORD, wall, api.url))
    at = wall.now()
    values = [watttime.current(at), *watttime.forecast(at, 80)]
    assert {(v.kind, v.basis) for v in values} == {("marginal", "direct")}
    assert covers(values[1:], at, 80)


def test_a_provider_that_is_away_is_an_error_not_a_guess(
    gb: LiveSource, api: FakeGb, wall: FakeWall
) -> None:
    gb.history(wall.now() - timedelta(days=20), wall.now())
    api.fault = server.broken(503)
    with pytest.raises(AwayError):
        gb.forecast(wall.now(), 24)


def test_stale_answers_are_used_while_they_may_be(
    gb: LiveSource, api: FakeGb, wall: FakeWall, caplog: pytest.LogCaptureFixture
) -> None:
    at = wall.now()
    fresh = gb.forecast(at, 40)
    wall.forward(HOUR * 2)
    assert gb.stale_forecast(wall.now(), 30)[0].fetched_at == fresh[0].fetched_at
    assert "h old" not in caplog.text
    wall.forward(HOUR * 2)
    gb.stale_forecast(wall.now(), 30)
    assert "is 4 h old" in caplog.text
    assert gb.stale_current(wall.now()).status == "forecast"
    wall.forward(HOUR * 9)
    with pytest.raises(CarbonError):
        gb.stale_forecast(wall.now(), 10)
    with pytest.raises(CarbonError):
        gb.stale_current(wall.now())
    assert api.count() == 1


def test_a_stale_current_value_lives_two_hours(
    charts: LiveSource, charts_api: FakeEnergyCharts, wall: FakeWall
) -> None:
    charts_api.absent = {"co2eq_forecast"}
    charts_api.lag = timedelta(0)
    charts.current(wall.now())
    wall.forward(timedelta(minutes=100))
    assert charts.stale_current(wall.now()).status == "estimated"
    wall.forward(timedelta(minutes=30))
    with pytest.raises(NoDataError):
        charts.stale_current(wall.now())
