"""The chain: rung by rung down to the constant, said once, never mixed."""

import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from lowtide.carbon.annual import FlatSource, annual_source
from lowtide.carbon.chain import ChainSource
from lowtide.carbon.live import LiveSource
from lowtide.carbon.providers import Provider
from lowtide.carbon.providers.electricity_maps import ElectricityMaps
from lowtide.carbon.providers.energy_charts import EnergyCharts
from lowtide.carbon.providers.gb import GreatBritain
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.electricity_maps import TOKEN, FakeElectricityMaps
from tests.carbon.fakes.energy_charts import FakeEnergyCharts
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)
Live = Callable[[Provider], LiveSource]


class Grid:
    """Germany by two APIs of one signal, and what is known without them."""

    def __init__(
        self, serve: Callable[[Fake], Fake], live: Live, wall: FakeWall, series: Series
    ) -> None:
        self.wall = wall
        self.maps, self.charts = FakeElectricityMaps(wall, series), FakeEnergyCharts(wall, series)
        serve(self.maps)
        serve(self.charts)
        first = live(ElectricityMaps("DE", TOKEN, wall, self.maps.url))
        second = live(EnergyCharts("DE", wall, self.charts.url))
        constant = FlatSource("DE", 400.0, "constant", "unknown")
        self.chain = ChainSource(
            first, second, [("annual", annual_source("DE")), ("constant", constant)]
        )

    def rungs(self, hours: float = 12) -> tuple[str, str]:
        """(of the current value, of the forecast); one signal in the list, up to the horizon."""
        now = self.wall.now()
        values = self.chain.forecast(now, hours)
        assert len({(v.rung, v.kind, v.basis) for v in values}) == 1
        assert values[0].start <= now
        assert values[-1].end >= now + HOUR * hours
        assert all(a.end == b.start for a, b in pairwise(values))
        current = self.chain.current(now)
        assert current.start <= now < current.end
        return current.rung, values[0].rung

    def fail(self, *apis: Fake) -> None:
        for api in apis:
            api.fault = server.broken(503)


@pytest.fixture
def grid(serve: Callable[[Fake], Fake], live: Live, wall: FakeWall, series: Series) -> Grid:
    return Grid(serve, live, wall, series)


def test_the_first_is_taken_and_the_second_not_asked(grid: Grid) -> None:
    assert grid.rungs() == ("provider", "provider")
    assert grid.charts.count() == 0


def test_the_second_stands_in(grid: Grid) -> None:
    grid.fail(grid.maps)
    assert grid.rungs() == ("second provider", "second provider")
    assert grid.chain.current(grid.wall.now()).source == "Energy-Charts"


def test_an_answer_that_was_kept_stands_in_for_both(grid: Grid) -> None:
    grid.rungs()
    grid.fail(grid.maps, grid.charts)
    grid.wall.forward(HOUR * 1.5)
    assert grid.rungs() == ("stale cache", "stale cache")


def test_the_second_outranks_what_was_kept(grid: Grid) -> None:
    grid.rungs()
    grid.fail(grid.maps)
    grid.wall.forward(HOUR * 1.5)
    assert grid.rungs() == ("second provider", "second provider")


def test_the_profile_of_gathered_history(grid: Grid) -> None:
    grid.chain.history(grid.wall.now() - timedelta(days=20), grid.wall.now())
    grid.fail(grid.maps, grid.charts)
    grid.wall.forward(timedelta(days=2))
    assert grid.rungs() == ("profile", "profile")
    assert "hour-of-week" in grid.chain.current(grid.wall.now()).source


def test_the_annual_mean(grid: Grid) -> None:
    grid.fail(grid.maps, grid.charts)
    assert grid.rungs() == ("annual", "annual")
    assert grid.chain.current(grid.wall.now()).intensity_g_per_kwh == 380.9


