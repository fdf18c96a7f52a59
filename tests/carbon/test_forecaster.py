"""A provider's forecast carried on by ours, with bands from what each was wrong by."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lowtide.carbon.forecast.issued import IssuedFile
from lowtide.carbon.live import LiveSource
from lowtide.carbon.providers import Provider
from lowtide.carbon.providers.gb import GreatBritain
from lowtide.carbon.sources import open_source
from lowtide.params import CarbonParams
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.open_meteo import FakeOpenMeteo
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake, broken
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)
GB = "GB Carbon Intensity API"
PARAMS = {
    "zone": "GB", "source": "gb", "second_source": None, "constant_g_per_kwh": None,
    "trace": None, "replay_start": None, "replay_speed": 1.0, "pue": 1.0,
}  # fmt: skip


@pytest.fixture
def bare(
    serve: Callable[[Fake], Fake],
    wall: FakeWall,
    series: Series,
    live: Callable[[Provider], LiveSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LiveSource:
    monkeypatch.chdir(tmp_path)  # models are kept there
    api = FakeGb(wall, series)
    serve(api)
    return live(GreatBritain("GB", wall, api.url))


@pytest.fixture
def gb(bare: LiveSource, wall: FakeWall) -> LiveSource:
    """With eighty days of history."""
    bare.history(wall.now() - timedelta(days=80), wall.now())
    return bare


@pytest.fixture
def issued(tmp_path: Path) -> IssuedFile:
    return IssuedFile(tmp_path / "forecasts.db")


def test_both_forecasts_are_kept_and_scored_side_by_side(
    gb: LiveSource, issued: IssuedFile, wall: FakeWall
) -> None:
    at = wall.now()
    gb.forecast(at, 24)
    wall.forward(HOUR * 26)
    past = gb.history(at - HOUR, wall.now())
    scores = issued.score("GB", past)
    sources = {row["source"] for row in scores}
    assert sources == {GB, f"{GB}, ridge"}
    assert {row["hours_ahead"] for row in scores if row["source"] == GB} >= set(range(1, 25))


def test_a_forecast_for_another_moment_is_not_kept(
    gb: LiveSource, issued: IssuedFile, wall: FakeWall
) -> None:
    gb.forecast(wall.now() - timedelta(days=3), 24)
    assert issued.first_start("GB") is None


def test_the_band_is_ours_until_enough_errors_of_the_provider_are_known(
    gb: LiveSource, wall: FakeWall
) -> None:
    """The fake's own forecast is right, so that its band becomes narrow."""
    first = gb.forecast(wall.now(), 12)[4]
    assert first.low is not None
    assert first.high is not None
    assert first.high - first.low > 5
    for _ in range(30):
        wall.forward(HOUR)
        gb.forecast(wall.now(), 12)
    gb.history(wall.now() - timedelta(days=2), wall.now())
    later = gb.forecast(wall.now(), 12)[4]
    assert later.low is not None
    assert later.high is not None
    assert later.high - later.low < 1


def test_a_store_that_cannot_be_written_is_no_reason_to_have_no_forecast(
    gb: LiveSource, tmp_path: Path, wall: FakeWall, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "forecasts.db").write_text("nonsense" * 200)
    assert gb.forecast(wall.now(), 12)[4].low is not None
    assert "forecasts.db cannot be used" in caplog.text


def test_a_providers_forecast_is_kept_also_without_any_history(
    bare: LiveSource, issued: IssuedFile, wall: FakeWall
) -> None:
    bare.forecast(wall.now(), 24)
    assert issued.first_start("GB") is not None


def test_the_weather_of_params_yaml_moves_a_live_forecast(
    serve: Callable[[Fake], Fake],
    wall: FakeWall,
    series: Series,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    api, meteo = FakeGb(wall, series), FakeOpenMeteo(wall, series)
    api.num_ahead = 2
    for fake in (api, meteo):
        serve(fake)
    weather = {"places": [[54.0, 8.8]], "base_url": meteo.url}
    found = {}
    for name, told in (("without", None), ("with", weather)):
        params = CarbonParams.model_validate({**PARAMS, "base_url": api.url, "weather": told})
        source = open_source(params, tmp_path / name, wall)
        found[name] = [v.intensity_g_per_kwh for v in source.forecast(wall.now(), 24)]
    assert meteo.count() == 1
    assert found["with"] != found["without"]
    meteo.fault = broken(503)
    wall.forward(HOUR * 2)
    assert len(source.forecast(wall.now(), 24)) > 20
