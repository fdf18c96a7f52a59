"""One job under one policy, slot by slot, on what the grid really did."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lowtide.planning.dynamic import Use
from lowtide.planning.profile import WorkProfile
from lowtide.planning.table import State

DONE = 1e-9  # work left, in slots, below which the job is done


@dataclass(frozen=True)
class Job:
    """`work` full-power slots to do in the `window` slots from index `start` of the trace on."""

    start: int
    window: int
    work: float


@dataclass(frozen=True)
class View:
    """What a policy may know: it decides slot `at` and sees the trace before it only."""

    at: int
    left: int  # slots to the deadline, this one included
    work: float  # full-power slots
    begun: bool
    running: bool
    deviated: bool  # it has waited or paused before

    @property
    def state(self) -> State:
        if self.running:
            return "running"
        return "paused" if self.begun else "fresh"


class Policy(Protocol):
    def use(self, view: View) -> Use | None:
        """At which level to run this slot, and for which share of it; None to rest."""


@dataclass(frozen=True)
class Outcome:
    """Emissions in grams per kW of full power; `missed` if work was left at the deadline."""

    emissions_g_per_kw: float
    switches: int
    missed: bool


def simulate(
    policy: Policy, job: Job, truth: np.ndarray, profile: WorkProfile, slot_hours: float
) -> Outcome:
    """truth: [N] g/kWh of each slot. A resume loses work; parking draws the profile's idle power.

    The latest safe start holds for every policy: where resting, or a slow level, would miss the
    deadline, the job runs at a level that does not.
    """
    resume = profile.resume_hours / slot_hours
    work, grams, switches = job.work, 0.0, 0
    begun = running = deviated = False
    for offset in range(job.window):
        if work <= DONE:
            break
        at = job.start + offset
        view = View(at, job.window - offset, work, begun, running, deviated)
        use = _safe(policy.use(view), view, profile, resume)
        cost = float(truth[at]) * slot_hours
        if use is None:
            grams += profile.idle_power * cost if begun else 0.0
            running, deviated = False, True
            continue
        switches += not running and begun
        work += resume if begun and not running else 0.0
        level = profile.levels[use.level]
        share = min(use.share, work / level.throughput)
        work -= share * level.throughput
        parked = begun if use.late else work > DONE
        grams += (level.power * share + profile.idle_power * (1 - share) * parked) * cost
        begun = running = True
    return Outcome(grams, switches, work > DONE)


def _safe(use: Use | None, view: View, profile: WorkProfile, resume: float) -> Use | None:
    """What was asked for; where that would miss the deadline, the least level that does not."""
    now = view.work + (resume if view.begun and not view.running else 0.0)
    later = (view.left - 1) * profile.fastest + DONE
    if use is None:
        if view.work + (resume if view.begun else 0.0) <= later:
            return None
    elif now - use.share * profile.levels[use.level].throughput <= later:
        return use
    order = sorted(range(len(profile.levels)), key=lambda k: profile.levels[k].throughput)
    least = (k for k in order if now - profile.levels[k].throughput <= later)
    return Use(view.at, next(least, order[-1]), 1.0)
