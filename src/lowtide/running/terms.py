"""What a supervisor is given, and what it says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from lowtide.energy.totals import Totals
from lowtide.planning.horizon import Decision

State = Literal["waiting", "running", "paused"]


class Decider(Protocol):
    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision: ...


class Window(Protocol):
    def park(self) -> None: ...

    def resume(self) -> None: ...

    def totals(self) -> Totals: ...


@dataclass(frozen=True)
class Pause:
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Status:
    """`until`: when held work is to go on, else when the plan is asked again; `totals` None before
    the start."""

    state: State
    until: datetime
    reason: str
    totals: Totals | None
    changed: bool


@dataclass(frozen=True)
class Terms:
    """What the user asked for.

    `resume_hours` of work are lost at each resume. `restartable`: a pause ends the command, with
    `grace_s` to write its checkpoint, and a later start goes on from there.
    """

    deadline: datetime
    resume_hours: float
    restartable: bool
    grace_s: float
