"""Electricity Maps over the wire: estimates are said, other places are refused."""

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.providers.electricity_maps import ElectricityMaps
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.electricity_maps import TOKEN, FakeElectricityMaps
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)


@pytest.fixture
def api(
    serve: Callable[[FakeElectricityMaps], FakeElectricityMaps], wall: FakeWall, series: Series
) -> FakeElectricityMaps:
    return serve(FakeElectricityMaps(wall, series))


@pytest.fixture
def maps(api: FakeElectricityMaps, wall: FakeWall) -> ElectricityMaps:
    return ElectricityMaps("DE", TOKEN, wall, api.url)


def test_latest_says_that_it_is_estimated_and_how(maps: ElectricityMaps, wall: FakeWall) -> None:
    (value,) = maps.latest(wall.now())
    assert (value.status, value.kind, value.basis) == ("estimated", "average", "lifecycle")
    assert value.source == "Electricity Maps, estimated by TIME_SLICER_AVERAGE"
    assert value.start <= wall.now() < value.end


def test_the_request_forbids_the_fallback_to_the_callers_place(
    maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall
) -> None:
    maps.latest(wall.now())
    assert api.seen[0].query["disableCallerLookup"] == "true"
    assert TOKEN not in str(api.seen[0].query)


def test_an_answer_for_the_callers_place_is_refused(
    maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall
) -> None:
    api.caller_place = "FR"
    for ask in (maps.latest, maps.forecast, lambda now: maps.history(now - HOUR, now)):
        with pytest.raises(FormatError, match="asked for zone DE, answered for FR"):
            ask(wall.now())


def test_another_emission_factor_is_refused(
    maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall
) -> None:
    api.fault = lambda _: as_json(
        {"zone": "DE", "carbonIntensity": 5, "datetime": "2026-03-10T12:00:00.000Z",
         "emissionFactorType": "direct"}
    )  # fmt: skip
    with pytest.raises(FormatError, match="asked for emissionFactorType lifecycle"):
        maps.latest(wall.now())


def test_the_last_day_is_free_and_mixed(
    api: FakeElectricityMaps, maps: ElectricityMaps, wall: FakeWall
) -> None:
    now = wall.now()
    api.nulls = {now.replace(minute=0) - HOUR * 5}
    values = maps.history(now - HOUR * 24, now)
    assert len(values) == 24
    assert [v.status for v in values[-7:]] == [
        "measured", "estimated", *["measured"] * 3, "estimated", "estimated"
    ]  # fmt: skip
    assert api.count("/carbon-intensity/past-range") == 0


def test_a_paid_plan_gives_more_history_in_pieces(
    api: FakeElectricityMaps, maps: ElectricityMaps, wall: FakeWall
) -> None:
    now = wall.now()
    values = maps.history(now.replace(minute=0) - timedelta(days=28), now)
    assert api.count("/carbon-intensity/past-range") == 3
    assert (values[-1].end - values[0].start) >= timedelta(days=28)
    assert all(a.end <= b.start for a, b in pairwise(values))


def test_the_free_plan_is_not_asked_for_it_again(
    api: FakeElectricityMaps, maps: ElectricityMaps, wall: FakeWall
) -> None:
    api.paid = False
    for _ in range(3):
        assert len(maps.history(wall.now() - timedelta(days=9), wall.now())) == 24
    assert api.count("/carbon-intensity/past-range") == 1


def test_the_forecast_is_hourly_with_its_time_of_issue(
    maps: ElectricityMaps, wall: FakeWall
) -> None:
    values = maps.forecast(wall.now())
    assert len(values) == 73
    assert {v.status for v in values} == {"forecast"}
    assert values[0].issued_at == wall.now()
    assert all(a.end == b.start for a, b in pairwise(values))


def test_a_wrong_token(api: FakeElectricityMaps, wall: FakeWall) -> None:
    with pytest.raises(RefusedError, match=r"401 .*Invalid auth-token; .*check the token"):
        ElectricityMaps("DE", "wrong-token", wall, api.url).latest(wall.now())


def test_a_token_for_another_zone_says_for_which(api: FakeElectricityMaps, wall: FakeWall) -> None:
    with pytest.raises(RefusedError, match="zone FR not allowed: this token is for DE") as caught:
        ElectricityMaps("FR", TOKEN, wall, api.url).latest(wall.now())
    assert TOKEN not in str(caught.value)


def test_nothing_recent(maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall) -> None:
    api.fault = server.broken(404, '{"error":"No recent data for zone \\"DE\\""}')
    with pytest.raises(NoDataError, match='No recent data for zone "DE"'):
        maps.latest(wall.now())


def test_a_null_is_no_data(maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall) -> None:
    api.nulls = {wall.now().replace(minute=0)}
    with pytest.raises(NoDataError):
        maps.latest(wall.now())


def test_throttling_in_both_forms(
    maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall
) -> None:
    date = format_datetime(wall.now() + timedelta(seconds=14), usegmt=True)
    api.faults.extend([server.broken(429, Retry_After="9"), server.broken(429, Retry_After=date)])
    assert len(maps.latest(wall.now())) == 1
    assert wall.slept_s == [9.0, 5.0]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (server.cut_json, FormatError),
        (server.broken(502, "bad gateway"), AwayError),
        (lambda _: as_json({"zone": "DE", "carbonIntensity": "12", "datetime": "x"}), FormatError),
        (lambda _: as_json({"zone": "DE", "carbonIntensity": 12,
                            "datetime": "2026-03-10T12:00:00"}), FormatError),
        (lambda _: as_json({"zone": "DE", "carbonIntensity": -4,
                            "datetime": "2026-03-10T12:00:00Z"}), NoDataError),
    ],
)  # fmt: skip
def test_faults(
    maps: ElectricityMaps, api: FakeElectricityMaps, wall: FakeWall, fault: server.Fault,
    error: type[CarbonError],
) -> None:  # fmt: skip
    api.fault = fault
    with pytest.raises(error):
        maps.latest(wall.now())
