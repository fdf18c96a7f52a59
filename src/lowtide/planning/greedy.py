"""Greedy marginal plan: the cross-check of the dynamic programme, and the bound no plan beats."""

import numpy as np

from lowtide.planning.profile import WorkProfile


def hull(profile: WorkProfile) -> tuple[np.ndarray, np.ndarray]:
    """(extra throughput, extra power) of each step up the upper concave hull of the levels."""
    points = [(0.0, 0.0)]
    for level in sorted(profile.levels, key=lambda item: (item.power, item.throughput)):
        point = (level.power, level.throughput)
        if point[1] <= points[-1][1]:
            continue
        while len(points) > 1 and _steeper(points[-2], points[-1], point):
            points.pop()
        points.append(point)
    power, throughput = np.array(points).T
    return np.diff(throughput), np.diff(power)


def least_grams(cost: np.ndarray, work: float, profile: WorkProfile, slot_hours: float) -> float:
    """Grams per kW of the best plan if pausing, resuming and parking cost nothing.

    Takes the steps of all slots in order of throughput per gram, the last one in part
    (CarbonScaler, SIGMETRICS 2024): optimal, since marginal throughput falls along the hull.
    cost: [T], grams that one kW emits over each slot. Raises ValueError if the work does not fit.
    """
    throughput, power = hull(profile)
    price = (cost[:, None] * (power / throughput)[None, :]).ravel() / slot_hours
    amount = np.broadcast_to(throughput * slot_hours, (len(cost), len(throughput))).ravel()
    order = np.argsort(price, kind="stable")
    before = np.cumsum(amount[order]) - amount[order]
    taken = np.clip(work - before, 0.0, amount[order])
    if taken.sum() < work - 1e-9:
        raise ValueError(f"{work:.3g} h of work do not fit into {len(cost)} slots")
    return float(taken @ price[order])


def _steeper(
    first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]
) -> bool:
    """Whether the step to `last` gives more throughput per power than the one to `middle`."""
    rise = (middle[1] - first[1]) * (last[0] - middle[0])
    return (last[1] - middle[1]) * (middle[0] - first[0]) >= rise
