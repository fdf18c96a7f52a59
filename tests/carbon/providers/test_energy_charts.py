"""Energy-Charts over the wire: uneven arrays, lag, quarter hours and hours, a strict limit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.fetch import Limits
from lowtide.carbon.providers.energy_charts import EnergyCharts
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.energy_charts import FakeEnergyCharts
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


@pytest.fixture
def api(
    serve: Callable[[FakeEnergyCharts], FakeEnergyCharts], wall: FakeWall, series: Series
) -> FakeEnergyCharts:
    return serve(FakeEnergyCharts(wall, series))


@pytest.fixture
def charts(api: FakeEnergyCharts, wall: FakeWall) -> EnergyCharts:
    return EnergyCharts("DE", wall, api.url)


def test_measured_then_forecast_and_each_says_which(charts: EnergyCharts, wall: FakeWall) -> None:
    values = charts.latest(wall.now())
    known = wall.now() - HOUR * 2
    assert {v.status for v in values if v.end <= known} == {"measured"}
    assert {v.status for v in values if v.end > known} == {"forecast"}
    assert {v.end - v.start for v in values} == {QUARTER}
    assert {v.basis for v in values} == {"lifecycle"}
    assert values[-1].end >= wall.now() + HOUR * 20


def test_a_lag_of_most_of_a_day(charts: EnergyCharts, api: FakeEnergyCharts,
                                wall: FakeWall) -> None:  # fmt: skip
    api.lag = HOUR * 20
    values = charts.latest(wall.now())
    assert max(v.end for v in values if v.status == "measured") <= wall.now() - HOUR * 20
    assert any(v.start <= wall.now() < v.end for v in values)


def test_hourly_countries_have_hourly_values(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    api.step = HOUR
    assert {v.end - v.start for v in charts.latest(wall.now())} == {HOUR}


def test_unequal_and_absent_arrays(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    whole = charts.latest(wall.now())
    api.cut = 8
    assert len(charts.latest(wall.now())) == len(whole) - 8
    api.absent = {"co2eq_forecast"}
    assert {v.status for v in charts.latest(wall.now())} == {"measured"}
    api.absent = {"co2eq"}
    assert {v.status for v in charts.latest(wall.now())} == {"forecast"}
    api.absent = {"unix_seconds"}
    with pytest.raises(FormatError, match="no field 'unix_seconds'"):
        charts.latest(wall.now())


def test_nulls_in_both_arrays_are_a_gap(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    first = wall.now().replace(minute=0) - HOUR * 6
    api.nulls = {first, first + QUARTER, first + QUARTER * 2}
    values = charts.latest(wall.now())
    assert not [v for v in values if first <= v.start < first + QUARTER * 3]
    assert all(v.intensity_g_per_kwh > 0 for v in values)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_of_23_or_25_hours_is_whole(
    charts: EnergyCharts, api: FakeEnergyCharts, day: tuple[int, int, int], hours: int
) -> None:
    offset_before = 1 if hours == 23 else 2  # of Berlin, to UTC, at the first midnight
    start = datetime(*day, tzinfo=UTC) - HOUR * offset_before
    api.lag = timedelta(days=-365)  # all of it is long known
    api.horizon = timedelta(days=365)
    values = charts.history(start, start + HOUR * hours)
    assert len(values) == hours * 4
    assert values[-1].end - values[0].start == HOUR * hours


def test_questions_are_eight_seconds_apart(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    for _ in range(4):
        charts.latest(wall.now())
    assert api.count() == 4
    assert wall.slept_s == [8.0] * 3


def test_a_storm_of_429_ends_in_an_error_and_in_silence(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    api.fault = server.broken(429, Retry_After="600")
    for _ in range(3):
        with pytest.raises(AwayError):
            charts.latest(wall.now())
    assert api.count() == 1


def test_a_slow_body(api: FakeEnergyCharts, wall: FakeWall) -> None:
    api.fault = server.stalled(0.3)
    charts = EnergyCharts("DE", wall, api.url, Limits(read_s=0.05, tries=1))
    with pytest.raises(AwayError, match="ReadTimeout"):
        charts.latest(wall.now())


def test_history_has_no_forecasts(charts: EnergyCharts, wall: FakeWall) -> None:
    values = charts.history(wall.now() - timedelta(days=28), wall.now())
    assert {v.status for v in values} == {"measured"}
    assert values[-1].end - values[0].start > timedelta(days=27)


def test_deprecation_is_said_once(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    api.deprecated = True
    charts.latest(wall.now())
    charts.latest(wall.now())
    assert caplog.text.count("deprecated") == 1


@pytest.mark.parametrize("zone", ["US-CISO", "SE-SE3", "de", "XX"])
def test_a_zone_it_does_not_know(zone: str, wall: FakeWall) -> None:
    with pytest.raises(CarbonError, match="does not know zone"):
        EnergyCharts(zone, wall)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (server.broken(404, '{"detail":"no content"}'), NoDataError, "no content"),
        (server.broken(422, '{"detail":[{"loc":["query"],"msg":"invalid time"}]}'),
         RefusedError, "422 .*invalid time"),
        (lambda _: as_json({"unix_seconds": [], "co2eq": []}), NoDataError, "no values"),
        (lambda _: as_json({"unix_seconds": ["x"], "co2eq": [1]}), FormatError, "no time"),
        (lambda _: as_json({"unix_seconds": [1], "co2eq": ["1"]}), FormatError, "a number"),
    ],
)  # fmt: skip
def test_faults(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall, fault: server.Fault,
    error: type[CarbonError], message: str,
) -> None:  # fmt: skip
    api.fault = fault
    with pytest.raises(error, match=message):
        charts.latest(wall.now())


def test_shares_of_the_generation_and_the_whole(
    charts: EnergyCharts, api: FakeEnergyCharts, wall: FakeWall
) -> None:
    start = wall.now().replace(minute=0) - HOUR * 24
    api.nulls = {start + HOUR}
    mixes = charts.mix(start, wall.now())
    assert mixes[0].start == start
    assert wall.now() - HOUR * 3 < mixes[-1].end <= wall.now() - HOUR * 2 + QUARTER
    wind = 60000 - 100 * api.series.g_per_kwh(start)
    whole = wind + 20000
    assert mixes[0].fuels == pytest.approx(
        {"Wind onshore": wind / whole, "Fossil gas": 20000 / whole, "whole": whole}
    )
    starts = [mix.start for mix in mixes]
    assert start + HOUR - QUARTER in starts
    assert start + HOUR not in starts  # wind is null there: nobody knows the whole
