"""Energy-Charts by Fraunhofer ISE: European countries, no key, mostly quarter hours.

Few requests are allowed: one at a time, 8 s apart. Actual figures can lag by most of a day; what
is missing up to now is then the API's own forecast.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from lowtide.carbon.answer import field, from_epoch, listing, mapping, number
from lowtide.carbon.clean import Origin, Point, clean, trim
from lowtide.carbon.failures import NoDataError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.generation import KNOWN, Mix, shares
from lowtide.carbon.signal import Basis, IntensityValue, Kind
from lowtide.carbon.wall import Wall
from lowtide.errors import CarbonError

BASE_URL = "https://api.energy-charts.info"
ROUTE = "/co2eq"
MIX_ROUTE = "/public_power"
# Production types that generate; the answer also has load, trade, shares and what storage takes.
FUELS = ("Biomass", "Fossil", "Geothermal", "Hydro", "Nuclear", "Others", "Solar", "Waste", "Wind")
MIN_GAP_S = 8.0
BACK, AHEAD = timedelta(hours=24), timedelta(hours=48)
# Zone: what the API calls it, where that is not the zone in lower case.
RENAMED = {"GB": "uk", "UK": "uk", "GB-NIR": "nie", "DE-LU": "de"}
COUNTRIES = {
    *("AL", "AM", "AT", "AZ", "BA", "BE", "BG", "BY", "CH", "CY", "CZ", "DE", "DK", "EE", "ES"),
    *("FI", "FR", "GE", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MD", "ME", "MK", "MT"),
    *("NL", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "UA", "XK"),
}
log = logging.getLogger(__name__)


class EnergyCharts:
    key = "energy-charts"
    name = "Energy-Charts"
    attribution = "Carbon intensity: Energy-Charts.info (Fraunhofer ISE), CC BY 4.0"
    kind: Kind = "average"
    basis: Basis = "lifecycle"
    one_answer = True
    mix_block = timedelta(weeks=6)  # few requests are allowed

    def __init__(
        self, zone: str, wall: Wall, base_url: str | None = None, limits: Limits = LIMITS
    ) -> None:
        self.zone = zone
        self._country = country_of(zone)
        self._wall = wall
        self._fetcher = Fetcher(base_url or BASE_URL, wall, limits=limits, min_gap_s=MIN_GAP_S)
        self._said_deprecated = False

    def latest(self, now: datetime) -> list[IntensityValue]:
        return self._values(now - BACK, now + AHEAD)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        values = [v for v in self._values(start, end) if v.status != "forecast"]
        if not values:
            raise NoDataError(f"{self._fetcher.host}{ROUTE}: no actual values of {self.zone} yet")
        return values

    def forecast(self, now: datetime) -> list[IntensityValue]:
        return self.latest(now)

    def _values(self, start: datetime, end: datetime) -> list[IntensityValue]:
        params = {"country": self._country, "start": _text(start), "end": _text(end)}
        where = f"{self._fetcher.host}{ROUTE}"
        content = mapping(self._fetcher.get(Request(ROUTE, params)), where)
        self._warn_if_deprecated(content, where)
        now = self._wall.now()
        origin = Origin(self.zone, self.kind, self.basis, self.name, now, now)
        values = trim(clean(_points(content, where), origin), start, end)
        if not values:
            raise NoDataError(f"{where}: no values for {self._country}")
        return values

    def mix(self, start: datetime, end: datetime) -> list[Mix]:
        """Shares of the generation by fuel, and the whole in MW."""
        params = {"country": self._country, "start": _text(start), "end": _text(end)}
        where = f"{self._fetcher.host}{MIX_ROUTE}"
        content = mapping(self._fetcher.get(Request(MIX_ROUTE, params)), where)
        self._warn_if_deprecated(content, where)
        found = [mix for mix in _mixes(content, where) if start <= mix.start < end]
        if not found:
            raise NoDataError(f"{where}: no generation by fuel for {self._country}")
        return found

    def _warn_if_deprecated(self, content: Any, where: str) -> None:
        if content.get("deprecated") is True and not self._said_deprecated:
            self._said_deprecated = True
            log.warning("%s is marked deprecated: it goes away within six months", where)


def country_of(zone: str) -> str:
    """The API's code of a zone.

    Raises:
        CarbonError: it is no European country; part of one (SE-SE3) would be another zone.
    """
    if zone in RENAMED:
        return RENAMED[zone]
    if zone in COUNTRIES:
        return zone.lower()
    raise CarbonError(f"Energy-Charts does not know zone {zone}: take a European country, like DE")


def covers(zone: str) -> bool:
    return zone in COUNTRIES or zone in RENAMED


def _points(content: Any, where: str) -> list[Point]:
    """Actual where there is one, else the forecast; the arrays may differ in length or lack."""
    seconds = listing(field(content, "unix_seconds", where), where)
    actual = listing(content.get("co2eq") or [], where)
    ahead = listing(content.get("co2eq_forecast") or [], where)
    points = []
    for index, second in enumerate(seconds):
        start = from_epoch(second, where)
        level = number(actual[index], where) if index < len(actual) else None
        if level is not None:
            points.append(Point(start, level, "measured"))
        else:
            later = number(ahead[index], where) if index < len(ahead) else None
            points.append(Point(start, later, "forecast"))
    return points


def _mixes(content: Any, where: str) -> list[Mix]:
    """A row lasts until the next one, the last as long as the one before it. One that lacks a fuel
    which most have is left out: the shares of the others would be wrong."""
    seconds = listing(field(content, "unix_seconds", where), where)
    starts = [from_epoch(second, where) for second in seconds]
    powers: list[dict[str, float]] = [{} for _ in starts]
    for kind in listing(field(content, "production_types", where), where):
        name = str(field(kind, "name", where))
        if not name.startswith(FUELS) or name.endswith("consumption"):
            continue
        data = listing(field(kind, "data", where), where)
        for row, entry in zip(powers, data, strict=False):
            level = number(entry, where)
            if level is not None:
                row[name] = max(level, 0.0)
    ends = [*starts[1:], starts[-1] + (starts[-1] - starts[-2])] if len(starts) > 1 else []
    counts = Counter(name for row in powers for name in row)
    usual = {name for name, count in counts.items() if count >= KNOWN * len(powers)}
    powers = [row if usual <= row.keys() else {} for row in powers]
    known = [
        (start, end, shares(row)) for start, end, row in zip(starts, ends, powers, strict=False)
    ]
    return [Mix(start, end, fuels) for start, end, fuels in known if fuels and start < end]


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%MZ")
