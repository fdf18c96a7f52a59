"""The planner's table: least cost to go by slot, state and work left, backward over the slots.

Work is counted in units so small that what a level does in a slot and what a resume loses are whole
numbers of them. In each slot the work rests, or runs at a level.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np

from lowtide.planning.profile import WorkProfile

State = Literal["fresh", "paused", "running"]
PAUSED, RUNNING = 0, 1  # the states of begun work
INDEX: dict[State, int] = {"paused": PAUSED, "running": RUNNING}
FINEST = 60  # units of work in a slot, at most
TILT = 1e-9  # what a slot costs more than the one before: of two equal plans the earlier is safer


@dataclass(frozen=True)
class Grid:
    cost: np.ndarray  # [T]
    need: int
    per_slot: tuple[int, ...]  # units that each level does in a slot
    power: tuple[float, ...]
    resume: int
    idle: float
    pausing: bool

    @property
    def instant(self) -> bool:
        """A pause inside a slot loses nothing: running work, too, may begin late."""
        return self.pausing and self.resume == 0


@dataclass(frozen=True)
class Table:
    """Least cost to go: of begun work by what is left of it, of work not begun for all of it."""

    begun: np.ndarray  # [T + 1, 2, units left]
    fresh: np.ndarray  # [T + 1]

    def of(self, slot: int, state: State, left: int) -> float:
        return float(self.fresh[slot] if state == "fresh" else self.begun[slot, INDEX[state], left])


def in_units(
    cost: np.ndarray, slots: float, profile: WorkProfile, slot_hours: float, pausing: bool
) -> Grid:
    resume = profile.resume_hours / slot_hours
    unit = _units_per_slot(slots, resume, [level.throughput for level in profile.levels])
    tilt = TILT * float(np.abs(cost).mean()) * np.arange(len(cost))
    return Grid(
        cost + tilt,
        ceil(slots * unit - 1e-6),
        tuple(max(floor(level.throughput * unit + 1e-6), 1) for level in profile.levels),
        tuple(level.power for level in profile.levels),
        ceil(resume * unit - 1e-6),
        profile.idle_power,
        pausing,
    )


def _units_per_slot(work: float, resume: float, throughputs: list[float]) -> int:
    """The fewest units in a slot by which rounding to whole units loses least, to a thousandth."""

    def loses(unit: int) -> tuple[float, int]:
        down = [1 - floor(value * unit + 1e-6) / (value * unit) for value in throughputs]
        up = [ceil(value * unit - 1e-6) / (value * unit) - 1 for value in (work, resume) if value]
        return round(max(*down, *up), 3), unit

    return min(range(1, FINEST + 1), key=loses)


def solve(grid: Grid) -> Table:
    """Backward over the slots.

    Work that has not begun is all left, so it needs one number a slot. Of begun work, only what
    can be left in a slot and can still be done is looked at.
    """
    num, fastest = len(grid.cost), max(grid.per_slot)
    size = grid.need + grid.resume + 1  # a run that does less than its resume loses never pays
    begun = np.full((num + 1, 2, size), np.inf)
    begun[:, :, 0] = 0.0
    units = np.arange(size + fastest, dtype=float)
    for slot in range(num - 1, -1, -1):
        low = max(grid.need - slot * fastest, 1)
        high = min((num - slot) * fastest + 1, size)
        if low < high:
            _solve_begun(grid, slot, low, units, begun[slot + 1], begun[slot, :, low:high])
    return Table(begun, _solve_fresh(grid, begun[1:, RUNNING]))


def _solve_begun(
    grid: Grid, slot: int, low: int, units: np.ndarray, after: np.ndarray, values: np.ndarray
) -> None:
    """The best of resting and of every level in a slot, with `low` units of work left or more.

    units: 0, 1, 2 ... after: [2, units left], the cost to go of the next slot. values: [2, N],
    written.
    """
    parked, num = grid.idle * float(grid.cost[slot]), values.shape[1]
    paused, running = values
    np.add(after[PAUSED, low : low + num], parked, out=paused)
    running[:] = paused if grid.pausing else np.inf
    held = max(num - grid.resume, 0)  # what is left beyond it does not allow a resume
    for per_slot, power in zip(grid.per_slot, grid.power, strict=True):
        full = float(grid.cost[slot]) * power
        on = _whole(after[RUNNING], low, num, full / per_slot * units[: per_slot + 1])
        np.minimum(running, on, out=running)
        late = (full - parked) / per_slot * units[: num + per_slot]
        resumed = _late(after[RUNNING], low, num, late, per_slot)
        if parked:  # until a late beginning
            resumed += parked
            np.minimum(on, resumed, out=resumed)
        np.minimum(paused[:held], resumed[grid.resume :], out=paused[:held])
    if grid.instant:  # what runs may pause for a moment and begin late, too
        running[:] = paused


def _late(after: np.ndarray, low: int, num: int, cost: np.ndarray, per_slot: int) -> np.ndarray:
    """Cost to go of doing any 1..per_slot units, by work left: min_u cost[u] + after[w - u].

    cost: [num + per_slot], proportional to the units done.
    """
    missing = max(per_slot - low, 0)  # of the window, below no work left
    least = np.full(num - 1 + per_slot, np.inf)  # by w - per_slot .. w - 1
    seen = after[low - per_slot + missing : low + num - 1]
    np.subtract(seen, cost[missing : missing + len(seen)], out=least[missing:])
    width = 1
    while width < per_slot:  # minima over twice as many, until they span the slot
        step = min(width, per_slot - width)
        least = np.minimum(least[step:], least[:-step])
        width += step
    least += cost[per_slot:]
    return least


def _whole(after: np.ndarray, low: int, num: int, cost: np.ndarray) -> np.ndarray:
    """Cost to go of working all through the slot, or until the work is done.

    cost: [per_slot + 1], by units done.
    """
    per_slot = len(cost) - 1
    ends = min(max(per_slot - low, 0), num)  # the first ones end within the slot
    found = np.empty(num)
    found[:ends] = cost[low : low + ends]
    np.add(after[low + ends - per_slot : low + num - per_slot], cost[-1], out=found[ends:])
    return found


def _solve_fresh(grid: Grid, after: np.ndarray) -> np.ndarray:
    """Cost to go of work that has not begun, [T + 1]: it begins at any moment of a slot."""
    begin = np.full(len(grid.cost) + 1, np.inf)
    for per_slot, power in zip(grid.per_slot, grid.power, strict=True):
        units = np.arange(1, min(per_slot, grid.need) + 1)
        costs = np.outer(grid.cost * power / per_slot, units) + after[:, grid.need - units]
        np.minimum(begin[:-1], costs.min(axis=1), out=begin[:-1])
    return np.minimum.accumulate(begin[::-1])[::-1]
