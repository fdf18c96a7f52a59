"""Open-Meteo's hourly forecast; radiation is labelled by the end of its hour."""

from datetime import timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

HOUR = timedelta(hours=1)
REASONS = {
    "minute": "Minutely API request limit exceeded. Please try again in one minute.",
    "hour": "Hourly API request limit exceeded. Please try again in the next hour.",
    "day": "Daily API request limit exceeded. Please try again tomorrow.",
}


class FakeOpenMeteo(Fake):
    def __init__(self, wall: FakeWall, series: Series) -> None:
        super().__init__(wall, series)
        self.as_list = False
        self.texts = False  # times as text without a zone
        self.offset_s = 0
        self.limit: str | None = None
        self.null_hours: set[int] = set()

    def answer(self, seen: Seen) -> Reply:
        if self.limit:
            return as_json({"error": True, "reason": REASONS[self.limit]}, 429)
        if "hourly" not in seen.query:
            return as_json({"error": True, "reason": "no variable"}, 400)
        midnight = floor(self.wall.now(), HOUR * 24)
        first = midnight - timedelta(days=int(seen.query["past_days"]))
        last = midnight + timedelta(days=int(seen.query["forecast_days"]))
        times = starts(first, last, HOUR)
        metric = seen.query.get("wind_speed_unit") == "ms"
        content: dict[str, Any] = {
            "latitude": 52.52,
            "longitude": 13.419998,
            "utc_offset_seconds": self.offset_s,
            "hourly_units": {"time": "unixtime", "wind_speed_120m": "m/s" if metric else "km/h",
                             "shortwave_radiation": "W/m²"},
            "hourly": {
                "time": [t.strftime("%Y-%m-%dT%H:%M") if self.texts else int(t.timestamp())
                         for t in times],
                "wind_speed_120m": [None if i in self.null_hours else 5.0 + i % 7
                                    for i in range(len(times))],
                "shortwave_radiation": [float(t.hour * 10) for t in times],
            },
        }  # fmt: skip
        return as_json([content] if self.as_list else content)
