"""Why demand cannot be placed: by how much, who lacks it, and when."""

from dataclasses import replace
from typing import NoReturn

import numpy as np

from lowtide.errors import CapacityError
from lowtide.placement.problem import Problem
from lowtide.placement.survive import Shortage, shortage, shortages


def refuse(problem: Problem) -> NoReturn:
    """Raises CapacityError with the first rule that cannot be kept, all sites being open."""
    _refuse_what_reaches_none(problem)
    every = np.ones(len(problem.sites), dtype=bool)
    found = shortage(problem, every, None)
    if found is not None:
        raise CapacityError(
            f"{problem.when}: {_lack(problem, found)}: add capacity, raise a "
            "latency limit, or turn requests away"
        )
    share_max = problem.availability.share_max
    capped = np.minimum(problem.capacity_per_s, share_max * problem.total_per_s)
    found = shortage(replace(problem, capacity_per_s=capped), every, None)
    if found is not None:
        raise CapacityError(
            f"{problem.when}: with at most {share_max:g} of all requests at a site, "
            f"{_lack(problem, found)}: raise availability.share_max or add sites near them"
        )
    lost = shortages(problem, every) if problem.availability.survive_one_loss else []
    if lost:
        worst = max(lost, key=lambda one: one.missing_per_s)
        assert worst.lost is not None
        raise CapacityError(
            f"{problem.when}: without {problem.sites[worst.lost]}, {_lack(problem, worst)}: add "
            "capacity near them, or set availability.survive_one_loss to false"
        )
    raise CapacityError(
        f"{problem.when}: every rule can be kept alone but not all at once: lower "
        f"availability.share_min {problem.availability.share_min:g} or raise share_max"
    )


def _refuse_what_reaches_none(problem: Problem) -> None:
    """A sites file gives every group a site; but those without intensity may be left out."""
    names = [name for name, row in zip(problem.groups, problem.reach, strict=True) if not row.any()]
    if names:
        raise CapacityError(
            f"{problem.when}: {', '.join(names)}: every site within reach is left out, its "
            "intensity is not known: give one constant_g_per_kwh, or add a site"
        )


def _lack(problem: Problem, found: Shortage) -> str:
    names = [name for name, lacks in zip(problem.groups, found.family, strict=True) if lacks]
    served = float(problem.demand_per_s[found.family].sum()) - found.missing_per_s
    return (
        f"{', '.join(names)}: {found.missing_per_s:.6g} requests/s more than the {served:.6g} "
        "that sites within reach can carry"
    )
