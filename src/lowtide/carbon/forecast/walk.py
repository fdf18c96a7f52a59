"""Ridge regressions, one per hour ahead, refitted every week on all that was known by then.

What drives the grid, where it is known, corrects them as far as it would have helped. The same walk
over the past gives the weights for the next forecast, the forecasts that would have been issued (a
backtest), and from their errors the bands (split conformal prediction).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lowtide.carbon.forecast.conformal import conformal_width
from lowtide.carbon.forecast.drivers import WEEK, WILD, DriverFeatures
from lowtide.carbon.forecast.features import NEEDS, Features
from lowtide.carbon.forecast.hourly import Hourly, filled
from lowtide.carbon.forecast.ridge import Ridge, mixing_share

FARTHEST = 192  # hours ahead that there are models for
LEARN = 2 * WEEK  # rows that a first fit needs
ERRORS = 8 * WEEK  # rows over whose errors the bands and both shares are taken


@dataclass(frozen=True)
class Walk:
    """Forecasts of row t for the hours t + 0 .. t + H - 1, NaN where there was nothing to fit.

    `mean` and `half_width` (of the 80 % band): [n, H] in g/kWh. Fits are a week apart; weeks are
    counted from the Unix epoch.
    """

    mean: np.ndarray
    half_width: np.ndarray


@dataclass(frozen=True)
class StepModel:
    """Of one hour ahead: weights [k], those of the drivers [j] and how far they are trusted, the
    share of `yesterday`, half the band in spreads. j is 0 without drivers."""

    weights: np.ndarray
    driver_weights: np.ndarray
    trust: float
    share: float
    width: float


class _Rows:
    """What the models of all hours ahead have in common at the rows of a series."""

    def __init__(self, series: Hourly, rows: np.ndarray, horizon: int) -> None:
        self.rows = rows
        values = filled(series.values)
        if rows[-1] == len(values):  # the hour to come
            values = np.append(values, np.nan)
        self.features = Features(values, series.start, rows)
        self.anchor, self.scale = self.features.anchor, self.features.scale
        self._drivers = None
        if series.drivers is not None:
            aligned = series.drivers.aligned(series.start, len(series), horizon + 1)
            self._drivers = DriverFeatures(aligned, rows)

    def drivers(self, step: int) -> np.ndarray:
        """Their design matrix [rows, j]."""
        if self._drivers is None:
            return np.empty((len(self.rows), 0))
        return self._drivers.design(step)


def first_fit(start: datetime) -> int:
    """The first row at which every hour ahead has a model: a week's boundary with enough rows
    before it."""
    return _boundary(start, NEEDS + LEARN + FARTHEST)


def last_boundary(start: datetime, num: int) -> int:
    """The newest week's boundary at or before row `num`."""
    return _boundary(start, num - WEEK + 1)


