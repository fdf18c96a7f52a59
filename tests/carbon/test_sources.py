"""From params.yaml to a source: what `auto` takes, and what is refused before any request."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.carbon.sources import open_source
from lowtide.carbon.trace import TraceSource
from lowtide.carbon.typical import TypicalSource
from lowtide.errors import CarbonError
from lowtide.params import CarbonParams
from tests.carbon.fakes.gb import FakeGb
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake
from tests.carbon.fakes.wall import FakeWall
from tests.carbon.fakes.watttime import PASSWORD, USER, FakeWattTime


def params(**changes: Any) -> CarbonParams:
    given = {
        "zone": "GB", "source": "auto", "second_source": None, "base_url": None,
        "constant_g_per_kwh": None, "weather": None, "trace": None, "replay_start": None,
        "replay_speed": 1.0, "pue": 1.0,
    }  # fmt: skip
    return CarbonParams(**{**given, **changes})


def opened(tmp_path: Path, **changes: Any) -> str:
    return open_source(params(**changes), tmp_path).name


def test_auto_takes_what_fits_the_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(tmp_path) == "GB Carbon Intensity API"
    assert opened(tmp_path, zone="GB-13") == "GB Carbon Intensity API"
    assert opened(tmp_path, zone="DE") == "Energy-Charts"
    assert opened(tmp_path, zone="US-CISO") == "typical profile 2022"
    monkeypatch.setenv("WATTTIME_USER", "u")
    assert opened(tmp_path, zone="US-CISO") == "typical profile 2022"
    monkeypatch.setenv("WATTTIME_PASSWORD", "p")
    assert opened(tmp_path, zone="US-CISO") == "WattTime MOER"
    monkeypatch.setenv("ELECTRICITY_MAPS_TOKEN", "t")
    assert opened(tmp_path, zone="US-CISO") == "Electricity Maps"
    assert opened(tmp_path) == "GB Carbon Intensity API"
    assert not list(tmp_path.iterdir())


def test_auto_takes_the_trace_that_is_named_and_a_replay_nothing_live(tmp_path: Path) -> None:
    packaged = {"zone": "US-CISO", "trace": "packaged"}
    assert isinstance(open_source(params(**packaged), tmp_path), TraceSource)
    replay = {"zone": "US-CISO", "replay_start": "2022-04-14T03:00:00Z"}
    assert isinstance(open_source(params(**replay), tmp_path), TypicalSource)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "gb", "replay_start": "2022-04-14T03:00:00Z"}, "not for a replay"),
        ({"source": "electricity-maps"}, "ELECTRICITY_MAPS_TOKEN is not set"),
        ({"source": "watttime"}, "WATTTIME_USER is not set"),
        ({"source": "gb", "zone": "FR"}, "does not know zone FR"),
        ({"source": "energy-charts", "zone": "US-CISO"}, "does not know zone US-CISO"),
        ({"source": "carbon-aware-sdk"}, r"set carbon\.base_url"),
        ({"source": "gb", "base_url": "nonsense"}, "no http"),
        ({"source": "gb", "second_source": "energy-charts"}, "levels cannot be compared"),
        ({"source": "gb", "second_source": "gb"}, "is gb again"),
        ({"source": "trace"}, "carbon.trace is empty"),
        ({"source": "typical"}, "no typical profile for zone GB"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CarbonError, match=message):
        open_source(params(**changes), tmp_path)


def test_a_live_source_answers_through_the_whole_chain(
    tmp_path: Path, serve: Callable[[Fake], Fake], wall: FakeWall, series: Series
) -> None:
    api = serve(FakeGb(wall, series))
    source = open_source(params(base_url=api.url), tmp_path, wall)
    assert source.current(wall.now()).intensity_g_per_kwh > 0
    again = open_source(params(base_url=api.url), tmp_path, wall)
    again.current(wall.now())
    assert api.count() == 1


def test_an_unreachable_source_ends_with_the_constant(tmp_path: Path, wall: FakeWall) -> None:
    carbon = params(zone="DE", base_url="http://127.0.0.1:9", constant_g_per_kwh=123.0)
    assert open_source(carbon, tmp_path, wall).current(wall.now()).rung == "annual"
    odd = params(
        zone="nowhere", source="carbon-aware-sdk", base_url="http://127.0.0.1:9",
        constant_g_per_kwh=123.0,
    )  # fmt: skip
    value = open_source(odd, tmp_path, wall).current(wall.now())
    assert (value.rung, value.intensity_g_per_kwh) == ("constant", 123.0)


def test_no_password_is_left_on_the_disk_or_in_the_log(
    tmp_path: Path, serve: Callable[[Fake], Fake], wall: FakeWall, series: Series,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("WATTTIME_USER", USER)
    monkeypatch.setenv("WATTTIME_PASSWORD", PASSWORD)
    api = serve(FakeWattTime(wall, series))
    source = open_source(params(zone="US-CISO", base_url=api.url), tmp_path, wall)
    source.forecast(wall.now(), 24)
    source.history(wall.now().replace(hour=0), wall.now())
    monkeypatch.setenv("WATTTIME_PASSWORD", f"{PASSWORD}-wrong")
    wrong = open_source(params(zone="US-CISO", base_url=api.url), tmp_path / "wrong", wall)
    assert wrong.current(wall.now()).rung == "profile"
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    text = "".join(f.decode("utf-8", "replace") for f in files) + caplog.text
    assert "check WATTTIME_USER and WATTTIME_PASSWORD" in text
    assert PASSWORD not in text
    assert "jwt-secret" not in text


def test_opening_a_trace_loads_no_http_client() -> None:
    code = (
        "import sys, lowtide.carbon.sources\n"
        "bad = {'httpx', 'tenacity', 'lowtide.carbon.fetch'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
