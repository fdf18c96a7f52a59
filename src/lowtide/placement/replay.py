"""A recorded day, hour by hour: what placement saves against an equal split and least latency."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from lowtide.placement.demand import HOURS
from lowtide.placement.hysteresis import decide
from lowtide.placement.intensity import Grids, open_grids, read_intensity
from lowtide.placement.plan import Plan
from lowtide.placement.problem import S_PER_HOUR, Problem, pose
from lowtide.placement.sites import Sites
from lowtide.placement.solve import Placement, equal_split, least_latency, solve

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Hour:
    """What was known when it began, and what was then the case, on the same sites."""

    foreseen: Problem
    true: Problem
    left_out: Mapping[str, str]  # site: why


def replay_day(
    found: Sites, start: datetime, lag_hours: float = 1.0, grids: Grids | None = None
) -> dict[str, Any]:
    """Shares of an hour are chosen by the intensity `lag_hours` before it begins, and are charged
    with that of the hour itself.

    Raises:
        CarbonError: an intensity of the day is not known.
        CapacityError: the demand of an hour cannot be placed.
    """
    opened = open_grids(found, start) if grids is None else grids
    hours = [
        _hour(found, opened, start + number * HOUR, timedelta(hours=lag_hours))
        for number in range(HOURS)
    ]
    best = [_charged(solve(hour.foreseen), hour.true) for hour in hours]
    chosen = {
        "equal-split": [equal_split(hour.true) for hour in hours],
        "least-latency": [least_latency(hour.true) for hour in hours],
        "lowtide": best,
        "lowtide-steady": _steady(found, hours),
    }
    figures = {name: _figures(placements) for name, placements in chosen.items()}
    for figure in figures.values():
        for other in ("equal-split", "least-latency"):
            before_g = figures[other]["emissions_g"]
            saving = 1 - figure["emissions_g"] / before_g if before_g else 0.0
            figure[f"saving_vs_{other.replace('-', '_')}"] = saving
    gaps = [placement.mip_gap for placement in best]
    return {
        "num_hours": len(hours),
        "lag_hours": lag_hours,
        "mip_gap": max(gaps),
        "policies": figures,
        "left_out": _left_out(hours),
    }


def _hour(found: Sites, grids: Grids, moment: datetime, lag: timedelta) -> Hour:
    """Sites whose intensity is unknown at either moment are left out, if they may be."""
    true = read_intensity(found, grids, moment)
    before = read_intensity(true.sites, grids, moment - lag)
    foreseen, charged = (pose(before.sites, moment, one.g_per_kwh) for one in (before, true))
    return Hour(foreseen, charged, {**before.left_out, **true.left_out})


def _left_out(hours: list[Hour]) -> dict[str, str]:
    """Of how many hours, and a reason: the first."""
    counts, whys = Counter[str](), dict[str, str]()
    for hour in hours:
        counts.update(hour.left_out.keys())
        whys = {**hour.left_out, **whys}
    return {name: f"in {counts[name]} of {len(hours)} hours: {why}" for name, why in whys.items()}


def _charged(placement: Placement, true: Problem) -> Placement:
    return replace(placement, problem=true)


def _steady(found: Sites, hours: list[Hour]) -> list[Placement]:
    """With hysteresis, each hour going from the shares of the one before."""
    live: Plan | None = None
    placements = []
    for hour in hours:
        decision = decide(hour.foreseen, live, found.hysteresis)
        live = Plan.of(decision.placement)
        placements.append(_charged(decision.placement, hour.true))
    return placements


def _figures(placements: list[Placement]) -> dict[str, float]:
    """Latency: the slowest route that a group uses bounds its p95, and `mean` is over requests."""
    waits = [np.where(one.shares > 0, one.problem.latency_ms, 0.0) for one in placements]
    requests = [one.problem.demand_per_s[:, None] * one.shares for one in placements]
    over = [
        (load * ~one.problem.reach).sum() for one, load in zip(placements, requests, strict=True)
    ]
    total = float(sum(load.sum() for load in requests))
    moved = [
        np.abs(after.site_shares - before.site_shares).sum() / 2
        for before, after in pairwise(placements)
        if after.problem.sites == before.problem.sites
    ]
    waited = sum((load * wait).sum() for load, wait in zip(requests, waits, strict=True))
    return {
        "emissions_g": sum(one.emissions_g_per_hour for one in placements),
        "num_requests": total * S_PER_HOUR,
        "latency_ms_p95_max": float(max(wait.max() for wait in waits)),
        "latency_ms_p95_mean": float(waited / total) if total else 0.0,
        "share_over_limit": float(sum(over) / total) if total else 0.0,
        "moved_share_per_hour": float(np.mean(moved)) if moved else 0.0,
    }
