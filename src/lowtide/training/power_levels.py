"""A GPU's power limits as levels to train at: measured in the first steps, then planned with."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from lowtide.controller.levels import RelativeLevel, relative_levels
from lowtide.controller.power import PowerPoint
from lowtide.params import ScheduleParams
from lowtide.training.protocols import Hook

SETTLE_S = 1.0  # after a change of the limit: the driver's power is a mean over a second
MEASURE_S = 3.0  # at each limit


class Limit(Protocol):
    def set(self, limit_w: float) -> bool:
        """Limit the GPUs; False where that cannot be had any more."""


class PowerLevels(Hook):
    """A training hook. Runs some seconds at each limit, the highest first, then at the highest.

    `joules` is cumulative, of all that is metered: what a limit saves is seen on the whole machine.
    Once measured, `schedule` has the levels for the planner, and `run_at` puts one into effect.
    Where the driver refuses one, the limit that was found holds again, full power is all there is
    from then on, and `schedule` says so.
    """

    def __init__(
        self,
        limit: Limit,
        limits_w: Sequence[float],
        joules: Callable[[], float | None],
        say: Callable[[str], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._joules, self._say, self._now_s = limit, joules, say, now_s
        self._waiting = sorted(limits_w, reverse=True)
        self._present = self._waiting[0]
        self._set_s: float | None = None  # when the present limit was set
        self._from: tuple[float, float, float] | None = None  # seconds, steps, joules
        self._points: list[PowerPoint] = []
        self._levels: tuple[RelativeLevel, ...] = ()
        self._level: RelativeLevel | None = None
        self.measured = False

    def before_step(self, step: float, num_steps: float) -> None:  # noqa: ARG002
        if not self.measured:
            self._profile(step)

    @property
    def throughput(self) -> float | None:
        """Of the present level, over that of the highest; None while levels are measured."""
        if not self.measured:
            return None
        return 1.0 if self._level is None else self._level.throughput

    def schedule(self, usual: ScheduleParams) -> ScheduleParams:
        """With the levels that were measured; it may pause if `usual` may."""
        if not self._levels:
            return usual.all_or_nothing()
        pause = (0.0,) if 0.0 in usual.levels else ()
        powers = (*pause, *(level.power for level in self._levels))
        done = (*pause, *(level.throughput for level in self._levels))
        return usual.model_copy(update={"levels": powers, "throughput": done})

    def run_at(self, power: float) -> None:
        """Set the limit whose relative power this is; a pause leaves it."""
        level = next((level for level in self._levels if level.power == power), None)
        if level is None or level == self._level:
            return
        full_w = max(point.limit_w for point in self._points)
        limit_w = next(p.limit_w for p in self._points if p.limit_w / full_w == level.level)
        if not self._limit.set(limit_w):
            self._levels, self._level = (), None
            self._say("power limits are refused from here on: full power is all there is")
            return
        self._level = level
        self._say(f"power limit {limit_w:g} W: {power:.0%} of the power, "
                  f"{level.throughput:.0%} of the work")  # fmt: skip

    def _profile(self, step: float) -> None:
        now_s = self._now_s()
        if self._set_s is None:
            self._begin(now_s)
        elif self._from is None:
            if now_s - self._set_s >= SETTLE_S:
                self._from = (now_s, step, self._joules() or 0.0)
        elif now_s - self._from[0] >= MEASURE_S:
            self._end(now_s, step)

    def _begin(self, now_s: float) -> None:
        """At the next limit, if there is one and it can be set."""
        if not self._waiting:
            return self._finish()
        self._present = self._waiting.pop(0)
        if not self._limit.set(self._present):
            self._points = []
            return self._finish()
        self._set_s, self._from = now_s, None
        return None

    def _end(self, now_s: float, step: float) -> None:
        assert self._from is not None
        began_s, first, before_j = self._from
        after_j, seconds = self._joules() or 0.0, now_s - began_s
        if after_j > before_j and step > first:
            power_w, steps_s = (after_j - before_j) / seconds, (step - first) / seconds
            self._points.append(PowerPoint(self._present, power_w, steps_s))
        self._set_s = None
        self._begin(now_s)

    def _finish(self) -> None:
        self.measured = True
        if not self._points:
            self._say("the power limit stays as it is: no limit could be measured")
            return
        self._levels = relative_levels(self._points)
        self.run_at(max(level.power for level in self._levels))