def _boundary(start: datetime, least: int) -> int:
    hours = int(start.timestamp() // 3600)
    return least + -(hours + least) % WEEK


def walk(series: Hourly, horizon: int, since: int = 0) -> Walk:
    """What would have been forecast at each hour of the series, from row `since` on.

    A forecast for row t uses hours before t only, and weights fitted on hours before the last
    week's boundary.
    """
    num = len(series)
    mean = np.full((num, horizon), np.nan)
    half_width = np.full((num, horizon), np.nan)
    if num > NEEDS:
        rows = _Rows(series, np.arange(NEEDS, num), horizon)
        for step in range(horizon):
            _, (mean[NEEDS:, step], half_width[NEEDS:, step]) = _walk_step(rows, series, step)
    mean[:since], half_width[:since] = np.nan, np.nan
    return Walk(mean, half_width)


def fit(series: Hourly, horizon: int) -> list[StepModel]:
    """The models in force after the last row, one per hour ahead; empty if history is short."""
    if len(series) < first_fit(series.start):
        return []
    rows = _Rows(series, np.arange(NEEDS, last_boundary(series.start, len(series))), horizon)
    return [_walk_step(rows, series, step)[0][-1] for step in range(horizon)]


def predict(models: list[StepModel], series: Hourly) -> tuple[np.ndarray, np.ndarray]:
    """(mean, half_width), each [H], for the hours after the last row."""
    rows = _Rows(series, np.array([len(series)]), len(models))
    mean, half = np.empty(len(models)), np.empty(len(models))
    for step, model in enumerate(models):
        own = rows.anchor + rows.scale * (rows.features.design(step) @ model.weights)
        off = rows.drivers(step) @ model.driver_weights
        mixed = _moved(own, off, model.trust * rows.scale)
        mean[step] = (mixed + model.share * (rows.features.yesterday(step) - mixed))[0]
        half[step] = rows.scale[0] * model.width
    return np.maximum(mean, 0.0), half


def _walk_step(
    rows: _Rows, series: Hourly, step: int
) -> tuple[list[StepModel], tuple[np.ndarray, np.ndarray]]:
    """The models of one hour ahead, a week apart, and what they said: (mean, half_width)."""
    num = len(rows.rows)
    design, drivers = rows.features.design(step), rows.drivers(step)
    yesterday = rows.features.yesterday(step)
    target = np.full(num, np.nan)
    seen = rows.rows + step < len(series)
    target[seen] = series.values[rows.rows[seen] + step]
    own, driven, mixed, mean, half, errors = (np.full(num, np.nan) for _ in range(6))
    base = Ridge(design, _in_spreads(target - rows.anchor, rows.scale))
    correction = Ridge(drivers, errors)  # learns from errors made out of sample
    models: list[StepModel] = []
    for bound in _bounds(series.start, int(rows.rows[-1]) + 1):
        stop = max(bound - step - NEEDS, 0)  # rows whose target was known at the boundary
        base.learn(stop)
        correction.learn(stop)
        if stop < LEARN:
            continue
        week = slice(bound - NEEDS, min(bound - NEEDS + WEEK, num))
        recent = slice(max(stop - ERRORS, 0), stop)
        weights, driver_weights = base.weights(), _driver_weights(correction)
        trust = mixing_share(own[recent], driven[recent], target[recent])
        share = mixing_share(mixed[recent], yesterday[recent], target[recent])
        width = _width(mean[recent], target[recent], rows.scale[recent])
        models.append(StepModel(weights, driver_weights, trust, share, width))
        own[week] = rows.anchor[week] + rows.scale[week] * (design[week] @ weights)
        errors[week] = _in_spreads(target[week] - own[week], rows.scale[week])
        off = drivers[week] @ driver_weights
        driven[week] = own[week] + rows.scale[week] * off
        mixed[week] = _moved(own[week], off, trust * rows.scale[week])
        mean[week] = np.maximum(mixed[week] + share * (yesterday[week] - mixed[week]), 0.0)
        half[week] = rows.scale[week] * width
    return models, (mean, half)


def _driver_weights(correction: Ridge) -> np.ndarray:
    """0 without drivers, or with too little known of them."""
    if not correction.num_features or correction.num < LEARN:
        return np.zeros(correction.num_features)
    return correction.weights()


def _moved(own: np.ndarray, off: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Forecasts moved by `off` spreads times `scale`, where that is known."""
    return np.asarray(own + np.nan_to_num(np.clip(off, -WILD, WILD) * scale))


def _in_spreads(difference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(difference / scale, -WILD, WILD))


def _bounds(start: datetime, num: int) -> list[int]:
    first = _boundary(start, NEEDS + LEARN)
    return list(range(first, num + 1, WEEK))


def _width(mean: np.ndarray, target: np.ndarray, scale: np.ndarray) -> float:
    """The conformal quantile of past absolute errors in spreads; NaN before there are any."""
    errors = (target - mean) / scale
    return conformal_width(errors[np.isfinite(errors)], 24)
