"""Energy-Charts' /co2eq: parallel arrays with nulls, figures that lag, a limit that bites."""

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
        return as_json(self._content(floor(first, self.step), last))

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
