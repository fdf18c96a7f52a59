"""Open-Meteo: hourly wind and sunshine, no key for non-commercial use, CC BY 4.0.

It is no carbon intensity, but what drives it: a forecast may learn from it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lowtide.carbon.answer import echoed, field, from_epoch, instant, listing, mapping, number
from lowtide.carbon.failures import FormatError, NoDataError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.wall import Wall

BASE_URL = "https://api.open-meteo.com"
ROUTE = "/v1/forecast"
HOUR = timedelta(hours=1)
WIND = "wind_speed_120m"
RADIATION = "shortwave_radiation"
DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Weather:
    """One UTC hour from `start`: wind at its beginning, mean radiation within it."""

    start: datetime
    wind_m_s: float
    radiation_w_m2: float


class OpenMeteo:
    key = "open-meteo"
    name = "Open-Meteo"
    attribution = "Weather: Open-Meteo.com, CC BY 4.0"

    def __init__(self, wall: Wall, base_url: str | None = None, limits: Limits = LIMITS) -> None:
        self._wall = wall
        self._fetcher = Fetcher(
            base_url or BASE_URL, wall, limits=limits, hold_max_s=DAY_S, asked_wait_s=self._wait_s
        )

    def hourly(
        self, latitude: float, longitude: float, *, past_days: int, forecast_days: int
    ) -> list[Weather]:
        """Hours for which both figures are known, ascending.

        Raises:
            FetchError: see failures.py; a daily limit is not asked against before midnight UTC.
        """
        params = {
            "latitude": f"{latitude:.4f}",
            "longitude": f"{longitude:.4f}",
            "hourly": f"{WIND},{RADIATION}",
            "wind_speed_unit": "ms",
            "timezone": "GMT",
            "timeformat": "unixtime",
            "past_days": str(past_days),
            "forecast_days": str(forecast_days),
        }
        where = f"{self._fetcher.host}{ROUTE}"
        weather = _weather(_single(self._fetcher.get(Request(ROUTE, params)), where), where)
        if not weather:
            raise NoDataError(f"{where}: no weather at {latitude:.2f}, {longitude:.2f}")
        return weather

    def _wait_s(self, reason: str) -> float | None:
        """How long a 429 wants to be left alone, by its text."""
        if "Minutely" in reason or "minute" in reason:
            return 60.0
        if "Hourly" in reason:
            return 3600.0
        if "Daily" in reason or "tomorrow" in reason:
            now = self._wall.now()
            midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - now).total_seconds()
        return None


def _single(content: Any, where: str) -> Any:
    """One place was asked for; some servers answer with a list of one."""
    if isinstance(content, list):
        if len(content) != 1:
            raise FormatError(f"{where}: asked for one place, answered for {len(content)}")
        return content[0]
    return content


def _weather(content: Any, where: str) -> list[Weather]:
    units = field(content, "hourly_units", where)
    echoed(units, WIND, "m/s", where)
    echoed(units, RADIATION, "W/m²", where)
    hourly = mapping(field(content, "hourly", where), where)
    offset_s = number(mapping(content, where).get("utc_offset_seconds"), where)
    times = [_time(text, offset_s, where) for text in listing(field(hourly, "time", where), where)]
    wind = _by_time(times, field(hourly, WIND, where), where)
    # Radiation is the mean of the hour that ENDS at its label.
    radiation = _by_time([time - HOUR for time in times], field(hourly, RADIATION, where), where)
    both = sorted(wind.keys() & radiation.keys())
    return [Weather(start, wind[start], radiation[start]) for start in both]


def _by_time(times: list[datetime], levels: Any, where: str) -> dict[datetime, float]:
    known = {}
    for time, entry in zip(times, listing(levels, where), strict=False):
        level = number(entry, where)
        if level is not None and 0 <= level <= 3000:  # neither a gale nor the sun has more
            known[time] = level
    return known


def _time(content: Any, offset_s: float | None, where: str) -> datetime:
    """Seconds as asked for; a text without a zone only where the answer says it is UTC."""
    if not isinstance(content, str):
        return from_epoch(content, where)
    if offset_s == 0 and "+" not in content and not content.endswith("Z"):
        content += "Z"
    return instant(content, where).astimezone(UTC)
