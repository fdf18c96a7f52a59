"""Placement as a mixed-integer programme: what is decided, and the rows that bind it.

Decided are x[g, s], the share of a group's requests that a site serves, for pairs within reach;
open[s], whether a site serves at all; and, for each family of groups that must survive a loss,
the largest capacity among the open sites it can reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint

from lowtide.placement.problem import S_PER_HOUR, Problem


@dataclass(frozen=True)
class Model:
    """Columns in the order x of `pairs`, open, largest. `scale` is what costs were divided by."""

    problem: Problem
    pairs: np.ndarray  # [P, 2] of group and site
    cost: np.ndarray
    scale: float
    integrality: np.ndarray
    bounds: Bounds
    constraints: LinearConstraint

    def shares(self, columns: np.ndarray) -> np.ndarray:
        """[G, S], each row summing to 1."""
        shares = np.zeros(self.problem.latency_ms.shape)
        found = columns[: len(self.pairs)]
        shares[self.pairs[:, 0], self.pairs[:, 1]] = np.where(found > 1e-7, found, 0.0)
        whole: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return whole

    def is_open(self, columns: np.ndarray) -> np.ndarray:
        start = len(self.pairs)
        return np.asarray(columns[start : start + len(self.problem.sites)] > 0.5)


@dataclass(frozen=True)
class Steps:
    """Between what shares may move, [G, S] each."""

    low: np.ndarray
    high: np.ndarray


def build(problem: Problem, families: Sequence[np.ndarray], steps: Steps | None) -> Model:
    """families: [G] bool each, groups that together must survive the loss of any one site."""
    pairs = np.argwhere(problem.reach)
    num_sites, num = len(problem.sites), len(pairs)
    group, site = pairs.T
    grams = S_PER_HOUR * problem.demand_per_s[group] * problem.grams_per_request[group, site]
    cost = np.concatenate([grams, problem.grams_open_per_hour, np.zeros(len(families))])
    scale = max(float(np.abs(cost).max()), 1e-300)
    rows = [*_serving(problem, pairs), *_surviving(problem, families, num)]
    high = np.concatenate([np.ones(num + num_sites), np.full(len(families), np.inf)])
    low = np.zeros(len(high))
    if steps is not None:
        low[:num], high[:num] = steps.low[group, site], steps.high[group, site]
    whole = np.concatenate([np.zeros(num), np.ones(num_sites), np.zeros(len(families))])
    matrix = sparse.vstack([_wide(one.A, len(cost)) for one in rows], format="csr")
    bounded = LinearConstraint(
        matrix, np.concatenate([one.lb for one in rows]), np.concatenate([one.ub for one in rows])
    )
    return Model(problem, pairs, cost / scale, scale, whole, Bounds(low, high), bounded)


def _serving(problem: Problem, pairs: np.ndarray) -> list[LinearConstraint]:
    """Each group is served whole, by open sites, within capacity and between the least and the
    largest share."""
    num, num_sites = len(pairs), len(problem.sites)
    group, site = pairs.T
    every, demand = np.arange(num), problem.demand_per_s[group]
    of_group = sparse.csr_array((np.ones(num), (group, every)), shape=(len(problem.groups), num))
    used = sparse.csr_array(
        (demand / problem.capacity_per_s[site], (site, every)), shape=(num_sites, num)
    )
    opened = sparse.csr_array((-np.ones(num), (every, site)), shape=(num, num_sites))
    rows = [
        _rows(of_group, 1.0, 1.0),
        _rows(sparse.hstack([used, -sparse.eye_array(num_sites)]), -np.inf, 0.0),
        _rows(sparse.hstack([sparse.eye_array(num), opened]), -np.inf, 0.0),
    ]
    if problem.total_per_s > 0:
        of_all = sparse.csr_array(
            (demand / problem.total_per_s, (site, every)), shape=(num_sites, num)
        )
        rules = problem.availability
        least = sparse.hstack([of_all, -rules.share_min * sparse.eye_array(num_sites)])
        rows += [_rows(of_all, -np.inf, rules.share_max), _rows(least, 0.0, np.inf)]
    return rows


def _surviving(
    problem: Problem, families: Sequence[np.ndarray], num_pairs: int
) -> list[LinearConstraint]:
    """For each family: open capacity within its reach, less the largest one, is its demand.

    A site that could carry the whole family counts as much as one that just could.
    """
    rows, num_sites = [], len(problem.sites)
    for place, family in enumerate(families):
        demand = float(problem.demand_per_s[family].sum())
        near = np.flatnonzero(problem.reach[family].any(axis=0))
        capacity = np.minimum(problem.capacity_per_s[near] / demand, 1.0)
        largest = num_pairs + num_sites + place
        columns = [*(num_pairs + near), largest]
        total = sparse.csr_array(
            ([*capacity, -1.0], ([0] * len(columns), columns)), shape=(1, largest + 1)
        )
        each = np.arange(len(near))
        at_least = sparse.csr_array(
            (
                np.concatenate([np.ones(len(near)), -capacity]),
                (np.tile(each, 2), np.concatenate([np.full(len(near), largest), num_pairs + near])),
            ),
            shape=(len(near), largest + 1),
        )
        rows += [_rows(total, 1.0, np.inf), _rows(at_least, 0.0, np.inf)]
    return rows


def _rows(matrix: "sparse.sparray", low: float, high: float) -> LinearConstraint:
    num = matrix.shape[0]
    return LinearConstraint(matrix, np.full(num, low), np.full(num, high))


def _wide(matrix: "sparse.sparray", num_columns: int) -> "sparse.sparray":
    """The same with columns of zeros appended."""
    wide = sparse.csr_array(matrix)
    wide.resize((wide.shape[0], num_columns))
    return wide
