"""Electricity Maps v3 and v4: a token, average intensity of consumption, hourly.

The free plan has one zone, its last 24 hours and no forecast. Figures are licensed for the
token's holder: they stay in the local cache and are not to be passed on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from lowtide.carbon.answer import clip, echoed, field, instant, listing, mapping, number
from lowtide.carbon.clean import HOUR, Origin, Point, clean
from lowtide.carbon.failures import FetchError, NoDataError, RefusedError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.providers.ranges import gather, pieces
from lowtide.carbon.signal import Basis, IntensityValue, Kind
from lowtide.carbon.wall import Wall

BASE_URL = "https://api.electricitymaps.com/v3"  # .../v4 answers alike
DAY = timedelta(hours=24)
LONGEST = timedelta(days=10)
FORECAST_HOURS = "72"  # one of 6, 24, 48, 72
FACTORS = "lifecycle"
STEPS = {
    "hourly": HOUR,
    "15_minutes": timedelta(minutes=15),
    "5_minutes": timedelta(minutes=5),
}


class ElectricityMaps:
    key = "electricity-maps"
    name = "Electricity Maps"
    attribution = "Carbon intensity: Electricity Maps (proprietary, not for redistribution)"
    kind: Kind = "average"
    basis: Basis = "lifecycle"
    one_answer = False

    def __init__(
        self,
        zone: str,
        token: str,
        wall: Wall,
        base_url: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.zone = zone
        self._headers = {"auth-token": token}
        self._wall = wall
        self._fetcher = Fetcher(base_url or BASE_URL, wall, limits=limits)
        self._may_ask_past = True

    def latest(self, _now: datetime) -> list[IntensityValue]:
        content, where = self._ask("carbon-intensity/latest", temporalGranularity="hourly")
        return self._values([content], content, where)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """The last 24 hours; before them, what a paid plan gives."""
        content, where = self._ask("carbon-intensity/history", temporalGranularity="hourly")
        rows = listing(field(content, "history", where), where)
        return self._before(start, end - DAY) + self._values(rows, content, where)

    def forecast(self, _now: datetime) -> list[IntensityValue]:
        content, where = self._ask("carbon-intensity/forecast", horizonHours=FORECAST_HOURS)
        rows = listing(field(content, "forecast", where), where)
        issued = mapping(content, where).get("updatedAt")
        issued_at = instant(issued, where) if issued is not None else self._wall.now()
        return self._values(rows, content, where, issued_at)

    def _before(self, start: datetime, end: datetime) -> list[IntensityValue]:
        if not self._may_ask_past or start >= end:
            return []
        try:
            return gather(pieces(start, end, LONGEST), self._past)
        except RefusedError:
            self._may_ask_past = False  # the free plan; it would be refused each time
            return []
        except NoDataError:
            return []

    def _past(self, start: datetime, end: datetime) -> list[IntensityValue]:
        content, where = self._ask(
            "carbon-intensity/past-range", start=_text(start), end=_text(end),
            temporalGranularity="hourly",
        )  # fmt: skip
        return self._values(listing(field(content, "data", where), where), content, where)

    def _ask(self, route: str, **params: str) -> tuple[Any, str]:
        # Without the last parameter an unknown zone is answered for the caller's own place.
        asked = {
            "zone": self.zone,
            "emissionFactorType": FACTORS,
            "disableCallerLookup": "true",
            **params,
        }
        where = f"{self._fetcher.host}/{route}"
        try:
            content = self._fetcher.get(Request(route, asked, self._headers))
        except RefusedError as error:
            if error.status not in (401, 403):
                raise
            raise self._not_allowed(error) from None
        echoed(content, "zone", self.zone, where)
        return content, where

    def _not_allowed(self, error: RefusedError) -> RefusedError:
        """A valid token is refused as well where the zone is not its own: ask which are."""
        try:
            zones = mapping(self._fetcher.get(Request("zones", {}, self._headers)), "zones")
        except FetchError:
            zones = {}
        own = sorted(clip(zone, 20) for zone, entry in zones.items() if _has_access(entry))
        allowed = f"this token is for {', '.join(own[:5])}" if own else "check the token"
        return RefusedError(
            f"{error}; token or zone {self.zone} not allowed: {allowed}", error.status, error.said
        )

    def _values(
        self, rows: Sequence[Any], content: Any, where: str, issued_at: datetime | None = None
    ) -> list[IntensityValue]:
        for row in rows:
            if "zone" in mapping(row, where):
                echoed(row, "zone", self.zone, where)
            if "emissionFactorType" in row:
                echoed(row, "emissionFactorType", FACTORS, where)
        origin = Origin(self.zone, self.kind, self.basis, self.name, self._wall.now(), issued_at)
        points = [_point(row, where, issued_at is not None) for row in sorted(rows, key=_updated)]
        values = clean(points, origin, _step(content, rows))
        if not values:
            raise NoDataError(f"{where}: no values for {self.zone}")
        return values


def _point(row: Any, where: str, is_forecast: bool) -> Point:
    start = instant(field(row, "datetime", where), where)
    level = number(field(row, "carbonIntensity", where), where)
    if is_forecast:
        return Point(start, level, "forecast")
    if not row.get("isEstimated"):
        return Point(start, level, "measured")
    method = clip(str(row.get("estimationMethod") or "an unnamed method"), 40)
    return Point(start, level, "estimated", detail=f"estimated by {method}")


def _step(content: Any, rows: Sequence[Any]) -> timedelta:
    named = content.get("temporalGranularity") or (rows and rows[0].get("temporalGranularity"))
    return STEPS.get(str(named), HOUR)


def _updated(row: Any) -> str:
    return str(row.get("updatedAt") or "")


def _has_access(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("access"))


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
