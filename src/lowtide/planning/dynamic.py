"""The planner's core, on plain numbers: which slots to work in, at which level, for least grams.

An exact dynamic programme over slots x state x work left, in units so small that what a level does
in a slot and what a resume loses are whole numbers of them. In each slot the work rests, or runs at
a level. A run may begin late within its first slot, and the last one ends with the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lowtide.planning.profile import WorkProfile
from lowtide.planning.table import RUNNING, Grid, State, Table, in_units, solve


@dataclass(frozen=True)
class Use:
    """One slot that is worked in: for which share of it, at its beginning or `late` at its end."""

    slot: int
    level: int
    share: float
    late: bool = False


def cheapest_slots(
    cost: np.ndarray,
    work: float,
    profile: WorkProfile,
    slot_hours: float,
    *,
    state: State = "fresh",
    pausing: bool = True,
) -> tuple[Use, ...]:
    """The cheapest way to do `work` full-power hours in slots of `slot_hours`.

    cost: [T], grams that one kW emits over each slot. `state`: work that is running pauses if it
    rests, work that is paused has to resume. `pausing=False` forbids rests once begun.

    Raises:
        ValueError: the work does not fit into the slots.
    """
    slots = work / slot_hours
    if pausing and len(profile.levels) == 1 and profile.resume_hours == profile.idle_power == 0:
        return _free_pauses(cost, slots / profile.levels[0].throughput)
    grid = in_units(cost, slots, profile, slot_hours, pausing)
    if grid.need == 0:
        return ()
    table = solve(grid)
    if not np.isfinite(table.of(0, state, grid.need)):
        raise ValueError(f"{work:.3g} h of work do not fit into {len(cost)} slots")
    uses = _trace(grid, table, state)
    return _trimmed(uses, work, profile, slot_hours, state)


def _free_pauses(cost: np.ndarray, need: float) -> tuple[Use, ...]:
    """Where pausing is free and there is one level: the cheapest slots, the dearest in part."""
    whole = int(need + 1e-9)
    part = need - whole
    num = whole + (part > 1e-6)
    if num > len(cost):
        raise ValueError(f"{need:.3g} slots of work do not fit into {len(cost)}")
    order = np.argsort(cost, kind="stable")[:num]
    shares = {int(slot): 1.0 for slot in order}
    if num > whole:
        shares[int(order[-1])] = part
    last = max(shares, default=0)
    return tuple(Use(k, 0, shares[k], shares[k] < 1 and k < last) for k in sorted(shares))


def plan_cost(
    cost: np.ndarray, uses: Sequence[Use], profile: WorkProfile, *, state: State = "fresh"
) -> float:
    """Grams per kW of full power: what the used shares draw, and parking between them."""
    if not uses:
        return 0.0
    idle = np.ones(len(cost))
    grams = 0.0
    for use in uses:
        grams += float(cost[use.slot]) * profile.levels[use.level].power * use.share
        idle[use.slot] -= use.share
    begun, last = (uses[0].slot if state == "fresh" else 0), uses[-1]
    if state == "fresh" and uses[0].late:
        idle[begun] = 0.0  # not begun yet
    if not last.late:
        idle[last.slot] = 0.0  # done already
    parked = slice(begun, last.slot + 1)
    return grams + profile.idle_power * float(idle[parked] @ cost[parked])


def _trace(grid: Grid, table: Table, state: State) -> list[Use]:
    """Forward along the least cost to go, by what it is made of."""
    uses: list[Use] = []
    left = grid.need
    for slot in range(len(grid.cost)):
        if left == 0:
            break
        if _rests(grid, table, slot, state, left):
            state = "fresh" if state == "fresh" else "paused"
            continue
        least = table.of(slot, state, left)
        left += grid.resume if state == "paused" else 0
        level, done = _run(grid, slot, state, left, table.begun[slot + 1, RUNNING], least)
        left, state = left - done, "running"
        share = done / grid.per_slot[level]
        uses.append(Use(slot, level, share, late=share < 1 and left > 0))
    return uses


def _rests(grid: Grid, table: Table, slot: int, state: State, left: int) -> bool:
    if state == "fresh":
        return table.of(slot + 1, state, left) <= table.of(slot, state, left)
    rested = table.of(slot + 1, "paused", left) + grid.idle * float(grid.cost[slot])
    return rested <= table.of(slot, state, left) and (state == "paused" or grid.pausing)


def _run(
    grid: Grid, slot: int, state: State, left: int, after: np.ndarray, least: float
) -> tuple[int, int]:
    """The level and the units done of a slot that is worked in at `least` cost to go."""
    cost, levels = float(grid.cost[slot]), range(len(grid.power))
    most = [min(per_slot, left) for per_slot in grid.per_slot]
    whole = [
        cost * grid.power[k] * most[k] / grid.per_slot[k] + float(after[left - most[k]])
        if left - most[k] < len(after)
        else np.inf
        for k in levels
    ]
    best = int(np.argmin(whole))
    if whole[best] <= least + 1e-12 * abs(least) or (state == "running" and not grid.instant):
        return best, most[best]
    parked = 0.0 if state == "fresh" else grid.idle
    late: list[tuple[float, int, int]] = []
    for k in levels:
        units = np.arange(most[k], max(left - len(after), 0), -1)
        share = units / grid.per_slot[k]
        waiting = np.where(units < left, parked * (1 - share), 0.0)  # done early is not late
        costs = cost * (grid.power[k] * share + waiting) + after[left - units]
        if len(costs):
            late.append((float(costs.min()), k, int(units[costs.argmin()])))
    return min(late)[1:]


def num_resumes(uses: Sequence[Use], *, state: State = "fresh") -> int:
    """How often the work starts again after a rest."""
    rested = bool(uses) and (uses[0].slot > 0 or uses[0].late)
    at_first = state == "paused" or (state == "running" and rested)
    rests = sum(b.slot > a.slot + 1 or b.late for a, b in pairwise(uses))
    return rests + (at_first and bool(uses))


def _trimmed(
    uses: list[Use], work: float, profile: WorkProfile, slot_hours: float, state: State
) -> tuple[Use, ...]:
    """Without the part of the last slot that only rounding to whole units has added."""
    if not uses:
        return ()
    done = sum(profile.levels[use.level].throughput * use.share for use in uses) * slot_hours
    surplus = done - work - profile.resume_hours * num_resumes(uses, state=state)
    last = uses[-1]
    spare = surplus / (profile.levels[last.level].throughput * slot_hours)
    return (*uses[:-1], replace(last, share=max(last.share - max(spare, 0.0), 0.0)))
