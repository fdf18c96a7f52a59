"""The planner's core, on plain numbers: which slots to work in, at which level, for least grams.

An exact dynamic programme over slots x state x work left, in units so small that what a level does
in a slot and what a resume loses are whole numbers of them. In each slot the work rests, or runs at
a level. A run may begin late within its first slot, and the last one ends with the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, lcm
from typing import Literal

import numpy as np
from scipy.ndimage import minimum_filter1d

from lowtide.planning.profile import WorkProfile

State = Literal["fresh", "paused", "running"]
FRESH, PAUSED, RUNNING = 0, 1, 2  # the states in tables
INDEX: dict[State, int] = {"fresh": FRESH, "paused": PAUSED, "running": RUNNING}
REST = 0  # the first action; action k runs at level k - 1
FINEST = 60  # units of work in a slot, at most
TILT = 1e-9  # what a slot costs more than the one before: of two equal plans the earlier is safer


@dataclass(frozen=True)
class Use:
    """One slot that is worked in: for which share of it, at its beginning or `late` at its end."""

    slot: int
    level: int
    share: float
    late: bool = False


@dataclass(frozen=True)
class _Grid:
    cost: np.ndarray  # [T]
    need: int
    per_slot: tuple[int, ...]  # units that each level does in a slot
    power: tuple[float, ...]
    resume: int
    idle: float
    pausing: bool


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
    grid = _units(cost, slots, profile, slot_hours, pausing)
    values, actions = _solve(grid)
    if not np.isfinite(values[0, INDEX[state], grid.need]):
        raise ValueError(f"{work:.3g} h of work do not fit into {len(cost)} slots")
    uses = _trace(grid, values, actions, INDEX[state])
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


def _units(
    cost: np.ndarray, slots: float, profile: WorkProfile, slot_hours: float, pausing: bool
) -> _Grid:
    resume = profile.resume_hours / slot_hours
    exact = [slots, resume, *(level.throughput for level in profile.levels)]
    unit = lcm(*(Fraction(value).limit_denominator(FINEST).denominator for value in exact))
    unit = min(unit, FINEST)
    tilt = TILT * float(np.abs(cost).mean()) * np.arange(len(cost))
    return _Grid(
        cost + tilt,
        ceil(slots * unit - 1e-6),
        tuple(max(floor(level.throughput * unit + 1e-6), 1) for level in profile.levels),
        tuple(level.power for level in profile.levels),
        ceil(resume * unit - 1e-6),
        profile.idle_power,
        pausing,
    )


def _solve(grid: _Grid) -> tuple[np.ndarray, np.ndarray]:
    """Backward over the slots: least cost and best action by [slot, state, work left]."""
    size = grid.need + grid.resume + 1  # a run that does less than its resume loses never pays
    values = np.full((len(grid.cost) + 1, 3, size), np.inf)
    values[:, :, 0] = 0.0
    actions = np.zeros((len(grid.cost), 3, size), dtype=np.int8)
    for slot in range(len(grid.cost) - 1, -1, -1):
        options = _options(grid, slot, values[slot + 1])
        actions[slot] = options.argmin(axis=0)
        values[slot] = options.min(axis=0)
        values[slot, :, 0] = 0.0
    return values, actions


def _options(grid: _Grid, slot: int, after: np.ndarray) -> np.ndarray:
    """Cost to go of every action: [action, state, work left]."""
    cost = float(grid.cost[slot])
    parked = after[PAUSED] + grid.idle * cost
    rest_running = parked if grid.pausing else np.full_like(parked, np.inf)
    options = [np.stack([after[FRESH], parked, rest_running])]
    for per_slot, power in zip(grid.per_slot, grid.power, strict=True):
        fresh = _late(after[RUNNING], cost * power, per_slot)
        on = _whole(after[RUNNING], cost * power, per_slot)
        resumed = fresh
        if grid.idle > 0:  # until a late beginning the work is parked
            late = _late(after[RUNNING], cost * (power - grid.idle), per_slot)
            resumed = np.minimum(on, grid.idle * cost + late)
        if grid.pausing and grid.resume == 0:
            on = np.minimum(on, resumed)
        options.append(np.stack([fresh, _raised(resumed, grid.resume), on]))
    return np.stack(options)


def _late(after: np.ndarray, slot_cost: float, per_slot: int) -> np.ndarray:
    """Cost to go of doing any 1..per_slot units, by work left: min_u slot_cost u/r + after[w-u]."""
    per_unit = slot_cost / per_slot
    work = per_unit * np.arange(len(after))
    shifted = np.append(np.inf, (after - work)[:-1])
    # A trailing window: entries w - per_slot .. w - 1 of `after`.
    least = minimum_filter1d(
        shifted, per_slot, mode="constant", cval=np.inf, origin=(per_slot - 1) // 2
    )
    return np.asarray(work + least)


def _whole(after: np.ndarray, slot_cost: float, per_slot: int) -> np.ndarray:
    """Cost to go of working all through the slot, or until the work is done."""
    left = np.arange(len(after))
    used = np.minimum(left, per_slot)
    return np.asarray(slot_cost / per_slot * used + after[left - used])


def _raised(values: np.ndarray, extra: int) -> np.ndarray:
    """`values` seen with `extra` more work left: what a resume loses."""
    if extra == 0:
        return values
    return np.append(values[extra:], np.full(extra, np.inf))


def _trace(grid: _Grid, values: np.ndarray, actions: np.ndarray, state: int) -> list[Use]:
    uses: list[Use] = []
    left = grid.need
    for slot in range(len(grid.cost)):
        if left == 0:
            break
        action = int(actions[slot, state, left])
        if action == REST:
            state = FRESH if state == FRESH else PAUSED
            continue
        level = action - 1
        left += grid.resume if state == PAUSED else 0
        done = _done(grid, slot, state, left, level, values[slot + 1, RUNNING])
        left, state = left - done, RUNNING
        share = done / grid.per_slot[level]
        uses.append(Use(slot, level, share, late=share < 1 and left > 0))
    return uses


def _done(grid: _Grid, slot: int, state: int, left: int, level: int, after: np.ndarray) -> int:
    """Units done in a slot that is worked in: all that fit, unless beginning late is cheaper."""
    most = min(grid.per_slot[level], left)
    if state == RUNNING and (grid.resume > 0 or not grid.pausing):
        return most
    units = np.arange(most, 0, -1)
    parked = 0.0 if state == FRESH else grid.idle
    share = units / grid.per_slot[level]
    waiting = np.where(units < left, parked * (1 - share), 0.0)  # done early is not late
    costs = grid.cost[slot] * (grid.power[level] * share + waiting) + after[left - units]
    return int(units[costs.argmin()])


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
