"""How much of a job is done and how much is left, on the clock; saved as it goes."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from lowtide.clock import Clock
from lowtide.running.state import Job

HOUR = timedelta(hours=1)
LEFT_AT_LEAST = 0.1  # of what was done: no estimate is believed to its last tenth
SAVE_EVERY_S = 5.0


class Work:
    """Counts the hours between `go` and `rest`, but not those that the machine was suspended, nor
    a jump of a clock that was set. `save` is called every 5 s and at a rest."""

    def __init__(self, job: Job, clock: Clock, save: Callable[[Job], None]) -> None:
        self._job, self._clock, self._save = job, clock, save
        self._since: float | None = None  # in hours
        self._saved_s = time.monotonic()

    @property
    def job(self) -> Job:
        """The job as it stands now."""
        return replace(self._job, active_s=self.active_hours * 3600)

    @property
    def active_hours(self) -> float:
        running = self._hours() - self._since if self._since is not None else 0.0
        return self._job.active_s / 3600 + running

    def left_hours(self) -> float:
        """By the estimate; a tenth of what was done where that has outlived the estimate."""
        done = self.active_hours
        return max(self._job.work_hours - done, LEFT_AT_LEAST * done)

    def go(self) -> None:
        self._since = self._hours()

    def rest(self) -> None:
        self._job, self._since = self.job, None
        self._store()

    def tick(self) -> None:
        if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self._store()

    def _hours(self) -> float:
        """A replay's time, which does not pass in a suspend either; else the monotonic clock's."""
        if self._clock.replay:
            return self._clock.now().timestamp() / 3600
        return time.monotonic() / 3600

    def _store(self) -> None:
        self._saved_s = time.monotonic()
        self._save(self.job)
