"""The loop around a command: let it run when the plan says so, hold it back when not."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lowtide.clock import Clock
from lowtide.errors import CarbonError, DeadlineError
from lowtide.planning.horizon import Decision
from lowtide.running.asking import Asking
from lowtide.running.child import Child
from lowtide.running.interrupts import Interrupts
from lowtide.running.terms import Decider, Pause, State, Status, Terms, Window
from lowtide.running.work import HOUR, Work

NAP_S = 0.05
STILL = timedelta(seconds=0.25)  # how often a held command is looked after
ASK_AGAIN = timedelta(minutes=5)  # where the planner failed
ASK_AT_MOST = timedelta(seconds=0.2)
TELL_EVERY_S = 1.0


@dataclass
class Supervisor:
    """Runs one job. The deadline outranks carbon: see `_answer`."""

    child: Child
    decider: Decider
    clock: Clock
    work: Work
    terms: Terms
    interrupts: Interrupts
    tell: Callable[[Status], None]
    pauses: list[Pause] = field(default_factory=list)
    started_at: datetime | None = None
    _decision: Decision | None = None
    _asking: Asking[Decision] | None = None
    _committed: bool = False
    _held_since: datetime | None = None
    _told: tuple[State, str, float] | None = None

    def run(self, open_window: Callable[[], AbstractContextManager[Window]]) -> int:
        """Until the command has ended: its exit code, or 128+n where signal n came before.

        The window is opened when the command first starts: waiting for that costs it nothing.
        """
        while not self._may_run():
            if (number := self.interrupts.pass_on(self.child)) is not None:
                return 128 + number
            if self._decision is not None:
                self._report("waiting", None)
                self._wait()
        with open_window() as window:
            try:
                return self._follow(window)
            finally:
                self.child.end(self.terms.grace_s)  # inside the window: its last joules count
                self.work.rest()
                self._note_pause()

    def _follow(self, window: Window) -> int:
        self.child.start()
        self.work.go()
        self.started_at = self.clock.now()
        while (code := self._ended()) is None:
            may_run = self._may_run()
            if may_run and self._held_since is not None:
                self._release(window)
            elif not may_run and self._held_since is None:
                self._hold(window)
            held = self._held_since is not None
            self._report("paused" if held else "running", window)
            self.work.tick()
            self._wait() if held else time.sleep(NAP_S)
        return code

    def _ended(self) -> int | None:
        number = self.interrupts.pass_on(self.child)
        code = self.child.poll()
        if self._held_since is not None and self.terms.restartable:
            return None if number is None else 128 + number  # between two starts
        return code

    def _may_run(self) -> bool:
        now, last = self.clock.now(), self._decision
        interrupted = self.interrupts.first is not None
        if interrupted or last is None or now >= min(last.until, self._latest_start()):
            self._decision = last = self._answer(now) or last
        return last is not None and last.level > 0

    def _answer(self, now: datetime) -> Decision | None:
        """The planner's, until the latest safe start has come: then the job runs to its end.

        None while the planner thinks, or waits for a network: what holds goes on until then.
        """
        deadline = self.terms.deadline
        if self.interrupts.first is not None:
            return Decision(1.0, now + HOUR, "interrupted", None)
        if self._committed or now >= self._latest_start():
            self._committed = True
            return Decision(1.0, max(deadline, now + HOUR), "the latest safe start has come", None)
        asking = self._asking or self._ask(now)
        try:
            answer = asking.result(NAP_S)
        except (CarbonError, DeadlineError) as error:
            answer = Decision(1.0, now + ASK_AGAIN, f"runs without a plan: {error}", None)
        self._asking = asking if answer is None else None
        return answer and replace(answer, until=max(answer.until, now + ASK_AT_MOST))

    def _ask(self, now: datetime) -> Asking[Decision]:
        running = self.child.alive and self._held_since is None
        left_hours = self.work.left_hours()
        return Asking(lambda: self.decider.decide(now, left_hours, running=running))

    def _latest_start(self) -> datetime:
        return self.terms.deadline - HOUR * (self.work.left_hours() + self.terms.resume_hours)

    def _hold(self, window: Window) -> None:
        if self.child.poll() is not None:
            return  # it has just ended by itself
        if self.terms.restartable:
            self.child.end(self.terms.grace_s)
        else:
            self.child.stop()
        self.work.rest()
        window.park()
        self._held_since = self.clock.now()

    def _release(self, window: Window) -> None:
        self._note_pause()
        self.work.go()
        if self.terms.restartable:
            self.child.start()
        else:
            self.child.resume()
        window.resume()

    def _note_pause(self) -> None:
        if self._held_since is not None:
            self.pauses.append(Pause(self._held_since, self.clock.now()))
        self._held_since = None

    def _wait(self) -> None:
        """A replay jumps to where the plan is asked again; the system's clock is waited for."""
        assert self._decision is not None
        until = min(self._decision.until, self._latest_start())
        if not self.clock.replay:
            until = min(until, self.clock.now() + STILL)
        self.clock.sleep_until(until)

    def _report(self, state: State, window: Window | None) -> None:
        """At every change, and once a second. A plan with another reason and the same start, or
        for work that runs, is no news."""
        assert self._decision is not None
        reason, start, now_s = self._decision.reason, self._decision.resumes_at, time.monotonic()
        news = (state, "" if state == "running" else str(start or reason))
        changed = self._told is None or self._told[:2] != news
        if not changed and self._told is not None and now_s - self._told[2] < TELL_EVERY_S:
            return
        self._told = (*news, now_s)
        totals = window.totals() if window is not None else None
        self.tell(Status(state, start or self._decision.until, reason, totals, changed))
