"""A circuit breaker: a host that keeps failing is left alone for a while."""

from lowtide.carbon.failures import AwayError
from lowtide.carbon.wall import Wall

FAILURES = 3  # refreshes that failed one after the other
REST_S = 600.0
HOLD_MAX_S = 900.0  # a host that wants to be left alone for longer is asked again after this


class Breaker:
    """Opens after three failures, or as long as the host has asked for; then lets one call try.

    Written here because pybreaker reads the system's clock, and a test would have to wait for it.
    """

    def __init__(self, host: str, wall: Wall, hold_max_s: float = HOLD_MAX_S) -> None:
        self._host, self._wall, self._hold_max_s = host, wall, hold_max_s
        self._num_failures = 0
        self._closed_at = 0.0  # monotonic seconds; before it no call is let through
        self._open = False

    def check(self) -> None:
        """Raises: AwayError while the host is left alone."""
        left_s = self._closed_at - self._wall.monotonic()
        if self._open and left_s > 0:
            raise AwayError(f"{self._host} keeps failing: left alone for {left_s:.0f} s more")

    def succeeded(self) -> None:
        self._num_failures, self._open = 0, False

    def failed(self, retry_after_s: float | None) -> None:
        self._num_failures += 1
        if retry_after_s is not None:
            self._rest(min(retry_after_s, self._hold_max_s))
        if self._num_failures >= FAILURES:
            self._rest(REST_S)

    def _rest(self, seconds: float) -> None:
        until = self._wall.monotonic() + seconds
        self._closed_at = max(self._closed_at, until) if self._open else until
        self._open = True
