"""Electricity Maps v3: one zone a token, estimates, and the caller's place when it is unsure."""

from datetime import datetime, timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)
TOKEN = "em-token-5f2c9d81"


class FakeElectricityMaps(Fake):
    def __init__(self, wall: FakeWall, series: Series, zone: str = "DE", paid: bool = True) -> None:
        super().__init__(wall, series)
        self.zone, self.paid = zone, paid
        self.caller_place: str | None = None  # the zone that is answered for, whatever is asked
        self.nulls: set[datetime] = set()
        self.lag = timedelta(0)

    def answer(self, seen: Seen) -> Reply:
        route = seen.path.removeprefix("/")
        token = seen.headers.get("auth-token")
        if route == "zones":
            access = {"access": ["carbon-intensity/latest"]} if token == TOKEN else {}
            return as_json({self.zone: {"zoneName": "Germany", **access}})
        if token != TOKEN or seen.query.get("zone") != self.zone:
            return as_json({"error": "Invalid auth-token"}, 401)
        if seen.query.get("disableEstimations") == "true":
            return as_json({"error": f'No recent data for zone "{self.zone}"'}, 404)
        answers = {
            "carbon-intensity/latest": self._latest,
            "carbon-intensity/history": self._history,
            "carbon-intensity/past-range": self._past,
            "carbon-intensity/forecast": self._forecast,
        }
        return answers[route](seen)

    def _running(self) -> datetime:
        return floor(self.wall.now() - self.lag, HOUR)

    def _latest(self, _: Seen) -> Reply:
        return as_json({**self._row(self._running()), "temporalGranularity": "hourly"})

    def _history(self, _: Seen) -> Reply:
        running = self._running()
        hours = starts(running - HOUR * 23, running + HOUR, HOUR)
        rows = [self._row(hour) for hour in reversed(hours)]
        return as_json({"zone": self._named(), "history": rows})

    def _past(self, seen: Seen) -> Reply:
        if not self.paid:
            return as_json({"error": "Invalid auth-token"}, 401)
        first, last = (datetime.fromisoformat(seen.query[name]) for name in ("start", "end"))
        if last - first > timedelta(days=10):
            return as_json({"error": "range too long"}, 400)
        rows = [self._row(hour) for hour in starts(floor(first, HOUR), last, HOUR)]
        return as_json({"zone": self._named(), "data": rows})

    def _forecast(self, seen: Seen) -> Reply:
        if not self.paid:
            return as_json({"error": "Invalid auth-token"}, 401)
        if seen.query.get("horizonHours") not in ("6", "24", "48", "72"):
            return as_json({"message": "horizonHours must be one of 6, 24, 48, 72"}, 400)
        first = self._running() + HOUR
        count = int(seen.query["horizonHours"]) + 1  # the end point is in it
        rows = [
            {"carbonIntensity": self.series.g_per_kwh(hour), "datetime": _text(hour)}
            for hour in starts(first, first + HOUR * count, HOUR)
        ]
        return as_json({"zone": self._named(), "forecast": rows, "temporalGranularity": "hourly",
                        "updatedAt": _text(self.wall.now())})  # fmt: skip

    def _row(self, start: datetime) -> dict[str, Any]:
        estimated = start >= self._running() - HOUR
        return {
            "zone": self._named(),
            "carbonIntensity": None if start in self.nulls else self.series.g_per_kwh(start),
            "datetime": _text(start),
            "updatedAt": _text(start + HOUR),
            "createdAt": _text(start),
            "emissionFactorType": "lifecycle",
            "isEstimated": estimated,
            "estimationMethod": "TIME_SLICER_AVERAGE" if estimated else None,
        }

    def _named(self) -> str:
        return self.caller_place or self.zone


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")
