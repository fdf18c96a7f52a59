"""How good the forecasts are, strictly out of sample: each sees only what lies before it."""

from typing import Any

import numpy as np

from lowtide.carbon.forecast.hourly import Hourly, filled
from lowtide.carbon.forecast.walk import walk
from lowtide.errors import CarbonError

HORIZONS = (1, 6, 12, 24, 48)
DAY = 24


def evaluate_forecasts(series: Hourly) -> dict[str, Any]:
    """Scores over the second half of a trace, by hours ahead: MAE in g/kWh, that of the seasonal
    naive (same hour a day before), MAPE, coverage of the 80 % band.

    `without_repeated_days` leaves out hours whose whole day equals the day before to the digit:
    a sign of imputed data, which flatters the seasonal naive.

    Raises:
        CarbonError: the trace is too short to have trained forecasts in its second half.
    """
    values, half = series.values, len(series) // 2
    found = walk(series, max(HORIZONS), since=half)
    if not np.isfinite(found.mean).any():
        raise CarbonError(
            f"a trace of {len(series)} h is too short to score forecasts on: give one of 14 weeks"
        )
    repeated = _repeated(values)
    scores: dict[str, Any] = {}
    for ahead in HORIZONS:
        rows = np.arange(half, len(values) - ahead + 1)
        target = rows + ahead - 1
        naive = filled(values)[target - DAY * ((ahead - 1) // DAY + 1)]
        columns = (
            values[target], naive, found.mean[rows, ahead - 1], found.half_width[rows, ahead - 1]
        )  # fmt: skip
        known = np.isfinite(np.column_stack(columns)).all(axis=1)
        fresh = known & ~repeated[target]
        scores[str(ahead)] = {
            **(_score(*(column[known] for column in columns)) or {}),
            "without_repeated_days": _score(*(column[fresh] for column in columns)),
        }
    return {"num_hours": len(values), "repeated_hours": int(repeated.sum()), "horizons": scores}


def _score(
    actual: np.ndarray, naive: np.ndarray, mean: np.ndarray, half_width: np.ndarray
) -> dict[str, float | int] | None:
    """None where there is nothing to score."""
    if not len(actual):
        return None
    error = np.abs(actual - mean)
    positive = actual > 0
    return {
        "num": len(actual),
        "mae": float(error.mean()),
        "mae_seasonal_naive": float(np.abs(actual - naive).mean()),
        "mape": float((error[positive] / actual[positive]).mean()),
        "coverage_80": float((error <= half_width).mean()),
    }


def _repeated(values: np.ndarray) -> np.ndarray:
    """Hours in a run of at least 24 that equal the hour a day before, [n]."""
    same = np.zeros(len(values), dtype=bool)
    same[DAY:] = values[DAY:] == values[:-DAY]
    runs = np.convolve(same, np.ones(DAY), mode="full")[: len(same)] >= DAY
    covered: np.ndarray = np.convolve(runs[::-1], np.ones(DAY), mode="full")[: len(same)][::-1] > 0
    return covered
