"""A placement as it leaves the library: shares by name, what they emit, what they are based on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowtide.placement.intensity import Known
from lowtide.placement.solve import Placement, equal_split


@dataclass(frozen=True)
class Plan:
    """By group: the shares of its requests by site, of sites that have one, and the open sites
    within reach that have none, which stand in when the others are lost."""

    shares: Mapping[str, Mapping[str, float]]
    backups: Mapping[str, frozenset[str]]
    site_shares: Mapping[str, float]  # of all requests
    open_sites: frozenset[str]

    @classmethod
    def of(cls, placement: Placement) -> "Plan":
        problem, is_open = placement.problem, placement.is_open
        sites, groups = np.array(problem.sites), problem.groups
        shares = {
            group: {
                site: float(share)
                for site, share in zip(problem.sites, row, strict=True)
                if share > 0
            }
            for group, row in zip(groups, placement.shares, strict=True)
        }
        spare = problem.reach & is_open & (placement.shares == 0)
        return cls(
            shares,
            {
                group: frozenset(sites[row].tolist())
                for group, row in zip(groups, spare, strict=True)
            },
            dict(zip(problem.sites, map(float, placement.site_shares), strict=True)),
            frozenset(sites[is_open].tolist()),
        )


def describe(placement: Placement, known: Known) -> dict[str, Any]:
    """The contract of `lowtide place --json`, and what its figures rest on."""
    problem = placement.problem
    least = placement.emissions_g_per_hour
    split = equal_split(problem).emissions_g_per_hour
    load = problem.load_per_s(placement.shares)
    return {
        "shares": [
            {
                "site": site,
                "share": float(placement.site_shares[place]),
                "open": bool(placement.is_open[place]),
                "requests_per_s": float(load[place]),
                "capacity_per_s": float(problem.capacity_per_s[place]),
                "intensity_g_per_kwh": known.values[site].intensity_g_per_kwh,
                "source": known.values[site].source,
            }
            for place, site in enumerate(problem.sites)
        ],
        "group_shares": Plan.of(placement).shares,
        "left_out": dict(known.left_out),
        "demand_per_s": problem.total_per_s,
        "emissions_g_per_hour": least,
        "emissions_g_per_hour_equal_split": split,
        "saving_vs_equal_split": 1 - least / split if split > 0 else None,
        "mip_gap": placement.mip_gap,
    }
