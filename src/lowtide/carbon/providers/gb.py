"""Great Britain's Carbon Intensity API by NESO: no key, half hours, 48 hours ahead.

Zones: `GB`, `GB-1` to `GB-17` (regions), `GB-RG41` (outward postcodes); not Northern Ireland.
Regions have no actual figures: the past is then what the API last estimated.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from lowtide.carbon.answer import field, instant, listing, mapping, number
from lowtide.carbon.clean import Origin, Point, clean, trim
from lowtide.carbon.failures import NoDataError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.generation import Mix
from lowtide.carbon.providers.ranges import gather, pieces
from lowtide.carbon.signal import Basis, IntensityValue, Kind, Status
from lowtide.carbon.wall import Wall
from lowtide.errors import CarbonError

BASE_URL = "https://api.carbonintensity.org.uk"
STEP = timedelta(minutes=30)
WEEK = timedelta(days=7)
LONGEST = timedelta(days=13)  # the API takes 14 days in one request
RECENT = timedelta(hours=3)
POSTCODE = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]?")


class GreatBritain:
    key = "gb"
    name = "GB Carbon Intensity API"
    attribution = "Carbon intensity: NESO Carbon Intensity API, CC BY 4.0"
    kind: Kind = "average"
    basis: Basis = "operational"  # wind, sun and nuclear count as 0: not comparable to lifecycle
    one_answer = False
    mix_block = WEEK

    def __init__(
        self, zone: str, wall: Wall, base_url: str | None = None, limits: Limits = LIMITS
    ) -> None:
        self.zone = zone
        self._place = _place(zone)
        self._wall = wall
        self._fetcher = Fetcher(base_url or BASE_URL, wall, limits=limits)

    def latest(self, now: datetime) -> list[IntensityValue]:
        """With the half hour that follows, for the minutes until it is asked for anew."""
        running = _floor(now)
        return self._values(running - RECENT, _text(running + STEP * 2), now)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return gather(
            pieces(_floor(start), end, LONGEST),
            lambda first, last: self._values(first, _text(last), end),
        )

    def forecast(self, now: datetime) -> list[IntensityValue]:
        return self._values(_floor(now), "fw48h", now)

    def mix(self, start: datetime, end: datetime) -> list[Mix]:
        """Percent of the generation by fuel and half hour; imports count as one."""
        before, after = self._place
        base = "/generation" if before == "/intensity" else before
        route = f"{base}/{_text(start + timedelta(minutes=1))}/{_text(end)}{after}"
        where = f"{self._fetcher.host}{route}"
        found = [_mix(row, where) for row in _rows(self._fetcher.get(Request(route)), where)]
        mixes = [mix for mix in found if start <= mix.start < end and mix.fuels]
        if not mixes:
            raise NoDataError(f"{where}: no generation by fuel for {self.zone}")
        return sorted(mixes, key=lambda mix: mix.start)

    def _values(self, start: datetime, until: str, now: datetime) -> list[IntensityValue]:
        # A minute later: on the half hour the period that ends there would come first.
        route = f"{self._place[0]}/{_text(start + timedelta(minutes=1))}/{until}{self._place[1]}"
        content = self._fetcher.get(Request(route))
        where = f"{self._fetcher.host}{route}"
        rows = _rows(content, where)
        fetched_at = (
            self._wall.now()
        )  # when a forecast was issued is not told: by then at the latest
        origin = Origin(self.zone, self.kind, self.basis, self.name, fetched_at, fetched_at)
        values = clean((_point(row, now, where) for row in rows), origin, STEP)
        values = trim(values, start, datetime.max.replace(tzinfo=UTC))
        if not values:
            raise NoDataError(f"{where}: no values for {self.zone}")
        return values


def _place(zone: str) -> tuple[str, str]:
    """(what comes before the times in a route, what comes after)."""
    country, _, part = zone.partition("-")
    if country == "GB" and not part:
        return "/intensity", ""
    if country == "GB" and part.isdecimal() and 1 <= int(part) <= 17:
        return "/regional/intensity", f"/regionid/{int(part)}"
    if country == "GB" and POSTCODE.fullmatch(part):
        return "/regional/intensity", f"/postcode/{part}"
    raise CarbonError(
        f"the GB API does not know zone {zone}: take GB, GB-1 to GB-17, or GB-RG41 for a postcode"
    )


def _rows(content: Any, where: str) -> list[Any]:
    """The half hours: a list, an object that holds one, or a list of one such object."""
    if content == {}:
        raise NoDataError(f"{where}: an empty answer; the postcode or region may be unknown")
    data = field(content, "data", where)
    if isinstance(data, list) and len(data) == 1 and "data" in mapping(data[0], where):
        data = data[0]
    if isinstance(data, dict):
        data = field(data, "data", where)
    return listing(data, where)


def _point(row: Any, now: datetime, where: str) -> Point:
    start, end = instant(field(row, "from", where), where), instant(field(row, "to", where), where)
    intensity = mapping(field(row, "intensity", where), where)
    actual = number(intensity.get("actual"), where)
    if actual is not None:
        return Point(start, actual, "measured", end)
    level = number(intensity.get("forecast"), where)
    status: Status = "forecast" if end > now else "estimated"
    return Point(start, level, status, end)


def _mix(row: Any, where: str) -> Mix:
    fuels = {}
    for entry in listing(field(row, "generationmix", where), where):
        percent = number(field(entry, "perc", where), where)
        if percent is not None:
            fuels[str(field(entry, "fuel", where))] = percent
    start, end = instant(field(row, "from", where), where), instant(field(row, "to", where), where)
    return Mix(start, end, fuels)


def _floor(instant: datetime) -> datetime:
    return instant.replace(minute=instant.minute // 30 * 30, second=0, microsecond=0)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%MZ")
