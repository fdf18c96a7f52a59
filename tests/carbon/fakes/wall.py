"""A wall clock that tests turn by hand; sleeping turns it, and takes no time."""

import threading
from datetime import datetime, timedelta


class FakeWall:
    def __init__(self, start: datetime) -> None:
        self._now, self._monotonic_s = start, 1000.0
        self._lock = threading.Lock()
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.forward(timedelta(seconds=seconds))

    def forward(self, duration: timedelta) -> None:
        with self._lock:
            self._now += duration
            self._monotonic_s += duration.total_seconds()

    def set_back(self, duration: timedelta) -> None:
        """As when an administrator corrects the clock: monotonic time does not follow."""
        self._now -= duration
