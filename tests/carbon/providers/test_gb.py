"""Great Britain's API over the wire, with its oddities and faults."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.providers.gb import GreatBritain
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall

HALF = timedelta(minutes=30)


@pytest.fixture
def api(serve: Callable[[FakeGb], FakeGb], wall: FakeWall, series: Series) -> FakeGb:
    return serve(FakeGb(wall, series))


@pytest.fixture
def gb(api: FakeGb, wall: FakeWall) -> GreatBritain:
    return GreatBritain("GB", wall, api.url)


def running(wall: FakeWall) -> datetime:
    return wall.now().replace(minute=wall.now().minute // 30 * 30, second=0)


def test_the_forecast_begins_with_the_running_half_hour(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    values = gb.forecast(wall.now())
    assert (values[0].start, len(values)) == (running(wall), 96)
    assert {(v.status, v.kind, v.basis) for v in values} == {("forecast", "average", "operational")}
    assert values[5].intensity_g_per_kwh == api.series.g_per_kwh(values[5].start)
    assert api.seen[0].path == "/intensity/2026-03-10T12:01Z/fw48h"


def test_on_the_half_hour_the_extra_period_is_left_out(gb: GreatBritain, wall: FakeWall) -> None:
    wall.forward(timedelta(minutes=20))
    assert gb.forecast(wall.now())[0].start == wall.now()


def test_a_period_before_what_was_asked_for_is_left_out(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    api.always_extra = True
    assert gb.forecast(wall.now())[0].start == running(wall)


def test_a_short_horizon_is_taken_as_it_is(gb: GreatBritain, api: FakeGb, wall: FakeWall) -> None:
    api.num_ahead = 29
    assert len(gb.forecast(wall.now())) == 29


def test_latest_is_measured_up_to_the_running_period_which_is_forecast(
    gb: GreatBritain, wall: FakeWall
) -> None:
    values = gb.latest(wall.now())
    assert [v.status for v in values] == ["measured"] * 6 + ["forecast"] * 2
    assert values[6].start <= wall.now() < values[6].end


def test_a_null_forecast_is_carried_once_and_then_a_gap(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    first = running(wall)
    api.null_forecast = {first + HALF * 2, first + HALF * 6, first + HALF * 7}
    values = {v.start: v for v in gb.forecast(wall.now())}
    assert values[first + HALF * 2].status == "estimated"
    assert first + HALF * 6 not in values
    assert all(v.intensity_g_per_kwh > 0 for v in values.values())


def test_of_two_values_for_one_period_the_last_counts(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    start = running(wall) + HALF
    api.twice = {start}
    values = gb.forecast(wall.now())
    assert len(values) == 96
    assert values[1].intensity_g_per_kwh == api.series.g_per_kwh(start) + 7


def test_a_long_history_is_asked_for_in_pieces_and_is_whole(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    end = running(wall)
    start = end - timedelta(days=100)  # over the new year
    values = gb.history(start, end)
    assert len(values) == 100 * 48
    assert all(a.end == b.start for a, b in pairwise(values))
    assert api.count() == 9


def test_a_hole_in_the_history_does_not_spoil_the_rest(
    gb: GreatBritain, api: FakeGb, wall: FakeWall
) -> None:
    end = running(wall)
    api.lost = end - timedelta(days=30), end - timedelta(days=15)
    values = gb.history(end - timedelta(days=28), end)
    assert len(values) == 15 * 48


@pytest.mark.parametrize("zone", ["GB-13", "GB-RG41"])
@pytest.mark.parametrize("array_of_one", [False, True])
def test_a_region_in_both_shapes(
    api: FakeGb, wall: FakeWall, zone: str, array_of_one: bool
) -> None:
    api.array_of_one = array_of_one
    values = GreatBritain(zone, wall, api.url).forecast(wall.now())
    assert len(values) == 96
    assert {v.zone for v in values} == {zone}


def test_the_past_of_a_region_is_an_estimate(api: FakeGb, wall: FakeWall) -> None:
    values = GreatBritain("GB-13", wall, api.url).latest(wall.now())
    assert [v.status for v in values] == ["estimated"] * 6 + ["forecast"] * 2


@pytest.mark.parametrize("zone", ["GB-18", "GB-0", "GB-NIR", "FR", "GB-../x", "GB-RG41/x"])
def test_a_zone_it_does_not_know(zone: str, wall: FakeWall) -> None:
    with pytest.raises(CarbonError, match="does not know zone"):
        GreatBritain(zone, wall)


def test_an_unknown_postcode(api: FakeGb, wall: FakeWall) -> None:
    with pytest.raises(NoDataError, match="postcode or region may be unknown"):
        GreatBritain("GB-ZZ1", wall, api.url).forecast(wall.now())


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (lambda _: as_json({"data": []}), NoDataError, "no values"),
        (lambda _: as_json({}), NoDataError, "empty answer"),
        (lambda _: as_json({"data": [{"from": 3}]}), FormatError, "no field 'to'|ISO 8601"),
        (lambda _: as_json({"data": 3}), FormatError, "expected a JSON list"),
        (lambda _: as_json([]), FormatError, "expected a JSON object"),
        (server.html, FormatError, "expected JSON"),
        (server.empty, FormatError, "found nothing"),
        (server.broken(400, '{"error":{"code":"400","message":"a valid datetime"}}'),
         RefusedError, "a valid datetime"),
        (server.broken(500, '{"error":{"message":"Requested resource not found."}}'),
         AwayError, "Requested resource not found"),
        (server.broken(500, "<html>"), AwayError, "an HTML page"),
    ],
)  # fmt: skip
def test_faults(
    gb: GreatBritain, api: FakeGb, wall: FakeWall, fault: server.Fault,
    error: type[CarbonError], message: str,
) -> None:  # fmt: skip
    api.fault = fault
    with pytest.raises(error, match=message):
        gb.forecast(wall.now())


def test_generation_by_fuel_of_the_past(gb: GreatBritain, api: FakeGb, wall: FakeWall) -> None:
    end = running(wall)
    mixes = gb.mix(end - timedelta(days=2), end)
    assert len(mixes) == 96
    assert (mixes[0].start, mixes[-1].end) == (end - timedelta(days=2), end)
    level = api.series.g_per_kwh(mixes[7].start)
    assert mixes[7].fuels == pytest.approx({"wind": 60 - level / 10, "gas": 40 + level / 10})
    assert api.seen[0].path.startswith("/generation/")


def test_a_region_tells_its_fuels_beside_its_intensity(api: FakeGb, wall: FakeWall) -> None:
    region = GreatBritain("GB-13", wall, api.url)
    assert set(region.mix(running(wall) - HALF * 4, running(wall))[0].fuels) == {"wind", "gas"}
    api.lost = (running(wall) - HALF * 9, running(wall) + HALF)
    with pytest.raises(NoDataError, match="no generation by fuel"):
        region.mix(running(wall) - HALF * 4, running(wall))
