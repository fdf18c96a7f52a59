"""Hourly weather through the cache: what drives the grid, for forecasts that learn from it."""

from typing import Any

from lowtide.carbon.answer import instant
from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.providers.open_meteo import OpenMeteo, Weather
from lowtide.carbon.rows import Codec
from lowtide.carbon.ttl import WEATHER_TTL_S


class WeatherSource:
    """Open-Meteo's hours for a place, fresh for an hour."""

    def __init__(self, provider: OpenMeteo, cache: DiskCache[Weather]) -> None:
        self._provider, self._cache = provider, cache

    def hourly(
        self, latitude: float, longitude: float, *, past_days: int, forecast_days: int
    ) -> list[Weather]:
        """As OpenMeteo.hourly; asked once an hour for places that agree to 100 m."""
        place = (("latitude", f"{latitude:.3f}"), ("longitude", f"{longitude:.3f}"))
        days = (("past_days", str(past_days)), ("forecast_days", str(forecast_days)))
        rows = self._cache.fetch(
            Query(self._provider.key, "hourly", place + days),
            WEATHER_TTL_S,
            lambda: self._provider.hourly(
                latitude, longitude, past_days=past_days, forecast_days=forecast_days
            ),
        )
        return list(rows)


def _encode(weather: Weather) -> dict[str, Any]:
    return {
        "start": weather.start.isoformat(),
        "wind_m_s": weather.wind_m_s,
        "radiation_w_m2": weather.radiation_w_m2,
    }


def _decode(row: dict[str, Any]) -> Weather:
    start = instant(row["start"], "weather")
    return Weather(start, float(row["wind_m_s"]), float(row["radiation_w_m2"]))


WEATHER: Codec[Weather] = Codec(_encode, _decode)
