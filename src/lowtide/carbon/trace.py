"""A recorded trace as an intensity source: CSV, .csv.gz or parquet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import median_filter

from lowtide.carbon.clean import ABSURD_G_PER_KWH
from lowtide.carbon.forecast.drivers import HOUR, Drivers
from lowtide.carbon.forecast.hourly import Hourly, floor_hour, hour_means, hourly
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError

COLUMNS = ("timestamp_utc", "gco2_per_kwh")
HISTORY = timedelta(days=400)  # what a forecast is trained on
NEIGHBOURS = 9  # steps around a row whose median is the usual one
FUEL = "_mwh"  # how columns of generation by fuel end
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
        times_s, self._values, energy_mwh = _read(path)
        steps_s = np.diff(times_s)
        usual_s = median_filter(steps_s, NEIGHBOURS) if len(steps_s) else np.array([3600.0])
        usual_s = np.append(usual_s, usual_s[-1]) if len(steps_s) else usual_s
        lasts_s = np.minimum(np.append(steps_s, usual_s[-1]), 1.5 * usual_s)
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


def _shares(energy_mwh: np.ndarray, lasts_s: np.ndarray) -> np.ndarray:
    """What each fuel has of a row's generation, and the whole in MW, [rows, fuels + 1]."""
    if not energy_mwh.shape[1]:
        return energy_mwh
    whole = energy_mwh.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing generated: unknown
        shares = np.where(whole > 0, energy_mwh / whole, np.nan)
    return np.column_stack([shares, whole[:, 0] / (lasts_s / 3600)])


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts in seconds since 1970, g/kWh, MWh [rows, fuels]), ascending and checked."""
    import pandas as pd

    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise CarbonError(f"there is no trace at {path}: name an existing file") from None
    except (OSError, ValueError, ImportError) as error:
        said = " ".join(str(error).split())
        raise CarbonError(
            f"{path} cannot be read as a trace, CSV or parquet with {' and '.join(COLUMNS)}: {said}"
        ) from None
    for column in COLUMNS:
        if column not in table.columns:
            raise CarbonError(f"{path} has no column {column}; it has {', '.join(table.columns)}")
    if table.empty:
        raise CarbonError(f"{path} has no rows")
    return _checked(path, table)


def _checked(path: Path, table: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pandas as pd

    times = pd.to_datetime(table["timestamp_utc"], utc=True, errors="coerce")
    values = pd.to_numeric(table["gco2_per_kwh"], errors="coerce")
    wrong = times.isna() | values.isna() | (values < 0) | (values > ABSURD_G_PER_KWH)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise CarbonError(
            f"{path}, row {row + 2}: {table['timestamp_utc'].iloc[row]!s}, "
            f"{table['gco2_per_kwh'].iloc[row]!s} is no intensity in g/kWh; mend or drop the row"
        )
    fuels = table.loc[:, [str(column).endswith(FUEL) for column in table.columns]]
    rows = fuels.apply(pd.to_numeric, errors="coerce").astype(float)  # unknown: no driver
    rows.insert(0, "gco2_per_kwh", values.astype(float))
    rows = rows.set_axis(pd.DatetimeIndex(times)).sort_index()
    twice = rows["gco2_per_kwh"].groupby(level=0).nunique()
    if (twice > 1).any():
        raise CarbonError(f"{path} has two different values for {twice.index[twice > 1][0]}")
    rows = rows[~rows.index.duplicated()]
    epoch = pd.Timestamp(0, tz="UTC")
    seconds = ((rows.index - epoch) / pd.Timedelta(seconds=1)).to_numpy()
    return seconds, rows["gco2_per_kwh"].to_numpy(), rows.iloc[:, 1:].to_numpy()
