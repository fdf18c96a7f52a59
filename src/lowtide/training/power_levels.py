"""A GPU's power limits as levels to train at: measured in the first steps, then planned with."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from lowtide.controller.levels import RelativeLevel, relative_levels
from lowtide.controller.power import PowerPoint, PowerProfile, Tradeoff, choose_power
from lowtide.params import ScheduleParams
from lowtide.training.protocols import Hook

SETTLE_S = 1.0  # after a change of the limit: the driver's power is a mean over a second
MEASURE_S = 3.0  # at each limit
DRIFT = 0.2  # a throughput so far from that of an earlier run: another workload by now


class Limit(Protocol):
    @property
    def gpus(self) -> tuple[str, ...]:
        """Which GPUs are limited, by UUID."""

    def set(self, limit_w: float) -> bool:
        """Limit the GPUs; False where that cannot be had any more."""


class PowerLevels(Hook):
    """A training hook. Runs some seconds at each limit, the highest first, then at the highest.

    `joules` is cumulative, of all that is metered: what a limit saves is seen on the whole machine.
    `known`: what an earlier run of the same job measured. If it is of the same GPUs and limits, and
    the throughput at the highest one is about the same, it holds, and the rest is not measured.
    `eta`: weight of energy against time (`Tradeoff`), for work without a deadline.

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
        known: PowerProfile | None = None,
        eta: float = 1.0,
    ) -> None:
        self._limit, self._joules, self._say, self._now_s = limit, joules, say, now_s
        self._gpus, self._known, self._eta = limit.gpus, known, eta
        self._limits_w = tuple(sorted(limits_w, reverse=True))
        self._waiting = list(self._limits_w)
        self._present = self._waiting[0]
        self._set_s: float | None = None  # when the present limit was set
        self._from: tuple[float, float, float] | None = None  # seconds, steps, joules
        self._points: list[PowerPoint] = []
        self._levels: tuple[RelativeLevel, ...] = ()
        self._level: RelativeLevel | None = None
        self._asked_for_w: set[float] = set()  # by `run_at`
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

    @property
    def profile(self) -> PowerProfile | None:
        """What was measured, by this run or the earlier one; None where it is not known."""
        if not self.measured or not self._points:
            return None
        return PowerProfile(self._gpus, self._limits_w, tuple(self._points))

    @property
    def limit_w(self) -> float | None:
        """The limit that was asked for throughout, once all were measured; None where it changed,
        was refused, or nobody has asked."""
        return next(iter(self._asked_for_w)) if len(self._asked_for_w) == 1 else None

    def schedule(self, usual: ScheduleParams) -> ScheduleParams:
        """With the levels that were measured; it may pause if `usual` may.

        Without a deadline nothing is planned: then there is one level, that of least cost.
        """
        if not self._levels:
            return usual.all_or_nothing()
        now = usual.deadline_hours == 0
        levels = (self._of_least_cost(),) if now else self._levels
        pause = (0.0,) if 0.0 in usual.levels and not now else ()
        powers = (*pause, *(level.power for level in levels))
        done = (*pause, *(level.throughput for level in levels))
        return usual.model_copy(update={"levels": powers, "throughput": done})

    def run_at(self, power: float) -> bool:
        """Set the limit whose relative power this is; a pause leaves it. False where the driver
        refuses: then `schedule` is another one."""
        level = next((level for level in self._levels if level.power == power), None)
        if level is None:
            return True
        self._asked_for_w.add(self._point(level).limit_w)
        return level == self._level or self._change(level)

    def _change(self, level: RelativeLevel) -> bool:
        limit_w = self._point(level).limit_w
        if not self._limit.set(limit_w):
            self._levels, self._level, self._asked_for_w = (), None, set()
            self._say("power limits are refused from here on: full power is all there is")
            return False
        self._level = level
        self._say(f"power limit {limit_w:g} W: {level.power:.0%} of the power, "
                  f"{level.throughput:.0%} of the work")  # fmt: skip
        return True

    def _of_least_cost(self) -> RelativeLevel:
        by_point = {self._point(level): level for level in self._levels}
        tradeoff = Tradeoff(self._eta, max(point.power_w for point in self._points))
        return by_point[choose_power(list(by_point), tradeoff)]

    def _point(self, level: RelativeLevel) -> PowerPoint:
        full_w = max(point.limit_w for point in self._points)
        return next(point for point in self._points if point.limit_w / full_w == level.level)

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
            self._look_back()
        self._set_s = None
        self._begin(now_s)

    def _look_back(self) -> None:
        """After the highest limit: take the rest from an earlier run, if it still holds."""
        known, point = self._known, self._points[-1]
        if known is None or (known.gpus, known.limits_w) != (self._gpus, self._limits_w):
            return
        then = next((one for one in known.points if one.limit_w == self._limits_w[0]), None)
        if then is None or point.limit_w != then.limit_w:
            return
        share = point.throughput / then.throughput
        if abs(share - 1) > DRIFT:
            self._say(f"power limits are measured anew: {share:.0%} of an earlier run's work")
            return
        self._say("power limits are as an earlier run has measured them")
        self._points, self._waiting = list(known.points), []

    def _finish(self) -> None:
        self.measured = True
        if not self._points:
            self._say("the power limit stays as it is: no limit could be measured")
            return
        self._levels = relative_levels(self._points)
        self._change(max(self._levels, key=lambda level: level.power))
