"""What a forecast is made from: lags, the usual day, deviations from it, and the calendar.

Everything is relative to the last known value, in units of the last week's spread, so that a shift
of the grid's level does not mislead. Row t knows the hours before t only.
"""

from datetime import datetime

import numpy as np

DEEPEST = 192  # lags, in hours
NEEDS = 28 * 24  # hours before a row that its features reach back to
RECENT = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24)
DAYS = (7, 14, 28)  # over which the usual day is taken


class Features:
    """Design matrices over the rows of one series.

    `anchor` [n] is the last known value, `scale` [n] the spread of the last week.
    """

    def __init__(self, values: np.ndarray, start: datetime, rows: np.ndarray) -> None:
        """values: [n] hourly, without gaps; rows: the t that are wanted, each >= NEEDS."""
        hours = rows + start.hour
        self._hour = hours % 24
        self._day = hours // 24 + start.weekday()
        self._lags = values[rows[:, None] - np.arange(DEEPEST + 1)[None, :]]
        self.anchor = self._lags[:, 1]
        week = self._lags[:, 1:169]
        self.scale = np.maximum(week.std(axis=1), 1e-3 * np.abs(week.mean(axis=1)) + 1e-6)
        self._usual = {days: _usual_day(values, rows, self._hour, days) for days in DAYS}
        self._common = self._recent()

    def _recent(self) -> np.ndarray:
        """What does not depend on the horizon, [rows, k]."""
        lags, anchor = self._lags, self.anchor[:, None]
        ago = np.arange(1, 25)
        usual = np.take_along_axis(self._usual[14], (self._hour[:, None] - ago) % 24, axis=1)
        off_usual = lags[:, 1:25] - usual
        off_yesterday = lags[:, 1:25] - lags[:, 25:49]
        self._off = np.column_stack([off_usual[:, :3].mean(1), off_usual.mean(1)])
        return np.column_stack(
            [
                lags[:, list(RECENT)] - anchor,
                lags[:, 1:25].mean(1) - self.anchor,
                lags[:, 1:169].mean(1) - self.anchor,
                off_usual[:, :12],
                off_usual[:, 12:].mean(1),
                off_usual.mean(1),
                off_yesterday[:, :6].mean(1),
                off_yesterday.mean(1),
            ]
        )

    def yesterday(self, step: int) -> np.ndarray:
        """The newest known value of the hour that lies `step` hours ahead (0: the next), [rows]."""
        return self._lags[:, _newest(step)]

    def design(self, step: int) -> np.ndarray:
        """Features for the hour `step` ahead, [rows, k]."""
        anchor = self.anchor[:, None]
        target = (self._hour + step) % 24
        newest = _newest(step)
        near = [lag for base in _bases(newest) for lag in base]
        usual = np.column_stack(
            [np.take_along_axis(table, target[:, None], 1)[:, 0] for table in self._usual.values()]
        )
        numbers = np.column_stack(
            [
                self._common,
                self._lags[:, newest : DEEPEST + 1 : 24][:, :8] - anchor,
                self._lags[:, near] - anchor,
                usual - anchor,
            ]
        )
        numbers /= self.scale[:, None]
        calendar = self._calendar(step, target)
        level = np.column_stack([self._off, self._common[:, len(RECENT)]]) / self.scale[:, None]
        mixed = [level * calendar[:, [wave]] for wave in range(4)]
        return np.column_stack([numbers, *mixed, calendar, np.ones(len(target))])

    def _calendar(self, step: int, target: np.ndarray) -> np.ndarray:
        day = (self._day + (self._hour + step) // 24 - self._hour // 24) % 7
        angle = 2 * np.pi * target / 24
        waves = [wave(k * angle) for k in (1, 2, 3) for wave in (np.sin, np.cos)]
        weekend = (day >= 5).astype(float)
        days = [(day == wanted).astype(float) for wanted in (0, 5, 6)]
        return np.column_stack([*waves, *days, weekend * waves[0], weekend * waves[1]])


def _newest(step: int) -> int:
    """The lag of the newest known value of the hour that lies `step` ahead, 1 to 24."""
    return 24 * (step // 24 + 1) - step


def _bases(newest: int) -> list[list[int]]:
    """Neighbours of the same hour: of the newest day, the one before, and a week before."""
    first = newest if newest > 2 else newest + 24
    later = [first + 24, first + 24 * 6]
    return [[lag + off for off in (-2, -1, 1, 2)] for lag in (first, *later) if lag + 2 <= DEEPEST]


def _usual_day(values: np.ndarray, rows: np.ndarray, hour: np.ndarray, days: int) -> np.ndarray:
    """Mean of each hour of the day over the last `days` days, [rows, 24]."""
    summed = np.concatenate([np.zeros((24, 1)), _running_sums(values)], axis=1)
    table = np.empty((len(rows), 24))
    for wanted in range(24):
        newest = rows - 1 - (hour - 1 - wanted) % 24  # the newest row of that hour
        phase, count = newest % 24, newest // 24 + 1
        table[:, wanted] = (summed[phase, count] - summed[phase, count - days]) / days
    return table


def _running_sums(values: np.ndarray) -> np.ndarray:
    """Cumulative sums over days for each row modulo 24, [24, days]."""
    padded = np.append(values, np.zeros(-len(values) % 24))
    return padded.reshape(-1, 24).T.cumsum(axis=1)
