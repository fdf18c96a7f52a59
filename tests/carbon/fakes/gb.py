"""The GB Carbon Intensity API, with its oddities."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

HALF = timedelta(minutes=30)
BAD_TIME = ("Please enter a valid datetime in ISO8601 format YYYY-MM-DDThh:mmZ e.g. "
            "/intensity/2017-08-25T15:30Z")  # fmt: skip


class FakeGb(Fake):
    def __init__(self, wall: FakeWall, series: Series) -> None:
        super().__init__(wall, series)
        self.num_ahead = 96
        self.null_forecast: set[datetime] = set()
        self.twice: set[datetime] = set()
        self.array_of_one = False
        self.always_extra = False  # the period before comes even off the half hour
        self.lost: tuple[datetime, datetime] | None = None  # no data published for these

    def answer(self, seen: Seen) -> Reply:
        parts = seen.path.strip("/").split("/")
        regional = parts[0] == "regional"
        times = parts[2:4] if regional else parts[1:3]
        try:
            first = _instant(times[0])
            last = self._last(first, times[1])
        except (ValueError, IndexError):
            return _error(400, BAD_TIME)
        if last - first > timedelta(days=14):
            return _error(400, "The date range is limited to 14 days")
        rows = self._rows(first, last, regional)
        if parts[0] == "generation":
            mixes = [self._with_mix(row) for row in rows]
            kept = ("from", "to", "generationmix")
            return as_json({"data": [{key: row[key] for key in kept} for row in mixes]})
        if not regional:
            return as_json({"data": rows})
        if parts[4] == "postcode" and parts[5].startswith("ZZ"):
            return as_json({})
        region = {"regionid": 13, "dnoregion": "UKPN London", "shortname": "London", "data": rows}
        return as_json({"data": [region] if self.array_of_one else region})

    def _last(self, first: datetime, until: str) -> datetime:
        spans = {"fw24h": 24, "fw48h": 48, "pt24h": 0}
        if until in spans:
            return first + timedelta(hours=spans[until])
        return _instant(until)

    def _rows(self, first: datetime, last: datetime, regional: bool) -> list[dict[str, Any]]:
        running = floor(self.wall.now(), HALF)
        begin = floor(first, HALF)
        if begin == first or self.always_extra:
            begin -= HALF  # on the half hour, the period that ends there comes first
        end = min(last, running + HALF * self.num_ahead)
        rows = []
        for start in starts(begin, end, HALF):
            if self.lost and self.lost[0] <= start < self.lost[1]:
                continue
            rows.append(self._row(start, running, regional))
            if start in self.twice:
                rows.append(self._row(start, running, regional, shift=7))
        return rows

    def _row(
        self, start: datetime, running: datetime, regional: bool, shift: int = 0
    ) -> dict[str, Any]:
        level = self.series.g_per_kwh(start) + shift
        intensity: dict[str, Any] = {
            "forecast": None if start in self.null_forecast else level,
            "index": "moderate",
        }
        if not regional:
            intensity["actual"] = level if start < running else None
        row = {"from": _text(start), "to": _text(start + HALF), "intensity": intensity}
        return self._with_mix(row) if regional else row

    def _with_mix(self, row: dict[str, Any]) -> dict[str, Any]:
        """The cleaner the more wind; the order of the fuels varies."""
        wind = round(60 - self.series.g_per_kwh(_instant(row["from"])) / 10, 1)
        mix = [{"fuel": "wind", "perc": wind}, {"fuel": "gas", "perc": 100 - wind}]
        return {**row, "generationmix": mix if row["from"].endswith("00Z") else mix[::-1]}


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%MZ")


def _error(status: int, message: str) -> Reply:
    return as_json({"error": {"code": f"{status} Bad Request", "message": message}}, status)
