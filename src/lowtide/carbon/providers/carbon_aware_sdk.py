"""The Web API of the Green Software Foundation's Carbon Aware SDK, hosted by the user.

It passes on what its own backend says and does not tell which signal that is: values are labelled
average and of unknown basis, and never joined with another source's.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from lowtide.carbon.answer import clip, field, instant, listing, number
from lowtide.carbon.clean import Origin, Point, clean
from lowtide.carbon.failures import FormatError, NoDataError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.signal import Basis, IntensityValue, Kind
from lowtide.carbon.wall import Wall
from lowtide.errors import CarbonError

RECENT = timedelta(hours=3)
# .NET writes spans as [d.]hh:mm:ss[.fffffff]
SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?")


class CarbonAwareSdk:
    key = "carbon-aware-sdk"
    name = "Carbon Aware SDK"
    attribution = "Carbon intensity: through the Carbon Aware SDK, see its backend's licence"
    kind: Kind = "average"
    basis: Basis = "unknown"
    one_answer = False

    def __init__(
        self, zone: str, wall: Wall, base_url: str | None, limits: Limits = LIMITS
    ) -> None:
        if base_url is None:
            raise CarbonError("carbon-aware-sdk is hosted by you: set carbon.base_url to its URL")
        self.zone = zone
        self._wall = wall
        self._fetcher = Fetcher(base_url, wall, limits=limits)

    def latest(self, now: datetime) -> list[IntensityValue]:
        return self._emissions(now - RECENT, now)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return self._emissions(start, end)

    def forecast(self, _now: datetime) -> list[IntensityValue]:
        route = "/emissions/forecasts/current"
        content = self._ask(route, {"location": self.zone})
        where = f"{self._fetcher.host}{route}"
        first = (listing(content, where) or [{}])[0]
        rows = listing(field(first, "forecastData", where), where)
        issued_at = instant(field(first, "generatedAt", where), where)
        return self._values([_ahead(row, where) for row in rows], rows, where, issued_at)

    def _emissions(self, start: datetime, end: datetime) -> list[IntensityValue]:
        route = "/emissions/bylocation"
        params = {"location": self.zone, "time": start.isoformat(), "toTime": end.isoformat()}
        where = f"{self._fetcher.host}{route}"
        rows = listing(self._ask(route, params), where)
        return self._values([_actual(row, where) for row in rows], rows, where, None)

    def _ask(self, route: str, params: dict[str, str]) -> Any:
        content = self._fetcher.get(Request(route, params))
        if not content:
            raise NoDataError(f"{self._fetcher.host}{route}: no data for {self.zone}")
        return content

    def _values(
        self,
        points: Sequence[Point],
        rows: Sequence[Any],
        where: str,
        issued_at: datetime | None,
    ) -> list[IntensityValue]:
        # The backend's own name of the place: it cannot be compared, but has to be one.
        places = {str(row.get("location")) for row in rows}
        if len(places) > 1:
            named = ", ".join(sorted(clip(place, 20) for place in places)[:3])
            raise FormatError(f"{where}: asked for {self.zone}, answered for several: {named}")
        origin = Origin(self.zone, self.kind, self.basis, self.name, self._wall.now(), issued_at)
        values = clean(points, origin)
        if not values:
            raise NoDataError(f"{where}: no values for {self.zone}")
        return values


def _actual(row: Any, where: str) -> Point:
    start = instant(field(row, "time", where), where)
    level = number(field(row, "rating", where), where)
    return Point(start, level, "measured", start + _span(field(row, "duration", where), where))


def _ahead(row: Any, where: str) -> Point:
    start = instant(field(row, "timestamp", where), where)
    minutes = number(field(row, "duration", where), where)
    if minutes is None or not 0 < minutes <= 24 * 60:
        raise FormatError(f"{where}: a duration of {minutes} minutes is implausible")
    level = number(field(row, "value", where), where)
    return Point(start, level, "forecast", start + timedelta(minutes=minutes))


def _span(text: Any, where: str) -> timedelta:
    match = SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise FormatError(f"{where}: {clip(str(text))!r} is no time span, like 01:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
