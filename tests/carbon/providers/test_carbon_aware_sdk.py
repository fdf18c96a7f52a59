"""The Carbon Aware SDK's Web API over the wire."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from lowtide.carbon.failures import FormatError, NoDataError, RefusedError
from lowtide.carbon.providers.carbon_aware_sdk import CarbonAwareSdk
from lowtide.errors import CarbonError
from tests.carbon.fakes.carbon_aware_sdk import FakeCarbonAwareSdk
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import as_json
from tests.carbon.fakes.wall import FakeWall

FIVE = timedelta(minutes=5)


@pytest.fixture
def api(
    serve: Callable[[FakeCarbonAwareSdk], FakeCarbonAwareSdk], wall: FakeWall, series: Series
) -> FakeCarbonAwareSdk:
    return serve(FakeCarbonAwareSdk(wall, series))


@pytest.fixture
def sdk(api: FakeCarbonAwareSdk, wall: FakeWall) -> CarbonAwareSdk:
    return CarbonAwareSdk("northeurope", wall, api.url)


def test_latest(sdk: CarbonAwareSdk, wall: FakeWall) -> None:
    values = sdk.latest(wall.now())
    assert {v.end - v.start for v in values} == {FIVE}
    assert {(v.status, v.basis, v.zone) for v in values} == {("measured", "unknown", "northeurope")}


@pytest.mark.parametrize("optimal_field", ["optimalDataPoint", "optimalDataPoints"])
@pytest.mark.parametrize("repeated", [False, True])
def test_overlapping_windows_of_the_forecast_become_disjoint(
    sdk: CarbonAwareSdk, api: FakeCarbonAwareSdk, wall: FakeWall, optimal_field: str, repeated: bool
) -> None:
    api.optimal_field, api.repeated = optimal_field, repeated
    values = sdk.forecast(wall.now())
    assert len(values) == 288
    assert all(a.end == b.start for a, b in pairwise(values))
    assert values[0].issued_at == wall.now()


def test_no_data(sdk: CarbonAwareSdk, api: FakeCarbonAwareSdk, wall: FakeWall) -> None:
    api.nothing = True
    for ask in (sdk.latest, sdk.forecast):
        with pytest.raises(NoDataError, match="no data for northeurope"):
            ask(wall.now())


def test_a_place_it_does_not_know(api: FakeCarbonAwareSdk, wall: FakeWall) -> None:
    with pytest.raises(RefusedError, match=r"400 .*validation errors"):
        CarbonAwareSdk("atlantis", wall, api.url).latest(wall.now())


def test_a_backend_without_forecasts(
    sdk: CarbonAwareSdk, api: FakeCarbonAwareSdk, wall: FakeWall
) -> None:
    api.has_forecast = False
    with pytest.raises(RefusedError, match="501"):
        sdk.forecast(wall.now())
    assert api.count("/emissions/forecasts") == 1


def test_two_places_in_one_answer_are_refused(
    sdk: CarbonAwareSdk, api: FakeCarbonAwareSdk, wall: FakeWall
) -> None:
    api.second_place = "GB"
    with pytest.raises(FormatError, match="answered for several: GB, IE"):
        sdk.latest(wall.now())


@pytest.mark.parametrize(
    "row",
    [
        {"location": "IE", "time": "2026-03-10T12:00:00+00:00", "duration": "soon", "rating": 1},
        {"location": "IE", "time": "2026-03-10T12:00:00", "duration": "00:05:00", "rating": 1},
        {"location": "IE", "time": "2026-03-10T12:00:00Z", "duration": "00:05:00"},
        "row",
    ],
)
def test_broken_rows(
    sdk: CarbonAwareSdk, api: FakeCarbonAwareSdk, wall: FakeWall, row: object
) -> None:
    api.fault = lambda _: as_json([row])
    with pytest.raises(FormatError):
        sdk.latest(wall.now())


def test_it_has_no_address_of_its_own(wall: FakeWall) -> None:
    with pytest.raises(CarbonError, match=r"set carbon\.base_url"):
        CarbonAwareSdk("northeurope", wall, None)
