"""Values over intervals as a step function of time, and its means over other intervals."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from lowtide.carbon.signal import IntensityValue


class StepFunction:
    """Level by second since 1970, with gaps; `edges_s` [n, 2] ascending and disjoint."""

    def __init__(self, edges_s: np.ndarray, levels: np.ndarray) -> None:
        lasts_s = edges_s[:, 1] - edges_s[:, 0]
        self._times_s = edges_s.reshape(-1)
        self._covered_s = np.cumsum(np.column_stack([np.zeros(len(levels)), lasts_s]).reshape(-1))
        self._area = np.cumsum(
            np.column_stack([np.zeros(len(levels)), lasts_s * levels]).reshape(-1)
        )

    @classmethod
    def of(cls, values: Sequence[IntensityValue]) -> Self:
        edges = [(value.start.timestamp(), value.end.timestamp()) for value in values]
        return cls(np.array(edges), np.array([value.intensity_g_per_kwh for value in values]))

    def means(self, starts_s: np.ndarray, ends_s: np.ndarray) -> np.ndarray:
        """Over each [start, end), NaN unless all but a second of it is covered."""
        covered_s = self._between(self._covered_s, starts_s, ends_s)
        area = self._between(self._area, starts_s, ends_s)
        whole = (covered_s > 0) & (covered_s >= ends_s - starts_s - 1.0)
        return np.where(whole, area / np.where(whole, covered_s, 1.0), np.nan)

    def _between(self, sums: np.ndarray, starts_s: np.ndarray, ends_s: np.ndarray) -> np.ndarray:
        return np.asarray(
            np.interp(ends_s, self._times_s, sums) - np.interp(starts_s, self._times_s, sums)
        )
