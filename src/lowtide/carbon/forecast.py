"""A forecast from history alone: the usual day, shifted to where the grid stands now."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError

HOUR = timedelta(hours=1)
RECENT_HOURS = 3  # over these the forecast's present error is taken
DECAY_HOURS = 12.0  # in which that error is believed to fade to 1/e
SHORT_HOURS = 24  # less history than this: the last value stays


def forecast_values(
    history: Sequence[IntensityValue], at: datetime, hours: float
) -> list[IntensityValue]:
    """Hourly values covering [at, at + hours) from values that ended by `at`.

    The mean of the same hour over the history, plus the mean error of the last three hours,
    fading; with less than a day of history, the last value.

    Raises:
        CarbonError: there is no history at all.
    """
    if not history:
        raise CarbonError(f"no intensity before {at:%Y-%m-%d %H:%M} UTC to forecast from")
    last = history[-1]
    starts = [at + HOUR * step for step in range(int(np.ceil(hours)))]
    if last.end - history[0].start < timedelta(hours=SHORT_HOURS):
        levels = [last.intensity_g_per_kwh] * len(starts)
        source = f"{last.source}, last value persisted"
    else:
        levels = _usual_day(history, starts, at)
        source = f"{last.source}, hourly mean of {len(history)} values"
    return [
        IntensityValue(last.zone, start, start + HOUR, level, last.kind, "forecast", source)
        for start, level in zip(starts, levels, strict=True)
    ]


def _usual_day(
    history: Sequence[IntensityValue], starts: Sequence[datetime], at: datetime
) -> list[float]:
    hours = np.array([value.start.hour for value in history])
    values = np.array([value.intensity_g_per_kwh for value in history])
    overall = values.mean()
    usual = np.array(
        [values[hours == hour].mean() if (hours == hour).any() else overall for hour in range(24)]
    )
    recent = [v for v in history if v.end > at - HOUR * RECENT_HOURS] or [history[-1]]
    error = float(np.mean([v.intensity_g_per_kwh - usual[v.start.hour] for v in recent]))
    levels = []
    for start in starts:
        part = start.minute / 60
        level = (1 - part) * usual[start.hour] + part * usual[(start.hour + 1) % 24]
        fade = np.exp(-((start - at) / HOUR) / DECAY_HOURS)
        levels.append(max(float(level + error * fade), 0.0))
    return levels
