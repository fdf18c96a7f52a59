"""The Carbon Aware SDK's Web API over a backend of five-minute values."""

from datetime import datetime, timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

FIVE = timedelta(minutes=5)
WINDOW = 10  # minutes: forecast values are rolling means, so intervals overlap


class FakeCarbonAwareSdk(Fake):
    def __init__(self, wall: FakeWall, series: Series) -> None:
        super().__init__(wall, series)
        self.nothing = False
        self.optimal_field = "optimalDataPoints"
        self.repeated = False
        self.second_place: str | None = None
        self.has_forecast = True

    def answer(self, seen: Seen) -> Reply:
        if self.nothing:
            return Reply(204)
        if seen.query.get("location") != "northeurope":
            problem = {"title": "One or more validation errors occurred.", "status": 400,
                       "errors": {"location": ["unknown"]}, "traceId": "00-1"}  # fmt: skip
            return as_json(problem, 400)
        if seen.path == "/emissions/bylocation":
            return self._emissions(seen)
        if not self.has_forecast:
            return as_json({"title": "NotImplemented", "status": 501}, 501)
        return self._forecast()

    def _emissions(self, seen: Seen) -> Reply:
        first = datetime.fromisoformat(seen.query["time"])
        last = datetime.fromisoformat(seen.query["toTime"])
        if first.tzinfo is None or last.tzinfo is None:
            return as_json({"title": "send an offset", "status": 400, "errors": {}}, 400)
        rows = [
            {"location": self._place(index), "time": _text(start), "duration": "00:05:00",
             "rating": float(self.series.g_per_kwh(start))}
            for index, start in enumerate(starts(floor(first, FIVE), last, FIVE))
        ]  # fmt: skip
        return as_json(rows)

    def _forecast(self) -> Reply:
        issued = floor(self.wall.now(), FIVE)
        points = [self._point(start) for start in starts(issued, issued + FIVE * 288, FIVE)]
        best: Any = points[0] if self.optimal_field == "optimalDataPoint" else [points[0]]
        one = {"requestedAt": _text(issued), "generatedAt": _text(issued),
               "location": "northeurope", "dataStartAt": _text(issued), "windowSize": WINDOW,
               self.optimal_field: best, "forecastData": points}  # fmt: skip
        return as_json([one, one] if self.repeated else [one])

    def _point(self, start: datetime) -> dict[str, Any]:
        return {"location": "IE", "timestamp": _text(start), "duration": WINDOW,
                "value": float(self.series.g_per_kwh(start))}  # fmt: skip

    def _place(self, index: int) -> str:
        return self.second_place if self.second_place and index % 2 else "IE"


def _text(instant: datetime) -> str:
    return instant.isoformat()
