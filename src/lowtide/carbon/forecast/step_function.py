"""Values over intervals as a step function of time, and its means over other intervals."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from lowtide.carbon.signal import IntensityValue

HALF = 0.5  # an hour or a window of which less is known has no mean
SLACK = 1e-3  # of an interval that may be unknown although all of it is asked for


class StepFunction:
    """Levels [n] or [n, k] over `edges` [n, 2], ascending and disjoint; NaN is a gap."""

    def __init__(self, edges: np.ndarray, levels: np.ndarray) -> None:
        columns = levels.reshape(len(levels), -1)
        known, lasts = np.isfinite(columns), edges[:, 1:] - edges[:, :1]
        self._shape = levels.shape[1:]
        self._times = edges.reshape(-1)
        self._known = _running(lasts * known)
        self._area = _running(lasts * np.where(known, columns, 0.0))

    @classmethod
    def of(cls, values: Sequence[IntensityValue]) -> Self:
        """By the second since 1970."""
        edges = [(value.start.timestamp(), value.end.timestamp()) for value in values]
        return cls(np.array(edges), np.array([value.intensity_g_per_kwh for value in values]))

    def means(self, starts: np.ndarray, ends: np.ndarray, least: float = 1.0) -> np.ndarray:
        """Over each [start, end), [m] or [m, k]; NaN unless the share `least` of it is known."""
        known = self._between(self._known, starts, ends)
        area = self._between(self._area, starts, ends)
        enough = (known > 0) & (known >= (least - SLACK) * (ends - starts)[:, None])
        means = np.where(enough, area / np.where(enough, known, 1.0), np.nan)
        return means.reshape(len(starts), *self._shape)

    def _between(self, sums: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        return np.column_stack(
            [
                np.interp(ends, self._times, column) - np.interp(starts, self._times, column)
                for column in sums.T
            ]
        )


def _running(parts: np.ndarray) -> np.ndarray:
    """Sums up to each begin and each end, [2 n, k]."""
    steps = np.stack([np.zeros_like(parts), parts], axis=1)
    return np.asarray(steps.reshape(-1, parts.shape[1]).cumsum(axis=0))
