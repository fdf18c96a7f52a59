"""The policies that a backtest puts side by side. Each sees the trace before its slot only."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lowtide.planning.choice import Outlook, choose
from lowtide.planning.dynamic import Use, cheapest_slots
from lowtide.planning.guard import Guard
from lowtide.planning.online import Thresholds, accepts, thresholds_for
from lowtide.planning.profile import WorkProfile
from lowtide.planning.simulate import Job, View

Outlooks = Callable[[int, int], Outlook]  # (first unknown slot, number of slots)
SEEN_HOURS = 14 * 24  # over which the online policy takes the range of prices
TRAILING_HOURS = 48
QUANTILE = 0.3  # the threshold policy runs below this quantile of the trailing hours


def at_full(view: View, profile: WorkProfile) -> Use:
    return Use(view.at, profile.levels.index(profile.full), 1.0)


@dataclass(frozen=True)
class RunNow:
    profile: WorkProfile

    def use(self, view: View) -> Use | None:
        return at_full(view, self.profile)


@dataclass
class Foresight:
    """The oracle: one plan for the job, on what the grid will really do."""

    truth: np.ndarray
    job: Job
    profile: WorkProfile
    slot_hours: float
    pausing: bool = True
    _uses: dict[int, Use] = field(init=False)

    def __post_init__(self) -> None:
        cost = self.truth[self.job.start : self.job.start + self.job.window] * self.slot_hours
        work = self.job.work * self.slot_hours
        uses = cheapest_slots(cost, work, self.profile, self.slot_hours, pausing=self.pausing)
        self._uses = {self.job.start + use.slot: use for use in uses}

    def use(self, view: View) -> Use | None:
        return self._uses.get(view.at)


@dataclass(frozen=True)
class Replan:
    """Plans anew in every slot and does what the plan says for this one.

    `careful` is lowtide's own rule (see `choose`); without it the forecast is taken as certain.
    """

    outlooks: Outlooks
    profile: WorkProfile
    slot_hours: float
    careful: bool
    pausing: bool = True

    def use(self, view: View) -> Use | None:
        if view.begun and not self.pausing:
            return at_full(view, self.profile)
        outlook = self.outlooks(view.at, view.left)
        if not self.careful:
            outlook = Outlook(outlook.mean, np.full(len(outlook.mean), np.nan))
        try:
            choice = choose(
                outlook, view.work * self.slot_hours, self.profile, self.slot_hours,
                state=view.state, deviated=view.deviated, pausing=self.pausing,
            )  # fmt: skip
        except ValueError:
            return at_full(view, self.profile)
        uses = choice.uses
        return uses[0] if uses and uses[0].slot == 0 else None


@dataclass
class Guarded:
    """A planning policy with the floor under it (see `guard`)."""

    plan: Replan
    known: np.ndarray
    job: Job
    _guard: Guard = field(init=False)
    _last: Use | None = None

    def __post_init__(self) -> None:
        profile, slot_hours = self.plan.profile, self.plan.slot_hours
        self._guard = Guard(_thresholds(self.known, self.job, profile, slot_hours))

    def use(self, view: View) -> Use | None:
        if self._last is not None:
            level = self.plan.profile.levels[self._last.level]
            self._guard.worked(self._last.share, level, float(self.known[view.at - 1]))
        if self._guard.broken and self.plan.pausing:
            price = float(self.known[view.at - 1])
            accepted = self._guard.accepts(price, running=view.running)
            self._last = at_full(view, self.plan.profile) if accepted else None
        else:
            self._last = self.plan.use(view)
        return self._last


@dataclass(frozen=True)
class Threshold:
    """Runs below a trailing quantile of the intensity, in the manner of Ecovisor."""

    known: np.ndarray
    profile: WorkProfile
    slot_hours: float

    def use(self, view: View) -> Use | None:
        trailing = self.known[max(view.at - round(TRAILING_HOURS / self.slot_hours), 0) : view.at]
        if not len(trailing):
            return at_full(view, self.profile)
        below = self.known[view.at - 1] <= np.quantile(trailing, QUANTILE)
        return at_full(view, self.profile) if below else None


@dataclass
class DoubleThreshold:
    """DTPR: no forecast, a guarantee; the last known value stands for the present one."""

    known: np.ndarray
    job: Job
    profile: WorkProfile
    slot_hours: float
    _limits: Thresholds = field(init=False)

    def __post_init__(self) -> None:
        self._limits = _thresholds(self.known, self.job, self.profile, self.slot_hours)

    def use(self, view: View) -> Use | None:
        done = int(self.job.work - view.work + 1e-9)
        price = float(self.known[view.at - 1])
        accepted = accepts(self._limits, done, price, running=view.running)
        return at_full(view, self.profile) if accepted else None


def _thresholds(known: np.ndarray, job: Job, profile: WorkProfile, slot_hours: float) -> Thresholds:
    """From the range of two weeks before the release."""
    seen = known[max(job.start - round(SEEN_HOURS / slot_hours), 0) : job.start]
    return thresholds_for(seen.tolist(), job.work, profile.resume_hours / slot_hours)
