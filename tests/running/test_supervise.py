"""On a replayed clock: waits are jumped, the planner is asked as said, its failure lets run on."""

import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from lowtide.clock import ReplayClock
from lowtide.energy.totals import Totals
from lowtide.errors import CarbonError
from lowtide.planning.horizon import Decision
from lowtide.running.child import Child
from lowtide.running.interrupts import Interrupts
from lowtide.running.state import Job
from lowtide.running.supervise import Supervisor
from lowtide.running.terms import Status, Terms
from lowtide.running.work import Work

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPEED = 10800.0  # three hours a second


class Window:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def park(self) -> None:
        self.calls.append("park")

    def resume(self) -> None:
        self.calls.append("resume")

    def totals(self) -> Totals:
        return Totals()


class Tide:
    """High, and to be waited out, in the given hours after noon."""

    def __init__(self, *high: tuple[float, float]) -> None:
        self.high = high
        self.asked: list[tuple[float, float, bool]] = []

    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        hours = (now - NOON) / HOUR
        self.asked.append((hours, work_hours, running))
        for start, end in self.high:
            if start <= hours < end:
                return Decision(0.0, NOON + HOUR * end, "high", None)
        return Decision(1.0, now + HOUR / 2, "low", None)


class Blind:
    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        raise CarbonError("no forecast")


class Hung:
    """Waits for a network that does not answer, until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        self.go.wait(20)
        return Decision(0.0, now + HOUR, "too late to tell", None)


def supervised(  # type: ignore[no-untyped-def]
    decider, hours: float, deadline_hours: float, work_hours: float, **terms: object
):
    """A command that takes `hours` of the replayed clock: (code, supervisor, window, statuses)."""
    clock, window, told = ReplayClock(NOON, SPEED), Window(), []
    deadline = NOON + HOUR * deadline_hours
    job = Job("r", NOON, deadline, 0.0, work_hours, "given")
    program = f"import time; time.sleep({hours * 3600 / SPEED})"
    child = Child([sys.executable, "-S", "-c", program], os.environ)
    full = {"resume_hours": 0.0, "restartable": False, "grace_s": 1.0, **terms}
    with Interrupts() as interrupts:
        supervisor = Supervisor(
            child, decider, clock, Work(job, clock, lambda _: None),
            Terms(deadline=deadline, **full), interrupts, told.append,
        )  # fmt: skip
        code = supervisor.run(lambda: nullcontext(window))
    return code, supervisor, window, told


def test_a_replay_jumps_over_waits_and_pauses() -> None:
    tide = Tide((0, 5), (6, 20))
    code, supervisor, window, told = supervised(tide, 3, 48, 3)
    assert code == 0
    assert window.calls == ["park", "resume"]
    assert supervisor.started_at - NOON >= 5 * HOUR
    (pause,) = supervisor.pauses
    assert pause.end - NOON >= 20 * HOUR
    assert pause.end - NOON < 21 * HOUR
    states = [status.state for status in told if status.changed]
    assert states == ["waiting", "running", "paused", "running"]
    assert isinstance(told[0], Status)
    assert told[0].totals is None


def test_the_planner_hears_what_is_left_and_whether_it_runs() -> None:
    tide = Tide((0, 5), (6, 20))
    supervised(tide, 3, 48, 3)
    assert tide.asked[0] == (pytest.approx(0, abs=0.1), 3, False)
    at_high_tide = [asked for asked in tide.asked if 6 <= asked[0] < 20]
    assert at_high_tide[0][1] == pytest.approx(2, abs=0.6)
    assert at_high_tide[0][2] is True
    assert next(running for hours, _, running in tide.asked if hours >= 20) is False


def test_it_starts_in_time_for_its_deadline_resume_included() -> None:
    code, supervisor, _, _ = supervised(Tide((0, 100)), 1, 10, 4, resume_hours=1.0)
    assert code == 0
    assert (supervisor.started_at - NOON) / HOUR == pytest.approx(5, abs=0.5)
    assert supervisor.pauses == []


def test_a_pause_ends_in_time_for_the_deadline() -> None:
    code, supervisor, _, _ = supervised(Tide((1, 100)), 3, 10, 4)
    assert code == 0
    (pause,) = supervisor.pauses
    done_before_h = (pause.start - NOON) / HOUR
    assert (pause.end - NOON) / HOUR == pytest.approx(10 - (4 - done_before_h), abs=0.5)


def test_without_a_planner_the_work_runs() -> None:
    code, supervisor, window, told = supervised(Blind(), 1, 48, 1)
    assert code == 0
    assert window.calls == []
    assert "no forecast" in told[0].reason
    assert supervisor.started_at - NOON < HOUR


def test_a_planner_that_hangs_costs_no_deadline() -> None:
    hung = Hung()
    code, supervisor, _, told = supervised(hung, 1, 6, 3)
    hung.go.set()
    assert code == 0
    assert HOUR * 2.9 < supervisor.started_at - NOON < HOUR * 5
    assert [status.reason for status in told] == ["the latest safe start has come"]


def test_a_planner_that_hangs_holds_no_interrupt_up() -> None:
    hung = Hung()
    main = threading.main_thread().ident or 0
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGTERM)).start()
    begun_s = time.monotonic()
    code, *_ = supervised(hung, 1, 600, 3)
    hung.go.set()
    assert code == 128 + signal.SIGTERM
    assert time.monotonic() - begun_s < 10
