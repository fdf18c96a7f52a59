"""Ridge regressions, one per hour ahead, refitted every week on all that was known by then.

The same walk over the past gives the weights for the next forecast, the forecasts that would have
been issued (a backtest), and from their errors the bands (split conformal prediction).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lowtide.carbon.forecast.features import NEEDS, Features
from lowtide.carbon.forecast.hourly import WEEK, filled

SHRINK = 0.01  # ridge penalty per row, on features in units of the week's spread
LEARN = 2 * WEEK  # rows that a first fit needs
WILD = 6.0  # a target further off than so many spreads is cut to it
ERRORS = 8 * WEEK  # rows over whose errors bands and the share of yesterday are taken
COVERAGE = 0.8


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
    """Of one hour ahead: weights [k], the share of `yesterday`, half the band in spreads."""

    weights: np.ndarray
    share: float
    width: float


def first_fit(start: datetime) -> int:
    """The first row at which a model can be had: a week's boundary with enough rows before it."""
    return _boundary(start, NEEDS + LEARN + WEEK)


def last_boundary(start: datetime, num: int) -> int:
    """The newest week's boundary at or before row `num`."""
    return _boundary(start, num - WEEK + 1)


def _boundary(start: datetime, least: int) -> int:
    hours = int(start.timestamp() // 3600)
    return least + -(hours + least) % WEEK


def walk(values: np.ndarray, start: datetime, horizon: int, since: int = 0) -> Walk:
    """What would have been forecast at each hour of the series, from row `since` on.

    values: [n] hourly g/kWh with NaN gaps. A forecast for row t uses hours before t only, and
    weights fitted on hours before the last week's boundary.
    """
    num = len(values)
    mean = np.full((num, horizon), np.nan)
    half_width = np.full((num, horizon), np.nan)
    rows = np.arange(NEEDS, num)
    features = Features(filled(values), start, rows) if len(rows) else None
    for step in range(horizon if features else 0):
        assert features is not None
        models, found = _walk_step(features, values, start, rows, step)
        if not models:
            continue
        mean[NEEDS:, step], half_width[NEEDS:, step] = found
    mean[:since], half_width[:since] = np.nan, np.nan
    return Walk(mean, half_width)


def fit(values: np.ndarray, start: datetime, horizon: int) -> list[StepModel]:
    """The models in force after the last row, one per hour ahead; empty if history is short."""
    rows = np.arange(NEEDS, last_boundary(start, len(values)))
    if len(values) < first_fit(start):
        return []
    features = Features(filled(values), start, rows)
    fitted = [_walk_step(features, values, start, rows, step)[0] for step in range(horizon)]
    return [models[-1] for models in fitted]


def predict(
    models: list[StepModel], values: np.ndarray, start: datetime
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, half_width), each [H], for the hours after the last row."""
    row = np.array([len(values)])
    padded = np.append(filled(values), np.nan)
    features = Features(padded, start, row)
    mean, half = np.empty(len(models)), np.empty(len(models))
    for step, model in enumerate(models):
        own = features.anchor + features.scale * (features.design(step) @ model.weights)
        mean[step] = own[0] + model.share * (features.yesterday(step)[0] - own[0])
        half[step] = features.scale[0] * model.width
    return np.maximum(mean, 0.0), half


def _walk_step(
    features: Features, values: np.ndarray, start: datetime, rows: np.ndarray, step: int
) -> tuple[list[StepModel], tuple[np.ndarray, np.ndarray]]:
    design = features.design(step)
    target = np.full(len(rows), np.nan)
    seen = rows + step < len(values)
    target[seen] = values[rows[seen] + step]
    known = np.isfinite(target)
    scaled = np.clip((target - features.anchor) / features.scale, -WILD, WILD)
    yesterday = features.yesterday(step)
    bounds = _bounds(start, int(rows[-1]) + 1 if len(rows) else 0)
    own = np.full(len(rows), np.nan)
    mean, half = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    gram, moment = np.zeros((design.shape[1],) * 2), np.zeros(design.shape[1])
    models: list[StepModel] = []
    learnt = 0
    for bound in bounds:
        stop = max(bound - step - NEEDS, 0)  # rows whose target was known at the boundary
        new = slice(learnt, stop)
        part = design[new][known[new]]
        gram += part.T @ part
        moment += part.T @ scaled[new][known[new]]
        learnt = stop
        if stop < LEARN:
            continue
        weights = _solve(gram, moment, learnt)
        week = slice(bound - NEEDS, min(bound - NEEDS + WEEK, len(rows)))
        recent = slice(max(stop - ERRORS, 0), stop)
        share = _share(own[recent], yesterday[recent], target[recent])
        width = _width(mean[recent], target[recent], features.scale[recent])
        models.append(StepModel(weights, share, width))
        own[week] = features.anchor[week] + features.scale[week] * (design[week] @ weights)
        mean[week] = np.maximum(own[week] + share * (yesterday[week] - own[week]), 0.0)
        half[week] = features.scale[week] * width
    return models, (mean, half)


def _bounds(start: datetime, num: int) -> list[int]:
    first = _boundary(start, NEEDS + LEARN)
    return list(range(first, num + 1, WEEK))


def _solve(gram: np.ndarray, moment: np.ndarray, num: int) -> np.ndarray:
    penalised = gram + SHRINK * num * np.eye(len(gram))
    penalised[-1, -1] = gram[-1, -1] + 1e-9  # the constant is free
    return np.asarray(np.linalg.solve(penalised, moment))


def _share(own: np.ndarray, yesterday: np.ndarray, target: np.ndarray) -> float:
    """How much of `yesterday` to mix in: least squares over past forecasts, between 0 and 1."""
    known = np.isfinite(own) & np.isfinite(target)
    apart = yesterday[known] - own[known]
    if not known.any() or not apart.any():
        return 0.0
    return float(np.clip(apart @ (target[known] - own[known]) / (apart @ apart), 0.0, 1.0))


def _width(mean: np.ndarray, target: np.ndarray, scale: np.ndarray) -> float:
    """The conformal quantile of past absolute errors in spreads; NaN before there are any."""
    errors = np.abs(target - mean) / scale
    errors = errors[np.isfinite(errors)]
    if len(errors) < 24:
        return float("nan")
    rank = min(np.ceil((len(errors) + 1) * COVERAGE) / len(errors), 1.0)
    return float(np.quantile(errors, rank))
