"""Time as the network sees it: never a replay, and in tests never waited for."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Wall(Protocol):
    def now(self) -> datetime:
        """The present instant, UTC-aware; may jump."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemWall:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
