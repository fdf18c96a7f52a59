"""A program for the tests: `lowtide exec` on a planner that follows a script, on a real clock.

    python drive.py OPTIONS COMMAND...

OPTIONS is JSON: `holds`, pairs of seconds, counted from when the planner is first asked, between
which the command is held, and fields of Request to change.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lowtide.carbon.signal import IntensityValue
from lowtide.clock import SystemClock
from lowtide.energy.sources import Reading
from lowtide.params import ScheduleParams
from lowtide.planning.horizon import Decision
from lowtide.running.execute import Request, Surroundings, execute
from lowtide.running.setting import OUTSIDE_SCHEDULE, Setting

SECOND = timedelta(seconds=1)


class FlatGrid:
    zone, name = "Z", "flat"

    def current(self, at: datetime) -> IntensityValue:
        return IntensityValue("Z", at, at + SECOND, 100.0, "average", "measured", "flat")

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return []


class HundredWatts:
    def __init__(self) -> None:
        self.began_s = time.monotonic()

    def read(self) -> list[Reading]:
        return [Reading("cpu", 100 * (time.monotonic() - self.began_s), "fake", "estimated")]

    def close(self) -> None:
        pass


class Script:
    def __init__(self, holds: list[list[float]]) -> None:
        self.holds = [(SECOND * start, SECOND * end) for start, end in holds]
        self.first: datetime | None = None

    def decide(self, now: datetime, work_hours: float, *, running: bool) -> Decision:
        self.first = self.first or now
        for start, end in [(self.first + start, self.first + end) for start, end in self.holds]:
            if now < start:
                return Decision(1.0, start, "clean", None)
            if now < end:
                return Decision(0.0, end, "dirty", None)
        return Decision(1.0, now + timedelta(hours=1), "clean", None)


def run(
    options: dict[str, Any], command: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """The report of the command, run in the current folder; states and notes go to `say`."""
    given = dict(options)
    script = Script(given.pop("holds", []))
    request = {
        "deadline": timedelta(seconds=given.pop("deadline_s", 3600)),
        "work": timedelta(seconds=given.pop("work_s", 5)),
        "restartable": False,
        "keep": False,
        "anew": False,
        "grace_s": 2.0,
        "quiet": False,
        **given,
    }
    schedule = ScheduleParams.model_validate({**OUTSIDE_SCHEDULE, "resume_minutes": 0})
    setting = Setting(FlatGrid(), SystemClock(), schedule, 1.0)
    around = Surroundings(Path(".lowtide"), setting, [HundredWatts()], say)
    return execute(
        Request(command=tuple(command), **request),
        around,
        lambda _: script,
        lambda status: say(status.state) if status.changed else None,
    )


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a CI may have it ignored
    report = run(json.loads(sys.argv[1]), sys.argv[2:], lambda line: print(line, flush=True))
    sys.exit(report["exit_code"])


if __name__ == "__main__":
    main()
