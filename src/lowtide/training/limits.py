"""Training hooks that end a fit: a budget that is spent, a signal to leave."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType

from lowtide.clock import Clock
from lowtide.energy.budget import BudgetWatch
from lowtide.energy.totals import Totals
from lowtide.training.fit import BudgetSpent
from lowtide.training.pacing import Paused
from lowtide.training.protocols import Hook


class BudgetGuard(Hook):
    """Raises `BudgetSpent` after the step in which it is."""

    def __init__(self, watch: BudgetWatch, totals: Callable[[], Totals]) -> None:
        self._watch, self._totals = watch, totals

    def after_step(self, step: float, num_steps: float, loss: float) -> None:  # noqa: ARG002
        where = f"after {step + 1:.0f} of {num_steps:.0f} steps"
        if self._watch.spent_by_now(self._totals, where):
            raise BudgetSpent


class Leaving(Hook):
    """On SIGTERM the fit writes its checkpoint before the next step, or batch of validation, and
    leaves as paused.

    Whoever waits before a step does so by `clock`: then a wait ends, too.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = _Interruptible(clock)
        self._asked = False

    @contextmanager
    def listening(self) -> Iterator["Leaving"]:
        former = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield self
        finally:
            signal.signal(signal.SIGTERM, former)

    def before_step(self, step: float, num_steps: float) -> None:  # noqa: ARG002
        self.leave_if_asked()

    def while_validating(self) -> None:
        self.leave_if_asked()

    def leave_if_asked(self) -> None:
        """Raises `Paused`."""
        if self._asked:
            raise Paused(self.clock.now())

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        self.clock.interrupt()


class _Interruptible:
    """A clock whose waits a signal handler ends with `Paused`."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.replay = clock, clock.replay
        self._waits = self._interrupted = False

    def now(self) -> datetime:
        return self._clock.now()

    def real_seconds(self, duration: timedelta) -> float:
        return self._clock.real_seconds(duration)

    def sleep_until(self, instant: datetime) -> None:
        self._waits = True  # before the question: a signal between the two is not missed
        try:
            if self._interrupted:
                raise Paused(self.now())
            self._clock.sleep_until(instant)
        finally:
            self._waits = False

    def interrupt(self) -> None:
        self._interrupted = True
        if self._waits:
            raise Paused(self.now())
