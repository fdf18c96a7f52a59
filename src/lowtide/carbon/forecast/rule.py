"""A forecast without training: the usual day, shifted to where the grid stands now."""

import numpy as np

from lowtide.carbon.forecast.conformal import COVERAGE
from lowtide.carbon.forecast.hourly import Hourly

RECENT_HOURS = 3  # over these the present error of the usual day is taken
DECAY_HOURS = 12.0  # in which that error is believed to fade to 1/e
SHORT_HOURS = 24  # less history than this: the last value stays
USUAL_HOURS = 14 * 24  # over which the usual day is taken


def by_rule(series: Hourly, last: float, num: int) -> tuple[np.ndarray, np.ndarray, str]:
    """(mean [num], half width of the 80 % band [num], how) for the hours after the series.

    The mean of the same hour over two weeks, plus the error of the last three hours, fading. The
    band widens from nothing to the spread of past hours about the usual day.
    """
    values = series.values[-USUAL_HOURS:]
    known = np.isfinite(values)
    if known.sum() < SHORT_HOURS:
        return np.full(num, last), np.full(num, np.nan), "last value persisted"
    hour = (series.end.hour - len(values) + np.arange(len(values))) % 24
    overall = float(values[known].mean())
    usual = np.array(
        [
            values[known & (hour == wanted)].mean() if (known & (hour == wanted)).any() else overall
            for wanted in range(24)
        ]
    )
    off = values - usual[hour]
    recent = off[-RECENT_HOURS:]
    error = float(np.nanmean(recent)) if np.isfinite(recent).any() else 0.0
    ahead = np.arange(num)
    fade = np.exp(-(ahead + 1) / DECAY_HOURS)
    mean = np.maximum(usual[(series.end.hour + ahead) % 24] + error * fade, 0.0)
    spread = float(np.quantile(np.abs(off[known]), COVERAGE))
    return mean, spread * np.sqrt(1 - fade**2), "usual day"
