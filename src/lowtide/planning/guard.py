"""The floor under a plan: what it has emitted, held against what the thresholds guarantee.

A forecast that is wrong for hours on end lets work run in hour after hour that turns out dirty. The
double-threshold policy would have emitted at most the sum of its thresholds for the work done; once
a plan has emitted more than that by a stated factor, the thresholds decide (advice with a
guarantee: CarbonClipper, 2024, in its simplest form).
"""

import numpy as np

from lowtide.planning.online import Thresholds, accepts
from lowtide.planning.profile import Level

FACTOR = 3.0  # over the guarantee, before the forecast is no longer followed


class Guard:
    """Counts in slots of full-power work, and prices in g/kWh."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._allowed = np.append(0.0, np.cumsum(thresholds.stay))
        self._done, self._spent = 0.0, 0.0

    def worked(self, share: float, level: Level, price: float) -> None:
        """`share` of a slot was run at a level, at a price."""
        self._done += share * level.throughput
        self._spent += share * level.power * price

    @property
    def broken(self) -> bool:
        """Whether what was emitted exceeds the guarantee for the work done."""
        allowed = float(np.interp(self._done, np.arange(len(self._allowed)), self._allowed))
        return self._spent > FACTOR * allowed + 1e-9

    def accepts(self, price: float, *, running: bool) -> bool:
        return accepts(self._thresholds, int(self._done + 1e-9), price, running=running)
