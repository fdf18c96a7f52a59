"""How the values of a tensor are spread, counted a batch at a time in fixed memory."""

import math

import numpy as np

NUM_BINS = 4096


class Histogram:
    """Counts over [-reach, reach]; exact extremes beside them.

    The reach is a power of two. It doubles, and bins merge by pairs, when a value lies beyond it,
    so the counts do not depend on how the values were cut into batches.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(NUM_BINS, np.int64)
        self.reach = 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        """Count float32 values of any shape. A NaN becomes an extreme, and is not counted."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            self.low = self.high = math.nan
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._reach_for(max(-low, high))
        scaled = values.ravel() * np.float32(NUM_BINS / 2 / self.reach) + np.float32(NUM_BINS / 2)
        index = np.minimum(scaled.astype(np.int32), NUM_BINS - 1)
        self.counts += np.bincount(index, minlength=NUM_BINS)

    def _reach_for(self, largest: float) -> None:
        if self.reach == 0:
            self.reach = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 2.0**-20
        while largest > self.reach:
            pairs = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.pad(pairs, NUM_BINS // 4)
            self.reach *= 2

    @property
    def edges(self) -> np.ndarray:
        """float64 [NUM_BINS + 1]."""
        return np.linspace(-self.reach, self.reach, NUM_BINS + 1)

    @property
    def magnitudes(self) -> np.ndarray:
        """Counts of |value| over [0, reach]: int64 [NUM_BINS / 2]."""
        half = NUM_BINS // 2
        folded: np.ndarray = self.counts[half:] + self.counts[:half][::-1]
        return folded
