"""A recorded trace as an intensity source."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lowtide.carbon.forecast.drivers import HOUR, Drivers
from lowtide.carbon.forecast.hourly import Hourly, floor_hour, hour_means, hourly
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from lowtide.carbon.trace_file import read_trace
from lowtide.errors import CarbonError

HISTORY = timedelta(days=400)  # what a forecast is trained on
NEIGHBOURS = 9  # steps around a row whose median is the usual one
CARRY = timedelta(hours=2)  # how long the last value stands in for a missing one


class TraceSource:
    """Rows `timestamp_utc` (start of the period) and `gco2_per_kwh`; forecasts also learn from
    generation by fuel where there are columns like `wind_mwh`.

    A row lasts until the next one, at most one and a half times the usual step around it (steps
    may change within a trace); what is longer is a gap.

    Raises:
        CarbonError: the file is missing, empty, lacks a column, or holds a value that is no
            plausible intensity; names the row.
    """

    def __init__(self, path: Path, zone: str, name: str | None = None) -> None:
        self.zone = zone
        self.name = name or f"trace {path.name}"
        times_s, self._values, energy_mwh = read_trace(path)
        lasts_s = _lasts_s(times_s)
        self._starts_s, self._ends_s = times_s, times_s + lasts_s
        self._generation = _shares(energy_mwh, lasts_s)

    def current(self, at: datetime) -> IntensityValue:
        instant_s = at.timestamp()
        index = int(np.searchsorted(self._starts_s, instant_s, side="right")) - 1
        if index < 0 or instant_s >= self._ends_s[index] + CARRY.total_seconds():
            raise self._outside("at", at)
        value = self._value(index)
        if instant_s < self._ends_s[index]:
            return value
        return IntensityValue(
            value.zone, value.end, value.end + CARRY, value.intensity_g_per_kwh,
            value.kind, "estimated", f"{self.name}, last value carried on",
        )  # fmt: skip

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return [self._value(index) for index in self._within(start, end)]

    def hours(self) -> Hourly:
        """The whole trace by the hour, NaN where it has gaps."""
        first, end = _utc(self._starts_s[0]), _utc(self._ends_s[-1])
        return replace(hourly(self.history(first, end), end), drivers=self._drivers(first, end))

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        past = self.history(at - HISTORY, at)
        if not past:
            raise self._outside("to forecast from before", at)
        return forecast_values(past, at, hours, self._drivers(at - HISTORY, at))

    def _outside(self, where: str, at: datetime) -> CarbonError:
        return CarbonError(
            f"{self.name} has no intensity {where} {at:%Y-%m-%d %H:%M} UTC: it covers "
            f"{_utc(self._starts_s[0]):%Y-%m-%d %H:%M} to {_utc(self._ends_s[-1]):%Y-%m-%d %H:%M}, "
            "gaps apart; choose an instant inside: --at, or carbon.replay_start"
        )

    def _drivers(self, start: datetime, end: datetime) -> Drivers | None:
        """Generation by fuel in rows that ended by `end`; None without any."""
        rows = self._within(start, end)
        if not self._generation.shape[1] or not len(rows):
            return None
        first = floor_hour(_utc(self._starts_s[rows[0]]))
        edges_s = np.column_stack([self._starts_s, self._ends_s])[rows] - first.timestamp()
        num = int((floor_hour(end) - first) / HOUR)
        seen = hour_means(edges_s / 3600, self._generation[rows], num)
        return Drivers(first, seen, np.empty((0, 0)))

    def _within(self, start: datetime, end: datetime) -> range:
        first = int(np.searchsorted(self._starts_s, start.timestamp(), side="left"))
        return range(first, int(np.searchsorted(self._ends_s, end.timestamp(), side="right")))

    def _value(self, index: int) -> IntensityValue:
        return IntensityValue(
            self.zone, _utc(self._starts_s[index]), _utc(self._ends_s[index]),
            float(self._values[index]), "average", "measured", self.name,
        )  # fmt: skip


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def _lasts_s(times_s: np.ndarray) -> np.ndarray:
    """Of each row: until the next one, at most 1.5 times the median of the steps around it."""
    if len(times_s) == 1:
        return np.array([3600.0])
    steps_s = np.diff(times_s)
    middle = NEIGHBOURS // 2
    around = sliding_window_view(np.pad(steps_s, middle, mode="symmetric"), NEIGHBOURS)
    usual_s = np.partition(around, middle, axis=1)[:, middle]
    last_s = usual_s[-1]
    lasts_s: np.ndarray = np.minimum(np.append(steps_s, last_s), 1.5 * np.append(usual_s, last_s))
    return lasts_s


def _shares(energy_mwh: np.ndarray, lasts_s: np.ndarray) -> np.ndarray:
    """What each fuel has of a row's generation, and the whole in MW, [rows, fuels + 1]."""
    if not energy_mwh.shape[1]:
        return energy_mwh
    whole = energy_mwh.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing generated: unknown
        shares = np.where(whole > 0, energy_mwh / whole, np.nan)
    return np.column_stack([shares, whole[:, 0] / (lasts_s / 3600)])
