"""What to do now, given a forecast and how sure it is: the rule that plans and backtests share."""

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np

from lowtide.planning.dynamic import Use, cheapest_slots
from lowtide.planning.profile import WorkProfile
from lowtide.planning.table import State

CAUTION = 0.25  # how much of its growing uncertainty is added to what a later slot costs
SURE = 0.72  # how likely a saving has to be before the work leaves the run-now path
BAND_WIDTH = 1.2816  # standard deviations in half an 80 % band of a normal error
MEMORY_HOURS = 12.0  # forecast errors that far apart are correlated by 1/e


@dataclass(frozen=True)
class Outlook:
    """A forecast by slots: `mean` g/kWh and the `spread` (standard deviation) of its error, [T]."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Choice:
    """The slots to use. `sure`: the chance that they emit less than running now, NaN if unknown;
    `stays`: running now was chosen because that chance is too small."""

    uses: tuple[Use, ...]
    sure: float
    stays: bool = False


def choose(
    outlook: Outlook,
    work: float,
    profile: WorkProfile,
    slot_hours: float,
    *,
    state: State = "fresh",
    deviated: bool = False,
    pausing: bool = True,
) -> Choice:
    """The cheapest slots, later ones made dearer by what is not known of them.

    `deviated`: the work has waited or paused before. Until then it emits what running now does,
    and rests only if that is likely to emit less. Raises ValueError if the work does not fit.
    """
    careful = outlook.mean + CAUTION * np.maximum(outlook.spread - outlook.spread[:1], 0.0)
    cost = np.where(np.isfinite(careful), careful, outlook.mean) * slot_hours
    uses = cheapest_slots(cost, work, profile, slot_hours, state=state, pausing=pausing)
    now = at_once(work, profile, slot_hours, len(cost))
    sure = chance(uses, now, outlook, profile, slot_hours)
    if uses and (uses[0].slot > 0 or uses[0].late) and not deviated and sure < SURE:
        return Choice(now, sure, stays=True)
    return Choice(uses, sure)


def at_once(work: float, profile: WorkProfile, slot_hours: float, num: int) -> tuple[Use, ...]:
    """Running now at full power, or at the fastest level where that would be too slow."""
    level = profile.levels.index(profile.full)
    slots = work / slot_hours
    if slots > num * profile.levels[level].throughput + 1e-9:
        level = max(range(len(profile.levels)), key=lambda k: profile.levels[k].throughput)
    whole, part = divmod(slots / profile.levels[level].throughput, 1.0)
    uses = [Use(slot, level, 1.0) for slot in range(int(whole))]
    return (*uses, Use(int(whole), level, part)) if part > 1e-9 else tuple(uses)


def chance(
    chosen: tuple[Use, ...],
    instead: tuple[Use, ...],
    outlook: Outlook,
    profile: WorkProfile,
    slot_hours: float,
) -> float:
    """Probability that `chosen` emits less than `instead`, NaN where the spread is unknown.

    Errors are taken as normal and correlated by exp(-|hours apart| / 12).
    """
    weights = _drawn(instead, profile, len(outlook.mean)) - _drawn(
        chosen, profile, len(outlook.mean)
    )
    at = np.flatnonzero(weights)
    gain = float(weights[at] @ outlook.mean[at])
    spread = weights[at] * outlook.spread[at]
    correlation = np.exp(-np.abs(at[:, None] - at[None, :]) * slot_hours / MEMORY_HOURS)
    variance = float(spread @ correlation @ spread)
    if not np.isfinite(variance):
        return float("nan")
    return 0.5 * (1 + erf(gain / sqrt(2 * variance + 1e-12)))


def _drawn(uses: tuple[Use, ...], profile: WorkProfile, num: int) -> np.ndarray:
    """Power drawn in each slot, in slots of full power, [num]."""
    drawn = np.zeros(num)
    for use in uses:
        drawn[use.slot] += profile.levels[use.level].power * use.share
    return drawn