def test_the_constant_and_then_nothing(
    serve: Callable[[Fake], Fake], live: Live, wall: FakeWall, series: Series
) -> None:
    api = FakeGb(wall, series)
    serve(api)
    api.fault = server.broken(500)
    source = live(GreatBritain("GB", wall, api.url))
    constant = FlatSource("GB", 250.0, "constant", "unknown")
    chain = ChainSource(source, None, [("constant", constant)])
    assert chain.current(wall.now()).rung == "constant"
    assert {v.rung for v in chain.forecast(wall.now(), 3)} == {"constant"}
    with pytest.raises(CarbonError, match="no current for GB from any source") as caught:
        ChainSource(source).current(wall.now())
    assert "\n" not in str(caught.value)


def test_a_provider_that_comes_back_is_taken_again(grid: Grid) -> None:
    grid.fail(grid.maps, grid.charts)
    assert grid.rungs() == ("annual", "annual")
    grid.maps.fault = None
    grid.wall.forward(timedelta(minutes=30))
    assert grid.rungs() == ("provider", "provider")


def test_a_fall_is_warned_of_once(grid: Grid, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    grid.fail(grid.maps)
    for _ in range(20):
        grid.chain.current(grid.wall.now())
        grid.wall.forward(timedelta(minutes=2))
    assert caplog.text.count("falls below provider") == 1
    grid.maps.fault = None
    grid.wall.forward(timedelta(minutes=30))
    grid.chain.current(grid.wall.now())
    grid.fail(grid.maps)
    grid.wall.forward(timedelta(minutes=30))
    grid.chain.current(grid.wall.now())
    assert caplog.text.count("falls below provider") == 2


def test_a_provider_that_is_away_is_not_asked_at_every_sample(grid: Grid) -> None:
    """A meter asks each second: a dead host must cost it neither time nor requests."""
    grid.fail(grid.maps, grid.charts)
    for _ in range(600):
        grid.chain.current(grid.wall.now())
        grid.wall.forward(timedelta(seconds=1))
    assert grid.maps.count() <= 3 * 4
    assert grid.charts.count() <= 3 * 4


def test_signals_of_different_kind_or_basis_are_not_chained(live: Live, wall: FakeWall) -> None:
    first = live(GreatBritain("GB", wall, "http://127.0.0.1:9"))
    second = live(EnergyCharts("GB", wall, "http://127.0.0.1:9"))
    with pytest.raises(CarbonError, match="energy-charts is average, lifecycle, but gb is"):
        ChainSource(first, second)


def test_history_is_never_an_estimate(grid: Grid) -> None:
    grid.fail(grid.maps, grid.charts)
    assert grid.chain.history(grid.wall.now() - HOUR * 24, grid.wall.now()) == []


@pytest.mark.parametrize(
    "fault",
    [server.html, server.empty, server.cut_json, server.reset, server.broken(429),
     server.redirect("http://127.0.0.1:9/"), lambda _: server.as_json({"zone": "FR"})],
)  # fmt: skip
def test_any_fault_of_the_first_is_a_fall_and_not_a_crash(grid: Grid, fault: server.Fault) -> None:
    grid.maps.fault = fault
    assert grid.rungs()[0] == "second provider"


def test_the_credits_of_both_are_named(grid: Grid) -> None:
    assert "Electricity Maps" in grid.chain.attribution
    assert "CC BY 4.0" in grid.chain.attribution


def test_no_token_is_left_on_the_disk_or_in_the_log(
    grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    grid.rungs()
    grid.chain.history(grid.wall.now() - timedelta(days=3), grid.wall.now())
    grid.maps.fault = server.broken(401, f'{{"error": "Invalid auth-token {TOKEN}"}}')
    grid.wall.forward(HOUR * 2)
    grid.rungs()
    grid.maps.fault = server.broken(404, f"no data for {TOKEN}")
    grid.wall.forward(HOUR * 2)
    grid.rungs()
    written = [
        path.read_bytes().decode("utf-8", "replace")
        for path in tmp_path.iterdir()
        if path.is_file()
    ]
    assert any("failed_at" in text for text in written)
    assert any("Electricity Maps" in text for text in written)
    assert TOKEN not in "".join(written) + caplog.text
    assert "Invalid auth-token ***" in caplog.text
