"""When processes that train together ask each other whether to stop."""

import time
from collections.abc import Callable

EVERY_S = 1.0


class Looks:
    """About once a second: to ask is to wait for the GPU, which no step should.

    All have to ask after the same step. So they agree, with each answer, on how many steps there
    are to the next one, of which each says by its own clock how many it wants.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._since_s = now_s, now_s()
        self._steps = self._left = 1

    def due(self) -> bool:
        """Counts a step; whether all ask after it."""
        self._left -= 1
        return self._left == 0

    def wanted(self) -> int:
        """Steps to the next look: as many as take a second, at most twice as many as to this."""
        step_s = (self._now_s() - self._since_s) / self._steps
        most = 2 * self._steps
        return most if step_s * most <= EVERY_S else max(int(EVERY_S / step_s), 1)

    def agree(self, steps: int) -> None:
        self._steps = self._left = steps
        self._since_s = self._now_s()
