"""Hourly weather through the cache: what drives the grid, for forecasts that learn from it."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from lowtide.carbon.answer import instant
from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.failures import FetchError
from lowtide.carbon.forecast.drivers import HOUR, WEEK, Drivers
from lowtide.carbon.providers.open_meteo import OpenMeteo, Weather
from lowtide.carbon.rows import Codec
from lowtide.carbon.ttl import WEATHER_TTL_S

PAST_DAYS, FORECAST_DAYS = 92, 9  # the most the API has; a day over the longest trained forecast
CUT_IN, RATED = 3.0, 12.0  # m/s at which a turbine starts and at which it is at full power
log = logging.getLogger(__name__)


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


class WeatherDrivers:
    """Wind, wind power and sunshine at some places, as what a forecast may learn from.

    Past hours are what Open-Meteo now says of them, not what it forecast then: what is learnt from
    them trusts the weather forecast a little too much.
    """

    def __init__(self, source: WeatherSource, places: Sequence[tuple[float, float]]) -> None:
        """places: (latitude, longitude) in degrees."""
        self._source, self._places = source, places
        self._said_away = False

    def __call__(self, at: datetime) -> Drivers | None:
        """Hours around `at`; None, with a warning once, where there is no weather to be had."""
        del at  # the API answers around now
        try:
            hours = [
                self._source.hourly(*place, past_days=PAST_DAYS, forecast_days=FORECAST_DAYS)
                for place in self._places
            ]
        except FetchError as error:
            if not self._said_away:
                log.warning("the forecast does without the weather: %s", error)
            self._said_away = True
            return None
        self._said_away = False
        return _drivers(hours)


def _drivers(places: Sequence[Sequence[Weather]]) -> Drivers:
    """From the first week's boundary on: a fit then holds for a week, although the window moves."""
    first = min(hours[0].start for hours in places)
    last = max(hours[-1].start for hours in places)
    coming = np.full((int((last - first) / HOUR) + 1, 3 * len(places)), np.nan)
    for place, hours in enumerate(places):
        rows = [int((hour.start - first) / HOUR) for hour in hours]
        coming[rows, 3 * place : 3 * place + 3] = [
            (hour.wind_m_s, _turbine(hour.wind_m_s), hour.radiation_w_m2) for hour in hours
        ]
    skipped = -int(first.timestamp() // 3600) % WEEK
    return Drivers(first + HOUR * skipped, np.empty((0, 0)), coming[skipped:])


def _turbine(wind_m_s: float) -> float:
    """Share of its full power: cubic between cut-in and rated speed."""
    return float(np.clip((wind_m_s**3 - CUT_IN**3) / (RATED**3 - CUT_IN**3), 0.0, 1.0))


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
