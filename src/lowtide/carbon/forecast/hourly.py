"""Values of any step as means of whole UTC hours: what the forecaster works on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from lowtide.carbon.forecast.drivers import HOUR, WEEK, Drivers
from lowtide.carbon.forecast.step_function import HALF, StepFunction
from lowtide.carbon.signal import IntensityValue

LONG = 10 * WEEK
CARRY_HOURS = 3  # how long the last value stands in for a missing one


@dataclass(frozen=True)
class Hourly:
    """`values[i]` is the mean of the hour from `start + i hours` on, NaN where missing.

    `drivers` is what is known of the causes, on its own time line.
    """

    start: datetime
    values: np.ndarray
    drivers: Drivers | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> datetime:
        return self.start + HOUR * len(self.values)


def floor_hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hourly(history: Sequence[IntensityValue], at: datetime) -> Hourly:
    """Whole hours up to the one that `at` lies in, each value weighed with its part of the hour."""
    start, end = floor_hour(history[0].start), floor_hour(at)
    num = max(int((end - start) / HOUR), 0)
    edges = np.array(
        [[(value.start - start) / HOUR, (value.end - start) / HOUR] for value in history]
    )
    levels = np.array([value.intensity_g_per_kwh for value in history])
    return Hourly(start, hour_means(edges, levels, num))


def hour_means(edges: np.ndarray, levels: np.ndarray, num: int) -> np.ndarray:
    """[num] or [num, k] means of the hours from 0 on; NaN where less than half is known.

    edges: [n, 2] begin and end of each row in hours; levels: [n] or [n, k] what held meanwhile.
    """
    starts = np.arange(num, dtype=float)
    return StepFunction(edges, levels).means(starts, starts + 1, HALF)


def from_week(series: Hourly) -> Hourly:
    """From a week's beginning on, if it is long: what was fitted on it then holds for a week,
    also where the history is a window that moves on each hour."""
    skipped = -int(series.start.timestamp() // 3600) % WEEK
    if len(series) < LONG or skipped == 0:
        return series
    return replace(series, start=series.start + HOUR * skipped, values=series.values[skipped:])


def filled(values: np.ndarray) -> np.ndarray:
    """Gaps closed by what was known before them: the last value for three hours, then the same
    hour of the day before."""
    out = values.copy()
    gap = 0
    for index in np.flatnonzero(np.isnan(values)):
        gap = gap + 1 if index and np.isnan(values[index - 1]) else 1
        source = index - 24 if gap > CARRY_HOURS and index >= 24 else index - 1
        if source >= 0:
            out[index] = out[source]
    return out
