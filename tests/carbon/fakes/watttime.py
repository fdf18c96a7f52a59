"""WattTime v3: Basic login, tokens that end, both ends of a range inclusive."""

import base64
from datetime import datetime, timedelta
from typing import Any

from tests.carbon.fakes.series import Series, floor, starts
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json, as_text
from tests.carbon.fakes.wall import FakeWall

FIVE = timedelta(minutes=5)
USER, PASSWORD = "wt-user-31", "wt-password-a7c4"
LIFE = timedelta(minutes=30)
LBS_PER_MWH = 1 / 0.45359237


class FakeWattTime(Fake):
    def __init__(self, wall: FakeWall, series: Series) -> None:
        super().__init__(wall, series)
        self.tokens: dict[str, datetime] = {}
        self.units = "lbs_co2_per_mwh"
        self.model = "2023-03-01"

    def answer(self, seen: Seen) -> Reply:
        if seen.path == "/login":
            return self._login(seen)
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return as_text("Jwt is missing", 401)
        if self.wall.now() >= self.tokens[token]:
            return as_text("Jwt is expired", 401)
        if seen.query.get("region") != "CAISO_NORTH":
            return as_json({"message": "Invalid scope. You do not have sufficient access to this "
                            "resource. CAISO_NORTH is free."}, 403)  # fmt: skip
        if seen.path == "/v3/historical":
            return self._historical(seen)
        return self._forecast(seen)

    def end_tokens(self) -> None:
        """As when the server forgets them early."""
        self.tokens = dict.fromkeys(self.tokens, self.wall.now())

    def _login(self, seen: Seen) -> Reply:
        good = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if seen.headers.get("authorization") != f"Basic {good}":
            return as_text("Forbidden", 403)
        token = f"jwt-secret-{len(self.tokens)}"
        self.tokens[token] = self.wall.now() + LIFE
        return as_json({"token": token})

    def _historical(self, seen: Seen) -> Reply:
        first, last = (datetime.fromisoformat(seen.query[name]) for name in ("start", "end"))
        if first.tzinfo is None or last.tzinfo is None:
            return as_json({"error": "timestamps need a time zone"}, 400)
        if last - first > timedelta(days=32):
            return as_json({"error": "32 days at most"}, 400)
        begin = floor(first, FIVE)
        begin = begin if begin == first else begin + FIVE
        end = min(last, floor(self.wall.now(), FIVE) - FIVE)
        points = [self._point(start) for start in starts(begin, end + FIVE, FIVE)]
        return as_json({"data": points, "meta": self._meta()})

    def _forecast(self, seen: Seen) -> Reply:
        issued = floor(self.wall.now(), FIVE)
        last = issued + timedelta(hours=int(seen.query["horizon_hours"]))
        points = [self._point(start) for start in starts(issued, last, FIVE)]
        meta = {**self._meta(), "generated_at": _text(issued), "generated_at_period_seconds": 300,
                "warnings": [{"type": "NOTE", "message": "the model changes soon"}]}  # fmt: skip
        return as_json({"data": points, "meta": meta})

    def _point(self, start: datetime) -> dict[str, Any]:
        return {
            "point_time": _text(start),
            "value": self.series.g_per_kwh(start) * LBS_PER_MWH,
            "imputed_data_used": start.minute == 55,
        }

    def _meta(self) -> dict[str, Any]:
        return {"data_point_period_seconds": 300, "region": "CAISO_NORTH",
                "signal_type": "co2_moer", "units": self.units,
                "model": {"date": self.model}}  # fmt: skip


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S+00:00")
