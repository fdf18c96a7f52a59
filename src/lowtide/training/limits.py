"""Training hooks that end a fit: a budget that is spent, a signal to leave."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType

from lowtide.clock import Clock
from lowtide.energy.budget import BudgetWatch
from lowtide.energy.totals import Totals
from lowtide.training.fit import BudgetSpent
from lowtide.training.pacing import Deferred

EVERY_S = 1.0  # between two looks at the budget


class BudgetGuard:
    """Raises `BudgetSpent` after the step in which it is."""

    def __init__(self, watch: BudgetWatch, totals: Callable[[], Totals]) -> None:
        self._watch, self._totals, self._looked_s = watch, totals, 0.0

    def before_step(self, step: float, num_steps: float) -> None: ...

    def after_step(self, step: float, num_steps: float, loss: float) -> None:  # noqa: ARG002
        now_s = time.monotonic()
        if now_s - self._looked_s < EVERY_S:
            return
        self._looked_s = now_s
        if self._watch.spent(self._totals(), f"after {step + 1:.0f} of {num_steps:.0f} steps"):
            raise BudgetSpent

    def while_validating(self) -> None: ...

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None: ...


class Leaving:
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
        self._leave_if_asked()

    def after_step(self, step: float, num_steps: float, loss: float) -> None: ...

    def while_validating(self) -> None:
        self._leave_if_asked()

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None: ...

    def _leave_if_asked(self) -> None:
        if self._asked:
            raise Deferred(self.clock.now())

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        self.clock.interrupt()


class _Interruptible:
    """A clock whose waits a signal handler ends with `Deferred`."""

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
                raise Deferred(self.now())
            self._clock.sleep_until(instant)
        finally:
            self._waits = False

    def interrupt(self) -> None:
        self._interrupted = True
        if self._waits:
            raise Deferred(self.now())
