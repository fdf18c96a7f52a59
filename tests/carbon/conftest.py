"""Fake APIs on loopback, a clock that tests turn, and no tokens from outside."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lowtide.carbon.cache import DiskCache
from lowtide.carbon.forecast.issued import IssuedFile
from lowtide.carbon.forecaster import Forecaster
from lowtide.carbon.history import HistoryFile
from lowtide.carbon.live import LiveSource
from lowtide.carbon.providers import Provider
from lowtide.carbon.rows import INTENSITY
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake, serving
from tests.carbon.fakes.wall import FakeWall

NOW = datetime(2026, 3, 10, 12, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELECTRICITY_MAPS_TOKEN", "WATTTIME_USER", "WATTTIME_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wall() -> FakeWall:
    return FakeWall(NOW)


@pytest.fixture
def series() -> Series:
    return Series(seed=7)


@pytest.fixture
def serve() -> Iterator[Callable[[Fake], Fake]]:
    """Start a fake; it stops with the test."""
    with ExitStack() as stack:

        def start(fake: Fake) -> Fake:
            stack.enter_context(serving(fake))
            return fake

        yield start


@pytest.fixture
def live(wall: FakeWall, tmp_path: Path) -> Callable[[Provider], LiveSource]:
    """A provider behind a cache in this test's folder."""

    def make(provider: Provider) -> LiveSource:
        cache = DiskCache(tmp_path, INTENSITY, wall)
        history = HistoryFile(tmp_path / f"history-{provider.key}-{provider.zone}.json")
        forecaster = Forecaster(IssuedFile(tmp_path / "forecasts.db"))
        return LiveSource(provider, cache, history, wall, forecaster)

    return make
