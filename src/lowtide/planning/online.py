"""Deciding without a forecast: the double-threshold policy for pause and resume (DTPR).

Lechowicz et al., "The Online Pause and Resume Problem", SIGMETRICS 2024. Of `units` pieces of work
the i-th is accepted at a price up to a threshold that falls with i, so that the emissions stay
below `alpha` times what perfect foresight would emit, whatever the prices between `low` and `high`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np


@dataclass(frozen=True)
class Thresholds:
    """Running work goes on below `stay[i]`; paused work resumes below `resume[i]`; i done, [k].

    `alpha` is the guarantee: emissions are at most alpha times those of perfect foresight.
    """

    stay: np.ndarray
    resume: np.ndarray
    alpha: float


def double_thresholds(units: int, low: float, high: float, switch_cost: float) -> Thresholds:
    """For `units` pieces of work at prices in [low, high] and `switch_cost` for each switch.

    With r = 1 + 1/(k alpha): stay_i = U - (U (1 - 1/alpha) - 2b (1 - 1/k + 1/(k alpha))) r^(i-1),
    where alpha makes stay_(k+1) = L + 2b; resume_i = stay_i - 2b. Where switching costs as much as
    it can ever save, every price is accepted.
    """
    from scipy.optimize import brentq

    if units < 1:
        raise ValueError(f"there must be work to schedule, not {units} units")
    if high - low <= 2 * switch_cost or low <= 0:
        accepted = np.full(units, np.inf)
        return Thresholds(accepted, accepted, high / low if low > 0 else np.inf)

    def first(alpha: float) -> float:
        return high * (1 - 1 / alpha) - 2 * switch_cost * (1 - 1 / units + 1 / (units * alpha))

    def gap(alpha: float) -> float:
        return first(alpha) * (1 + 1 / (units * alpha)) ** units - (high - low - 2 * switch_cost)

    alpha = float(brentq(gap, 1.0, high / low + 1.0))
    steps = (1 + 1 / (units * alpha)) ** np.arange(units)
    stay = high - first(alpha) * steps
    return Thresholds(stay, stay - 2 * switch_cost, alpha)


def thresholds_for(prices: Sequence[float], slots: float, resume_slots: float) -> Thresholds:
    """For `slots` of work from the range of the prices seen; a resume loses `resume_slots` of work.

    What a resume loses at the highest price is split between stopping and starting again.
    """
    high = float(max(prices))
    return double_thresholds(max(ceil(slots), 1), float(min(prices)), high, resume_slots * high / 2)


def accepts(thresholds: Thresholds, done: int, price: float, *, running: bool) -> bool:
    """Whether the next piece of work is done at this price, after `done` pieces."""
    limits = thresholds.stay if running else thresholds.resume
    return price <= float(limits[min(done, len(limits) - 1)])
