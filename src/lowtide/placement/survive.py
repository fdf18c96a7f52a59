"""Whether the open sites can carry everything when one of them is lost; if not, who lacks what.

A maximum flow from groups through routes within reach to the sites that are left says so. Where it
falls short, the groups on the near side of the minimum cut are a family that cannot survive: Hall's
condition, demand of the family <= capacity of all it can reach, fails for it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from lowtide.placement.problem import Problem

UNITS = 10**9  # all demand, in whole units that the flow is made of


@dataclass(frozen=True)
class Shortage:
    lost: int | None  # the site that is lost; None: none is
    family: np.ndarray  # [G] bool, groups that together cannot be served
    missing_per_s: float  # of their demand


def shortages(problem: Problem, is_open: np.ndarray) -> list[Shortage]:
    """One for each open site whose loss the others cannot make up for."""
    found = [shortage(problem, is_open, int(lost)) for lost in np.flatnonzero(is_open)]
    return [one for one in found if one is not None]


def shortage(problem: Problem, is_open: np.ndarray, lost: int | None) -> Shortage | None:
    """None where what is left of the open sites carries all demand."""
    left = is_open.copy()
    if lost is not None:
        left[lost] = False
    if problem.total_per_s == 0:
        return None
    unit = problem.total_per_s / UNITS
    graph = _network(problem, left, unit)
    flow = maximum_flow(graph, 0, graph.shape[0] - 1)
    missing = float(problem.demand_per_s.sum() - flow.flow_value * unit)
    if missing <= unit * graph.shape[0]:  # no more than rounding to units has taken
        return None
    residual = sparse.csr_array(graph - flow.flow)
    residual.eliminate_zeros()
    near = breadth_first_order(residual, 0, return_predecessors=False)
    family = np.isin(np.arange(len(problem.groups)), near - 1)
    return Shortage(lost, family, missing)


def _network(problem: Problem, left: np.ndarray, unit: float) -> "sparse.csr_array":
    """Node 0 is the source, then groups, sites, and last the sink."""
    num_groups, num_sites = problem.reach.shape
    group, site = np.nonzero(problem.reach & left)
    of_sites = 1 + num_groups
    capacity = np.minimum(problem.capacity_per_s * left, problem.total_per_s) / unit
    tail = [np.zeros(num_groups), 1 + group, of_sites + np.arange(num_sites)]
    head = [1 + np.arange(num_groups), of_sites + site, np.full(num_sites, of_sites + num_sites)]
    bound = [problem.demand_per_s / unit, np.full(len(group), UNITS), capacity]
    size = of_sites + num_sites + 1
    units = np.rint(np.concatenate(bound)).astype(np.int32)
    ends = np.concatenate(tail).astype(np.int32), np.concatenate(head).astype(np.int32)
    graph = sparse.csr_array((units, ends), shape=(size, size))
    graph.eliminate_zeros()
    return graph
