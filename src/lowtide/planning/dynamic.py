"""The planner's core, on plain numbers: which slots hold `need` slots of work at least cost."""

import numpy as np

UNITS = 12  # parts of a slot that work left is counted in


def cheapest_block(cost: np.ndarray, need: float) -> np.ndarray:
    """One run without pause. `cost`: [T] per full slot; returns the used share of each slot."""
    full, part = divmod(need, 1.0)
    weights = np.append(np.ones(int(full)), part) if part > 1e-9 else np.ones(int(full))
    totals = np.convolve(cost, weights[::-1], mode="valid")
    used = np.zeros(len(cost))
    start = int(totals.argmin())
    used[start : start + len(weights)] = weights
    return used


def cheapest_slots(
    cost: np.ndarray, need: float, resume: float, running: bool = False
) -> np.ndarray:
    """The cheapest runs with pauses between them; each resume costs `resume` slots of work.

    Exact dynamic programme over slots x work left (in 1/12 of a slot, rounded up) x running.
    The first start costs nothing, unless the work is `running`: then a pause at once is a pause
    like any other. Returns the used share of each slot, [T].
    """
    units = int(np.ceil(need * UNITS - 1e-9))
    extra = round(resume * UNITS)
    block = cheapest_block(cost, need)
    begun = 1 if running else 0
    values, choices = _solve(cost, units + extra * (len(cost) // 2 + 1), extra)
    if not np.isfinite(values[begun, units]):
        return block
    used = _trace_back(choices, begun, units, extra)
    used[np.flatnonzero(used)[-1]] -= units / UNITS - need  # the rounding is not worked
    return used if running or used @ cost < block @ cost else block


def _solve(cost: np.ndarray, most: int, extra: int) -> tuple[np.ndarray, np.ndarray]:
    """Backward over slots. State: work left w, and 0 not begun, 1 running, 2 paused.

    `choices[t, state, w]` is whether slot t is worked in; the values are those at the start.
    """
    tie = 1e-9 * float(np.abs(cost).mean())  # of two equal plans the earlier: work done is safe
    left = np.arange(most + 1)
    done = np.where(left == 0, 0.0, np.inf)
    later = np.stack([done, done, done])
    choices = np.zeros((len(cost), 3, most + 1), dtype=bool)
    for t in range(len(cost) - 1, -1, -1):
        work = np.stack([_work(cost[t], later[1], left, 0)] * 2
                        + [_work(cost[t], later[1], left, extra)])  # fmt: skip
        rest = np.stack([later[0], later[2], later[2]])
        choices[t] = work <= rest + tie
        later = np.where(choices[t], work, rest)
        later[:, 0] = 0.0
    return later, choices


def _work(cost: float, after: np.ndarray, left: np.ndarray, extra: int) -> np.ndarray:
    """Cost of working in this slot with `left` to do, `extra` more being lost on resuming."""
    todo = np.minimum(left + extra, len(left) - 1)
    used = np.minimum(todo, UNITS)
    total: np.ndarray = cost * used / UNITS + after[todo - used]
    return np.where(left + extra < len(left), total, np.inf)


def _trace_back(choices: np.ndarray, state: int, units: int, extra: int) -> np.ndarray:
    used = np.zeros(len(choices))
    left = units
    for t in range(len(choices)):
        if left == 0:
            break
        if not choices[t, state, left]:
            state = 2 if state else 0
            continue
        left += extra if state == 2 else 0
        taken = min(left, UNITS)
        used[t], left, state = taken / UNITS, left - taken, 1
    return used
