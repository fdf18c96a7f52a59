"""One hour of placement in plain numbers: G groups, S sites."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lowtide.placement.sites import Availability, Site, Sites

J_PER_KWH = 3.6e6
S_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Problem:
    when: str  # for messages
    groups: tuple[str, ...]
    sites: tuple[str, ...]
    demand_per_s: np.ndarray  # [G]
    grams_per_request: np.ndarray  # [G, S]
    grams_open_per_hour: np.ndarray  # [S], whatever an open site serves
    latency_ms: np.ndarray  # [G, S], p95; infinite where there is no route
    limit_ms: np.ndarray  # [G]
    capacity_per_s: np.ndarray  # [S]
    availability: Availability

    @property
    def reach(self) -> np.ndarray:
        """[G, S]: the site answers the group within its limit.

        Where each site's p95 is within a limit, so is that of any mixture of them: of every part
        at most 5 % are slower.
        """
        within: np.ndarray = self.latency_ms <= self.limit_ms[:, None]
        return within

    @property
    def total_per_s(self) -> float:
        return float(self.demand_per_s.sum())

    def load_per_s(self, shares: np.ndarray) -> np.ndarray:
        """[S] requests per second, of shares [G, S]."""
        load: np.ndarray = self.demand_per_s @ shares
        return load

    def site_shares(self, shares: np.ndarray) -> np.ndarray:
        """[S] of all requests; where there are none, the mean over groups."""
        if self.total_per_s == 0:
            return np.asarray(shares.mean(axis=0))
        return self.load_per_s(shares) / self.total_per_s

    def emissions_g_per_hour(self, shares: np.ndarray, is_open: np.ndarray) -> float:
        """Sum over requests of their grams, and of what open sites emit whatever they serve."""
        requests = S_PER_HOUR * self.demand_per_s[:, None] * shares
        return float((requests * self.grams_per_request).sum() + self.grams_open_per_hour @ is_open)


def pose(found: Sites, moment: datetime, intensity: Mapping[str, float]) -> Problem:
    """The problem of the hour of a moment in UTC, with g/kWh by site.

    Per request: (inference J * PUE + network J) * g/kWh / 3.6e6 + embodied g; an open site also
    emits idle W * PUE / 1000 * g/kWh + embodied g/h * share an hour. The network is taken to run
    on the site's grid.
    """
    sites = list(found.sites.items())
    network_j = _by_route(found, "network_energy_j", 0.0)
    served = [
        (site.inference_energy_j * site.pue + network_j[:, place]) * intensity[name] / J_PER_KWH
        + site.embodied.g_per_inference
        for place, (name, site) in enumerate(sites)
    ]
    return Problem(
        f"{moment:%Y-%m-%d %H:%M} UTC",
        tuple(found.groups),
        tuple(found.sites),
        np.array([group.demand_per_s[moment.hour] for group in found.groups.values()]),
        np.column_stack(served),
        np.array([_open_g(site, intensity[name]) for name, site in sites]),
        _by_route(found, "latency_ms_p95", np.inf),
        np.array([group.latency_ms_p95_max for group in found.groups.values()]),
        np.array([site.capacity_per_s for _, site in sites]),
        found.availability,
    )


def _open_g(site: Site, intensity_g_per_kwh: float) -> float:
    idle = site.idle_power_w * site.pue / 1000 * intensity_g_per_kwh
    return idle + site.embodied.g_per_hour * site.embodied.share


def _by_route(found: Sites, figure: str, missing: float) -> np.ndarray:
    """[G, S] of a figure of the routes."""
    return np.array(
        [
            [getattr(site.users[group], figure) if group in site.users else missing
             for site in found.sites.values()]
            for group in found.groups
        ]
    )  # fmt: skip
