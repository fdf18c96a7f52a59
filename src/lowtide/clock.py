"""Time: the system's, or that of a recorded trace replayed faster than it happened.

Everything that reads or waits for time takes a `Clock`. Instants are UTC-aware.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    replay: bool

    def now(self) -> datetime:
        """The present instant, UTC-aware."""

    def sleep_until(self, instant: datetime) -> None:
        """Return once `now() >= instant`."""

    def real_seconds(self, duration: timedelta) -> float:
        """How many seconds of the wall clock this duration takes."""


class SystemClock:
    replay = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep_until(self, instant: datetime) -> None:
        # Short naps: a wall clock that was set while waiting is noticed within half a minute.
        while (left_s := (instant - self.now()).total_seconds()) > 0:
            time.sleep(min(left_s, 30.0))

    def real_seconds(self, duration: timedelta) -> float:
        return duration.total_seconds()


class ReplayClock:
    """Starts at `start`, runs `speed` times faster than the wall, and jumps over waits."""

    replay = True

    def __init__(
        self, start: datetime, speed: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("a replay starts at a UTC-aware instant")
        if speed <= 0:
            raise ValueError(f"replay speed must be positive, not {speed}")
        self._origin = start
        self._speed = speed
        self._monotonic = monotonic
        self._anchor = monotonic()

    def now(self) -> datetime:
        elapsed_s = self._monotonic() - self._anchor
        return self._origin + timedelta(seconds=elapsed_s * self._speed)

    def sleep_until(self, instant: datetime) -> None:
        if instant > self.now():
            self._origin, self._anchor = instant, self._monotonic()

    def real_seconds(self, duration: timedelta) -> float:
        return duration.total_seconds() / self._speed
