"""Shares of an hour by HiGHS, with proven optimality."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import milp

from lowtide.placement.model import Model, Steps, build
from lowtide.placement.problem import S_PER_HOUR, Problem
from lowtide.placement.shortage import refuse
from lowtide.placement.survive import shortages

INFEASIBLE = 2  # as scipy.optimize.milp calls it
NEXT_TO_NOTHING = 1e-5  # of the waiting, what an open site costs: none is open for no reason


@dataclass(frozen=True)
class Placement:
    problem: Problem
    shares: np.ndarray  # [G, S], each row sums to 1
    is_open: np.ndarray  # [S] bool; a site may be open without a share, to stand by
    mip_gap: float  # relative, between these shares and the best that can be hoped for

    @property
    def emissions_g_per_hour(self) -> float:
        return self.problem.emissions_g_per_hour(self.shares, self.is_open)

    @property
    def site_shares(self) -> np.ndarray:
        return self.problem.site_shares(self.shares)


def solve(problem: Problem, steps: Steps | None = None) -> Placement:
    """The shares that emit least.

    What a loss would leave unserved is found by maximum flows after each solution and forbidden in
    the next (cuts), until nothing is: the last one is optimal for the whole.

    Raises:
        CapacityError: there are no such shares; says what is missing, where and when.
    """
    found = attempt(problem, steps)
    return found if found is not None else refuse(problem)


def attempt(problem: Problem, steps: Steps | None = None) -> Placement | None:
    """As `solve`; None where nothing is feasible."""
    survives = problem.availability.survive_one_loss and problem.total_per_s > 0
    families = [problem.demand_per_s > 0] if survives else []
    while True:
        found = _optimum(build(problem, families, steps))
        if found is None or not survives:
            return found
        lacking = [one.family for one in shortages(problem, found.is_open)]
        fresh = list(_distinct(lacking, families))
        if not fresh:
            return found
        families += fresh


def least_latency(problem: Problem) -> Placement:
    """What the same rules allow at the least mean of p95 latencies over requests."""
    wait = np.where(problem.reach, problem.latency_ms, 0.0)
    waited = S_PER_HOUR * problem.total_per_s * wait.max()
    opened = np.full(len(problem.sites), NEXT_TO_NOTHING * waited or 1.0)
    found = solve(replace(problem, grams_per_request=wait, grams_open_per_hour=opened))
    return replace(found, problem=problem)


def equal_split(problem: Problem) -> Placement:
    """Each site within reach has the same share of a group, as in round robin; all are open.

    Capacity is not looked at. Every group has to have a site within reach.
    """
    shares = problem.reach / problem.reach.sum(axis=1, keepdims=True)
    return Placement(problem, shares, np.asarray(problem.reach.any(axis=0)), np.nan)


def _optimum(model: Model) -> Placement | None:
    result = milp(
        model.cost,
        integrality=model.integrality,
        bounds=model.bounds,
        constraints=model.constraints,
        options={"mip_rel_gap": 0.0},
    )
    if result.status == INFEASIBLE:
        return None
    assert result.x is not None, result.message
    shares, is_open = model.shares(result.x), model.is_open(result.x)
    return Placement(model.problem, shares, is_open, float(result.mip_gap))


def _distinct(lacking: list[np.ndarray], known: list[np.ndarray]) -> "list[np.ndarray]":
    seen = {one.tobytes() for one in known}
    fresh = {one.tobytes(): one for one in lacking if one.tobytes() not in seen}
    return list(fresh.values())
