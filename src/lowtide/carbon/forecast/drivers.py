"""What moves a grid beside its own past: generation by fuel, and the weather.

Figures by the hour on one time line, and the features that a forecast corrects itself with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from lowtide.carbon.forecast.step_function import HALF

HOUR = timedelta(hours=1)
WEEK = 168
WILD = 6.0  # what is further off than so many spreads is cut to it: a spread may be nearly 0


@dataclass(frozen=True)
class Drivers:
    """Row i is the hour from `start + i hours` on; NaN where unknown.

    `seen` [n, p] is known of the past only: generation by fuel. `coming` [m, q] is forecast, so
    that it may reach beyond the series: the weather.
    """

    start: datetime
    seen: np.ndarray
    coming: np.ndarray

    def aligned(self, start: datetime, num: int, ahead: int) -> "Drivers":
        """From `start` on: `num` rows of `seen`, `num + ahead` of `coming`, NaN where unknown."""
        offset = round((start - self.start) / HOUR)
        return Drivers(
            start, _shifted(self.seen, offset, num), _shifted(self.coming, offset, num + ahead)
        )


def joined(parts: Sequence[Drivers]) -> Drivers | None:
    """All of them side by side on one time line; None without any."""
    if not parts:
        return None
    start = min(part.start for part in parts)
    return Drivers(
        start,
        _side_by_side([(part.start, part.seen) for part in parts], start),
        _side_by_side([(part.start, part.coming) for part in parts], start),
    )


def _side_by_side(tables: Sequence[tuple[datetime, np.ndarray]], start: datetime) -> np.ndarray:
    filled = [(round((first - start) / HOUR), table) for first, table in tables if table.shape[1]]
    if not filled:
        return np.empty((0, 0))
    num = max(offset + len(table) for offset, table in filled)
    return np.column_stack([_shifted(table, -offset, num) for offset, table in filled])


class DriverFeatures:
    """Design matrices of the drivers over the rows of one series; row t knows `seen` before t."""

    def __init__(self, drivers: Drivers, rows: np.ndarray) -> None:
        """drivers: aligned with the series; rows: the t that are wanted, a week in at least."""
        self._rows = rows
        self._seen = _recent(drivers.seen, rows) if drivers.seen.shape[1] else None
        self._coming = drivers.coming
        self._usual, self._spread = _mean_and_spread(drivers.coming, rows, 1, WEEK)
        self._last = drivers.coming[rows - 1]

    def design(self, step: int) -> np.ndarray:
        """Features for the hour `step` ahead and a constant, [rows, k]; NaN where unknown."""
        target = self._coming[self._rows + step]
        day_before = self._coming[self._rows + step - 24 * (step // 24 + 1)]
        differences = [target - other for other in (self._last, day_before, self._usual)]
        numbers = [difference / self._spread for difference in differences]
        parts = numbers if self._seen is None else [*numbers, self._seen]
        features = np.clip(np.column_stack(parts), -WILD, WILD)
        return np.column_stack([features, np.ones(len(self._rows))])


def _recent(seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How the last hours differ from yesterday, the last day and the last week, in spreads."""
    now, day = (_mean_and_spread(seen, rows, 1, last)[0] for last in (3, 24))
    yesterday, _ = _mean_and_spread(seen, rows, 25, 27)
    week, spread = _mean_and_spread(seen, rows, 1, WEEK)
    return np.column_stack(
        [(now - yesterday) / spread, (now - day) / spread, (day - week) / spread]
    )


def _mean_and_spread(
    values: np.ndarray, rows: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """Over the lags `first` to `last` of each row, [rows, columns]; the spread is never 0."""
    known = np.isfinite(values)
    total = _between(np.where(known, values, 0.0), rows, first, last)
    squares = _between(np.where(known, values, 0.0) ** 2, rows, first, last)
    count = _between(known.astype(float), rows, first, last)
    count[count < HALF * (last - first + 1)] = np.nan
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean, np.maximum(spread, 1e-3 * np.abs(mean) + 1e-6)


def _between(values: np.ndarray, rows: np.ndarray, first: int, last: int) -> np.ndarray:
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0)])
    return np.asarray(sums[rows - first + 1] - sums[np.maximum(rows - last, 0)])


def _shifted(values: np.ndarray, offset: int, num: int) -> np.ndarray:
    out = np.full((num, values.shape[1]), np.nan)
    first, last = max(offset, 0), min(offset + num, len(values))
    if last > first:
        out[first - offset : last - offset] = values[first:last]
    return out
