"""WattTime over the wire: one login for many questions, renewed in time, pounds become grams."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.providers.watttime import WattTime
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall
from tests.carbon.fakes.watttime import PASSWORD, USER, FakeWattTime

FIVE = timedelta(minutes=5)


@pytest.fixture
def api(
    serve: Callable[[FakeWattTime], FakeWattTime], wall: FakeWall, series: Series
) -> FakeWattTime:
    return serve(FakeWattTime(wall, series))


@pytest.fixture
def watttime(api: FakeWattTime, wall: FakeWall) -> WattTime:
    return WattTime("US-CISO", USER, PASSWORD, wall, api.url)


def test_the_forecast_in_grams(watttime: WattTime, api: FakeWattTime, wall: FakeWall) -> None:
    values = watttime.forecast(wall.now())
    assert len(values) == 72 * 12
    assert values[3].intensity_g_per_kwh == pytest.approx(api.series.g_per_kwh(values[3].start))
    assert {(v.zone, v.kind, v.source) for v in values} == {
        ("US-CISO", "marginal", "WattTime MOER 2023-03-01")
    }
    assert values[0].issued_at == values[0].start


def test_latest_marks_what_was_imputed(watttime: WattTime, wall: FakeWall) -> None:
    values = watttime.latest(wall.now())
    assert {v.status for v in values if v.start.minute == 55} == {"estimated"}
    assert {v.status for v in values if v.start.minute != 55} == {"measured"}


def test_ranges_join_without_a_double_and_without_a_hole(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    start = wall.now() - timedelta(days=45)
    values = watttime.history(start, wall.now())
    assert len(values) == 45 * 288
    assert len({v.start for v in values}) == len(values)
    first, second = (seen.query for seen in api.seen if seen.path == "/v3/historical")
    ends, begins = (datetime.fromisoformat(t) for t in (first["end"], second["start"]))
    assert begins - ends == FIVE  # both ends are in an answer


def test_one_login_for_many_questions(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    for _ in range(5):
        watttime.forecast(wall.now())
    assert api.count("/login") == 1


def test_the_token_is_renewed_before_it_ends(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    watttime.forecast(wall.now())
    wall.forward(timedelta(minutes=26))
    watttime.forecast(wall.now())
    assert (api.count("/login"), api.count("/v3/forecast")) == (2, 2)


def test_a_token_that_ends_early_is_renewed_once(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    watttime.forecast(wall.now())
    wall.forward(FIVE)
    api.end_tokens()
    assert watttime.forecast(wall.now())
    assert api.count("/login") == 2


def test_tokens_that_are_refused_always_end_in_an_error(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    api.fault = lambda reply: (
        server.as_text("Jwt is expired", 401) if b"token" not in reply.body else reply
    )
    with pytest.raises(RefusedError, match=r"401 .*Jwt is expired"):
        watttime.forecast(wall.now())
    assert api.count("/login") == 2


def test_a_wrong_password_is_told_from_a_region_outside_the_plan(
    api: FakeWattTime, wall: FakeWall
) -> None:
    with pytest.raises(RefusedError, match="check WATTTIME_USER and WATTTIME_PASSWORD"):
        WattTime("US-CISO", USER, "wrong-password", wall, api.url).forecast(wall.now())
    with pytest.raises(RefusedError, match="PJM_NJ is not in the plan"):
        WattTime("PJM_NJ", USER, PASSWORD, wall, api.url).forecast(wall.now())


def test_its_warnings_are_passed_on_once(
    watttime: WattTime, wall: FakeWall, caplog: pytest.LogCaptureFixture
) -> None:
    watttime.forecast(wall.now())
    watttime.forecast(wall.now())
    assert caplog.text.count("the model changes soon") == 1


def test_other_units_are_refused(watttime: WattTime, api: FakeWattTime, wall: FakeWall) -> None:
    api.units = "percentile"
    with pytest.raises(FormatError, match="asked for units lbs_co2_per_mwh"):
        watttime.forecast(wall.now())


def test_throttling_names_what_was_said(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall
) -> None:
    watttime.forecast(wall.now())
    api.fault = server.broken(429, '{"error":"rate_limit","msg":"slow down"}')
    with pytest.raises(AwayError, match="429 to /v3/forecast: rate_limit"):
        watttime.forecast(wall.now())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"data": []}, FormatError),
        ({"data": [], "meta": {"region": "CAISO_NORTH", "signal_type": "co2_moer",
                               "units": "lbs_co2_per_mwh"}}, NoDataError),
        ({"data": [], "meta": {"region": "BPA", "signal_type": "co2_moer",
                               "units": "lbs_co2_per_mwh"}}, FormatError),
        ({"data": [{"value": 1}], "meta": {"region": "CAISO_NORTH", "signal_type": "co2_moer",
                                           "units": "lbs_co2_per_mwh"}}, FormatError),
    ],
)  # fmt: skip
def test_faults(
    watttime: WattTime, api: FakeWattTime, wall: FakeWall, content: object,
    error: type[CarbonError],
) -> None:  # fmt: skip
    watttime.forecast(wall.now())
    api.fault = lambda _: as_json(content)
    with pytest.raises(error):
        watttime.forecast(wall.now())
