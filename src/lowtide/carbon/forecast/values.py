"""A forecast from history alone: trained where there is enough of it, else by rule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from lowtide.carbon.forecast.drivers import Drivers
from lowtide.carbon.forecast.hourly import Hourly, floor_hour, from_week, hourly
from lowtide.carbon.forecast.kept import models_for
from lowtide.carbon.forecast.rule import by_rule
from lowtide.carbon.forecast.walk import FARTHEST, first_fit, predict
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError

HOUR = timedelta(hours=1)
HORIZONS = (48, 96, FARTHEST)  # hours ahead that models are fitted for, the least that suffices
STALE = timedelta(hours=24)  # a history that ends earlier is no basis for a trained forecast


@dataclass(frozen=True)
class Outlook:
    """`mean` and half the width of the 80 % band, [hours], NaN where it is unknown."""

    mean: np.ndarray
    half_width: np.ndarray
    how: str


def forecast_values(
    history: Sequence[IntensityValue],
    at: datetime,
    hours: float,
    drivers: Drivers | None = None,
) -> list[IntensityValue]:
    """Hourly values covering [at, at + hours) from values that ended by `at`, with 80 % bands.

    Ridge regressions where there are seven weeks of history; the usual day with a shorter one;
    the last value with less than a day.

    Raises:
        CarbonError: there is no history at all.
    """
    if not history:
        raise CarbonError(f"no intensity before {at:%Y-%m-%d %H:%M} UTC to forecast from")
    last, first = history[-1], floor_hour(at)
    end = at + timedelta(hours=hours)
    num = int(np.ceil((end - first) / HOUR))
    series = from_week(replace(hourly(history, at), drivers=drivers))
    outlook = _outlook(series, history, at, num)
    values = []
    for step in range(num):
        mean, half = float(outlook.mean[step]), float(outlook.half_width[step])
        banded = np.isfinite(half)
        values.append(
            IntensityValue(
                last.zone, max(first + HOUR * step, at), min(first + HOUR * (step + 1), end), mean,
                last.kind, "forecast", f"{last.source}, {outlook.how}", last.basis, last.rung, at,
                last.fetched_at, max(mean - half, 0.0) if banded else None,
                mean + half if banded else None,
            )
        )  # fmt: skip
    return values


def _outlook(series: Hourly, history: Sequence[IntensityValue], at: datetime, num: int) -> Outlook:
    last = history[-1]
    rule = Outlook(*by_rule(series, last.intensity_g_per_kwh, num))
    if len(series) < first_fit(series.start) or at - last.end > STALE:
        return rule
    horizon = next((steps for steps in HORIZONS if steps >= num), HORIZONS[-1])
    models = models_for(series, horizon, f"{last.zone} {last.source} {last.kind}")
    if not models:
        return rule
    mean, half = predict(models, series)
    if num > horizon:
        mean = np.append(mean, rule.mean[horizon:])
        half = np.append(half, rule.half_width[horizon:])
    return Outlook(mean, half, "ridge")
