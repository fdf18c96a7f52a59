"""Energy-Charts, two routes: parallel arrays with nulls, figures that lag, a limit that bites."""

from datetime import datetime, timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

GAP_S = 7.5  # what the real bucket refills in


class FakeEnergyCharts(Fake):
    def __init__(self, wall: FakeWall, series: Series) -> None:
        super().__init__(wall, series)
        self.step = timedelta(minutes=15)
        self.lag = timedelta(hours=2)
        self.horizon = timedelta(hours=20)
        self.cut = 0  # entries that the forecast array is short of
        self.absent: set[str] = set()
        self.nulls: set[datetime] = set()
        self.deprecated = False
        self._before_s = -1e9

    def answer(self, seen: Seen) -> Reply:
        gap_s, self._before_s = self.wall.monotonic() - self._before_s, self.wall.monotonic()
        if gap_s < GAP_S:
            return as_json({"detail": "too many requests"}, 429, Retry_After="30")
        if seen.query.get("country") != "de":
            return as_json({"detail": "no content"}, 404)
        try:
            first, last = (datetime.fromisoformat(seen.query[name]) for name in ("start", "end"))
        except ValueError:
            problem = {"loc": ["query", "start"], "msg": "invalid time", "type": "value_error"}
            return as_json({"detail": [problem]}, 422)
        content = self._powers if seen.path == "/public_power" else self._content
        return as_json(content(floor(first, self.step), last))

    def _powers(self, first: datetime, last: datetime) -> dict[str, Any]:
        """In MW, with rows that are no generation, and nothing yet of the newest hours."""
        end = min(last, self.wall.now() - self.lag) + timedelta(seconds=1)
        times = starts(first, end, self.step)
        wind = [None if t in self.nulls else 60000 - 100 * self.series.g_per_kwh(t) for t in times]
        rows = {
            "Wind onshore": wind,
            "Fossil gas": [20000.0] * len(times),
            "Hydro pumped storage consumption": [-500.0] * len(times),
            "Cross border electricity trading": [1200.0] * len(times),
            "Load": [55000.0] * len(times),
            "Renewable share of load": [61.0] * len(times),
        }
        return {
            "unix_seconds": [int(t.timestamp()) for t in times],
            "production_types": [{"name": name, "data": data} for name, data in rows.items()],
            "deprecated": self.deprecated,
        }

    def _content(self, first: datetime, last: datetime) -> dict[str, Any]:
        now = self.wall.now()
        times = starts(first, min(last, now + self.horizon) + timedelta(seconds=1), self.step)
        known = now - self.lag
        actual = [self._level(t) if t + self.step <= known else None for t in times]
        ahead = [self._level(t) if t + self.step > known else None for t in times]
        content = {
            "unix_seconds": [int(t.timestamp()) for t in times],
            "co2eq": actual,
            "co2eq_forecast": ahead[: len(ahead) - self.cut],
            "deprecated": self.deprecated,
        }
        return {name: entry for name, entry in content.items() if name not in self.absent}

    def _level(self, start: datetime) -> float | None:
        return None if start in self.nulls else self.series.g_per_kwh(start) + 0.5
